import { catalogue, type MetricName } from "../../src/metrics/catalogue.ts";
import {
  attributeSet,
  type Attributes,
  type AttributeSet,
  type MetricColumns,
  type MetricDescriptor,
  type Snapshot,
} from "../../src/model/columns.ts";

/** One point: its series, its value, and its start time in Unix ms (0: unknown). */
export type Point = readonly [set: AttributeSet, value: number, start?: number];

export const set = (values: Attributes = {}): AttributeSet => attributeSet(values);

const numbers = (own: Attributes, points: readonly Point[]): MetricColumns["numbers"][number] => ({
  own: set(own),
  sets: points.map(([series]) => series),
  starts: Float64Array.from(points, ([, , start]) => start ?? 0),
  values: Float64Array.from(points, ([, value]) => value),
});

/** A metric of any name, one column for each pair of own attributes and points. */
export const anyMetric = (
  descriptor: Partial<MetricDescriptor> & Pick<MetricDescriptor, "name">,
  ...columns: readonly (readonly [own: Attributes, points: readonly Point[]])[]
): MetricColumns => ({
  descriptor: { description: "", unit: "1", kind: "gauge", value: "double", ...descriptor },
  numbers: columns.map(([own, points]) => numbers(own, points)),
  histograms: [],
  ended: [],
});

/** A metric of the catalogue. */
export const metric = (
  name: MetricName,
  ...columns: readonly (readonly [own: Attributes, points: readonly Point[]])[]
): MetricColumns => {
  const { description, unit, kind, value } = catalogue[name];
  return anyMetric({ name, description, unit, kind, value }, ...columns);
};

export const snapshot = (metrics: readonly MetricColumns[], resource: Attributes = {}): Snapshot => ({
  time: 1_763_712_015_000,
  resource,
  scope: { name: "sockscope", version: "0.1.0" },
  metrics,
});

/** A histogram of seconds with one column. */
export const histogram = (
  name: string,
  bounds: readonly number[],
  points: readonly (readonly [set: AttributeSet, counts: readonly number[], sum: number, start?: number])[],
  own: Attributes = {},
): MetricColumns => ({
  descriptor: { name, description: "A distribution.", unit: "s", kind: "histogram", value: "double" },
  numbers: [],
  histograms: [
    {
      own: set(own),
      sets: points.map(([series]) => series),
      starts: Float64Array.from(points, ([, , , start]) => start ?? 0),
      bounds,
      counts: Float64Array.from(points.flatMap(([, counts]) => counts)),
      sums: Float64Array.from(points, ([, , sum]) => sum),
    },
  ],
  ended: [],
});
