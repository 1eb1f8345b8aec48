import { describe, expect, test } from "vitest";
import { SeriesTable } from "../../src/fold/series.ts";
import { attributeSet } from "../../src/model/columns.ts";
import { drain, endedOf, pointsOf } from "../kit/points.ts";

const collect = (table: SeriesTable<"target">, absent = false) => drain(table.collect(absent)).value;

const createTable = () => {
  const table = new SeriesTable<"target">();
  return { table, up: table.column("sockscope.probe.up", {}), latency: table.column("sockscope.probe.latency", {}) };
};

describe("a series table", () => {
  test("exports what is present with its start, and nothing of what is absent", () => {
    const { table, up, latency } = createTable();
    const row = table.add(attributeSet({ a: 1 }), 1000);
    table.values(up)[row] = 1;
    expect(pointsOf(collect(table))).toEqual([
      { metric: "sockscope.probe.up", attributes: { a: 1 }, start: 1000, value: 1 },
    ]);
    table.values(latency)[row] = 0.5;
    expect(pointsOf(collect(table)).map(({ metric, value }) => [metric, value])).toEqual([
      ["sockscope.probe.up", 1],
      ["sockscope.probe.latency", 0.5],
    ]);
  });

  test("ends a reading that becomes absent once, and starts it again without an end", () => {
    const { table, latency } = createTable();
    const row = table.add(attributeSet({ a: 1 }), 1000);
    table.values(latency)[row] = 0.5;
    collect(table);
    table.values(latency)[row] = Number.NaN;
    const gone = collect(table);
    expect(pointsOf(gone)).toEqual([]);
    expect(endedOf(gone)).toEqual([{ metric: "sockscope.probe.latency", attributes: { a: 1 }, start: 1000 }]);
    expect(collect(table)).toEqual([]);
    table.values(latency)[row] = 0.25;
    const back = collect(table);
    expect(pointsOf(back)).toHaveLength(1);
    expect(endedOf(back)).toEqual([]);
  });

  test("ends each column of a removed series once, and reuses its row without a trace", () => {
    const { table, up, latency } = createTable();
    const row = table.add(attributeSet({ a: 1 }), 1000);
    table.values(up)[row] = 1;
    table.values(latency)[row] = 0.5;
    collect(table);
    table.remove(row);
    const gone = collect(table);
    expect(pointsOf(gone)).toEqual([]);
    expect(endedOf(gone).map(({ metric }) => metric)).toEqual(["sockscope.probe.up", "sockscope.probe.latency"]);
    expect(collect(table)).toEqual([]);
    const next = table.add(attributeSet({ b: 2 }), 2000);
    expect(next).toBe(row);
    expect(collect(table)).toEqual([]);
    table.values(up)[next] = 0;
    expect(pointsOf(collect(table))).toEqual([
      { metric: "sockscope.probe.up", attributes: { b: 2 }, start: 2000, value: 0 },
    ]);
  });

  test("a series that never had a point ends without one", () => {
    const { table } = createTable();
    table.remove(table.add(attributeSet({ a: 1 }), 1000));
    expect(collect(table)).toEqual([]);
  });

  test("a tick without a reading ends everything and keeps the values and starts", () => {
    const { table, up } = createTable();
    const row = table.add(attributeSet({ a: 1 }), 1000);
    table.values(up)[row] = 1;
    collect(table);
    expect(endedOf(collect(table, true))).toHaveLength(1);
    expect(endedOf(collect(table, true))).toEqual([]);
    expect(pointsOf(collect(table))).toEqual([
      { metric: "sockscope.probe.up", attributes: { a: 1 }, start: 1000, value: 1 },
    ]);
  });

  test("snapshots are not touched by later ticks", () => {
    const { table, up } = createTable();
    const row = table.add(attributeSet({ a: 1 }), 1000);
    table.values(up)[row] = 1;
    const first = collect(table);
    table.values(up)[row] = 0;
    table.remove(row);
    collect(table);
    expect(pointsOf(first)).toEqual([{ metric: "sockscope.probe.up", attributes: { a: 1 }, start: 1000, value: 1 }]);
  });

  test("columns whose rows are all present share their sets; one with a gap has its own", () => {
    const { table, up, latency } = createTable();
    for (let index = 0; index < 3; index++) {
      const row = table.add(attributeSet({ index }), index);
      table.values(up)[row] = index;
      if (index !== 1) table.values(latency)[row] = index;
    }
    const metrics = collect(table);
    expect(pointsOf(metrics).filter(({ metric }) => metric === "sockscope.probe.latency")).toEqual([
      { metric: "sockscope.probe.latency", attributes: { index: 0 }, start: 0, value: 0 },
      { metric: "sockscope.probe.latency", attributes: { index: 2 }, start: 2, value: 2 },
    ]);
    expect(pointsOf(metrics).filter(({ metric }) => metric === "sockscope.probe.up")).toHaveLength(3);
  });

  test("100,000 series: no slice handles more than 2,000 points", () => {
    const { table, up } = createTable();
    for (let index = 0; index < 100_000; index++) {
      const row = table.add(attributeSet({ index }), 1);
      table.values(up)[row] = index;
    }
    const { value, slices } = drain(table.collect());
    expect(Math.max(...slices)).toBe(2000);
    expect(slices.reduce((sum, slice) => sum + slice, 0)).toBeGreaterThanOrEqual(200_000);
    expect(value[0]?.numbers[0]?.values.at(-1)).toBe(99_999);
  });
});
