import * as fc from "fast-check";
import {
  attributeSet,
  type Attributes,
  type InstrumentKind,
  type MetricColumns,
  type MetricDescriptor,
  noAttributes,
  type Snapshot,
} from "../../src/model/columns.ts";

/** 2025-11-24T16:00:00Z, and a tick later. */
export const startMs = 1_764_000_000_000;
export const timeMs = startMs + 15_000;

export const descriptorOf = (
  name: string,
  kind: InstrumentKind,
  value: MetricDescriptor["value"] = "int",
): MetricDescriptor => ({ name, description: `What ${name} says.`, unit: "By", kind, value });

export const snapshotOf = (...metrics: readonly MetricColumns[]): Snapshot => ({
  time: timeMs,
  resource: { "service.name": "sockscope" },
  scope: { name: "sockscope", version: "0.1.0" },
  metrics,
});

/** A metric with one column: a point for each value, the attribute `series` telling them apart. */
export const numbersOf = (descriptor: MetricDescriptor, values: readonly number[], start = startMs): MetricColumns => ({
  descriptor,
  numbers: [
    {
      own: noAttributes,
      sets: values.map((_, series) => attributeSet({ series })),
      starts: Float64Array.from(values, () => start),
      values: Float64Array.from(values),
    },
  ],
  histograms: [],
  ended: [],
});

/** A metric of which nothing is left but ended series. */
export const endedOf = (descriptor: MetricDescriptor, ...series: readonly Attributes[]): MetricColumns => ({
  descriptor,
  numbers: [],
  histograms: [],
  ended: [
    {
      own: attributeSet({ direction: "transmit" }),
      sets: series.map(attributeSet),
      starts: Float64Array.from(series, () => startMs),
    },
  ],
});

const anyText = fc.string({ unit: "binary", maxLength: 12 });
const anyInt = fc.oneof(
  fc.maxSafeInteger(),
  fc.constantFrom(0, 1, -1, 2 ** 31, 2 ** 32, -(2 ** 32), 2 ** 53, -(2 ** 53)),
);
// JSON has no negative zero.
const anyDouble = fc.double().map((value) => value + 0);
const anyAttributes: fc.Arbitrary<Attributes> = fc.dictionary(
  fc.string({ unit: "binary", minLength: 1, maxLength: 12 }).filter((key) => key !== "__proto__"),
  fc.oneof(anyText, anyInt, anyDouble, fc.boolean(), fc.string({ minLength: 100, maxLength: 300 })),
  { maxKeys: 4 },
);
const anySet = anyAttributes.map(attributeSet);
const anyStart = fc.oneof(fc.constant(0), fc.nat(8_640_000_000_000_000 / 1000), fc.constant(startMs));

const columnOf = (size: number) => ({
  own: anySet,
  sets: fc.array(anySet, { minLength: size, maxLength: size }),
  starts: fc.array(anyStart, { minLength: size, maxLength: size }).map((starts) => Float64Array.from(starts)),
});

const anyNumbers = (value: fc.Arbitrary<number>) =>
  fc.nat(5).chain((size) =>
    fc.record({
      ...columnOf(size),
      values: fc.array(value, { minLength: size, maxLength: size }).map((values) => Float64Array.from(values)),
    }),
  );

const anyHistogram = fc
  .record({ size: fc.nat(3), bounds: fc.uniqueArray(fc.integer(), { maxLength: 20 }) })
  .chain(({ size, bounds }) => {
    const buckets = size * (bounds.length + 1);
    return fc.record({
      ...columnOf(size),
      bounds: fc.constant(bounds.sort((a, b) => a - b)),
      counts: fc
        .array(fc.nat(2 ** 40), { minLength: buckets, maxLength: buckets })
        .map((counts) => Float64Array.from(counts)),
      sums: fc.array(anyDouble, { minLength: size, maxLength: size }).map((sums) => Float64Array.from(sums)),
    });
  });

const anyEnded = fc.nat(3).chain((size) => fc.record(columnOf(size)));

const anyMetric: fc.Arbitrary<MetricColumns> = fc
  .record({
    name: anyText,
    description: anyText,
    unit: anyText,
    kind: fc.constantFrom<InstrumentKind>("gauge", "counter", "updowncounter", "histogram"),
    value: fc.constantFrom<MetricDescriptor["value"]>("int", "double"),
  })
  .chain((descriptor) =>
    fc.record({
      descriptor: fc.constant(descriptor),
      numbers:
        descriptor.kind === "histogram"
          ? fc.constant([])
          : fc.array(anyNumbers(descriptor.value === "int" ? anyInt : anyDouble), { maxLength: 3 }),
      histograms: descriptor.kind === "histogram" ? fc.array(anyHistogram, { maxLength: 2 }) : fc.constant([]),
      ended: fc.array(anyEnded, { maxLength: 2 }),
    }),
  );

/** Any snapshot that the model allows: all kinds, extreme integers, any text. */
export const anySnapshot: fc.Arbitrary<Snapshot> = fc.record({
  time: fc.integer({ min: 1, max: 8_640_000_000_000 }),
  resource: anyAttributes,
  scope: fc.record({ name: anyText, version: anyText }),
  metrics: fc.array(anyMetric, { maxLength: 5 }),
});
