import type { SocketProtocol } from "../model/socket.ts";
import {
  AF_INET,
  AF_INET6,
  ALL_STATES,
  INET_DIAG_PEERS,
  INET_DIAG_REQ_PROTOCOL,
  IPPROTO_DCCP,
  IPPROTO_MPTCP,
  IPPROTO_RAW,
  IPPROTO_SCTP,
  TCP_CLOSE,
  TCP_LISTEN,
} from "./constants.ts";
import { createInetDecoder, encodeInetDump, noInfo } from "./inet-diag.ts";
import { type DecodeMessage, type DumpRequest, walkAttributes } from "./message.ts";

/**
 * Protocols over IP that are counted by state: raw, DCCP, SCTP and MPTCP. INFO is not asked for: that of SCTP and MPTCP
 * is a struct of their own, which must not be read as struct tcp_info, and MPTCP's bytes are those of its subflows.
 */

const ofFamilies = (
  protocol: SocketProtocol,
  encode: (seq: number, family: number) => Uint8Array,
  decode: DecodeMessage,
): readonly DumpRequest[] =>
  [AF_INET, AF_INET6].map((family) => ({ protocol, encode: (seq) => encode(seq, family), decode }));

/** Raw sockets have the number of their IP protocol (INET_DIAG_PROTOCOL) as the local port. */
export const rawDumps = (): readonly DumpRequest[] =>
  ofFamilies(
    "raw",
    (seq, family) => encodeInetDump(seq, family, IPPROTO_RAW, ALL_STATES, 0),
    createInetDecoder("raw", noInfo, false),
  );

/** Their states are numbered as TCP's. */
export const dccpDumps = (): readonly DumpRequest[] =>
  ofFamilies(
    "dccp",
    (seq, family) => encodeInetDump(seq, family, IPPROTO_DCCP, ALL_STATES, 0),
    createInetDecoder("dccp", noInfo, false),
  );

/** enum sctp_state (linux/sctp.h): the states of an association. */
export const sctpStates = {
  closed: 0,
  cookie_wait: 1,
  cookie_echoed: 2,
  established: 3,
  shutdown_pending: 4,
  shutdown_sent: 5,
  shutdown_received: 6,
  shutdown_ack_sent: 7,
  /** Of an endpoint: no association has it. */
  listen: TCP_LISTEN,
} as const;

const decodeInetSctp = createInetDecoder("sctp", noInfo, false);

/**
 * The kernel sends a message for each endpoint, whose state is numbered as TCP's, and one for each association, which
 * has enum sctp_state, the peer's addresses, and the cookie of its endpoint. A row is an association, or an endpoint
 * that listens or is closed, both in `sctpStates`; any other endpoint is told by its associations.
 */
export const decodeSctp: DecodeMessage = (buffer, at, end, batch) => {
  const row = batch.length;
  if (!decodeInetSctp(buffer, at, end, batch)) return false;
  let association = false;
  walkAttributes(buffer, at + 72, end, (type) => {
    if (type === INET_DIAG_PEERS) association = true;
  });
  if (association) return true;
  if (batch.state[row] === TCP_CLOSE) batch.state[row] = sctpStates.closed;
  else if (batch.state[row] !== TCP_LISTEN) batch.length = row;
  return true;
};

/** LISTEN among the states is what brings the endpoints. */
export const sctpDumps = (): readonly DumpRequest[] =>
  ofFamilies("sctp", (seq, family) => encodeInetDump(seq, family, IPPROTO_SCTP, ALL_STATES, 0), decodeSctp);

/**
 * The number does not fit the byte of inet_diag_req_v2, which stays 0, and is in an attribute of its own (Linux 5.9).
 * An older kernel looks for protocol 0, and has no such sockets either.
 */
const encodeMptcpDump = (seq: number, family: number): Uint8Array => {
  const request = encodeInetDump(seq, family, 0, ALL_STATES, 0);
  const whole = new Uint8Array(request.length + 8);
  whole.set(request);
  const view = new DataView(whole.buffer);
  view.setUint32(0, whole.length, true);
  view.setUint16(request.length, 8, true);
  view.setUint16(request.length + 2, INET_DIAG_REQ_PROTOCOL, true);
  view.setUint32(request.length + 4, IPPROTO_MPTCP, true);
  return whole;
};

/** The connections as the applications see them; their subflows are in the dump of TCP. */
export const mptcpDumps = (): readonly DumpRequest[] =>
  ofFamilies("mptcp", encodeMptcpDump, createInetDecoder("mptcp", noInfo, false));
