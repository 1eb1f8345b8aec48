/** An encoded request as it is stored and sent. */
export type StoredRequest = {
  /** Compressed, if the destination wants it so. */
  readonly body: Uint8Array;
  readonly points: number;
  /** Monotonic ms, set by the sender. */
  firstAttemptMs?: number;
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
  /** Of the newest request. */
  #age = 0;

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

  hasRoom(bytes: number): boolean {
    return this.#bytes + bytes <= this.maxBytes;
  }

  /** Appends a request; returns what is dropped for it: older ones, or itself where nothing else can make room. */
  push(request: StoredRequest): StoredRequest[] {
    const size = request.body.length;
    if (size + (this.#inFlight?.request.body.length ?? 0) > this.maxBytes) return [request];
    const dropped: StoredRequest[] = [];
    while (!this.hasRoom(size)) {
      const oldest = this.#waiting.shift();
      if (oldest === undefined) break;
      this.#bytes -= oldest.request.body.length;
      dropped.push(oldest.request);
    }
    this.#waiting.push({ request, age: ++this.#age });
    this.#bytes += size;
    return dropped;
  }

  /** Takes the request whose turn it is into flight; nothing where one is in flight or none waits. */
  take(): StoredRequest | undefined {
    if (this.#inFlight !== undefined) return undefined;
    this.#inFlight = this.#newestFirst ? this.#waiting.pop() : this.#waiting.shift();
    return this.#inFlight?.request;
  }

  /** The request in flight is settled. */
  remove(): void {
    this.#bytes -= this.#inFlight?.request.body.length ?? 0;
    this.#inFlight = undefined;
  }

  /** The request in flight waits for another attempt, at the place that its age gives it. */
  putBack(): void {
    const entry = this.#inFlight;
    if (entry === undefined) return;
    const older = this.#newestFirst ? this.#waiting.findLastIndex(({ age }) => age < entry.age) + 1 : 0;
    this.#waiting.splice(older, 0, entry);
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
