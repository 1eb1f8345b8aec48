import { describe, expect, test } from "vitest";
import { bucketOf, HistogramTable } from "../../src/fold/histograms.ts";
import { attributeSet, type MetricColumns } from "../../src/model/columns.ts";
import { drain, endedOf, histogramsOf } from "../kit/points.ts";

const metric = "sockscope.probe.packet.rtt";
const createTable = (): HistogramTable => new HistogramTable(metric, [0.001, 0.01]);
const collect = (table: HistogramTable, absent = false): MetricColumns[] => drain(table.collect(absent)).value;

test.each([
  [0, 0],
  [0.001, 0],
  [0.0011, 1],
  [0.01, 1],
  [0.02, 2],
  [Infinity, 2],
])("%d is in bucket %d", (value, bucket) => {
  expect(bucketOf([0.001, 0.01], value)).toBe(bucket);
});

describe("a histogram table", () => {
  test("has a distribution for each series, which adds up over the ticks", () => {
    const table = createTable();
    const a = table.add(attributeSet({ a: 1 }), 1000);
    const b = table.add(attributeSet({ b: 2 }), 2000);
    table.record(a, 0.001);
    table.record(a, 0.5);
    const first = collect(table);
    expect(histogramsOf(first)).toEqual([
      { metric, attributes: { a: 1 }, start: 1000, counts: [1, 0, 1], sum: 0.501 },
      { metric, attributes: { b: 2 }, start: 2000, counts: [0, 0, 0], sum: 0 },
    ]);
    table.record(a, 0.002);
    table.record(b, 0.002);
    expect(histogramsOf(collect(table)).map(({ counts }) => counts)).toEqual([
      [1, 1, 1],
      [0, 1, 0],
    ]);
    expect(histogramsOf(first).map(({ counts }) => counts)).toEqual([
      [1, 0, 1],
      [0, 0, 0],
    ]);
  });

  test("nothing of no series", () => {
    expect(collect(createTable())).toEqual([]);
  });

  test("ends a removed series once, and reuses its row from 0", () => {
    const table = createTable();
    const row = table.add(attributeSet({ a: 1 }), 1000);
    table.record(row, 0.5);
    collect(table);
    table.remove(row);
    const gone = collect(table);
    expect(histogramsOf(gone)).toEqual([]);
    expect(endedOf(gone)).toEqual([{ metric, attributes: { a: 1 }, start: 1000 }]);
    expect(collect(table)).toEqual([]);
    expect(table.add(attributeSet({ b: 2 }), 2000)).toBe(row);
    expect(histogramsOf(collect(table))).toEqual([
      { metric, attributes: { b: 2 }, start: 2000, counts: [0, 0, 0], sum: 0 },
    ]);
  });

  test("a series that no collection had ends without an end", () => {
    const table = createTable();
    table.remove(table.add(attributeSet({ a: 1 }), 1000));
    expect(collect(table)).toEqual([]);
  });

  test("a tick without a reading ends everything and keeps the counts and starts", () => {
    const table = createTable();
    table.record(table.add(attributeSet({ a: 1 }), 1000), 0.5);
    collect(table);
    expect(endedOf(collect(table, true))).toHaveLength(1);
    expect(collect(table, true)).toEqual([]);
    expect(histogramsOf(collect(table))).toEqual([
      { metric, attributes: { a: 1 }, start: 1000, counts: [0, 0, 1], sum: 0.5 },
    ]);
  });

  test("100,000 series: no slice handles more than 2,000 points", () => {
    const table = createTable();
    for (let index = 0; index < 100_000; index++) table.record(table.add(attributeSet({ index }), 1), index);
    const { value, slices } = drain(table.collect());
    expect(Math.max(...slices)).toBe(2000);
    expect(slices.reduce((sum, slice) => sum + slice, 0)).toBe(100_000);
    expect(histogramsOf(value).at(-1)).toMatchObject({ counts: [0, 0, 1], sum: 99_999 });
  });

  test("series that come amid a collection do not disturb it", () => {
    const table = createTable();
    for (let index = 0; index < 4096; index++) table.record(table.add(attributeSet({ index }), 1), 0.5);
    const collection = table.collect();
    collection.next();
    for (let index = 4096; index < 10_000; index++) table.add(attributeSet({ index }), 2);
    const live = histogramsOf(drain(collection).value);
    expect(live).toHaveLength(4096);
    expect(live.every(({ sum }) => sum === 0.5)).toBe(true);
    expect(histogramsOf(collect(table))).toHaveLength(10_000);
  });
});
