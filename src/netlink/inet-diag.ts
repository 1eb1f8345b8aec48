import type { SocketBatch } from "../model/socket.ts";
import {
  AF_INET,
  AF_INET6,
  EXT_INFO,
  EXT_SKMEMINFO,
  INET_DIAG_INFO,
  INET_DIAG_SKMEMINFO,
  IPPROTO_TCP,
  IPPROTO_UDP,
  NLM_F_REQUEST_DUMP,
  NLMSG_DONE,
  NLMSG_ERROR,
  SK_MEMINFO_DROPS,
  SOCK_DIAG_BY_FAMILY,
  TCP_CLOSE,
  TCP_TIME_WAIT,
  TCPDIAG_GETSOCK,
} from "./constants.ts";
import { decodeTcpInfo, tcpInfoStride } from "./tcp-info.ts";

const headerBytes = 16;
const inetDiagMsgBytes = 72;
const attributesAt = headerBytes + inetDiagMsgBytes;

/** A dump request and what its replies are: `protocol` is IPPROTO_TCP or IPPROTO_UDP. */
export type DumpRequest = { readonly protocol: number; readonly encode: (seq: number) => Uint8Array };

const writeHeader = (view: DataView, type: number, seq: number): void => {
  view.setUint32(0, view.byteLength, true);
  view.setUint16(4, type, true);
  view.setUint16(6, NLM_F_REQUEST_DUMP, true);
  view.setUint32(8, seq, true);
};

/**
 * Dump of all TCP sockets of both families in one walk (TCPDIAG_GETSOCK).
 *
 *     struct inet_diag_req { __u8 idiag_family, idiag_src_len, idiag_dst_len, idiag_ext;
 *                            struct inet_diag_sockid id; __u32 idiag_states; __u32 idiag_dbs; };   linux/inet_diag.h
 *
 * `states` is a bitmap of 1 << TCP_x, `ext` of the attributes wanted.
 */
export const encodeTcpDump = (seq: number, states: number, ext: number): Uint8Array => {
  const view = new DataView(new ArrayBuffer(headerBytes + 60));
  writeHeader(view, TCPDIAG_GETSOCK, seq);
  view.setUint8(headerBytes + 3, ext);
  view.setUint32(headerBytes + 52, states, true);
  return new Uint8Array(view.buffer);
};

/**
 * Dump of the sockets of one family and protocol (SOCK_DIAG_BY_FAMILY).
 *
 *     struct inet_diag_req_v2 { __u8 sdiag_family, sdiag_protocol, idiag_ext, pad; __u32 idiag_states;
 *                               struct inet_diag_sockid id; };   linux/inet_diag.h
 */
export const encodeInetDump = (
  seq: number,
  family: number,
  protocol: number,
  states: number,
  ext: number,
): Uint8Array => {
  const view = new DataView(new ArrayBuffer(headerBytes + 56));
  writeHeader(view, SOCK_DIAG_BY_FAMILY, seq);
  view.setUint8(headerBytes, family);
  view.setUint8(headerBytes + 1, protocol);
  view.setUint8(headerBytes + 2, ext);
  view.setUint32(headerBytes + 4, states, true);
  return new Uint8Array(view.buffer);
};

/** TIME_WAIT is left out: those entries hold no information, cost a walk each, and sockstat counts them. */
const tcpStates = 0xfff & ~(1 << TCP_TIME_WAIT);
/** Unconnected sockets only: a connected UDP socket is no bound port. */
const udpStates = 1 << TCP_CLOSE;

/** The dumps that read the protocols' sockets, in an order in which listeners come before flows. */
export const dumpRequests = (protocols: readonly ("tcp" | "udp")[]): readonly DumpRequest[] => {
  const requests: DumpRequest[] = [];
  if (protocols.includes("tcp")) {
    requests.push({ protocol: IPPROTO_TCP, encode: (seq) => encodeTcpDump(seq, tcpStates, EXT_INFO | EXT_SKMEMINFO) });
  }
  if (protocols.includes("udp")) {
    for (const family of [AF_INET, AF_INET6]) {
      requests.push({
        protocol: IPPROTO_UDP,
        encode: (seq) => encodeInetDump(seq, family, IPPROTO_UDP, udpStates, EXT_SKMEMINFO),
      });
    }
  }
  return requests;
};

/** One receive buffer under three views; its length is a multiple of 4. */
export type ReceiveBuffer = { readonly bytes: Uint8Array; readonly halves: Uint16Array; readonly words: Uint32Array };

export const createReceiveBuffer = (size: number): ReceiveBuffer => {
  const memory = new ArrayBuffer(size);
  return { bytes: new Uint8Array(memory), halves: new Uint16Array(memory), words: new Uint32Array(memory) };
};

/** What one receive held beside the sockets. `done`: the dump ended, with `errno` where it failed. */
export type ReceiveResult = { done: boolean; errno: number; skipped: number };

const swap16 = (value: number): number => ((value & 0xff) << 8) | (value >> 8);

/**
 * The attributes of one message, from `at` to `end`. Unknown ones are passed over; an attribute that does not fit ends
 * the walk, and what stands before it counts.
 *
 *     struct nlattr { __u16 nla_len; __u16 nla_type; };   payload padded to 4
 */
const decodeAttributes = (buffer: ReceiveBuffer, start: number, end: number, batch: SocketBatch, row: number): void => {
  let at = start;
  while (at + 4 <= end) {
    const length = buffer.halves[at >> 1] as number;
    const type = (buffer.halves[(at >> 1) + 1] as number) & 0x3fff;
    if (length < 4 || at + length > end) return;
    if (type === INET_DIAG_INFO) {
      decodeTcpInfo(buffer.bytes, buffer.words, at + 4, length - 4, batch.info, row * tcpInfoStride);
      batch.hasInfo[row] = 1;
    } else if (type === INET_DIAG_SKMEMINFO && length - 4 >= (SK_MEMINFO_DROPS + 1) * 4) {
      batch.drops[row] = buffer.words[(at >> 2) + 1 + SK_MEMINFO_DROPS] as number;
    }
    at += (length + 3) & ~3;
  }
};

/**
 * One inet_diag_msg at byte `at` into the batch's next row.
 *
 *     struct inet_diag_msg { __u8 idiag_family, idiag_state, idiag_timer, idiag_retrans; struct inet_diag_sockid id;
 *                            __u32 idiag_expires, idiag_rqueue, idiag_wqueue, idiag_uid, idiag_inode; };
 *     struct inet_diag_sockid { __be16 sport, dport; __be32 src[4], dst[4]; __u32 if, cookie[2]; };
 */
const decodeMessage = (buffer: ReceiveBuffer, at: number, end: number, protocol: number, batch: SocketBatch): void => {
  const row = batch.length++;
  const word = at >> 2;
  const { words, bytes, halves } = buffer;
  batch.family[row] = bytes[at] as number;
  batch.protocol[row] = protocol;
  batch.state[row] = bytes[at + 1] as number;
  batch.localPort[row] = swap16(halves[(at >> 1) + 2] as number);
  batch.peerPort[row] = swap16(halves[(at >> 1) + 3] as number);
  for (let index = 0; index < 8; index++) batch.addresses[row * 8 + index] = words[word + 2 + index] as number;
  batch.cookie[row] = (words[word + 11] as number) + (words[word + 12] as number) * 4294967296;
  batch.rqueue[row] = words[word + 14] as number;
  batch.wqueue[row] = words[word + 15] as number;
  batch.drops[row] = Number.NaN;
  batch.hasInfo[row] = 0;
  decodeAttributes(buffer, at + inetDiagMsgBytes, end, batch, row);
};

/**
 * Appends the sockets of one receive (`length` bytes of `buffer`) to the batch, which needs room for `length / 88` rows.
 * Messages of another sequence number are passed over; one that does not fit its buffer is counted as skipped and ends
 * the walk.
 */
export const decodeReceive = (
  buffer: ReceiveBuffer,
  length: number,
  seq: number,
  protocol: number,
  batch: SocketBatch,
): ReceiveResult => {
  const result: ReceiveResult = { done: false, errno: 0, skipped: 0 };
  let at = 0;
  while (at + headerBytes <= length) {
    const size = buffer.words[at >> 2] as number;
    const type = buffer.halves[(at >> 1) + 2] as number;
    if (size < headerBytes || at + size > length) {
      result.skipped++;
      return result;
    }
    if ((buffer.words[(at >> 2) + 2] as number) === seq) {
      if (type === NLMSG_DONE || type === NLMSG_ERROR) {
        result.done = true;
        if (size >= headerBytes + 4) result.errno = 0 - ((buffer.words[(at >> 2) + 4] as number) | 0);
        return result;
      }
      if (size >= attributesAt && (type === TCPDIAG_GETSOCK || type === SOCK_DIAG_BY_FAMILY)) {
        decodeMessage(buffer, at + headerBytes, at + size, protocol, batch);
      } else result.skipped++;
    }
    at += (size + 3) & ~3;
  }
  if (at < length) result.skipped++;
  return result;
};
