/** What `sockets.protocols` can name. */
export const socketProtocols = [
  "tcp",
  "udp",
  "raw",
  "unix",
  "packet",
  "sctp",
  "dccp",
  "mptcp",
  "vsock",
  "netlink",
] as const;
export type SocketProtocol = (typeof socketProtocols)[number];

/** A protocol's number in `SocketBatch.protocol`: its place in `socketProtocols`. */
export const protocolIndex = {
  tcp: 0,
  udp: 1,
  raw: 2,
  unix: 3,
  packet: 4,
  sctp: 5,
  dccp: 6,
  mptcp: 7,
  vsock: 8,
  netlink: 9,
} as const satisfies Record<SocketProtocol, number>;

/** In `SocketBatch.netns`: the network namespace that the agent runs in, ... */
export const ownNetns = 0;
/** ... and one that the kernel tells of, and that is not known. */
export const unknownNetns = 0xffffffff;

/** The kernel counts sockets from 1 on and never comes this far. */
const mostCookies = 2 ** 42;
const mostNetns = 2 ** 11;

/** What is added to the cookies of a network namespace where each has its own, as before Linux 5.4, ... */
export const cookiesOfNetns = (netns: number): number => (netns % mostNetns) * mostCookies;
/** ... and the cookie that the kernel gave. */
export const givenCookie = (cookie: number): number => cookie % mostCookies;

/** In the queues: the source does not give it (/proc/net has no backlog, and no queues of unix sockets). */
export const notGiven = 0xffffffff;

/**
 * Sockets as columns, one row each: what a socket source yields. A batch is reused: it is valid until the next one is
 * asked for. A row is whole: its source sets every column of it (`resetRow`), those that it cannot know to the value
 * that stands for "not given".
 */
export type SocketBatch = {
  length: number;
  /** Index into `socketProtocols`. */
  readonly protocol: Uint8Array;
  /** AF_x: AF_INET (2), AF_INET6 (10), AF_UNIX (1), AF_PACKET (17), AF_NETLINK (16), AF_VSOCK (40). */
  readonly family: Uint8Array;
  /** SOCK_STREAM (1), SOCK_DGRAM (2), SOCK_RAW (3), SOCK_SEQPACKET (5); 0 where the family has one type only. */
  readonly type: Uint8Array;
  /** TCP_ESTABLISHED (1) to TCP_CLOSING (11); SCTP has states of its own. */
  readonly state: Uint8Array;
  readonly localPort: Uint16Array;
  readonly peerPort: Uint16Array;
  /**
   * Eight words a row as they stand in the message (network byte order): four local, four peer; IPv4 uses the first of
   * each. Of a unix socket the first of the peer's is the inode of the socket at the other end; 0: none, or not given.
   */
  readonly addresses: Uint32Array;
  /** Number of the socket's network namespace, which no other one ever has. Sources of the agent's own leave it alone. */
  readonly netns: Uint32Array;
  /** The device that the socket is bound to; 0: none. */
  readonly ifindex: Uint32Array;
  /**
   * Unique for the life of the socket, over the host since Linux 5.4. A source that has no cookies gives a negative
   * number that stays the same from dump to dump.
   */
  readonly cookie: Float64Array;
  readonly uid: Uint32Array;
  /** 0: the socket has no file (an orphan, a request, a connection not accepted), or it is not given. */
  readonly inode: Uint32Array;
  /** Id of the cgroup v2 that the socket was made in; 0: not given. */
  readonly cgroup: Float64Array;
  /** Index into `congestionNames`; 0: not given. */
  readonly congestion: Uint8Array;
  /** Names of congestion control algorithms, as they were met; the first is empty. */
  readonly congestionNames: string[];
  /** Bytes not read; of a listener: connections not accepted. `notGiven` where it is not given. */
  readonly rqueue: Uint32Array;
  /** Bytes not sent or not acknowledged; of a listener: the backlog. `notGiven` where it is not given. */
  readonly wqueue: Uint32Array;
  /** SK_MEMINFO_DROPS; NaN where it was not given. */
  readonly drops: Float64Array;
  /** 1: a full socket; 0: a request or TIME_WAIT socket, which has no counters. */
  readonly full: Uint8Array;
  /** `infoStride` numbers a row, the fields of struct tcp_info; NaN for what was not given or not asked for. */
  readonly info: Float64Array;
  readonly infoStride: number;
  /** The path of a unix socket, `@` first for an abstract one; undefined for all others. */
  readonly name: (string | undefined)[];
};

export const createSocketBatch = (capacity: number, infoStride: number): SocketBatch => ({
  length: 0,
  protocol: new Uint8Array(capacity),
  family: new Uint8Array(capacity),
  type: new Uint8Array(capacity),
  state: new Uint8Array(capacity),
  localPort: new Uint16Array(capacity),
  peerPort: new Uint16Array(capacity),
  addresses: new Uint32Array(capacity * 8),
  netns: new Uint32Array(capacity),
  ifindex: new Uint32Array(capacity),
  cookie: new Float64Array(capacity),
  uid: new Uint32Array(capacity),
  inode: new Uint32Array(capacity),
  cgroup: new Float64Array(capacity),
  congestion: new Uint8Array(capacity),
  congestionNames: [""],
  rqueue: new Uint32Array(capacity),
  wqueue: new Uint32Array(capacity),
  drops: new Float64Array(capacity),
  full: new Uint8Array(capacity),
  info: new Float64Array(capacity * infoStride).fill(Number.NaN),
  infoStride,
  name: Array.from({ length: capacity }, () => undefined),
});

/** Sets a row to "nothing given", for sources that fill in but a few columns. */
export const resetRow = (batch: SocketBatch, row: number): void => {
  batch.protocol[row] = 0;
  batch.family[row] = 0;
  batch.type[row] = 0;
  batch.state[row] = 0;
  batch.localPort[row] = 0;
  batch.peerPort[row] = 0;
  batch.addresses.fill(0, row * 8, row * 8 + 8);
  batch.netns[row] = ownNetns;
  batch.ifindex[row] = 0;
  batch.cookie[row] = 0;
  batch.uid[row] = 0;
  batch.inode[row] = 0;
  batch.cgroup[row] = 0;
  batch.congestion[row] = 0;
  batch.rqueue[row] = 0;
  batch.wqueue[row] = 0;
  batch.drops[row] = Number.NaN;
  batch.full[row] = 1;
  batch.info.fill(Number.NaN, row * batch.infoStride, (row + 1) * batch.infoStride);
  batch.name[row] = undefined;
};

const columnNames = [
  "protocol",
  "family",
  "type",
  "state",
  "localPort",
  "peerPort",
  "netns",
  "ifindex",
  "cookie",
  "uid",
  "inode",
  "cgroup",
  "rqueue",
  "wqueue",
  "drops",
  "full",
] as const;

/** Appends a row of one batch to another with room and the same stride. */
export const copyRow = (from: SocketBatch, at: number, to: SocketBatch): void => {
  const row = to.length++;
  for (const column of columnNames) to[column][row] = from[column][at] ?? 0;
  for (let word = 0; word < 8; word++) to.addresses[row * 8 + word] = from.addresses[at * 8 + word] ?? 0;
  const { infoStride: stride } = from;
  for (let field = 0; field < stride; field++)
    to.info[row * stride + field] = from.info[at * stride + field] ?? Number.NaN;
  const congestion = from.congestionNames[from.congestion[at] ?? 0] ?? "";
  if (!to.congestionNames.includes(congestion)) to.congestionNames.push(congestion);
  to.congestion[row] = to.congestionNames.indexOf(congestion);
  to.name[row] = from.name[at];
};
