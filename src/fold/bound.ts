import type { OwnAttributes, ProducerMetricOf } from "../metrics/catalogue.ts";
import { type Attributes, attributeSet, type MetricColumns } from "../model/columns.ts";
import { notGiven, protocolIndex, type SocketBatch } from "../model/socket.ts";
import { type NetnsFacts, noNetnsFacts } from "../model/sources.ts";
import { addressText, local, networkType } from "../netlink/address.ts";
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

type BoundKind = "listener" | "udp_port";

/** The three columns of a bound address and port: two that are summed over its sockets now, and their drops. */
type BoundColumns = { readonly rqueue: number; readonly wqueue: number; readonly drops: number };

/** Series by bound address and port, or by path: what is kept of them from one tick to the next. */
export type Bound = ReturnType<typeof createBound>;

const createBound = <S extends BoundKind>(
  transport: "tcp" | "udp",
  maxSeries: number,
  netns: NetnsFacts,
  columnsOf: (table: SeriesTable<S>) => BoundColumns,
) => {
  const table = new SeriesTable<S>();
  return {
    transport,
    maxSeries,
    table: table as Pick<SeriesTable<S>, "values" | "add" | "remove" | "collect">,
    columns: columnsOf(table),
    known: createKnownSockets(netns),
    rowOfKey: new Map<string, number>(),
    keyOfRow: new Map<number, string>(),
    members: new Map<number, number>(),
  };
};

const column = <S extends BoundKind, M extends ProducerMetricOf<S>>(
  table: SeriesTable<S>,
  metric: M,
  own: OwnAttributes<M>,
) => table.column(metric, own);

/** Listening TCP and unix sockets: connections that wait, the backlog, and what was dropped. */
export const createListeners = (maxSeries: number, netns = noNetnsFacts): Bound =>
  createBound<"listener">("tcp", maxSeries, netns, (table) => ({
    rqueue: column(table, "sockscope.listener.accept_queue.usage", {}),
    wqueue: column(table, "sockscope.listener.accept_queue.limit", {}),
    drops: column(table, "sockscope.listener.drops", {}),
  }));

/** Unconnected UDP sockets: bytes in their queues, and datagrams that they dropped. */
export const createUdpPorts = (maxSeries: number, netns = noNetnsFacts): Bound =>
  createBound<"udp_port">("udp", maxSeries, netns, (table) => ({
    rqueue: column(table, "sockscope.udp.queue.usage", { "network.io.direction": "receive" }),
    wqueue: column(table, "sockscope.udp.queue.usage", { "network.io.direction": "transmit" }),
    drops: column(table, "sockscope.udp.drops", {}),
  }));

const overflowKey = "overflow";

/** Starts a tick at `time` (Unix ms). */
export const beginBound = (bound: Bound, time: number): void => {
  beginKnown(bound.known, time);
  bound.table.values(bound.columns.rqueue).fill(Number.NaN);
  bound.table.values(bound.columns.wqueue).fill(Number.NaN);
};

/** The attributes of the socket's series. */
const identityOf = ({ transport, known }: Bound, batch: SocketBatch, at: number): Attributes => {
  const { several, nameOf } = known.netns;
  const name = several ? nameOf(batch.netns[at] as number) : undefined;
  const netns = name === undefined ? {} : { "sockscope.netns": name };
  if (batch.protocol[at] === protocolIndex.unix)
    return { "network.transport": "unix", "network.local.address": batch.name[at] ?? "", ...netns };
  return {
    "network.transport": transport,
    "network.type": networkType(batch, at),
    "network.local.address": addressText(batch, at, local),
    "network.local.port": batch.localPort[at] as number,
    ...netns,
  };
};

const keyOf = (identity: Attributes): string => Object.values(identity).join(" ");

const rowOf = (bound: Bound, batch: SocketBatch, at: number): number => {
  const identity = identityOf(bound, batch, at);
  let key = keyOf(identity);
  const own = bound.rowOfKey.size - (bound.rowOfKey.has(overflowKey) ? 1 : 0);
  if (!bound.rowOfKey.has(key) && own >= bound.maxSeries) key = overflowKey;
  const known = bound.rowOfKey.get(key);
  if (known !== undefined) return known;
  const values = key === overflowKey ? { "otel.metric.overflow": true } : identity;
  const row = bound.table.add(attributeSet(values), startOfNew(bound.known));
  bound.rowOfKey.set(key, row);
  bound.keyOfRow.set(row, key);
  bound.members.set(row, 0);
  return row;
};

/** Adds one socket of a batch. A cookie that this dump has shown before is passed over. */
export const foldBound = (bound: Bound, batch: SocketBatch, at: number): void => {
  const drops = batch.drops[at] as number;
  const socket = meetSocket(bound.known, batch, at, () => {
    const row = rowOf(bound, batch, at);
    bound.members.set(row, (bound.members.get(row) ?? 0) + 1);
    return row;
  });
  if (socket === undefined) return;
  addTo(bound.table.values(bound.columns.rqueue), socket.row, batch.rqueue[at] as number);
  const wqueue = batch.wqueue[at] as number;
  if (wqueue !== notGiven) addTo(bound.table.values(bound.columns.wqueue), socket.row, wqueue);
  // The overflow series has sockets with drops and sockets without.
  if (!Number.isNaN(drops)) addTo(bound.table.values(bound.columns.drops), socket.row, takeDrops(socket, drops));
};

/** After a complete dump: ends what has no socket any more. */
export const settleBound = (bound: Bound): void => {
  settleKnown(bound.known, (row) => {
    const members = (bound.members.get(row) ?? 1) - 1;
    bound.members.set(row, members);
    if (members > 0) return;
    bound.table.remove(row);
    bound.rowOfKey.delete(bound.keyOfRow.get(row) ?? "");
    bound.keyOfRow.delete(row);
    bound.members.delete(row);
  });
};

/** Instead of `settleBound` where the dump was not complete. */
export const abandonBound = (bound: Bound): void => abandonKnown(bound.known);

export const collectBound = (bound: Bound, absent: boolean): Generator<number, MetricColumns[]> =>
  bound.table.collect(absent);

/** Series of their own, and sockets in the overflow series. */
export const countBound = (bound: Bound): { readonly own: number; readonly overflowed: number } => {
  const overflow = bound.rowOfKey.get(overflowKey);
  return {
    own: bound.rowOfKey.size - (overflow === undefined ? 0 : 1),
    overflowed: overflow === undefined ? 0 : (bound.members.get(overflow) ?? 0),
  };
};
