/** An encoded request as it is stored and sent. */
export type StoredRequest = {
  /** Compressed, if the destination wants it so. */
  readonly body: Uint8Array;
  readonly points: number;
  /** Monotonic ms, set by the sender. */
  firstAttemptMs?: number;
};

/**
 * Requests that wait for delivery, first in, first out, bounded by their stored bytes. A full queue drops its oldest
 * requests, but never the one in flight.
 */
export class RequestQueue {
  readonly maxBytes: number;
  #waiting: StoredRequest[] = [];
  #inFlight: StoredRequest | undefined;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
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

  /** Appends a request; returns the points dropped for it, which are its own where nothing else can make room. */
  push(request: StoredRequest): number {
    const size = request.body.length;
    if (size + (this.#inFlight?.body.length ?? 0) > this.maxBytes) return request.points;
    let dropped = 0;
    while (!this.hasRoom(size)) {
      const oldest = this.#waiting.shift();
      if (oldest === undefined) break;
      this.#bytes -= oldest.body.length;
      dropped += oldest.points;
    }
    this.#waiting.push(request);
    this.#bytes += size;
    return dropped;
  }

  /** Takes the oldest request into flight; nothing where one is in flight or none waits. */
  take(): StoredRequest | undefined {
    if (this.#inFlight !== undefined) return undefined;
    this.#inFlight = this.#waiting.shift();
    return this.#inFlight;
  }

  /** The request in flight is settled. */
  remove(): void {
    this.#bytes -= this.#inFlight?.body.length ?? 0;
    this.#inFlight = undefined;
  }

  /** The request in flight waits for another attempt, before all newer ones. */
  putBack(): void {
    if (this.#inFlight !== undefined) this.#waiting.unshift(this.#inFlight);
    this.#inFlight = undefined;
  }

  /** Empties the queue; returns the points that were in it. */
  clear(): number {
    const points = this.#waiting.reduce((sum, request) => sum + request.points, this.#inFlight?.points ?? 0);
    this.#waiting = [];
    this.#inFlight = undefined;
    this.#bytes = 0;
    return points;
  }
}
