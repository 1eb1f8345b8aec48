/** Buffers that wait for the next request at most. */
const mostSpare = 3;

/**
 * Memory for the requests of one destination, used again and again. New memory for each would cost as much as what is
 * written there: the system clears its pages, and V8 collects all of its heap after every few megabytes.
 */
export class RequestBuffers {
  /** Of each buffer. */
  readonly bytes: number;
  readonly #spare: Buffer[] = [];

  constructor(bytes: number) {
    this.bytes = bytes;
  }

  /** With whatever was in it before. */
  take(): Buffer {
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.bytes);
  }

  give(buffer: Buffer): void {
    if (this.#spare.length < mostSpare) this.#spare.push(buffer);
  }
}
