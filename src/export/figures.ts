import type { AttributeName, MetricName } from "../metrics/catalogue.ts";
import type { Attributes, AttributeSet, AttributeValue, Snapshot } from "../model/columns.ts";

/** Work that yields where the event loop may turn, and returns its result. */
export type Steps<T> = Generator<undefined, T>;

/** Does the work in one go. */
export const inOneGo = <T>(steps: Steps<T>): T => {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
};

/** Items between two yields; what several short lists in a row have stays below the 10,000 points of a slice. */
const mostItems = 5_000;
const fewItems = 100;

/** Takes all items, in slices. */
export function* takeAll<T>(items: Iterable<T>, take: (item: T) => void): Steps<void> {
  let taken = 0;
  for (const item of items) {
    take(item);
    taken += 1;
    if (taken < mostItems) continue;
    yield undefined;
    taken = 0;
  }
  if (taken > fewItems) yield undefined;
}

/** The first `count` in the order of `compare`, without sorting all of them; of equal ones those that came first. */
export function* firstOf<T>(items: Iterable<T>, compare: (a: T, b: T) => number, count: number): Steps<T[]> {
  const first: T[] = [];
  yield* takeAll(items, (item) => {
    const last = first.at(-1);
    if (first.length === count && last !== undefined && compare(item, last) >= 0) return;
    const place = first.findIndex((other) => compare(item, other) < 0);
    first.splice(place === -1 ? first.length : place, 0, item);
    if (first.length > count) first.pop();
  });
  return first;
}

/** One live point of a metric. */
export type Reading = { readonly own: AttributeSet; readonly set: AttributeSet; readonly value: number };

/** The live points of a metric that is not a histogram. */
export function* readingsOf(snapshot: Snapshot, name: MetricName): Generator<Reading> {
  for (const { descriptor, numbers } of snapshot.metrics) {
    if (descriptor.name !== name) continue;
    for (const { own, sets, values } of numbers) {
      for (const [index, set] of sets.entries()) yield { own, set, value: values[index]! };
    }
  }
}

/** An attribute of a point, be it the metric's own or its series'. */
export const attributeOf = (
  { own, set }: Pick<Reading, "own" | "set">,
  name: AttributeName,
): AttributeValue | undefined => own.values[name] ?? set.values[name];

/** A metric, and the own attributes that select some of its points. */
export type Source = readonly [metric: MetricName, own?: Attributes];

/** What is known of one series: a figure that no point gives is absent. */
export type Figures<K extends string> = { readonly values: Attributes; readonly figures: { [P in K]?: number } };

/** Gathers the figures of each series from several metrics. Points that meet in one figure are added up. */
export function* figuresOf<K extends string>(
  snapshot: Snapshot,
  sources: Readonly<Record<K, Source>>,
): Steps<ReadonlyMap<AttributeSet, Figures<K>>> {
  const series = new Map<AttributeSet, Figures<K>>();
  for (const figure in sources) {
    const [metric, own = {}] = sources[figure];
    const wanted = Object.entries(own);
    yield* takeAll(readingsOf(snapshot, metric), (reading) => {
      if (!wanted.every(([name, value]) => reading.own.values[name] === value)) return;
      let row = series.get(reading.set);
      if (row === undefined) series.set(reading.set, (row = { values: reading.set.values, figures: {} }));
      row.figures[figure] = (row.figures[figure] ?? 0) + reading.value;
    });
  }
  return series;
}
