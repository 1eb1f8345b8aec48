import type { SocketBatch, SocketProtocol } from "../model/socket.ts";
import {
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST_DUMP,
  NLMSG_DONE,
  NLMSG_ERROR,
  SOCK_DIAG_BY_FAMILY,
  TCPDIAG_GETSOCK,
} from "./constants.ts";

/** struct nlmsghdr { __u32 nlmsg_len; __u16 nlmsg_type, nlmsg_flags; __u32 nlmsg_seq, nlmsg_pid; };   linux/netlink.h */
export const headerBytes = 16;

/** A dump request with a body of `bodyBytes`, zeroed. */
export const createRequest = (type: number, seq: number, bodyBytes: number): DataView => {
  const view = new DataView(new ArrayBuffer(headerBytes + bodyBytes));
  view.setUint32(0, view.byteLength, true);
  view.setUint16(4, type, true);
  view.setUint16(6, NLM_F_REQUEST_DUMP, true);
  view.setUint32(8, seq, true);
  return view;
};

export const bytesOf = (view: DataView): Uint8Array =>
  new Uint8Array(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength);

/** One receive buffer under three views; its length is a multiple of 4. */
export type ReceiveBuffer = { readonly bytes: Uint8Array; readonly halves: Uint16Array; readonly words: Uint32Array };

export const createReceiveBuffer = (size: number): ReceiveBuffer => {
  const memory = new ArrayBuffer(size);
  return { bytes: new Uint8Array(memory), halves: new Uint16Array(memory), words: new Uint32Array(memory) };
};

/** A u64 whose low word, the first in memory, is the given one; exact up to 2^53. */
export const u64 = (words: Uint32Array, word: number): number =>
  (words[word] as number) + (words[word + 1] as number) * 4294967296;

/** Appends the socket of the message body from byte `at` to `end` as the batch's next row; false where it does not fit. */
export type DecodeMessage = (buffer: ReceiveBuffer, at: number, end: number, batch: SocketBatch) => boolean;

/** A dump request and how its replies are read. */
export type DumpRequest = {
  readonly protocol: SocketProtocol;
  readonly encode: (seq: number) => Uint8Array;
  readonly decode: DecodeMessage;
};

/**
 * Calls `found` with the type, the payload's byte offset and length of each attribute from `start` to `end`. One that
 * does not fit ends the walk, and what stands before it counts.
 *
 *     struct nlattr { __u16 nla_len; __u16 nla_type; };   payload padded to 4
 */
export const walkAttributes = (
  buffer: ReceiveBuffer,
  start: number,
  end: number,
  found: (type: number, at: number, length: number) => void,
): void => {
  let at = start;
  while (at + 4 <= end) {
    const length = buffer.halves[at >> 1] as number;
    if (length < 4 || at + length > end) return;
    found((buffer.halves[(at >> 1) + 1] as number) & 0x3fff, at + 4, length - 4);
    at += (length + 3) & ~3;
  }
};

/** What one receive held beside the sockets. `done`: the dump ended, with `errno` where it failed. */
export type ReceiveResult = {
  done: boolean;
  errno: number;
  skipped: number;
  /** Why the dump as a whole cannot be trusted: sockets may be missing, or there twice. */
  fault: string | undefined;
};

/**
 * Appends the sockets of one receive (`length` bytes of `buffer`) to the batch, which needs room for `length / 32` rows
 * of the smallest message. Messages of another sequence number are passed over; one that does not fit its buffer is
 * counted as skipped and ends the walk. Either is a fault of the dump.
 */
export const decodeReceive = (
  buffer: ReceiveBuffer,
  length: number,
  seq: number,
  decode: DecodeMessage,
  batch: SocketBatch,
): ReceiveResult => {
  const result: ReceiveResult = { done: false, errno: 0, skipped: 0, fault: undefined };
  let at = 0;
  while (at + headerBytes <= length) {
    const size = buffer.words[at >> 2] as number;
    const type = buffer.halves[(at >> 1) + 2] as number;
    if (size < headerBytes || at + size > length) {
      result.skipped++;
      result.fault = "a message is cut short";
      return result;
    }
    if ((buffer.words[(at >> 2) + 2] as number) !== seq) result.fault = "a reply to another request came in between";
    else {
      if (((buffer.halves[(at >> 1) + 3] as number) & NLM_F_DUMP_INTR) !== 0) result.fault = "NLM_F_DUMP_INTR";
      if (type === NLMSG_DONE || type === NLMSG_ERROR) {
        result.done = true;
        if (size >= headerBytes + 4) result.errno = 0 - ((buffer.words[(at >> 2) + 4] as number) | 0);
        return result;
      }
      const isSocket = type === TCPDIAG_GETSOCK || type === SOCK_DIAG_BY_FAMILY;
      if (!isSocket || !decode(buffer, at + headerBytes, at + size, batch)) result.skipped++;
    }
    at += (size + 3) & ~3;
  }
  if (at < length) {
    result.skipped++;
    result.fault = "a message is cut short";
  }
  return result;
};
