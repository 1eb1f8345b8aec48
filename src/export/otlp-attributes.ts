import type { AttributeSet, AttributeValue, Attributes } from "../model/columns.ts";
import { tagOf, utf8Size, withLength, type WireWriter } from "./otlp-wire.ts";

/** `KeyValue` of opentelemetry/proto/common/v1/common.proto. */
const keyValue = { key: tagOf(1, "length"), value: tagOf(2, "length") };

/** `AnyValue` of the same file. */
const anyValue = {
  string: tagOf(1, "length"),
  bool: tagOf(2, "varint"),
  int: tagOf(3, "varint"),
  double: tagOf(4, "fixed64"),
};

/** Bytes of an int64 as a varint. */
const intSize = (value: number): number => {
  if (value < 0) return 10;
  let size = 1;
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 0x80)) size++;
  return size;
};

const anyValueSize = (value: AttributeValue): number => {
  if (typeof value === "string") return 1 + withLength(utf8Size(value));
  if (typeof value === "boolean") return 2;
  return Number.isSafeInteger(value) ? 1 + intSize(value) : 9;
};

const writeAnyValue = (out: WireWriter, value: AttributeValue): void => {
  if (typeof value === "string") out.string(anyValue.string, value);
  else if (typeof value === "boolean") out.varint(anyValue.bool, value ? 1 : 0);
  else if (Number.isSafeInteger(value)) out.varint(anyValue.int, value);
  else out.double(anyValue.double, value);
};

/**
 * Appends attributes as `KeyValue` messages, each in a field with this tag. A safe integer is an `int_value`, any
 * other number a `double_value`.
 */
export const writeAttributes = (out: WireWriter, tag: number, attributes: Attributes): void => {
  for (const [key, value] of Object.entries(attributes)) {
    const valueSize = anyValueSize(value);
    out.message(tag, 1 + withLength(utf8Size(key)) + 1 + withLength(valueSize));
    out.string(keyValue.key, key);
    out.message(keyValue.value, valueSize);
    writeAnyValue(out, value);
  }
};

/** `NumberDataPoint.attributes`, the form that `AttributeSet.otlp` keeps. */
export const numberAttributes = tagOf(7, "length");
const histogramAttributes = tagOf(9, "length");

/** Rewrites the kept form in place to `HistogramDataPoint.attributes`, which differs by the tag alone. */
export const retagForHistogram = (bytes: Uint8Array, from: number, to: number): void => {
  for (let at = from; at < to;) {
    bytes[at++] = histogramAttributes;
    let length = 0;
    let shift = 0;
    for (let more = true; more; shift += 7) {
      const byte = bytes[at++] ?? 0;
      length |= (byte & 0x7f) << shift;
      more = byte > 0x7f;
    }
    at += length;
  }
};

const smallestSlab = 512;
const largestSlab = 16_384;

/**
 * Encodes attribute sets once and keeps the bytes on them. Sets that appear in the same tick share a slab: they are
 * read one after another in every later tick, and an `ArrayBuffer` for each of 100,000 sets costs more than the bytes.
 * A slab lives as long as its last set, so it starts small and stays below 16 KiB.
 */
export class AttributeArena {
  readonly #writer: WireWriter;
  /** Sets encoded so far. */
  encoded = 0;
  #slab = new Uint8Array(0);
  #used = 0;

  constructor(writer: WireWriter) {
    this.#writer = writer;
  }

  encode(set: AttributeSet): Uint8Array {
    writeAttributes(this.#writer.clear(), numberAttributes, set.values);
    const { written } = this.#writer;
    if (this.#used + written.length > this.#slab.length) {
      const next = Math.min(Math.max(2 * this.#slab.length, smallestSlab), largestSlab);
      this.#slab = new Uint8Array(Math.max(next, written.length));
      this.#used = 0;
    }
    const kept = this.#slab.subarray(this.#used, this.#used + written.length);
    kept.set(written);
    this.#used += written.length;
    this.encoded++;
    set.otlp = kept;
    return kept;
  }
}
