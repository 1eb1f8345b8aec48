import { describe, expect, test } from "vitest";
import type { Part, Reading } from "../../src/collect/reading.ts";
import { createTicker } from "../../src/collect/tick.ts";
import { HistogramTable } from "../../src/fold/histograms.ts";
import { SeriesTable } from "../../src/fold/series.ts";
import { attributeSet, noAttributes } from "../../src/model/columns.ts";
import { drain, endedOf, histogramsOf, pointsOf } from "../kit/points.ts";

const reading = (value: number): Reading => ({
  columns: [],
  observations: [{ metric: "sockscope.agent.dump.sockets", value, attributes: {} }],
});

const part = (collect: Part["collect"]): Part => ({ collect, end: () => Promise.resolve([]) });

const createTest = (parts: Record<string, Part>) => {
  const logged: string[] = [];
  const ticker = createTicker(parts, {
    timeoutMs: 50,
    clock: () => 123,
    log: (level, message) => logged.push(`${level} ${message.split("\n")[0]}`),
  });
  return { ticker, logged };
};

describe("a tick", () => {
  test("has its time and what all parts read", async () => {
    const { ticker } = createTest({ one: part(async () => reading(1)), two: part(async () => reading(2)) });
    const { time, observations } = await ticker.tick();
    expect(time).toBe(123);
    expect(observations.map(({ value }) => value)).toEqual([1, 2]);
  });

  test("a part that fails takes nothing from the others", async () => {
    const { ticker, logged } = createTest({
      bad: part(() => Promise.reject(new Error("boom"))),
      good: part(async () => reading(2)),
    });
    expect((await ticker.tick()).observations.map(({ value }) => value)).toEqual([2]);
    expect(logged).toEqual(["error bad: collection failed: Error: boom"]);
  });

  test("a part that hangs delays nobody beyond the timeout, is not entered twice, and what it read at last is not lost", async () => {
    const gate = Promise.withResolvers<Reading>();
    let entered = 0;
    const slow = part(() => (++entered === 1 ? gate.promise : Promise.resolve(reading(9))));
    const { ticker, logged } = createTest({ slow, good: part(async () => reading(2)) });
    expect((await ticker.tick()).observations.map(({ value }) => value)).toEqual([2]);
    expect((await ticker.tick()).observations.map(({ value }) => value)).toEqual([2]);
    expect(entered).toBe(1);
    gate.resolve(reading(1));
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect((await ticker.tick()).observations.map(({ value }) => value)).toEqual([1, 2]);
    expect((await ticker.tick()).observations.map(({ value }) => value)).toEqual([9, 2]);
    expect(logged).toEqual(["warn slow: not collected within 50 ms"]);
  });
});

/** A part with a series for each name, all at 1. */
const seriesPart = (names: readonly string[]): Part => {
  const table = new SeriesTable<"target">();
  const up = table.column("sockscope.probe.up", {});
  for (const name of names) {
    const row = table.add(attributeSet({ name }), 5);
    table.values(up)[row] = 1;
  }
  return {
    collect: async () => ({ columns: drain(table.collect()).value, observations: [] }),
    end: async () => drain(table.collect(true)).value,
  };
};

describe("a part that is replaced", () => {
  test("ends its series once, but for those that the new part goes on with", async () => {
    const { ticker } = createTest({ probes: seriesPart(["a", "b"]) });
    await ticker.tick();
    await ticker.replace("probes", seriesPart(["b", "c"]));
    const { columns } = await ticker.tick();
    expect(pointsOf(columns).map(({ attributes }) => attributes["name"])).toEqual(["b", "c"]);
    expect(endedOf(columns).map(({ attributes }) => attributes["name"])).toEqual(["a"]);
    expect(columns).toHaveLength(1);
    expect(endedOf((await ticker.tick()).columns)).toEqual([]);
  });

  test("ends no distribution that the new part goes on with", async () => {
    const distribution = (): Part => {
      const table = new HistogramTable("tcp_rtt_hist_ms", [1]);
      table.record(table.add(noAttributes, 5), 0.5);
      return {
        collect: async () => ({ columns: drain(table.collect()).value, observations: [] }),
        end: async () => drain(table.collect(true)).value,
      };
    };
    const { ticker } = createTest({ sockets: distribution() });
    await ticker.tick();
    await ticker.replace("sockets", distribution());
    const { columns } = await ticker.tick();
    expect(histogramsOf(columns)).toHaveLength(1);
    expect(endedOf(columns)).toEqual([]);
  });

  test("that is taken away ends all of them", async () => {
    const { ticker } = createTest({ probes: seriesPart(["a"]) });
    await ticker.tick();
    await ticker.replace("probes", undefined);
    expect(endedOf((await ticker.tick()).columns).map(({ attributes }) => attributes["name"])).toEqual(["a"]);
    expect((await ticker.tick()).columns).toEqual([]);
  });
});
