/**
 * What every reader of a tick works on (OTLP encoders, the Prometheus page, the table): metrics whose points are
 * columns. A snapshot is immutable once a tick has made it, so that a slow reader never sees the next tick's values.
 */

export type AttributeValue = string | number | boolean;
export type Attributes = Readonly<Record<string, AttributeValue>>;

/**
 * One attribute set, shared by all points of a series for as long as the series lives.
 * The encoders keep their bytes on it, so that a set is encoded once and not once a point.
 */
export type AttributeSet = {
  readonly values: Attributes;
  /** The set as OTLP `KeyValue` fields, filled in by the protobuf encoder. */
  otlp: Uint8Array | undefined;
  /** The set as Prometheus labels without braces, filled in by the page. */
  labels: string | undefined;
};

export const attributeSet = (values: Attributes): AttributeSet => ({ values, otlp: undefined, labels: undefined });

/** Equal for equal attributes, in whatever order they stand. */
export const attributesKey = (values: Attributes): string =>
  JSON.stringify(Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1)));

export const noAttributes: AttributeSet = attributeSet({});

/** `counter` is monotonic, `updowncounter` is not; both are cumulative, unless a snapshot's temporality says otherwise. */
export type InstrumentKind = "gauge" | "counter" | "updowncounter" | "histogram";

export type MetricDescriptor = {
  readonly name: string;
  readonly description: string;
  /** UCUM. */
  readonly unit: string;
  readonly kind: InstrumentKind;
  readonly value: "int" | "double";
  /** Its name on the Prometheus page is its own: no unit and no `_total`. */
  readonly verbatim?: true;
};

/** Points of one metric that share the metric's own attributes (`own`) and differ by series. All arrays have one entry a point. */
export type NumberColumn = {
  readonly own: AttributeSet;
  readonly sets: readonly AttributeSet[];
  /** Unix ms; 0 is OTLP's "unknown". Not used for gauges. */
  readonly starts: Float64Array;
  /** Never NaN: a point that is absent is not in the column. */
  readonly values: Float64Array;
};

export type HistogramColumn = {
  readonly own: AttributeSet;
  readonly sets: readonly AttributeSet[];
  readonly starts: Float64Array;
  /** Upper bounds, inclusive, ascending, without +Inf. */
  readonly bounds: readonly number[];
  /** `bounds.length + 1` counts a point, point after point, not cumulative over the buckets. */
  readonly counts: Float64Array;
  readonly sums: Float64Array;
};

/** Series that ended in this tick: each gets one point with the no-recorded-value flag. */
export type EndedColumn = Pick<NumberColumn, "own" | "sets" | "starts">;

export type MetricColumns = {
  readonly descriptor: MetricDescriptor;
  readonly numbers: readonly NumberColumn[];
  readonly histograms: readonly HistogramColumn[];
  readonly ended: readonly EndedColumn[];
};

export const temporalities = ["cumulative", "delta"] as const;
/** What counters and histograms count since: the start of their series, or the snapshot before. */
export type Temporality = (typeof temporalities)[number];

/** One tick's metrics. `time` is Unix ms and is the time of every point. */
export type Snapshot = {
  readonly time: number;
  readonly resource: Attributes;
  readonly scope: { readonly name: string; readonly version: string };
  readonly metrics: readonly MetricColumns[];
  /** Cumulative where it is left out. */
  readonly temporality?: Temporality;
};
