import type { Attributes, MetricColumns } from "../../src/model/columns.ts";

export type Point = {
  readonly metric: string;
  readonly attributes: Attributes;
  readonly start: number;
  readonly value: number;
};

/** All number points, one object each. */
export const pointsOf = (metrics: readonly MetricColumns[]): Point[] =>
  metrics.flatMap(({ descriptor, numbers }) =>
    numbers.flatMap(({ own, sets, starts, values }) =>
      [...values].map((value, at) => ({
        metric: descriptor.name,
        attributes: { ...own.values, ...sets[at]?.values },
        start: starts[at] as number,
        value,
      })),
    ),
  );

/** All histogram points, one object each. */
export const histogramsOf = (
  metrics: readonly MetricColumns[],
): (Omit<Point, "value"> & { readonly counts: readonly number[]; readonly sum: number })[] =>
  metrics.flatMap(({ descriptor, histograms }) =>
    histograms.flatMap(({ own, sets, starts, bounds, counts, sums }) =>
      sets.map((set, at) => ({
        metric: descriptor.name,
        attributes: { ...own.values, ...set.values },
        start: starts[at] as number,
        counts: [...counts.subarray(at * (bounds.length + 1), (at + 1) * (bounds.length + 1))],
        sum: sums[at] as number,
      })),
    ),
  );

/** All series that ended, one object each. */
export const endedOf = (metrics: readonly MetricColumns[]): Omit<Point, "value">[] =>
  metrics.flatMap(({ descriptor, ended }) =>
    ended.flatMap(({ own, sets, starts }) =>
      sets.map((set, at) => ({
        metric: descriptor.name,
        attributes: { ...own.values, ...set.values },
        start: starts[at] as number,
      })),
    ),
  );

/** Values of one metric by its attributes' values, joined by a space in the order of their names. */
export const valuesOf = (metrics: readonly MetricColumns[], metric: string): Record<string, number> =>
  Object.fromEntries(
    pointsOf(metrics)
      .filter((point) => point.metric === metric)
      .map(({ attributes, value }) => [
        Object.entries(attributes)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([, text]) => text)
          .join(" "),
        value,
      ]),
  );

/** Runs a sliced generator to its end and returns its value with the slices it yielded. */
export const drain = <T>(generator: Generator<number, T>): { value: T; slices: number[] } => {
  const slices: number[] = [];
  for (;;) {
    const step = generator.next();
    if (step.done === true) return { value: step.value, slices };
    slices.push(step.value);
  }
};
