import type { Content } from "./otlp-record.ts";

/** An encoded request that waits or is under way. */
export type StoredRequest = {
  /** Compressed, if the destination wants it so; undefined while it is on disk alone. */
  content: Content | undefined;
  /** What it takes of the queue. */
  readonly bytes: number;
  readonly points: number;
  /** Gives the memory of its content to another; for when it is delivered, and so read to its end. */
  readonly release?: (() => void) | undefined;
  /** Monotonic ms, set by the sender. */
  firstAttemptMs?: number;
  /** Its name on disk, set by the storage. */
  file?: string;
  /** Set by the storage, too: it is delivered or dropped. */
  isSettled?: boolean;
};

type Entry = { readonly request: StoredRequest; readonly age: number };

/**
 * Requests that wait for delivery, bounded by their stored bytes: first in, first out, or the newest first. A full queue
 * drops its oldest requests, but never the one in flight.
 */
export class RequestQueue {
  readonly maxBytes: number;
  readonly #newestFirst: boolean;
  /** From the oldest to the newest. */
  #waiting: Entry[] = [];
  #inFlight: Entry | undefined;
  #bytes = 0;
  /** Of the newest request, and of the oldest that was restored. */
  #newest = 0;
  #oldest = 0;

  constructor(maxBytes: number, newestFirst = false) {
    this.maxBytes = maxBytes;
    this.#newestFirst = newestFirst;
  }

  /** Stored bytes, the request in flight included. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Requests, the one in flight included. */
  get length(): number {
    return this.#waiting.length + (this.#inFlight === undefined ? 0 : 1);
  }

  /** Points of those requests. */
  get points(): number {
    return pointsOf(this.#waiting.map(({ request }) => request)) + (this.#inFlight?.request.points ?? 0);
  }

  /** Whether none of the requests would be lost with the process. */
  isOnDisk(): boolean {
    const isOn = (entry: Entry | undefined): boolean => entry === undefined || entry.request.file !== undefined;
    return isOn(this.#inFlight) && this.#waiting.every(isOn);
  }

  hasRoom(bytes: number): boolean {
    return this.#bytes + bytes <= this.maxBytes;
  }

  /** Appends a request; returns what is dropped for it: older ones, or itself where nothing else can make room. */
  push(request: StoredRequest): StoredRequest[] {
    const size = request.bytes;
    if (size + (this.#inFlight?.request.bytes ?? 0) > this.maxBytes) return [request];
    const dropped: StoredRequest[] = [];
    while (!this.hasRoom(size)) {
      const oldest = this.#waiting.shift();
      if (oldest === undefined) break;
      this.#bytes -= oldest.request.bytes;
      dropped.push(oldest.request);
    }
    this.#waiting.push({ request, age: ++this.#newest });
    this.#bytes += size;
    return dropped;
  }

  /** Puts requests before all others, from the oldest to the newest; returns the oldest of them, which have no room. */
  restore(requests: readonly StoredRequest[]): StoredRequest[] {
    const entries: Entry[] = [];
    let left = requests.length;
    for (; left > 0; left--) {
      const request = requests[left - 1];
      if (request === undefined || !this.hasRoom(request.bytes)) break;
      this.#bytes += request.bytes;
      entries.push({ request, age: --this.#oldest });
    }
    this.#waiting = [...entries.toReversed(), ...this.#waiting];
    return requests.slice(0, left);
  }

  /** Takes the request whose turn it is into flight; nothing where one is in flight or none waits. */
  take(): StoredRequest | undefined {
    if (this.#inFlight !== undefined) return undefined;
    this.#inFlight = this.#newestFirst ? this.#waiting.pop() : this.#waiting.shift();
    return this.#inFlight?.request;
  }

  /** The request in flight is settled. */
  remove(): void {
    this.#bytes -= this.#inFlight?.request.bytes ?? 0;
    this.#inFlight = undefined;
  }

  /** The request in flight waits for another attempt, at the place that its age gives it. */
  putBack(): void {
    const entry = this.#inFlight;
    if (entry === undefined) return;
    const newer = this.#newestFirst
      ? this.#waiting.findLastIndex(({ age }) => age < entry.age) + 1
      : this.#waiting.findIndex(({ age }) => age > entry.age);
    this.#waiting.splice(newer < 0 ? this.#waiting.length : newer, 0, entry);
    this.#inFlight = undefined;
  }

  /** Empties the queue; returns what was in it. */
  clear(): StoredRequest[] {
    const left = [...(this.#inFlight === undefined ? [] : [this.#inFlight]), ...this.#waiting];
    this.#waiting = [];
    this.#inFlight = undefined;
    this.#bytes = 0;
    return left.map(({ request }) => request);
  }
}

export const pointsOf = (requests: readonly StoredRequest[]): number =>
  requests.reduce((sum, { points }) => sum + points, 0);
