import { EventEmitter, once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { OtlpConfig } from "../model/config.ts";
import { pointsOf, type RequestQueue, type StoredRequest } from "./otlp-queue.ts";
import type { Content } from "./otlp-record.ts";
import type { DeliveryReport } from "./otlp-report.ts";
import { backoffMs, errorTypeOf, judgeFailure, type Verdict } from "./otlp-retry.ts";
import type { OtlpStorage, Unread } from "./otlp-storage.ts";

/** Sends one request. Rejects where no complete answer came, and soon after the signal aborts in any case. */
export type Post = (content: Content, signal: AbortSignal) => Promise<Verdict>;

export const dropReasons = ["queue_full", "rejected", "refused", "expired", "too_large", "damaged"] as const;
export type DropReason = (typeof dropReasons)[number];

/** Sums since the start. */
export type DeliveryCounts = {
  /** Stored bytes of the requests delivered. */ sentBytes: number;
  /** Points delivered and not rejected. */ sentPoints: number;
  /** Points. */ readonly dropped: Record<DropReason, number>;
  /** Points of `dropped.refused` by `error.type`. */ readonly refused: Map<string, number>;
  /** Attempts that repeat one. */ retries: number;
  /** Unix ms of the last delivery. */ lastSuccessMs: number | undefined;
  /** The last attempt that failed; `type` as `errorTypeOf` has it, `atMs` is Unix ms. */
  lastError: { readonly type: string; readonly atMs: number } | undefined;
};

export type Clocks = {
  /** Unix ms. */ readonly now: () => number;
  /** ms from any origin, never backwards. */ readonly monotonic: () => number;
  /** From 0 to 1. */ readonly random: () => number;
};

type SenderParts = {
  readonly config: Pick<OtlpConfig, "timeoutMs" | "retry">;
  readonly post: Post;
  readonly queue: RequestQueue;
  /** undefined: requests wait in memory. */
  readonly storage: OtlpStorage | undefined;
  readonly counts: DeliveryCounts;
  readonly report: DeliveryReport;
  readonly clocks: Clocks;
  /** What is queued at most while the destination takes it: more would only be memory. */
  readonly aheadBytes: number;
  /** Told of each attempt with how long it took, in s. */
  readonly attempted?: ((seconds: number, verdict: Verdict) => void) | undefined;
};

/** Delivers the requests of a queue, one at a time and in its order, until it is closed. */
export class OtlpSender {
  readonly #parts: SenderParts;
  /** Emits `change` whenever a request is settled, put back or left behind. */
  readonly #events = new EventEmitter().setMaxListeners(0);
  /** Attempts in a row that have to be repeated. */
  #failures = 0;
  #isSending = false;
  #isClosed = false;
  #attempt: AbortController | undefined;
  /** Between two attempts; `isAsked`: the destination asked for it by Retry-After. */
  #pause: { readonly end: () => void; readonly isAsked: boolean } | undefined;

  constructor(parts: SenderParts) {
    this.#parts = parts;
  }

  /**
   * Queues a request, and resolves when it is stored, too. Waits for others to be sent as long as the destination takes
   * requests and the signal allows; otherwise the oldest are dropped for it where there is no room.
   */
  async enqueue(request: StoredRequest, signal: AbortSignal | undefined): Promise<void> {
    const { queue, counts, storage } = this.#parts;
    while (this.#isWorthWaiting(request.bytes, signal)) await this.#change(signal);
    if (this.#isClosed) {
      counts.dropped.expired += request.points;
      return;
    }
    const dropped = queue.push(request);
    this.#drop(dropped);
    if (!this.#isSending) void this.#send();
    if (!dropped.includes(request)) await storage?.add(request, signal);
  }

  /** Queues what an earlier process has stored, from the oldest to the newest, before everything else. */
  restore(requests: readonly StoredRequest[]): void {
    this.#drop(this.#parts.queue.restore(requests));
    if (!this.#isSending) void this.#send();
  }

  /**
   * Resolves when the queue is empty or the signal aborts. Cuts a backoff short, but not a Retry-After. With `mayLeave`
   * it resolves as soon as the destination takes nothing, too, if what is left is on disk.
   */
  async flush(signal: AbortSignal, mayLeave = false): Promise<void> {
    const { queue } = this.#parts;
    const before = this.#failures;
    const isRefused = (): boolean => this.#failures > before || this.#pause?.isAsked === true;
    const leaves = (): boolean => mayLeave && isRefused() && queue.isOnDisk();
    if (this.#pause?.isAsked === false) this.#pause.end();
    while (queue.length > 0 && !signal.aborted && !leaves()) await this.#change(signal);
  }

  /** Ends at once; returns how many requests are left on disk. Those that are in memory alone are counted as expired. */
  close(): number {
    this.#isClosed = true;
    const left = this.#parts.queue.clear();
    const lost = left.filter(({ file }) => file === undefined);
    this.#parts.counts.dropped.expired += pointsOf(lost);
    this.#attempt?.abort();
    this.#pause?.end();
    this.#events.emit("change");
    return left.length - lost.length;
  }

  #drop(requests: readonly StoredRequest[]): void {
    const { counts, storage } = this.#parts;
    counts.dropped.queue_full += pointsOf(requests);
    for (const request of requests) storage?.settle(request);
  }

  #isWorthWaiting(size: number, signal: AbortSignal | undefined): boolean {
    const { queue, aheadBytes } = this.#parts;
    const fits = queue.hasRoom(size) && (queue.length === 0 || queue.bytes + size <= aheadBytes);
    if (fits || size > queue.maxBytes) return false;
    return this.#failures === 0 && !this.#isClosed && signal?.aborted !== true;
  }

  async #change(signal: AbortSignal | undefined): Promise<void> {
    await once(this.#events, "change", signal === undefined ? {} : { signal }).catch(() => undefined);
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    while (!this.#isClosed) {
      const request = this.#parts.queue.take();
      if (request === undefined) break;
      const content = request.content ?? (await this.#parts.storage?.read(request)) ?? "damaged";
      if (this.#isClosed) break;
      if (typeof content === "string") {
        await this.#skip(request, content);
        continue;
      }
      const begin = this.#parts.clocks.monotonic();
      const verdict = await this.#try(request, content);
      if (this.#isClosed) break;
      this.#note(verdict, (this.#parts.clocks.monotonic() - begin) / 1000);
      const pause = this.#settle(request, content, verdict);
      this.#events.emit("change");
      if (verdict.kind === "retry") await this.#rest(pause, verdict.retryAfterMs > 0);
    }
    this.#isSending = false;
  }

  /** Of a request that the disk does not give. */
  async #skip(request: StoredRequest, unread: Unread): Promise<void> {
    const { config, queue, counts } = this.#parts;
    if (unread === "later") {
      queue.putBack();
      await this.#rest(config.retry.initialIntervalMs, false);
      return;
    }
    counts.dropped.damaged += request.points;
    this.#remove(request);
    this.#events.emit("change");
  }

  async #try(request: StoredRequest, content: Content): Promise<Verdict> {
    const { config, post, clocks, counts } = this.#parts;
    if (request.firstAttemptMs !== undefined) counts.retries++;
    request.firstAttemptMs ??= clocks.monotonic();
    const attempt = new AbortController();
    this.#attempt = attempt;
    const deadline = setTimeout(() => attempt.abort(), config.timeoutMs);
    try {
      return await post(content, attempt.signal);
    } catch (error) {
      return attempt.signal.aborted
        ? { kind: "retry", reason: `no answer in ${config.timeoutMs} ms`, retryAfterMs: 0 }
        : judgeFailure(error);
    } finally {
      clearTimeout(deadline);
      this.#attempt = undefined;
    }
  }

  #note(verdict: Verdict, seconds: number): void {
    const { counts, clocks, attempted } = this.#parts;
    const type = errorTypeOf(verdict);
    if (type !== undefined) counts.lastError = { type, atMs: clocks.now() };
    attempted?.(seconds, verdict);
  }

  /** Books a verdict; returns the pause in ms before the next attempt. */
  #settle(request: StoredRequest, { body }: Content, verdict: Verdict): number {
    const { queue, counts, report, clocks } = this.#parts;
    if (verdict.kind === "retry") return this.#keep(request, verdict);
    this.#failures = 0;
    if (verdict.kind === "delivered") {
      const rejected = Math.min(verdict.rejected, request.points);
      counts.dropped.rejected += rejected;
      counts.sentPoints += request.points - rejected;
      counts.sentBytes += body.length;
      counts.lastSuccessMs = clocks.now();
      report.delivered(verdict, queue.length, counts.dropped.queue_full + counts.dropped.expired);
      request.release?.();
    } else {
      const type = errorTypeOf(verdict) ?? "_OTHER";
      counts.dropped.refused += request.points;
      counts.refused.set(type, (counts.refused.get(type) ?? 0) + request.points);
      report.refused(verdict);
    }
    this.#remove(request);
    return 0;
  }

  #remove(request: StoredRequest): void {
    this.#parts.queue.remove();
    this.#parts.storage?.settle(request);
  }

  #keep(request: StoredRequest, verdict: Extract<Verdict, { kind: "retry" }>): number {
    const { config, queue, counts, report, clocks } = this.#parts;
    this.#failures++;
    report.failed(verdict);
    const pause = Math.max(backoffMs(config.retry, this.#failures, clocks.random()), verdict.retryAfterMs);
    const now = clocks.monotonic();
    const elapsed = now + pause - (request.firstAttemptMs ?? now);
    if (config.retry.maxElapsedMs > 0 && elapsed > config.retry.maxElapsedMs) {
      counts.dropped.expired += request.points;
      this.#remove(request);
    } else queue.putBack();
    return pause;
  }

  async #rest(ms: number, isAsked: boolean): Promise<void> {
    const pause = new AbortController();
    this.#pause = { end: () => pause.abort(), isAsked };
    await sleep(ms, undefined, { signal: pause.signal }).catch(() => undefined);
    this.#pause = undefined;
  }
}
