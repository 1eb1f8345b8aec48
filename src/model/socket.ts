/**
 * Sockets as columns, one row each: what a socket source yields. A batch is reused: it is valid until the next one is
 * asked for. `info` holds `infoStride` numbers a row, NaN for what the kernel did not give.
 */
export type SocketBatch = {
  length: number;
  /** AF_INET (2) or AF_INET6 (10). */
  readonly family: Uint8Array;
  /** IPPROTO_TCP (6) or IPPROTO_UDP (17). */
  readonly protocol: Uint8Array;
  /** TCP_ESTABLISHED (1) to TCP_CLOSING (11). */
  readonly state: Uint8Array;
  readonly localPort: Uint16Array;
  readonly peerPort: Uint16Array;
  /** Eight words a row as they stand in the message (network byte order): four local, four peer; IPv4 uses the first of each. */
  readonly addresses: Uint32Array;
  /** Unique for the life of the socket, over the host since Linux 5.4. */
  readonly cookie: Float64Array;
  /** Bytes not read; of a listener: connections not accepted. */
  readonly rqueue: Uint32Array;
  /** Bytes not sent or not acknowledged; of a listener: the backlog. */
  readonly wqueue: Uint32Array;
  /** SK_MEMINFO_DROPS; NaN where it was not given. */
  readonly drops: Float64Array;
  /** 1 where `info` was given: a request or TIME_WAIT socket has none. */
  readonly hasInfo: Uint8Array;
  readonly info: Float64Array;
};

export const createSocketBatch = (capacity: number, infoStride: number): SocketBatch => ({
  length: 0,
  family: new Uint8Array(capacity),
  protocol: new Uint8Array(capacity),
  state: new Uint8Array(capacity),
  localPort: new Uint16Array(capacity),
  peerPort: new Uint16Array(capacity),
  addresses: new Uint32Array(capacity * 8),
  cookie: new Float64Array(capacity),
  rqueue: new Uint32Array(capacity),
  wqueue: new Uint32Array(capacity),
  drops: new Float64Array(capacity),
  hasInfo: new Uint8Array(capacity),
  info: new Float64Array(capacity * infoStride),
});
