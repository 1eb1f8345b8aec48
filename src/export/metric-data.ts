import { ValueType } from "@opentelemetry/api";
import {
  AggregationTemporality,
  type DataPoint,
  DataPointType,
  type Histogram,
  type MetricData,
} from "@opentelemetry/sdk-metrics";
import {
  type Attributes,
  type AttributeSet,
  attributeSet,
  type MetricColumns,
  type MetricDescriptor,
  noAttributes,
} from "../model/columns.ts";

type HrTime = [number, number];

const hrTimeOf = (ms: number): HrTime => [Math.floor(ms / 1000), Math.round((ms % 1000) * 1e6)];
const msOf = ([seconds, nanoseconds]: readonly [number, number]): number => seconds * 1000 + nanoseconds / 1e6;

const sdkDescriptor = ({ name, description, unit, value }: MetricDescriptor) => ({
  name,
  description,
  unit,
  valueType: value === "int" ? ValueType.INT : ValueType.DOUBLE,
});

function* numberPoints({ numbers }: MetricColumns, endTime: HrTime): Generator<DataPoint<number>> {
  for (const { own, sets, starts, values } of numbers) {
    for (const [at, value] of values.entries()) {
      const startTime = hrTimeOf(starts[at] as number);
      yield { startTime, endTime, attributes: { ...own.values, ...sets[at]?.values }, value };
    }
  }
}

function* histogramPoints({ histograms }: MetricColumns, endTime: HrTime): Generator<DataPoint<Histogram>> {
  for (const { own, sets, starts, bounds, counts, sums } of histograms) {
    const buckets = bounds.length + 1;
    for (const [at, sum] of sums.entries()) {
      const ofPoint = [...counts.subarray(at * buckets, (at + 1) * buckets)];
      yield {
        startTime: hrTimeOf(starts[at] as number),
        endTime,
        attributes: { ...own.values, ...sets[at]?.values },
        value: {
          buckets: { boundaries: [...bounds], counts: ofPoint },
          sum,
          count: ofPoint.reduce((total, count) => total + count, 0),
        },
      };
    }
  }
}

/** Points are made when they are asked for, and not by a spread of this object: its getters must stay getters. */
const withPoints = (
  metric: MetricColumns,
  common: Pick<MetricData, "descriptor" | "aggregationTemporality">,
  endTime: HrTime,
): MetricData => {
  const { kind } = metric.descriptor;
  if (kind === "histogram") {
    return {
      ...common,
      dataPointType: DataPointType.HISTOGRAM,
      get dataPoints() {
        return [...histogramPoints(metric, endTime)];
      },
    };
  }
  if (kind === "gauge") {
    return {
      ...common,
      dataPointType: DataPointType.GAUGE,
      get dataPoints() {
        return [...numberPoints(metric, endTime)];
      },
    };
  }
  return {
    ...common,
    dataPointType: DataPointType.SUM,
    isMonotonic: kind === "counter",
    get dataPoints() {
      return [...numberPoints(metric, endTime)];
    },
  };
};

/** Columns on their way through the reader. */
const carried = new WeakMap<object, MetricColumns>();

/**
 * The columns as the SDK's MetricData, so that they travel through a stock reader and any stock exporter can read
 * them. Points are made only when `dataPoints` is read, which neither the reader nor our exporter does.
 */
export const toMetricData = (metric: MetricColumns, time: number): MetricData => {
  const { descriptor } = metric;
  const common = { descriptor: sdkDescriptor(descriptor), aggregationTemporality: AggregationTemporality.CUMULATIVE };
  const endTime = hrTimeOf(time);
  const data = withPoints(metric, common, endTime);
  carried.set(data, metric);
  return data;
};

/** The columns that `toMetricData` made this of; undefined for the SDK's own. */
export const columnsOf = (data: MetricData): MetricColumns | undefined => carried.get(data);

const kindOf = (data: MetricData): MetricDescriptor["kind"] => {
  if (data.dataPointType === DataPointType.GAUGE) return "gauge";
  if (data.dataPointType !== DataPointType.SUM) return "histogram";
  return data.isMonotonic ? "counter" : "updowncounter";
};

const sets = new WeakMap<object, AttributeSet>();

/** The SDK keeps one attributes object a series, so that its encoded forms can be kept too. */
const setOf = (attributes: Attributes): AttributeSet => {
  let set = sets.get(attributes);
  if (set === undefined) {
    set = attributeSet(attributes);
    sets.set(attributes, set);
  }
  return set;
};

const columnOf = <T>(points: readonly DataPoint<T>[]) => ({
  own: noAttributes,
  sets: points.map(({ attributes }) => setOf(attributes as Attributes)),
  starts: Float64Array.from(points, ({ startTime }) => msOf(startTime)),
});

/** The SDK's points as columns. `keep` says which ones were observed: the SDK repeats those that no longer are. */
export const fromMetricData = (
  data: MetricData,
  keep: (attributes: Attributes) => boolean,
): MetricColumns | undefined => {
  const { name, description, unit, valueType } = data.descriptor;
  const value = valueType === ValueType.INT ? "int" : "double";
  const empty = {
    descriptor: { name, description, unit, kind: kindOf(data), value } as const,
    numbers: [],
    histograms: [],
    ended: [],
  };
  switch (data.dataPointType) {
    case DataPointType.GAUGE:
    case DataPointType.SUM: {
      const points = data.dataPoints.filter(({ attributes }) => keep(attributes as Attributes));
      if (points.length === 0) return undefined;
      return {
        ...empty,
        numbers: [{ ...columnOf(points), values: Float64Array.from(points, (point) => point.value) }],
      };
    }
    case DataPointType.HISTOGRAM: {
      const points = data.dataPoints;
      const bounds = points[0]?.value.buckets.boundaries;
      if (bounds === undefined) return undefined;
      const counts = Float64Array.from(points.flatMap((point) => point.value.buckets.counts));
      const sums = Float64Array.from(points, (point) => point.value.sum ?? 0);
      return { ...empty, histograms: [{ ...columnOf(points), bounds, counts, sums }] };
    }
    case DataPointType.EXPONENTIAL_HISTOGRAM:
      throw new Error(`${name}: no view of sockscope makes exponential histograms`);
    default:
      return data satisfies never;
  }
};
