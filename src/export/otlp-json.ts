import type {
  AttributeValue,
  Attributes,
  EndedColumn,
  HistogramColumn,
  MetricDescriptor,
  NumberColumn,
  Snapshot,
  Temporality,
} from "../model/columns.ts";
import type { EncodedRequest, EncodeOptions } from "./otlp-protobuf.ts";
import { nanosHigh, nanosLow } from "./otlp-wire.ts";

/**
 * OTLP/JSON (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding): lowerCamelCase keys, 64-bit integers
 * as decimal strings, enums as integers, and no field that the protobuf form leaves out. Written as text, point by
 * point into one buffer: a tree of objects takes three times as long, and all of it is held until it is written.
 */

/** AGGREGATION_TEMPORALITY_DELTA and _CUMULATIVE. */
const temporalityCode = { delta: 1, cumulative: 2 } as const satisfies Record<Temporality, number>;
/** DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK */
const noRecordedValue = 1;

/** Points that are encoded at most between two yields: 3 ms at 1.4 us each, where one of the protobuf form takes 40 ns. */
export const pointsPerSlice = 2000;

const int64 = (value: number): string =>
  Number.isSafeInteger(value) ? `"${value}"` : `"${BigInt(Math.trunc(value))}"`;

const unixNano = (ms: number): string =>
  `"${(BigInt(nanosHigh(ms)) << 32n) | BigInt.asUintN(32, BigInt(nanosLow(ms)))}"`;

/** The protobuf JSON mapping has strings for what JSON numbers cannot say. */
const double = (value: number): string => (Number.isFinite(value) ? String(value) : `"${value}"`);

/** What JSON does not escape, which names and addresses are made of: the test costs less than the escaping. */
const plain = /^[ !#-[\]-~]*$/;

/** As the protobuf form: a lone surrogate becomes U+FFFD. */
const text = (value: string): string => (plain.test(value) ? `"${value}"` : JSON.stringify(value.toWellFormed()));

const anyValue = (value: AttributeValue): string => {
  if (typeof value === "string") return `{"stringValue":${text(value)}}`;
  if (typeof value === "boolean") return `{"boolValue":${value}}`;
  return Number.isSafeInteger(value) ? `{"intValue":${int64(value)}}` : `{"doubleValue":${double(value)}}`;
};

/** The beginning of a `KeyValue` by its key; of the few keys that all sets have. */
const openings = new Map<string, string>();
const mostOpenings = 1000;

const openingOf = (key: string): string => {
  let opening = openings.get(key);
  if (opening === undefined) {
    opening = `{"key":${text(key)},"value":`;
    if (openings.size < mostOpenings) openings.set(key, opening);
  }
  return opening;
};

/** `KeyValue` messages, a comma between each and the next. */
const keyValues = (attributes: Attributes): string => {
  let list = "";
  for (const key of Object.keys(attributes)) {
    if (list !== "") list += ",";
    list += `${openingOf(key)}${anyValue(attributes[key] as AttributeValue)}}`;
  }
  return list;
};

type Points = Pick<NumberColumn, "own" | "sets" | "starts">;

/** The point at an index of a column. */
type WritePoint = (index: number) => string;

/** What all points of a column have; `fields` adds what the point at an index has beside it. */
const pointOf = (
  { own, sets, starts }: Points,
  { time }: Snapshot,
  hasStart: boolean,
  fields: WritePoint,
): WritePoint => {
  const timeField = `"timeUnixNano":${unixNano(time)}`;
  const shared = keyValues(own.values);
  let start = 0;
  let startField = "";
  return (index) => {
    const nextStart = hasStart ? (starts[index] ?? 0) : 0;
    if (nextStart !== start) {
      start = nextStart;
      startField = start === 0 ? "" : `"startTimeUnixNano":${unixNano(start)},`;
    }
    const varying = keyValues(sets[index]?.values ?? {});
    const attributes = shared === "" || varying === "" ? shared + varying : `${shared},${varying}`;
    return `{${startField}${timeField}${fields(index)}${attributes === "" ? "" : `,"attributes":[${attributes}]`}}`;
  };
};

const numberPoint = (column: NumberColumn, { kind, value }: MetricDescriptor, snapshot: Snapshot): WritePoint =>
  pointOf(column, snapshot, kind !== "gauge", (index) => {
    const reading = column.values[index] ?? 0;
    return value === "int" ? `,"asInt":${int64(reading)}` : `,"asDouble":${double(reading)}`;
  });

const histogramPoint = (column: HistogramColumn, snapshot: Snapshot): WritePoint => {
  const buckets = column.bounds.length + 1;
  const bounds = column.bounds.length === 0 ? "" : `,"explicitBounds":[${column.bounds.map(double).join(",")}]`;
  return pointOf(column, snapshot, true, (index) => {
    const counts = [...column.counts.subarray(index * buckets, (index + 1) * buckets)];
    const count = int64(counts.reduce((sum, each) => sum + each, 0));
    const sum = double(column.sums[index] ?? 0);
    return `,"count":${count},"sum":${sum},"bucketCounts":[${counts.map(int64).join(",")}]${bounds}`;
  });
};

const endedPoint = (column: EndedColumn, { kind }: MetricDescriptor, snapshot: Snapshot): WritePoint => {
  const fields = `${kind === "histogram" ? ',"count":"0"' : ""},"flags":${noRecordedValue}`;
  return pointOf(column, snapshot, kind !== "gauge", () => fields);
};

/** What surrounds the data points of a `Metric`. */
type Frame = { readonly head: string; readonly tail: string };

/** A column with the frame that its points belong to. Columns that follow each other in one frame share a `Metric`. */
type Part = {
  readonly frame: Frame;
  readonly points: number;
  /** Every point gets a `Metric` of its own. */
  readonly isApart: boolean;
  readonly point: WritePoint;
};

const dataOf = { gauge: "gauge", counter: "sum", updowncounter: "sum", histogram: "histogram" } as const;

const tailOf = (kind: MetricDescriptor["kind"], temporality: Temporality): string => {
  if (kind === "gauge") return "";
  const code = temporalityCode[kind === "updowncounter" ? "cumulative" : temporality];
  return `,"aggregationTemporality":${code}${kind === "counter" ? ',"isMonotonic":true' : ""}`;
};

const frameOf = ({ name, description, unit, kind }: MetricDescriptor, temporality: Temporality): Frame => {
  const described = description === "" ? "" : `,"description":${text(description)}`;
  const measured = unit === "" ? "" : `,"unit":${text(unit)}`;
  return {
    head: `{"name":${text(name)}${described}${measured},"${dataOf[kind]}":{"dataPoints":[`,
    tail: `]${tailOf(kind, temporality)}}}`,
  };
};

/** Ended series come last, each in a metric of its own, as in the protobuf form. */
function* partsOf(snapshot: Snapshot): Generator<Part, void> {
  const { temporality = "cumulative" } = snapshot;
  for (const { descriptor, numbers, histograms } of snapshot.metrics) {
    const frame = frameOf(descriptor, temporality);
    const isApart = false;
    for (const column of numbers)
      yield { frame, points: column.sets.length, isApart, point: numberPoint(column, descriptor, snapshot) };
    for (const column of histograms)
      yield { frame, points: column.sets.length, isApart, point: histogramPoint(column, snapshot) };
  }
  for (const { descriptor, ended } of snapshot.metrics) {
    const frame = frameOf(descriptor, temporality);
    for (const column of ended)
      yield { frame, points: column.sets.length, isApart: true, point: endedPoint(column, descriptor, snapshot) };
  }
}

/** What surrounds the metrics. */
const envelopeOf = ({ resource, scope: { name, version } }: Snapshot): Frame => {
  const scope = `{"name":${text(name)}${version === "" ? "" : `,"version":${text(version)}`}}`;
  return {
    head: `{"resourceMetrics":[{"resource":{"attributes":[${keyValues(resource)}]},"scopeMetrics":[{"scope":${scope},"metrics":[`,
    tail: "]}]}]}",
  };
};

/** What goes between the last point, of the frame `last`, and the next one. */
const between = (last: Frame | undefined, { frame, isApart }: Part): string => {
  if (last === undefined) return frame.head;
  return last === frame && !isApart ? "," : `${last.tail},${frame.head}`;
};

/** The request that is being filled. */
class OpenRequest {
  points = 0;
  readonly #maxBytes: number;
  readonly #envelope: Frame;
  readonly #bytes: Buffer;
  #length: number;
  #last: Frame | undefined;

  constructor(snapshot: Snapshot, maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#envelope = envelopeOf(snapshot);
    this.#bytes = Buffer.allocUnsafeSlow(maxBytes);
    this.#length = Buffer.byteLength(this.#envelope.head);
    this.#bytes.write(this.#envelope.head);
  }

  /** Whether a point of a part fits, and has been appended. */
  append(part: Part, point: string): boolean {
    const added = between(this.#last, part) + point;
    // Tails are ASCII.
    const room = this.#maxBytes - this.#length - part.frame.tail.length - this.#envelope.tail.length;
    // A character takes three bytes at most, so that few texts have to be measured.
    if (3 * added.length > room && Buffer.byteLength(added) > room) return false;
    this.#length += this.#bytes.write(added, this.#length);
    this.#last = part.frame;
    this.points++;
    return true;
  }

  /** Completes the request and starts the next one. */
  finish(): EncodedRequest {
    const { head, tail } = this.#envelope;
    this.#length += this.#bytes.write((this.#last?.tail ?? "") + tail, this.#length);
    const finished = {
      body: new Uint8Array(this.#bytes.subarray(0, this.#length)),
      points: this.points,
      release: undefined,
    };
    this.points = 0;
    this.#last = undefined;
    this.#length = Buffer.byteLength(head);
    return finished;
  }
}

/**
 * Encodes a snapshot as OTLP/JSON requests of at most `maxBytes` each, before compression, without tearing a point.
 * Yields and returns what `encodeRequests` of the protobuf form does.
 */
export function* encodeJsonRequests(
  snapshot: Snapshot,
  { maxBytes }: Pick<EncodeOptions, "maxBytes">,
): Generator<EncodedRequest | undefined, number> {
  const open = new OpenRequest(snapshot, maxBytes);
  let tooLarge = 0;
  let room = pointsPerSlice;
  for (const part of partsOf(snapshot)) {
    for (let index = 0; index < part.points; index++) {
      if (room === 0) {
        yield undefined;
        room = pointsPerSlice;
      }
      room--;
      const point = part.point(index);
      if (open.append(part, point)) continue;
      if (open.points > 0) yield open.finish();
      if (!open.append(part, point)) tooLarge++;
    }
  }
  if (open.points > 0) yield open.finish();
  return tooLarge;
}

/**
 * A snapshot as one `ExportMetricsServiceRequest` in OTLP/JSON, without a line break. Meant for a snapshot that a person
 * reads: it is as long as it is, and written at once.
 */
export const encodeJson = (snapshot: Snapshot): string => {
  const { head, tail } = envelopeOf(snapshot);
  const pieces = [head];
  let last: Frame | undefined;
  for (const part of partsOf(snapshot)) {
    for (let index = 0; index < part.points; index++) {
      pieces.push(between(last, part), part.point(index));
      last = part.frame;
    }
  }
  pieces.push(last?.tail ?? "", tail);
  return pieces.join("");
};
