import type {
  AttributeValue,
  Attributes,
  EndedColumn,
  HistogramColumn,
  MetricColumns,
  MetricDescriptor,
  NumberColumn,
  Snapshot,
} from "../model/columns.ts";
import { nanosHigh, nanosLow } from "./otlp-wire.ts";

/**
 * OTLP/JSON (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding): lowerCamelCase keys, 64-bit integers
 * as decimal strings, enums as integers, and no field that the protobuf form leaves out.
 */
type Json = string | number | boolean | readonly Json[] | { readonly [key: string]: Json };
type JsonObject = { readonly [key: string]: Json };

/** AGGREGATION_TEMPORALITY_CUMULATIVE */
const cumulative = 2;
/** DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK */
const noRecordedValue = 1;

const int64 = (value: number): string => BigInt(Math.trunc(value)).toString();

const unixNano = (ms: number): string =>
  ((BigInt(nanosHigh(ms)) << 32n) | BigInt.asUintN(32, BigInt(nanosLow(ms)))).toString();

/** The protobuf JSON mapping has strings for what JSON numbers cannot say. */
const double = (value: number): number | string => (Number.isFinite(value) ? value : String(value));

/** As the protobuf form: a lone surrogate becomes U+FFFD. */
const text = (value: string): string => value.toWellFormed();

const anyValue = (value: AttributeValue): JsonObject => {
  if (typeof value === "string") return { stringValue: text(value) };
  if (typeof value === "boolean") return { boolValue: value };
  return Number.isSafeInteger(value) ? { intValue: int64(value) } : { doubleValue: double(value) };
};

const keyValues = (attributes: Attributes): JsonObject[] =>
  Object.entries(attributes).map(([key, value]) => ({ key: text(key), value: anyValue(value) }));

type Points = Pick<NumberColumn, "own" | "sets" | "starts">;

/** What all points of a column have; `fields` adds what the point at an index has beside it. */
const pointsOf = (
  { own, sets, starts }: Points,
  { time }: Snapshot,
  hasStart: boolean,
  fields: (index: number) => JsonObject,
): JsonObject[] => {
  const timeUnixNano = unixNano(time);
  const shared = keyValues(own.values);
  return sets.map(({ values }, index) => {
    const start = hasStart ? (starts[index] ?? 0) : 0;
    const attributes = [...shared, ...keyValues(values)];
    return {
      ...(start === 0 ? {} : { startTimeUnixNano: unixNano(start) }),
      timeUnixNano,
      ...fields(index),
      ...(attributes.length === 0 ? {} : { attributes }),
    };
  });
};

const numberPoints = (column: NumberColumn, { kind, value }: MetricDescriptor, snapshot: Snapshot): JsonObject[] =>
  pointsOf(column, snapshot, kind !== "gauge", (index) => {
    const reading = column.values[index] ?? 0;
    return value === "int" ? { asInt: int64(reading) } : { asDouble: double(reading) };
  });

const histogramPoints = (column: HistogramColumn, snapshot: Snapshot): JsonObject[] => {
  const buckets = column.bounds.length + 1;
  return pointsOf(column, snapshot, true, (index) => {
    const counts = [...column.counts.subarray(index * buckets, (index + 1) * buckets)];
    return {
      count: int64(counts.reduce((sum, count) => sum + count, 0)),
      sum: double(column.sums[index] ?? 0),
      bucketCounts: counts.map(int64),
      ...(column.bounds.length === 0 ? {} : { explicitBounds: column.bounds.map(double) }),
    };
  });
};

const endedPoints = (column: EndedColumn, { kind }: MetricDescriptor, snapshot: Snapshot): JsonObject[] =>
  pointsOf(column, snapshot, kind !== "gauge", () =>
    kind === "histogram" ? { count: "0", flags: noRecordedValue } : { flags: noRecordedValue },
  );

const dataOf = (kind: MetricDescriptor["kind"], dataPoints: JsonObject[]): JsonObject => {
  const aggregationTemporality = cumulative;
  switch (kind) {
    case "gauge":
      return { gauge: { dataPoints } };
    case "counter":
      return { sum: { dataPoints, aggregationTemporality, isMonotonic: true } };
    case "updowncounter":
      return { sum: { dataPoints, aggregationTemporality } };
    case "histogram":
      return { histogram: { dataPoints, aggregationTemporality } };
    default:
      return kind satisfies never;
  }
};

/** A metric of these points, or nothing where there are none. */
const metricOf = ({ name, description, unit, kind }: MetricDescriptor, points: JsonObject[]): JsonObject[] =>
  points.length === 0
    ? []
    : [
        {
          name: text(name),
          ...(description === "" ? {} : { description: text(description) }),
          ...(unit === "" ? {} : { unit: text(unit) }),
          ...dataOf(kind, points),
        },
      ];

const liveMetric = ({ descriptor, numbers, histograms }: MetricColumns, snapshot: Snapshot): JsonObject[] =>
  metricOf(descriptor, [
    ...numbers.flatMap((column) => numberPoints(column, descriptor, snapshot)),
    ...histograms.flatMap((column) => histogramPoints(column, snapshot)),
  ]);

const endedMetrics = ({ descriptor, ended }: MetricColumns, snapshot: Snapshot): JsonObject[] =>
  ended
    .flatMap((column) => endedPoints(column, descriptor, snapshot))
    .flatMap((point) => metricOf(descriptor, [point]));

/**
 * A snapshot as one `ExportMetricsServiceRequest` in OTLP/JSON, without a line break. Ended series come last, each
 * in a metric of its own, as in the protobuf form. Meant for a snapshot that a person reads: it builds the whole tree.
 */
export const encodeJson = (snapshot: Snapshot): string => {
  const { resource, scope, metrics } = snapshot;
  const request: JsonObject = {
    resourceMetrics: [
      {
        resource: { attributes: keyValues(resource) },
        scopeMetrics: [
          {
            scope: { name: text(scope.name), ...(scope.version === "" ? {} : { version: text(scope.version) }) },
            metrics: [
              ...metrics.flatMap((metric) => liveMetric(metric, snapshot)),
              ...metrics.flatMap((metric) => endedMetrics(metric, snapshot)),
            ],
          },
        ],
      },
    ],
  };
  return JSON.stringify(request);
};
