import { setImmediate as nextTurn } from "node:timers/promises";
import { promisify } from "node:util";
import { constants, gzip, zstdCompress } from "node:zlib";
import type { Snapshot } from "../model/columns.ts";
import type { Compression, OtlpConfig } from "../model/config.ts";
import type { Log } from "../model/log.ts";
import { orAborted } from "./otlp-abort.ts";
import { Deltas } from "./otlp-delta.ts";
import { RequestBuffers } from "./otlp-buffers.ts";
import { encodeJsonRequests } from "./otlp-json.ts";
import type { attemptRecorder, ExporterAttributes } from "./exporter-metrics.ts";
import { type EncodedRequest, encodeRequests } from "./otlp-protobuf.ts";
import { RequestQueue } from "./otlp-queue.ts";
import { countRequests, type DeliveryReport } from "./otlp-report.ts";
import { type Content, formats, type OtlpFormat } from "./otlp-record.ts";
import { type Clocks, type DeliveryCounts, OtlpSender, type Post } from "./otlp-sender.ts";
import { diskBytes, type FileLock, OtlpStorage, storageFolder } from "./otlp-storage.ts";

export type OtlpStats = DeliveryCounts & {
  /** Its name: `host:port`, or more where several have that. */ readonly host: string;
  /** What `otel.sdk.exporter.*` call it. */ readonly exporter: ExporterAttributes;
  /** Unix ms. */ readonly startedMs: number;
  /** Stored bytes that wait or are under way. */ readonly queueBytes: number;
  /** Their bound. */ readonly maxQueueBytes: number;
  /** Requests of these bytes. */ readonly queueRequests: number;
  /** Points of these requests. */ readonly queuePoints: number;
};

type DestinationParts = {
  readonly config: OtlpConfig;
  readonly host: string;
  readonly exporter: ExporterAttributes;
  readonly attempted: ReturnType<typeof attemptRecorder>;
  readonly connection: { readonly post: Post; readonly close: () => void };
  readonly report: DeliveryReport;
  readonly clocks: Clocks;
  readonly maxRequestBytes: number;
  readonly log: Log;
  readonly lock: FileLock | undefined;
  /** Until it resolves, another destination of this process may hold the storage. */
  readonly earlier: Promise<unknown>;
  readonly predecessor: OtlpDestination | undefined;
};

/** Level 1 needs 40 % of level 6's time for 20 % more bytes, and time is what an agent on a busy host has to save. */
const gzipLevel = 1;
/**
 * 250 ns and 16.0 bytes a point of flows, against 550 ns and 18.7 of gzip at level 1. Levels 3 and 4 take 40 to 60 % more
 * time for as many bytes, 5 and above four times as long for 1 to 4 % less.
 */
const zstdLevel = 1;
const gzipAsync = promisify(gzip);
const zstdAsync = promisify(zstdCompress);

/** Off the main thread. The copies drop the larger buffer that zlib leaves its result in. */
const compressors: Readonly<Record<Compression, (body: Uint8Array) => Promise<Uint8Array>>> = {
  gzip: async (body) => new Uint8Array(await gzipAsync(body, { level: gzipLevel })),
  zstd: async (body) =>
    new Uint8Array(await zstdAsync(body, { params: { [constants.ZSTD_c_compressionLevel]: zstdLevel } })),
  none: (body) => Promise.resolve(body),
};

const encoders: Readonly<Record<OtlpFormat, typeof encodeRequests>> = {
  protobuf: encodeRequests,
  json: encodeJsonRequests,
};

/** Runs work to its end, one slice a turn of the event loop. */
const inTurns = async <T>(work: Generator<undefined, T>): Promise<T> => {
  for (let step = work.next(); ; step = work.next()) {
    if (step.done === true) return step.value;
    await nextTurn();
  }
};

/** A destination of OTLP requests: what is exported is encoded slice by slice, queued and sent in order. */
export class OtlpDestination {
  readonly #parts: DestinationParts;
  readonly #buffers: RequestBuffers;
  readonly #queue: RequestQueue;
  readonly #storage: OtlpStorage | undefined;
  readonly #sender: OtlpSender;
  readonly #counts: DeliveryCounts = {
    sentBytes: 0,
    sentPoints: 0,
    dropped: { queue_full: 0, rejected: 0, refused: 0, expired: 0, too_large: 0, damaged: 0 },
    refused: new Map(),
    retries: 0,
    lastSuccessMs: undefined,
    lastError: undefined,
  };
  /** The exports under way, one after another, so that their requests stay in order. */
  #encoding = Promise.resolve();

  readonly #startedMs: number;
  /** Only for a destination that wants them. */
  readonly #deltas: Deltas | undefined = undefined;

  constructor(parts: DestinationParts) {
    this.#parts = parts;
    this.#startedMs = parts.clocks.now();
    const { config, connection, report, clocks, predecessor } = parts;
    if (config.temporality === "delta") {
      const inherited = predecessor === undefined ? undefined : predecessor.#deltas;
      this.#deltas = inherited ?? new Deltas();
      // What the one before was given comes first.
      if (predecessor !== undefined && inherited !== undefined) this.#encoding = predecessor.#encoding;
    }
    this.#buffers = new RequestBuffers(parts.maxRequestBytes);
    this.#queue = new RequestQueue(config.queueBytes, config.newestFirst);
    this.#storage = this.#openStorage();
    this.#sender = new OtlpSender({
      config,
      post: connection.post,
      queue: this.#queue,
      storage: this.#storage,
      counts: this.#counts,
      report,
      clocks,
      aheadBytes: 2 * parts.maxRequestBytes,
      attempted: parts.attempted,
    });
  }

  /**
   * Queues a snapshot; resolves when all of it is queued, without waiting for its delivery. While the queue is full and
   * the destination takes requests, waits for room until the signal aborts; otherwise the oldest requests are dropped.
   */
  async export(snapshot: Snapshot, signal?: AbortSignal): Promise<void> {
    const done = this.#encoding.then(() => this.#encode(snapshot, signal));
    this.#encoding = done.catch(() => undefined);
    await done;
  }

  /** Resolves when everything exported so far is settled, or when the signal aborts; `mayLeave` as the sender has it. */
  async flush(signal: AbortSignal, mayLeave = false): Promise<void> {
    await orAborted(this.#encoding, signal).catch(() => undefined);
    await this.#sender.flush(signal, mayLeave);
  }

  /**
   * Flushes until the signal aborts, or the destination takes nothing of what is on disk; then ends at once. What is left on disk stays there; what is left in memory, and
   * what is exported from now on, is counted as expired.
   */
  async shutdown(signal: AbortSignal): Promise<void> {
    await this.flush(signal, true);
    const { connection, config, log, host } = this.#parts;
    const kept = this.#sender.close();
    connection.close();
    await this.#storage?.close();
    if (kept > 0) log("info", `${countRequests(kept)} for the OTLP destination ${host} stay in ${config.storage}`);
  }

  #openStorage(): OtlpStorage | undefined {
    const { config, lock, log, earlier } = this.#parts;
    if (config.storage === undefined) return undefined;
    const folder = storageFolder(config.storage, new URL(config.url));
    return new OtlpStorage({ folder, lock, log, recover: (left) => this.#sender.restore(left) }, earlier);
  }

  stats(): OtlpStats {
    const { host, exporter } = this.#parts;
    return {
      ...this.#counts,
      dropped: { ...this.#counts.dropped },
      refused: new Map(this.#counts.refused),
      host,
      exporter,
      startedMs: this.#startedMs,
      queueBytes: this.#queue.bytes,
      maxQueueBytes: this.#queue.maxBytes,
      queueRequests: this.#queue.length,
      queuePoints: this.#queue.points,
    };
  }

  async #encode(snapshot: Snapshot, signal: AbortSignal | undefined): Promise<void> {
    const ready = this.#storage?.ready ?? Promise.resolve();
    await (signal === undefined ? ready : orAborted(ready, signal).catch(() => undefined));
    const { config, maxRequestBytes: maxBytes } = this.#parts;
    const wanted = this.#deltas === undefined ? snapshot : await inTurns(this.#deltas.of(snapshot));
    const steps = encoders[formats[config.protocol]](wanted, { maxBytes, buffers: this.#buffers });
    for (let step = steps.next(); ; step = steps.next()) {
      if (step.done === true) {
        this.#counts.dropped.too_large += step.value;
        return;
      }
      if (step.value !== undefined) await this.#store(step.value, signal);
      await nextTurn();
    }
  }

  async #store({ body, points, release }: EncodedRequest, signal: AbortSignal | undefined): Promise<void> {
    const { config, maxRequestBytes } = this.#parts;
    const { compression: encoding, protocol } = config;
    const isKept = encoding === "none" && body.length > maxRequestBytes / 2;
    const wanted = encoding === "none" && !isKept ? new Uint8Array(body) : await compressors[encoding](body);
    if (!isKept) release?.();
    const content: Content = { body: wanted, encoding, format: formats[protocol] };
    const bytes = this.#storage === undefined ? wanted.length : diskBytes(wanted.length);
    const whenDelivered = isKept && this.#storage === undefined ? release : undefined;
    await this.#sender.enqueue({ content, bytes, points, release: whenDelivered }, signal);
  }
}
