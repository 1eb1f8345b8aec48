import type { AttributeSet, EndedColumn, HistogramColumn, NumberColumn } from "../model/columns.ts";
import { AttributeArena, retagForHistogram } from "./otlp-attributes.ts";
import {
  highWord,
  nanosHigh,
  nanosLow,
  putBytes,
  putDouble,
  putFixed64,
  putLength,
  tagOf,
  withLength,
  WireWriter,
} from "./otlp-wire.ts";

/** `data_points`, field 1 of `Gauge`, `Sum` and `Histogram` (opentelemetry/proto/metrics/v1/metrics.proto). */
const dataPoint = tagOf(1, "length");

/** Fields that `NumberDataPoint` and `HistogramDataPoint` have in common. */
const startTime = tagOf(2, "fixed64");
const time = tagOf(3, "fixed64");

const number = { asDouble: tagOf(4, "fixed64"), asInt: tagOf(6, "fixed64"), flags: tagOf(8, "varint") };

const histogram = {
  count: tagOf(4, "fixed64"),
  sum: tagOf(5, "fixed64"),
  bucketCounts: tagOf(6, "length"),
  explicitBounds: tagOf(7, "length"),
  flags: tagOf(10, "varint"),
};

/** DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK */
const noRecordedValue = 1;

/** A tag and 64 bits. */
const fixed64Size = 9;

/** Points of a column to write: from `from` up to `to`, as far as the buffer stays within `limit` bytes. */
export type Span = { readonly from: number; readonly to: number; readonly limit: number };

const viewOf = ({ buffer, byteOffset, length }: Buffer): DataView => new DataView(buffer, byteOffset, length);

/**
 * Data points, one after another in one buffer of fixed size. Every method appends a span of a column and returns the
 * index of the first point that was not written. The loops have no allocation and no BigInt.
 */
export class PointWriter {
  length = 0;
  #bytes: Buffer;
  #view: DataView;
  readonly #arena = new AttributeArena(new WireWriter());
  readonly #timeLow: number;
  readonly #timeHigh: number;

  /** `timeMs` is the Unix time of every point. */
  constructor(bytes: Buffer, timeMs: number) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#timeLow = nanosLow(timeMs);
    this.#timeHigh = nanosHigh(timeMs);
  }

  get bytes(): Buffer {
    return this.#bytes;
  }

  /** What is written next goes there. */
  set bytes(bytes: Buffer) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
  }

  /** Attribute sets that had to be encoded so far, which costs much more than a point. */
  get newSets(): number {
    return this.#arena.encoded;
  }

  /** Without `hasStart` the start times are left out, as in gauges. */
  numbers({ own, sets, starts, values }: NumberColumn, hasStart: boolean, isInt: boolean, span: Span): number {
    const bytes = this.#bytes;
    const view = this.#view;
    const shared = this.#fieldsOf(own);
    let at = this.length;
    let start = 0;
    let startLow = 0;
    let startHigh = 0;
    let index = span.from;
    for (; index < span.to; index++) {
      const fields = this.#fieldsOf(sets[index]);
      const nextStart = hasStart ? (starts[index] ?? 0) : 0;
      if (nextStart !== start) {
        start = nextStart;
        startLow = nanosLow(start);
        startHigh = nanosHigh(start);
      }
      const size = fixed64Size * (start === 0 ? 2 : 3) + shared.length + fields.length;
      if (at + 1 + withLength(size) > span.limit) break;
      at = putLength(bytes, at, dataPoint, size);
      if (start !== 0) at = putFixed64(view, at, startTime, startLow, startHigh);
      at = putFixed64(view, at, time, this.#timeLow, this.#timeHigh);
      const value = values[index] ?? 0;
      if (isInt) at = putFixed64(view, at, number.asInt, value, highWord(value));
      else at = putDouble(view, at, number.asDouble, value);
      if (shared.length > 0) at = putBytes(bytes, at, shared);
      at = putBytes(bytes, at, fields);
    }
    this.length = at;
    return index;
  }

  histograms({ own, sets, starts, bounds, counts, sums }: HistogramColumn, span: Span): number {
    const buckets = bounds.length + 1;
    const packed = 1 + withLength(8 * buckets) + (bounds.length === 0 ? 0 : 1 + withLength(8 * bounds.length));
    const shared = this.#fieldsOf(own);
    let index = span.from;
    for (; index < span.to; index++) {
      const fields = this.#fieldsOf(sets[index]);
      const start = starts[index] ?? 0;
      const size = fixed64Size * (start === 0 ? 3 : 4) + packed + shared.length + fields.length;
      if (this.length + 1 + withLength(size) > span.limit) break;
      this.#open(size, start);
      this.#buckets(counts.subarray(index * buckets, (index + 1) * buckets), sums[index] ?? 0, bounds);
      this.#histogramAttributes(shared, fields);
    }
    return index;
  }

  /** Points that carry the no-recorded-value flag and no value. */
  ended({ own, sets, starts }: EndedColumn, kind: "gauge" | "sum" | "histogram", span: Span): number {
    const shared = this.#fieldsOf(own);
    let index = span.from;
    for (; index < span.to; index++) {
      const fields = this.#fieldsOf(sets[index]);
      const start = kind === "gauge" ? 0 : (starts[index] ?? 0);
      const words = (start === 0 ? 1 : 2) + (kind === "histogram" ? 1 : 0);
      const size = fixed64Size * words + shared.length + fields.length + 2;
      if (this.length + 1 + withLength(size) > span.limit) break;
      this.#open(size, start);
      if (kind === "histogram") {
        this.length = putFixed64(this.#view, this.length, histogram.count, 0, 0);
        this.#histogramAttributes(shared, fields);
      } else this.#copy(shared, fields);
      this.#bytes[this.length++] = kind === "histogram" ? histogram.flags : number.flags;
      this.#bytes[this.length++] = noRecordedValue;
    }
    return index;
  }

  #fieldsOf(set: AttributeSet | undefined): Uint8Array {
    if (set === undefined) throw new RangeError("a column has fewer attribute sets than points");
    return set.otlp ?? this.#arena.encode(set);
  }

  #open(size: number, start: number): void {
    let at = putLength(this.#bytes, this.length, dataPoint, size);
    if (start !== 0) at = putFixed64(this.#view, at, startTime, nanosLow(start), nanosHigh(start));
    this.length = putFixed64(this.#view, at, time, this.#timeLow, this.#timeHigh);
  }

  #buckets(counts: Float64Array, sum: number, bounds: readonly number[]): void {
    const view = this.#view;
    let count = 0;
    for (const bucket of counts) count += bucket;
    let at = putFixed64(view, this.length, histogram.count, count, highWord(count));
    at = putDouble(view, at, histogram.sum, sum);
    at = putLength(this.#bytes, at, histogram.bucketCounts, 8 * counts.length);
    for (const bucket of counts) {
      view.setUint32(at, bucket, true);
      view.setUint32(at + 4, highWord(bucket), true);
      at += 8;
    }
    if (bounds.length > 0) at = putLength(this.#bytes, at, histogram.explicitBounds, 8 * bounds.length);
    for (const bound of bounds) {
      view.setFloat64(at, bound, true);
      at += 8;
    }
    this.length = at;
  }

  #copy(shared: Uint8Array, fields: Uint8Array): void {
    this.length = putBytes(this.#bytes, putBytes(this.#bytes, this.length, shared), fields);
  }

  #histogramAttributes(shared: Uint8Array, fields: Uint8Array): void {
    const from = this.length;
    this.#copy(shared, fields);
    retagForHistogram(this.#bytes, from, this.length);
  }
}
