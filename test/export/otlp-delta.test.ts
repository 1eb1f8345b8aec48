import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Deltas } from "../../src/export/otlp-delta.ts";
import {
  attributeSet,
  type AttributeSet,
  type EndedColumn,
  type MetricColumns,
  noAttributes,
  type Snapshot,
} from "../../src/model/columns.ts";
import { decodeAll } from "../kit/otlp-encoding.ts";
import { descriptorOf, numbersOf, snapshotOf, startMs } from "../kit/otlp-snapshots.ts";

const second = 1000;

/** What a reader of deltas gets of a snapshot, and how many slices it took. */
const convert = (deltas: Deltas, snapshot: Snapshot): { snapshot: Snapshot; slices: number } => {
  const work = deltas.of(snapshot);
  for (let slices = 1; ; slices++) {
    const step = work.next();
    if (step.done === true) return { snapshot: step.value, slices };
  }
};

type Series = { readonly set: AttributeSet; readonly start: number; readonly value: number };

const column = (series: readonly Series[], own = noAttributes) => ({
  own,
  sets: series.map(({ set }) => set),
  starts: Float64Array.from(series, ({ start }) => start),
  values: Float64Array.from(series, ({ value }) => value),
});

const counter = (series: readonly Series[], own = noAttributes): MetricColumns => ({
  descriptor: descriptorOf("io", "counter"),
  numbers: [column(series, own)],
  histograms: [],
  ended: [],
});

/** Below 1, up to 10, and above, in the shares 1, 2 and 0 of the value. */
const histogram = (series: readonly Series[]): MetricColumns => ({
  descriptor: descriptorOf("rtt", "histogram", "double"),
  numbers: [],
  histograms: [
    {
      own: noAttributes,
      sets: series.map(({ set }) => set),
      starts: Float64Array.from(series, ({ start }) => start),
      bounds: [1, 10],
      counts: Float64Array.from(series.flatMap(({ value }) => [value, 2 * value, 0])),
      sums: Float64Array.from(series, ({ value }) => value * 0.25),
    },
  ],
  ended: [],
});

const at = (tick: number): number => startMs + tick * second;

/** Snapshots of one tick after another, and each point that is sent of them as [name, start, end, value, series]. */
const follow = () => {
  const deltas = new Deltas();
  return (tick: number, ...metrics: readonly MetricColumns[]) =>
    decodeAll(convert(deltas, { ...snapshotOf(...metrics), time: at(tick) }).snapshot, 65_536).map((point) => ({
      from: point.start === 0 ? undefined : (point.start - startMs) / second,
      value: point.value ?? point.histogram?.counts,
      series: point.attributes["series"],
    }));
};

const series = (name: string) => attributeSet({ series: name });

describe("deltas", () => {
  test("are what came since the snapshot before; the first one's start is that of the series", () => {
    const send = follow();
    const [a, b] = [series("a"), series("b")];
    const ofA = (value: number): Series => ({ set: a, start: at(-1), value });
    expect(send(1, counter([ofA(10)]))).toEqual([{ from: -1, value: 10, series: "a" }]);
    expect(send(3, counter([ofA(15), { set: b, start: at(2), value: 7 }]))).toEqual([
      { from: 1, value: 5, series: "a" },
      { from: 2, value: 7, series: "b" },
    ]);
    expect(send(4, counter([{ set: b, start: at(2), value: 7 }, ofA(16)]))).toEqual([
      { from: 3, value: 0, series: "b" },
      { from: 3, value: 1, series: "a" },
    ]);
  });

  test("of a series that was absent begin where it was given last", () => {
    const send = follow();
    const [a, b] = [series("a"), series("b")];
    const one = (set: AttributeSet, value: number): Series => ({ set, start: at(0), value });
    send(1, counter([one(a, 1), one(b, 1)]), histogram([one(a, 1)]));
    expect(send(2, counter([one(b, 2)]))).toEqual([{ from: 1, value: 1, series: "b" }]);
    // The whole metric is absent.
    expect(send(3)).toEqual([]);
    expect(send(4, counter([one(a, 4), one(b, 4)]), histogram([one(a, 3)]))).toEqual([
      { from: 1, value: 3, series: "a" },
      { from: 2, value: 2, series: "b" },
      { from: 1, value: [2, 4, 0], series: "a" },
    ]);
  });

  test("of a restarted series begin from 0, and overlap none before", () => {
    const send = follow();
    const a = series("a");
    send(1, counter([{ set: a, start: at(0), value: 9 }]));
    expect(send(3, counter([{ set: a, start: at(2), value: 4 }]))).toEqual([{ from: 2, value: 4, series: "a" }]);
    expect(send(4, counter([{ set: a, start: at(2.5), value: 5 }]))).toEqual([{ from: 3, value: 5, series: "a" }]);
    // Fallen without a new start: no negative delta.
    expect(send(5, counter([{ set: a, start: at(2.5), value: 2 }]))).toEqual([{ from: 4, value: 2, series: "a" }]);
  });

  test("are not sent of a first value whose start is unknown", () => {
    const send = follow();
    const [a, b] = [series("a"), series("b")];
    const known = { set: b, start: at(0), value: 1 };
    expect(
      send(1, counter([{ set: a, start: 0, value: 900 }, known]), histogram([{ set: a, start: 0, value: 5 }])),
    ).toEqual([{ from: 0, value: 1, series: "b" }]);
    expect(
      send(2, counter([{ set: a, start: 0, value: 907 }, known]), histogram([{ set: a, start: 0, value: 6 }])),
    ).toEqual([
      { from: 1, value: 7, series: "a" },
      { from: 1, value: 0, series: "b" },
      { from: 1, value: [1, 2, 0], series: "a" },
    ]);
  });

  test("leave up-down counters and gauges as they are, with their ends; nothing follows the last of a counter", () => {
    const a = series("a");
    const ended: readonly EndedColumn[] = [{ own: noAttributes, sets: [a], starts: Float64Array.of(startMs) }];
    const kinds = ["gauge", "updowncounter", "counter", "histogram"] as const;
    const gone = kinds.map((kind) => ({ descriptor: descriptorOf(kind, kind), numbers: [], histograms: [], ended }));
    const [upDown, gauge] = [
      numbersOf(descriptorOf("u", "updowncounter"), [5]),
      numbersOf(descriptorOf("g", "gauge"), [5]),
    ];
    const deltas = new Deltas();
    for (const time of [1, 2]) {
      const { metrics } = convert(deltas, { ...snapshotOf(...gone, upDown, gauge), time }).snapshot;
      expect(metrics).toEqual([gone[0], gone[1], upDown, gauge]);
    }
  });

  test("are told apart by metric and own attributes", () => {
    const [a, sent, received] = [
      series("a"),
      attributeSet({ direction: "sent" }),
      attributeSet({ direction: "received" }),
    ];
    const one = (value: number): readonly Series[] => [{ set: a, start: at(0), value }];
    const metric = (...values: readonly [number, number, number]): readonly MetricColumns[] => [
      { ...counter([]), numbers: [column(one(values[0]), sent), column(one(values[1]), received)] },
      { ...counter(one(values[2]), sent), descriptor: descriptorOf("segments", "counter") },
    ];
    const send = follow();
    send(1, ...metric(1, 10, 100));
    expect(send(2, ...metric(2, 30, 500)).map(({ value }) => value)).toEqual([1, 20, 400]);
  });

  test("are worked out in slices of 10,000 points", () => {
    const sets = Array.from({ length: 30_000 }, (_, index) => attributeSet({ index }));
    const live = (from: number, value: number): MetricColumns =>
      counter(sets.slice(from).map((set) => ({ set, start: startMs, value })));
    const deltas = new Deltas();
    for (const [tick, from] of [0, 0, 1, 29_000, 0].entries()) {
      const { snapshot, slices } = convert(deltas, snapshotOf(live(from, tick)));
      expect(snapshot.metrics[0]?.numbers[0]?.sets).toHaveLength(30_000 - from);
      expect(slices).toBeGreaterThan((30_000 - from) / 10_000);
    }
  });
});

/** What happens to a series before a tick. */
const anyStep = fc.record({
  what: fc.constantFrom("counts", "counts", "counts", "is absent", "restarts", "ends"),
  more: fc.nat(1000),
  isKnown: fc.boolean(),
  /** Of the place in the column. */
  order: fc.nat(9),
});
const size = 5;
const anyTicks = fc.array(fc.array(anyStep, { minLength: size, maxLength: size }), { minLength: 1, maxLength: 12 });

test("the deltas of a series add up to its last cumulative values, in intervals that follow each other", () => {
  fc.assert(
    fc.property(anyTicks, (ticks) => {
      const deltas = new Deltas();
      const live: Series[] = [];
      const expected = new Map<string, number>();
      const sums = new Map<string, number>();
      const counts = new Map<string, number>();
      const ends = new Map<string, number>();
      const faults: unknown[] = [];
      let born = 0;
      const began = (tick: number, isKnown: boolean): number => (isKnown ? at(tick - 0.5) : 0);
      /** What was given last and first within one start. */
      const given = new Map<string, { life: string; first: number; last: number }>();
      for (const [tick, steps] of ticks.entries()) {
        const present = steps.flatMap(({ what, more, isKnown, order }, index) => {
          let now = live[index];
          if (now === undefined || what === "ends")
            now = { set: series(`${born++}`), start: began(tick, isKnown), value: 0 };
          else if (what === "restarts") now = { set: now.set, start: began(tick, true), value: 0 };
          now = { ...now, value: now.value + more };
          live[index] = now;
          return what === "is absent" ? [] : [{ order, ...now }];
        });
        const shown = present.sort((a, b) => a.order - b.order);
        for (const { set, start, value } of shown) {
          const life = String(set.values["series"]);
          const key = `${life} ${start}`;
          given.set(key, { life, first: given.get(key)?.first ?? (start === 0 ? value : 0), last: value });
        }
        const { snapshot } = convert(deltas, { ...snapshotOf(counter(shown), histogram(shown)), time: at(tick) });
        for (const point of decodeAll(snapshot, 65_536)) {
          const { name, attributes, start, time, value = 0, histogram: held } = point;
          const life = String(attributes["series"]);
          const end = ends.get(`${name} ${life}`) ?? 0;
          const isSum = held === undefined || Math.abs(held.sum - held.count / 12) < 1e-9;
          if (point.temporality !== 1 || start < end || start >= time || !isSum) faults.push(point);
          ends.set(`${name} ${life}`, time);
          if (held === undefined) sums.set(life, (sums.get(life) ?? 0) + value);
          else counts.set(life, (counts.get(life) ?? 0) + held.count / 3);
        }
      }
      for (const { life, first, last } of given.values()) expected.set(life, (expected.get(life) ?? 0) + last - first);
      const lives = [...expected.keys()];
      expect(faults).toEqual([]);
      expect(lives.map((life) => sums.get(life) ?? 0)).toEqual([...expected.values()]);
      expect(lives.map((life) => counts.get(life) ?? 0)).toEqual([...expected.values()]);
    }),
    { numRuns: 150 },
  );
});
