import type { AttributeName, MetricName } from "../metrics/catalogue.ts";
import type { Attributes, AttributeSet, AttributeValue, Snapshot } from "../model/columns.ts";

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
export const figuresOf = <K extends string>(
  snapshot: Snapshot,
  sources: Readonly<Record<K, Source>>,
): ReadonlyMap<AttributeSet, Figures<K>> => {
  const series = new Map<AttributeSet, Figures<K>>();
  for (const figure in sources) {
    const [metric, own = {}] = sources[figure];
    const wanted = Object.entries(own);
    for (const reading of readingsOf(snapshot, metric)) {
      if (!wanted.every(([name, value]) => reading.own.values[name] === value)) continue;
      let row = series.get(reading.set);
      if (row === undefined) series.set(reading.set, (row = { values: reading.set.values, figures: {} }));
      row.figures[figure] = (row.figures[figure] ?? 0) + reading.value;
    }
  }
  return series;
};
