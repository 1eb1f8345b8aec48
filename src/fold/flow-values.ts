import type { SocketBatch } from "../model/socket.ts";
import { tcpInfoIndex } from "../netlink/tcp-info.ts";
import { zeroCounters } from "./flow-rows.ts";
import { type Flows, type Group, isUnexported, noGuard, noRow } from "./flow-state.ts";

/** A u32 counter that seems to have gained so much in one tick did not wrap, but was reset. */
const leastImplausible = 2 ** 31;

/** The arrays of columns, looked up again when adding a row has moved them. */
const hotCounters = (flows: Flows): readonly Float64Array[] => {
  const { hot, table } = flows;
  if (hot.generation !== table.generation) {
    hot.generation = table.generation;
    hot.counters = flows.counters.columns.map((column) => table.values(column));
  }
  return hot.counters;
};

const isRestart = (flows: Flows, base: number, batch: SocketBatch, given: number): boolean => {
  const { restarts, field, wraps } = flows.counters;
  for (let at = 0; at < restarts.length; at++) {
    const index = restarts[at] as number;
    const gain = (batch.info[given + (field[index] as number)] as number) - (flows.last[base + index] as number);
    if (gain < 0 && (wraps[index] === 0 || gain + (wraps[index] as number) >= leastImplausible)) return true;
  }
  return false;
};

/** What the flow's counters were counts no more: they started anew. */
const restart = (flows: Flows, slot: number, batch: SocketBatch, at: number): void => {
  const { count } = flows.counters;
  flows.last.fill(0, slot * count, (slot + 1) * count);
  const { row } = flows.groupOf[slot] as Group;
  if (!flows.perSocket || row < 0 || isUnexported(flows, slot)) return;
  flows.table.restart(row, flows.lastTime);
  zeroCounters(flows, row, batch, at);
};

/** Whether any of the flow's counters has moved: most connections are idle most of the time. */
const hasMoved = (flows: Flows, base: number, batch: SocketBatch, given: number): boolean => {
  const { last } = flows;
  const { count, field } = flows.counters;
  const { info } = batch;
  for (let index = 0; index < count; index++)
    if (info[given + (field[index] as number)] !== last[base + index]) return true;
  return false;
};

/** Adds what the flow's counters have gained to its row. */
export const addCounters = (flows: Flows, slot: number, batch: SocketBatch, at: number): void => {
  const { counters, last } = flows;
  const { count, field, wraps, scale } = counters;
  const base = slot * count;
  const given = at * batch.infoStride;
  if (!hasMoved(flows, base, batch, given)) return;
  if (isRestart(flows, base, batch, given)) restart(flows, slot, batch, at);
  const row = flows.rows[slot] as number;
  const columns = hotCounters(flows);
  const ranked = flows.rankedSince > 0 ? counters.ranked : undefined;
  for (let index = 0; index < count; index++) {
    const value = batch.info[given + (field[index] as number)] as number;
    let gain = value - (last[base + index] as number);
    if (!(gain >= 0)) {
      if (Number.isNaN(gain)) continue;
      gain += wraps[index] as number;
    }
    last[base + index] = value;
    const totals = columns[index] as Float64Array;
    totals[row] = (totals[row] as number) + gain / (scale[index] as number);
    if (ranked?.[index] === 1) (flows.groupOf[slot] as Group).activity += gain;
  }
};

/** Adds the counters of a flow that no dump has shown, from its birth on. */
export const addWhole = (flows: Flows, group: Group, row: number, batch: SocketBatch, at: number): void => {
  const { count, field, scale, ranked } = flows.counters;
  const columns = hotCounters(flows);
  for (let index = 0; index < count; index++) {
    const value = batch.info[at * batch.infoStride + (field[index] as number)] as number;
    if (Number.isNaN(value)) continue;
    const totals = columns[index] as Float64Array;
    totals[row] = (totals[row] as number) + value / (scale[index] as number);
    if (flows.rankedSince > 0 && ranked[index] === 1) group.activity += value;
  }
};

/** Readings of one gauge, added to what the rows' earlier ones come to. */
const addReadings = (flows: Flows, index: number, batch: SocketBatch, start: number, end: number): void => {
  const { gauges, rowOfBatch } = flows;
  const { folded } = gauges;
  const { info, infoStride: stride } = batch;
  const width = 2 * gauges.count;
  const source = gauges.source[index] as number;
  const from = gauges.from[index] as number;
  const before = gauges.before[index] as number;
  const guard = gauges.guard[index] as number;
  const guardIsZero = gauges.guardIsZero[index] === 1;
  for (let at = start; at < end; at++) {
    const row = rowOfBatch[at] as number;
    if (row < 0) continue;
    const read = info[at * stride + source] as number;
    if (!(read >= from && read < before)) continue;
    if (guard !== noGuard && (info[at * stride + guard] === 0) !== guardIsZero) continue;
    const cell = row * width + 2 * index;
    const samples = folded[cell + 1] as number;
    if (index < gauges.added) folded[cell] = (folded[cell] as number) + read;
    else if (
      samples === 0 ||
      (index < gauges.least ? read < (folded[cell] as number) : read > (folded[cell] as number))
    )
      folded[cell] = read;
    folded[cell + 1] = samples + 1;
  }
};

const addQueues = (flows: Flows, batch: SocketBatch): void => {
  const { gauges, rowOfBatch } = flows;
  const { folded, count } = gauges;
  const width = 2 * count;
  for (let at = 0; at < batch.length; at++) {
    const row = rowOfBatch[at] as number;
    if (row < 0) continue;
    const cell = row * width + width - 4;
    folded[cell] = (folded[cell] as number) + (batch.wqueue[at] as number);
    folded[cell + 1] = 1;
    folded[cell + 2] = (folded[cell + 2] as number) + (batch.rqueue[at] as number);
    folded[cell + 3] = 1;
  }
};

export const rankRtt = (flows: Flows, slot: number, batch: SocketBatch, at: number): void => {
  const rtt = batch.info[at * batch.infoStride + tcpInfoIndex.rtt] as number;
  const group = flows.groupOf[slot] as Group;
  if (rtt > group.activity) group.activity = rtt;
};

/** Before the rows of a batch are folded. */
export const openBatch = (flows: Flows, batch: SocketBatch): void => {
  if (flows.rowOfBatch.length < batch.length) flows.rowOfBatch = new Int32Array(batch.cookie.length);
  flows.rowOfBatch.fill(noRow, 0, batch.length);
};

/** So many rows stay in the nearest cache while one gauge after the other is read. */
const rowsOfBlock = 64;

/** After them: the gauges of those that were added, one gauge after the other, which is what makes them cheap. */
export const closeBatch = (flows: Flows, batch: SocketBatch): void => {
  for (let start = 0; start < batch.length; start += rowsOfBlock) {
    const end = Math.min(start + rowsOfBlock, batch.length);
    for (let index = 0; index < flows.gauges.greatest; index++) addReadings(flows, index, batch, start, end);
  }
  if (flows.gauges.queues) addQueues(flows, batch);
};
