import type { socketStates, socketTypes } from "../metrics/catalogue.ts";
import { type Attributes, attributeSet, type MetricColumns } from "../model/columns.ts";
import { protocolIndex, type SocketBatch, type SocketProtocol, socketProtocols } from "../model/socket.ts";
import { noNetnsFacts } from "../model/sources.ts";
import * as k from "../netlink/constants.ts";
import { sctpStates } from "../netlink/inet-others.ts";
import {
  abandonKnown,
  beginKnown,
  createKnownSockets,
  meetSocket,
  settleKnown,
  startOfNew,
  takeDrops,
} from "./known.ts";
import { addTo, SeriesTable } from "./series.ts";
import { allStates, dumpedStates } from "./states.ts";

type SocketType = (typeof socketTypes)[number];
type SocketState = (typeof socketStates)[number];

/** Protocols whose sockets are counted, and nothing else: neither flows nor bound ports. */
export type CountedProtocol = Exclude<SocketProtocol, "tcp" | "udp">;

/** A type with the states that it can have, each of which has a series from the first tick on, so that none has 0. */
type Shape = readonly [type: SocketType | undefined, states: readonly SocketState[]];

const ofTcp = Object.keys(dumpedStates) as SocketState[];
const connected: readonly SocketState[] = ["established", "listen", "closed"];
const ofVsock: readonly SocketState[] = ["syn_sent", "established", "closing", "closed", "listen"];
const ofDccp = [...ofTcp.filter((state) => state !== "fin_wait_2" && state !== "last_ack"), "time_wait" as const];

/** Sockets of several types have one; of raw, SCTP, DCCP and MPTCP none is given. Where there is no connection there are no states. */
const shapes: Readonly<Record<CountedProtocol, readonly Shape[]>> = {
  raw: [[undefined, []]],
  unix: [
    ["stream", connected],
    ["dgram", ["established", "closed"]],
    ["seqpacket", connected],
  ],
  packet: [
    ["raw", []],
    ["dgram", []],
  ],
  sctp: [[undefined, Object.keys(sctpStates) as SocketState[]]],
  dccp: [[undefined, ofDccp]],
  mptcp: [[undefined, ofTcp]],
  vsock: [
    ["stream", ofVsock],
    ["seqpacket", ofVsock],
    ["dgram", ["closed"]],
  ],
  netlink: [
    ["raw", []],
    ["dgram", []],
  ],
};

const typeNames: Readonly<Record<number, SocketType>> = {
  [k.SOCK_STREAM]: "stream",
  [k.SOCK_DGRAM]: "dgram",
  [k.SOCK_RAW]: "raw",
  [k.SOCK_SEQPACKET]: "seqpacket",
};

const namesOf = (states: Readonly<Record<string, number>>): Readonly<Record<number, SocketState>> =>
  Object.fromEntries(Object.entries(states).map(([name, number]) => [number, name as SocketState]));
const tcpNames = namesOf(allStates);
const sctpNames = namesOf(sctpStates);

const countedProtocols = socketProtocols.filter((name): name is CountedProtocol => name !== "tcp" && name !== "udp");

const hasTypes = (protocol: CountedProtocol): boolean => shapes[protocol].some(([type]) => type !== undefined);
const hasStates = (protocol: CountedProtocol): boolean => shapes[protocol].some(([, states]) => states.length > 0);

/** The attributes of a type and state; numbers that this version does not know are `other`, so that no socket is lost. */
const identityOf = (
  protocol: CountedProtocol,
  type: SocketType | undefined,
  state: SocketState | undefined,
): Attributes => ({
  ...(protocol === "unix" ? { "network.transport": protocol } : { "network.protocol.name": protocol }),
  ...(type === undefined ? {} : { "sockscope.socket.type": type }),
  ...(state === undefined ? {} : { "network.connection.state": state }),
});

/** One protocol's sockets: what is kept of them. */
type Family = {
  readonly protocol: CountedProtocol;
  /** Of families that drop: the series of each socket's drops. */
  readonly known: ReturnType<typeof createKnownSockets>;
  /** Cookies of this dump: it can show a socket twice. */
  readonly cookies: Set<number>;
  /** Sockets of this dump by type and state (`combine`). */
  readonly counts: Map<number, number>;
  readonly rows: Map<string, number>;
  /** The row of a type and state. */
  readonly rowOf: Map<number, number>;
};

/** Sockets of the protocols that are counted by type and state. */
export type SocketCounts = ReturnType<typeof createSocketCounts>;

export const createSocketCounts = (protocols: readonly SocketProtocol[], netns = noNetnsFacts) => {
  const table = new SeriesTable<"family">();
  return {
    table,
    columns: { count: table.column("sockscope.socket.count", {}), drops: table.column("sockscope.socket.drops", {}) },
    families: new Map<number, Family>(
      countedProtocols
        .filter((protocol) => protocols.includes(protocol))
        .map((protocol) => [
          protocolIndex[protocol],
          {
            protocol,
            known: createKnownSockets(netns),
            cookies: new Set(),
            counts: new Map(),
            rows: new Map(),
            rowOf: new Map(),
          },
        ]),
    ),
  };
};

const forgetCounts = (family: Family): void => {
  family.cookies.clear();
  family.counts.clear();
};

/** Starts a tick at `time` (Unix ms). */
export const beginSocketCounts = ({ families }: SocketCounts, time: number): void => {
  for (const family of families.values()) {
    beginKnown(family.known, time);
    forgetCounts(family);
  }
};

/** The protocol's sockets come once more, from the first on. Drops are kept by cookie, and count once a tick. */
export const restartSocketCounts = ({ families }: SocketCounts, protocol: SocketProtocol): void => {
  const family = families.get(protocolIndex[protocol]);
  if (family !== undefined) forgetCounts(family);
};

const combine = (type: number, state: number): number => type * 256 + state;

const addRow = (
  { table }: SocketCounts,
  family: Family,
  type: SocketType | undefined,
  state: SocketState | undefined,
): number => {
  const key = `${type} ${state}`;
  let row = family.rows.get(key);
  if (row === undefined) {
    row = table.add(attributeSet(identityOf(family.protocol, type, state)), startOfNew(family.known));
    family.rows.set(key, row);
  }
  return row;
};

const rowOf = (counts: SocketCounts, family: Family, type: number, state: number): number => {
  const combined = combine(type, state);
  let row = family.rowOf.get(combined);
  if (row === undefined) {
    const { protocol } = family;
    const names = protocol === "sctp" ? sctpNames : tcpNames;
    row = addRow(
      counts,
      family,
      hasTypes(protocol) ? (typeNames[type] ?? "other") : undefined,
      hasStates(protocol) ? (names[state] ?? "other") : undefined,
    );
    family.rowOf.set(combined, row);
  }
  return row;
};

/** Counts one socket of a batch. A cookie that this dump has shown before is passed over. */
export const countSocket = (counts: SocketCounts, batch: SocketBatch, at: number): void => {
  const family = counts.families.get(batch.protocol[at] as number);
  if (family === undefined) return;
  const cookie = batch.cookie[at] as number;
  // SCTP's associations have the cookie of their endpoint, and a peer.
  if (family.protocol !== "sctp" || batch.peerPort[at] === 0) {
    if (family.cookies.has(cookie)) return;
    family.cookies.add(cookie);
  }
  const combined = combine(batch.type[at] as number, batch.state[at] as number);
  family.counts.set(combined, (family.counts.get(combined) ?? 0) + 1);
  const drops = batch.drops[at] as number;
  if (Number.isNaN(drops)) return;
  // The series of drops is that of the type: families that drop have no states.
  const socket = meetSocket(family.known, batch, at, () =>
    rowOf(counts, family, batch.type[at] as number, batch.state[at] as number),
  );
  if (socket === undefined) return;
  addTo(counts.table.values(counts.columns.drops), socket.row, takeDrops(socket, drops));
};

/** After a complete dump: every series of a protocol that was read has its count, and one that the kernel lacks has none. */
export const settleSocketCounts = (counts: SocketCounts, lacking: ReadonlySet<SocketProtocol>): void => {
  const { table, columns } = counts;
  for (const family of counts.families.values()) {
    if (lacking.has(family.protocol)) {
      for (const row of family.rows.values()) table.remove(row);
      family.rows.clear();
      family.rowOf.clear();
      family.known.sockets.clear();
      family.known.lastTime = 0;
      continue;
    }
    for (const [type, states] of shapes[family.protocol]) {
      for (const state of states.length === 0 ? [undefined] : states) addRow(counts, family, type, state);
    }
    const sums = new Map<number, number>();
    for (const [combined, count] of family.counts) {
      const row = rowOf(counts, family, combined >> 8, combined & 255);
      sums.set(row, (sums.get(row) ?? 0) + count);
    }
    for (const row of family.rows.values()) table.values(columns.count)[row] = sums.get(row) ?? 0;
    settleKnown(family.known, () => undefined);
  }
};

/** Instead of `settleSocketCounts` where the dump was not complete. */
export const abandonSocketCounts = ({ families }: SocketCounts): void => {
  for (const family of families.values()) abandonKnown(family.known);
};

export const collectSocketCounts = (counts: SocketCounts, absent: boolean): Generator<number, MetricColumns[]> =>
  counts.table.collect(absent);
