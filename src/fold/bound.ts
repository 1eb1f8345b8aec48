import type { OwnAttributes, ProducerMetricOf } from "../metrics/catalogue.ts";
import { attributeSet, type MetricColumns } from "../model/columns.ts";
import type { SocketBatch } from "../model/socket.ts";
import { addressText, local, networkType } from "../netlink/address.ts";
import { SeriesTable } from "./series.ts";

type BoundKind = "listener" | "udp_port";

/** The three columns of a bound address and port: two that are summed over its sockets now, and their drops. */
type BoundColumns = { readonly rqueue: number; readonly wqueue: number; readonly drops: number };

type Socket = { readonly row: number; drops: number; seen: number };

/** Series by bound address and port: what is kept of them from one tick to the next. */
export type Bound = ReturnType<typeof createBound>;

const createBound = <S extends BoundKind>(
  transport: "tcp" | "udp",
  maxSeries: number,
  columnsOf: (table: SeriesTable<S>) => BoundColumns,
) => {
  const table = new SeriesTable<S>();
  return {
    transport,
    maxSeries,
    table: table as Pick<SeriesTable<S>, "values" | "add" | "remove" | "collect">,
    columns: columnsOf(table),
    tick: 0,
    /** Unix ms of this tick and of the last complete dump before it; 0 before the first. */
    time: 0,
    lastTime: 0,
    sockets: new Map<number, Socket>(),
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

/** Listening TCP sockets: connections that wait, the backlog, and what was dropped. */
export const createListeners = (maxSeries: number): Bound =>
  createBound<"listener">("tcp", maxSeries, (table) => ({
    rqueue: column(table, "sockscope.listener.accept_queue.usage", {}),
    wqueue: column(table, "sockscope.listener.accept_queue.limit", {}),
    drops: column(table, "sockscope.listener.drops", {}),
  }));

/** Unconnected UDP sockets: bytes in their queues, and datagrams that they dropped. */
export const createUdpPorts = (maxSeries: number): Bound =>
  createBound<"udp_port">("udp", maxSeries, (table) => ({
    rqueue: column(table, "sockscope.udp.queue.usage", { "network.io.direction": "receive" }),
    wqueue: column(table, "sockscope.udp.queue.usage", { "network.io.direction": "transmit" }),
    drops: column(table, "sockscope.udp.drops", {}),
  }));

const overflowKey = "overflow";

/** Starts a tick at `time` (Unix ms). */
export const beginBound = (bound: Bound, time: number): void => {
  bound.tick++;
  bound.time = time;
  bound.table.values(bound.columns.rqueue).fill(Number.NaN);
  bound.table.values(bound.columns.wqueue).fill(Number.NaN);
};

const rowOf = (bound: Bound, batch: SocketBatch, at: number): number => {
  const address = addressText(batch, at, local);
  const type = networkType(batch, at);
  const port = batch.localPort[at] as number;
  let key = `${type} ${address} ${port}`;
  const own = bound.rowOfKey.size - (bound.rowOfKey.has(overflowKey) ? 1 : 0);
  if (!bound.rowOfKey.has(key) && own >= bound.maxSeries) key = overflowKey;
  const known = bound.rowOfKey.get(key);
  if (known !== undefined) return known;
  const values =
    key === overflowKey
      ? { "otel.metric.overflow": true }
      : {
          "network.transport": bound.transport,
          "network.type": type,
          "network.local.address": address,
          "network.local.port": port,
        };
  const row = bound.table.add(attributeSet(values), bound.lastTime === 0 ? bound.time : bound.lastTime);
  bound.table.values(bound.columns.drops)[row] = Number.isNaN(batch.drops[at]) ? Number.NaN : 0;
  bound.rowOfKey.set(key, row);
  bound.keyOfRow.set(row, key);
  bound.members.set(row, 0);
  return row;
};

const addTo = (values: Float64Array, row: number, value: number): void => {
  const sum = values[row] as number;
  values[row] = Number.isNaN(sum) ? value : sum + value;
};

/** Adds one socket of a batch. A cookie that this dump has shown before is passed over. */
export const foldBound = (bound: Bound, batch: SocketBatch, at: number): void => {
  const cookie = batch.cookie[at] as number;
  const drops = batch.drops[at] as number;
  let socket = bound.sockets.get(cookie);
  if (socket?.seen === bound.tick) return;
  if (socket === undefined) {
    const row = rowOf(bound, batch, at);
    socket = { row, drops: bound.lastTime === 0 ? drops : 0, seen: 0 };
    bound.sockets.set(cookie, socket);
    bound.members.set(row, (bound.members.get(row) ?? 0) + 1);
  }
  socket.seen = bound.tick;
  addTo(bound.table.values(bound.columns.rqueue), socket.row, batch.rqueue[at] as number);
  addTo(bound.table.values(bound.columns.wqueue), socket.row, batch.wqueue[at] as number);
  // sk_drops is a u32 that wraps.
  const delta = drops >= socket.drops ? drops - socket.drops : drops - socket.drops + 4_294_967_296;
  const totals = bound.table.values(bound.columns.drops);
  totals[socket.row] = (totals[socket.row] as number) + delta;
  socket.drops = drops;
};

/** After a complete dump: ends what has no socket any more. Two absences close a socket, as with flows. */
export const settleBound = (bound: Bound): void => {
  for (const [cookie, socket] of bound.sockets) {
    if (bound.tick - socket.seen < 2) continue;
    bound.sockets.delete(cookie);
    const members = (bound.members.get(socket.row) ?? 1) - 1;
    bound.members.set(socket.row, members);
    if (members > 0) continue;
    bound.table.remove(socket.row);
    bound.rowOfKey.delete(bound.keyOfRow.get(socket.row) ?? "");
    bound.keyOfRow.delete(socket.row);
    bound.members.delete(socket.row);
  }
  bound.lastTime = bound.time;
};

/** Instead of `settleBound` where the dump was not complete. */
export const abandonBound = (bound: Bound): void => {
  for (const socket of bound.sockets.values()) socket.seen = Math.min(socket.seen + 1, bound.tick);
};

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
