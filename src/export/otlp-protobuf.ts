import type { InstrumentKind, MetricDescriptor, Snapshot, Temporality } from "../model/columns.ts";
import { writeAttributes } from "./otlp-attributes.ts";
import { RequestBuffers } from "./otlp-buffers.ts";
import { PointWriter, type Span } from "./otlp-points.ts";
import { putBytes, putLength, tagOf, varintSize, withLength, WireWriter } from "./otlp-wire.ts";

/** One `ExportMetricsServiceRequest`, complete with resource and scope. */
export type EncodedRequest = {
  /** Belongs to the caller, for good or until it is released. */ readonly body: Uint8Array;
  readonly points: number;
  /** Gives the memory of `body` to another request; for when nobody reads it any more. */
  readonly release: (() => void) | undefined;
};

/** Points that are encoded at most between two yields, so that the event loop turns in between. */
export const pointsPerSlice = 10_000;
/** Points that are encoded between two looks at what is left of a slice. */
const pointsPerSpan = 1000;
/** What encoding an attribute set takes in points, so that a slice of new series is as short as one of known ones. */
const pointsPerNewSet = 20;

/** opentelemetry/proto/collector/metrics/v1/metrics_service.proto and opentelemetry/proto/metrics/v1/metrics.proto. */
const request = { resourceMetrics: tagOf(1, "length") };
const resourceMetrics = { resource: tagOf(1, "length"), scopeMetrics: tagOf(2, "length") };
const resourceAttributes = tagOf(1, "length");
const scopeMetrics = { scope: tagOf(1, "length"), metric: tagOf(2, "length") };
const scope = { name: tagOf(1, "length"), version: tagOf(2, "length") };
const metric = {
  name: tagOf(1, "length"),
  description: tagOf(2, "length"),
  unit: tagOf(3, "length"),
  gauge: tagOf(5, "length"),
  sum: tagOf(7, "length"),
  histogram: tagOf(9, "length"),
};
const aggregationTemporality = tagOf(2, "varint");
const isMonotonic = tagOf(3, "varint");
/** AGGREGATION_TEMPORALITY_DELTA and _CUMULATIVE. */
const temporalityCode = { delta: 1, cumulative: 2 } as const satisfies Record<Temporality, number>;

/** The most that a tag and a length take. */
const lengthField = 6;
/** Bytes of a point with some attributes: good enough to tell how long the length of many will be. */
const likelyPoint = 200;

/** What surrounds the data points of a `Metric`. */
type Frame = {
  /** name, description, unit */ readonly head: Uint8Array;
  /** The tag of the oneof `data`. */ readonly data: number;
  /** What follows the points in `data`. */ readonly tail: Uint8Array;
};

/** A column with the frame that its points belong to. Columns that follow each other in one frame share a `Metric`. */
type Part = {
  readonly frame: Frame;
  readonly points: number;
  /** Every point gets a `Metric` of its own. */
  readonly isApart?: boolean;
  readonly write: (out: PointWriter, span: Span) => number;
};

const dataOf = {
  gauge: { tag: metric.gauge, kind: "gauge" },
  counter: { tag: metric.sum, kind: "sum" },
  updowncounter: { tag: metric.sum, kind: "sum" },
  histogram: { tag: metric.histogram, kind: "histogram" },
} as const satisfies Record<InstrumentKind, unknown>;

const frameOf = ({ name, description, unit, kind }: MetricDescriptor, temporality: Temporality): Frame => {
  const head = new WireWriter().string(metric.name, name);
  if (description !== "") head.string(metric.description, description);
  if (unit !== "") head.string(metric.unit, unit);
  const tail = new WireWriter();
  if (kind !== "gauge")
    tail.varint(aggregationTemporality, temporalityCode[kind === "updowncounter" ? "cumulative" : temporality]);
  if (kind === "counter") tail.varint(isMonotonic, 1);
  return { head: head.written, data: dataOf[kind].tag, tail: tail.written };
};

/**
 * Ended series come last, each in a `Metric` of its own: the collector's prometheus exporter takes the first flagged
 * point of a message and drops what follows it there, ended or live.
 */
function* partsOf({ metrics, temporality = "cumulative" }: Snapshot): Generator<Part, void> {
  for (const { descriptor, numbers, histograms } of metrics) {
    const frame = frameOf(descriptor, temporality);
    const hasStart = descriptor.kind !== "gauge";
    const isInt = descriptor.value === "int";
    for (const column of numbers) {
      yield { frame, points: column.sets.length, write: (out, span) => out.numbers(column, hasStart, isInt, span) };
    }
    for (const column of histograms) {
      yield { frame, points: column.sets.length, write: (out, span) => out.histograms(column, span) };
    }
  }
  for (const { descriptor, ended } of metrics) {
    const frame = frameOf(descriptor, temporality);
    const { kind } = dataOf[descriptor.kind];
    for (const column of ended) {
      yield {
        frame,
        points: column.sets.length,
        isApart: true,
        write: (out, span) => out.ended(column, kind, span),
      };
    }
  }
}

/** Bytes of what goes before the points of a `Metric` whose `data` takes so many. */
const headSize = ({ head }: Frame, data: number): number =>
  1 + varintSize(head.length + 1 + withLength(data)) + head.length + 1 + varintSize(data);

const resourceField = ({ resource }: Snapshot): Uint8Array => {
  const attributes = new WireWriter();
  writeAttributes(attributes, resourceAttributes, resource);
  return messageField(resourceMetrics.resource, attributes.written);
};

const scopeField = ({ scope: { name, version } }: Snapshot): Uint8Array => {
  const fields = new WireWriter().string(scope.name, name);
  if (version !== "") fields.string(scope.version, version);
  return messageField(scopeMetrics.scope, fields.written);
};

const messageField = (tag: number, content: Uint8Array): Uint8Array => {
  const field = new Uint8Array(1 + withLength(content.length));
  putBytes(field, putLength(field, 0, tag, content.length), content);
  return field;
};

/** The `Metric` that is being filled: its points follow the room that its head will take. */
type OpenMetric = { readonly frame: Frame; readonly from: number; readonly pointsFrom: number };

/**
 * The request that is being filled, in one buffer and where its bytes will stay: what has to go before the points has
 * lengths that are known only after them, so that room is left for it.
 */
class OpenRequest {
  points = 0;
  readonly #maxBytes: number;
  readonly #buffers: RequestBuffers;
  readonly #out: PointWriter;
  readonly #resource: Uint8Array;
  readonly #scope: Uint8Array;
  #metric: OpenMetric | undefined;

  constructor(snapshot: Snapshot, buffers: RequestBuffers) {
    this.#maxBytes = buffers.bytes;
    this.#buffers = buffers;
    this.#resource = resourceField(snapshot);
    this.#scope = scopeField(snapshot);
    this.#out = new PointWriter(buffers.take(), snapshot.time);
    this.#out.length = this.#envelope;
  }

  /** Room for what surrounds the metrics, at its longest. */
  get #envelope(): number {
    return 2 * lengthField + this.#resource.length + this.#scope.length;
  }

  get newSets(): number {
    return this.#out.newSets;
  }

  /** Appends points of a part as far as they fit; returns the index of the first that does not. */
  append(part: Part, from: number, to: number): number {
    if (part.isApart !== true) return this.#appendSpan(part, from, to);
    let next = from;
    while (next < to && this.#appendSpan(part, next, next + 1) > next) next++;
    return next;
  }

  #appendSpan(part: Part, from: number, to: number): number {
    const { frame, isApart, write } = part;
    if (this.#metric?.frame !== frame || isApart === true) this.#openMetric(part, part.points - from);
    const limit = this.#maxBytes - 2 * lengthField - frame.tail.length;
    const next = write(this.#out, { from, to, limit });
    this.points += next - from;
    return next;
  }

  /** Leaves the room that the head will most likely take, so that points seldom have to move. */
  #openMetric({ frame, isApart }: Part, points: number): void {
    this.#closeMetric();
    const from = this.#out.length;
    const expected = isApart === true ? likelyPoint : Math.min(points * likelyPoint, this.#maxBytes - from);
    this.#out.length = from + headSize(frame, Math.max(expected, 0));
    this.#metric = { frame, from, pointsFrom: this.#out.length };
  }

  #closeMetric(): void {
    const open = this.#metric;
    this.#metric = undefined;
    if (open === undefined) return;
    const { frame, from, pointsFrom } = open;
    const out = this.#out;
    if (out.length === pointsFrom) {
      out.length = from;
      return;
    }
    const data = out.length - pointsFrom + frame.tail.length;
    const moved = headSize(frame, data) - (pointsFrom - from);
    if (moved !== 0) out.bytes.copyWithin(pointsFrom + moved, pointsFrom, out.length);
    let at = putLength(out.bytes, from, scopeMetrics.metric, frame.head.length + 1 + withLength(data));
    at = putBytes(out.bytes, at, frame.head);
    putLength(out.bytes, at, frame.data, data);
    out.length = putBytes(out.bytes, out.length + moved, frame.tail);
  }

  /** For after the last request. */
  end(): void {
    this.#buffers.give(this.#out.bytes);
  }

  /** Completes the request and starts the next one. */
  finish(): EncodedRequest {
    this.#closeMetric();
    const { bytes, length } = this.#out;
    const inScope = this.#scope.length + length - this.#envelope;
    const inResource = this.#resource.length + 1 + withLength(inScope);
    const from = length - 1 - withLength(inResource);
    let at = putLength(bytes, from, request.resourceMetrics, inResource);
    at = putBytes(bytes, at, this.#resource);
    at = putLength(bytes, at, resourceMetrics.scopeMetrics, inScope);
    putBytes(bytes, at, this.#scope);
    const finished = {
      body: bytes.subarray(from, length),
      points: this.points,
      release: (): void => this.#buffers.give(bytes),
    };
    this.points = 0;
    this.#out.bytes = this.#buffers.take();
    this.#out.length = this.#envelope;
    return finished;
  }
}

export type EncodeOptions = {
  /** Of a request before compression, at most. */
  readonly maxBytes: number;
  /** Of that size. */
  readonly buffers?: RequestBuffers;
};

/**
 * Encodes a snapshot as OTLP protobuf requests of at most `maxBytes` each, before compression, without tearing a point.
 * Yields each request when it is full, and `undefined` where a slice is done: 10,000 points, or fewer where series are
 * new. Returns the number of points left out because one alone does not fit.
 */
export function* encodeRequests(
  snapshot: Snapshot,
  { maxBytes, buffers = new RequestBuffers(maxBytes) }: EncodeOptions,
): Generator<EncodedRequest | undefined, number> {
  const open = new OpenRequest(snapshot, buffers);
  let tooLarge = 0;
  let room = pointsPerSlice;
  for (const part of partsOf(snapshot)) {
    for (let from = 0; from < part.points;) {
      if (room <= 0) {
        yield undefined;
        room = pointsPerSlice;
      }
      const to = Math.min(part.points, from + Math.min(room, pointsPerSpan));
      const setsBefore = open.newSets;
      const next = open.append(part, from, to);
      room -= next - from + pointsPerNewSet * (open.newSets - setsBefore);
      from = next;
      if (next === to) continue;
      if (open.points > 0) {
        yield open.finish();
        room = pointsPerSlice;
      } else {
        tooLarge++;
        room--;
        from++;
      }
    }
  }
  if (open.points > 0) yield open.finish();
  open.end();
  return tooLarge;
}
