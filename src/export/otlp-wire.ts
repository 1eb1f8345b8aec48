/** The protobuf wire format (https://protobuf.dev/programming-guides/encoding): what the OTLP encoder writes with. */

const twoTo32 = 4_294_967_296;

/** The tag of a field; one byte for the field numbers up to 15, which is all that OTLP metrics need. */
export const tagOf = (field: number, wireType: "varint" | "fixed64" | "length"): number =>
  (field << 3) | { varint: 0, fixed64: 1, length: 2 }[wireType];

/** Bytes that a length below 2^35 takes as a varint. */
export const varintSize = (length: number): number =>
  length < 0x80 ? 1 : length < 0x4000 ? 2 : length < 0x20_0000 ? 3 : length < 0x1000_0000 ? 4 : 5;

/** Bytes of a length-delimited content with its length before it. */
export const withLength = (length: number): number => varintSize(length) + length;

/** Whether every character takes one byte. A loop, because a call out of JavaScript costs more than a short text. */
const isAscii = (text: string): boolean => {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0x7f) return false;
  return true;
};

/** Bytes of a text in UTF-8. */
export const utf8Size = (text: string): number => (isAscii(text) ? text.length : Buffer.byteLength(text));

/** The low 32 bits, modulo 2^32, of a Unix time in ms as Unix ns. Exact, where `ms * 1e6` is beyond 2^53. */
export const nanosLow = (ms: number): number => Math.round((ms - Math.floor(ms / twoTo32) * twoTo32) * 1e6);

/** The high 32 bits of a Unix time in ms as Unix ns. */
export const nanosHigh = (ms: number): number => Math.floor(ms / twoTo32) * 1e6 + highWord(nanosLow(ms));

/** The high 32 bits of an integer, in two's complement; its low ones are the integer modulo 2^32. */
export const highWord = (value: number): number => Math.floor(value / twoTo32);

/** Writes the tag and the length of a length-delimited field; returns the position behind them. */
export const putLength = (bytes: Uint8Array, at: number, tag: number, length: number): number => {
  bytes[at++] = tag;
  let rest = length;
  while (rest > 0x7f) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
};

/** Writes a fixed64 field of two words, each taken modulo 2^32; returns the position behind it. */
export const putFixed64 = (view: DataView, at: number, tag: number, low: number, high: number): number => {
  view.setUint8(at, tag);
  view.setUint32(at + 1, low, true);
  view.setUint32(at + 5, high, true);
  return at + 9;
};

/** Writes a double field; returns the position behind it. */
export const putDouble = (view: DataView, at: number, tag: number, value: number): number => {
  view.setUint8(at, tag);
  view.setFloat64(at + 1, value, true);
  return at + 9;
};

/** Writes bytes as they are; returns the position behind them. */
export const putBytes = (bytes: Uint8Array, at: number, content: Uint8Array): number => {
  bytes.set(content, at);
  return at + content.length;
};

/** Appends fields to a buffer that grows. For what is small or written once; data points have a buffer of their own. */
export class WireWriter {
  #bytes = Buffer.allocUnsafeSlow(512);
  #length = 0;

  /** What was written since the last `clear`; valid until the next write. */
  get written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): this {
    this.#length = 0;
    return this;
  }

  /** The tag and the length of a message whose fields follow. */
  message(tag: number, length: number): this {
    const at = this.#advance(1 + varintSize(length));
    putLength(this.#bytes, at, tag, length);
    return this;
  }

  /** A lone surrogate becomes U+FFFD. */
  string(tag: number, text: string): this {
    const size = utf8Size(text);
    this.message(tag, size);
    const at = this.#advance(size);
    if (size > text.length) this.#bytes.write(text, at);
    else for (let index = 0; index < size; index++) this.#bytes[at + index] = text.charCodeAt(index);
    return this;
  }

  /** A bool, an enum or an int64: a safe integer, negative ones in ten bytes. */
  varint(tag: number, value: number): this {
    let low = value >>> 0;
    let high = highWord(value) >>> 0;
    this.#byte(tag);
    while (high > 0 || low > 0x7f) {
      this.#byte((low & 0x7f) | 0x80);
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    this.#byte(low);
    return this;
  }

  double(tag: number, value: number): this {
    this.#byte(tag);
    const at = this.#advance(8);
    this.#bytes.writeDoubleLE(value, at);
    return this;
  }

  #byte(value: number): void {
    const at = this.#advance(1);
    this.#bytes[at] = value;
  }

  /** Makes room for `size` bytes and returns where they start. */
  #advance(size: number): number {
    const at = this.#length;
    this.#length += size;
    if (this.#length > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(2 * this.#bytes.length, this.#length));
      this.#bytes.copy(grown, 0, 0, at);
      this.#bytes = grown;
    }
    return at;
  }
}
