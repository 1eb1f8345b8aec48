import type { MetricColumns } from "../model/columns.ts";
import { copyRow, createSocketBatch, type SocketBatch } from "../model/socket.ts";
import { noNetnsFacts } from "../model/sources.ts";
import type { FlowFacts } from "./flow-group.ts";
import { rankGroups } from "./flow-rank.ts";
import {
  addLive,
  endGroup,
  endLeaving,
  forget,
  groupFor,
  isFirstDump,
  outliveExport,
  rowOf,
  zeroCounters,
} from "./flow-rows.ts";
import { addCounters, rankRtt } from "./flow-values.ts";
import { type Flows, type Group, growSlots, isUnexported, noRow } from "./flow-state.ts";

const socketsOfSlice = 2_000;
/** Dumps in which a flow's owner is asked for: a first scan of a large host takes many. */
const ownerDumps = 40;
/** New flows that can wait for their owners in one tick, in batches; what is more has none at first. */
const rowsOfWaiting = 1_024;
const mostWaiting = 8;
/** Closed flows whose destroy events are still to come: kept so many, or as many as there are slots. */
const leastAwaiting = 8_192;

const beginDump = (flows: Flows): void => {
  flows.dump++;
  flows.previous = -1;
  flows.destroyed = new Set();
};

/** Starts a tick at `time` (Unix ms): gauges are what this tick's sockets say. */
export const beginFlows = (flows: Flows, time: number): void => {
  const { table, gauges } = flows;
  flows.tick++;
  flows.nextSettle = flows.tick;
  flows.time = time;
  beginDump(flows);
  gauges.folded.fill(0);
  for (const column of gauges.columns) table.values(column).fill(Number.NaN);
};

/**
 * Starts a dump between two ticks, which is not settled: counters are brought up to date and new flows added, and what
 * it does not show is not absent. Its gauges are not folded.
 */
export const beginResync = (flows: Flows): void => beginDump(flows);

/** After it, complete or not. */
export const endResync = (flows: Flows): void => {
  flows.destroyed = undefined;
  flows.waiting = undefined;
};

export const portsOf = (batch: SocketBatch, at: number): number =>
  (((batch.localPort[at] as number) << 16) | (batch.peerPort[at] as number)) >>> 0;

/**
 * By socket, the addresses and ports of a flow under a new cookie: the socket that had them is gone, unless this dump
 * has shown it too, in another VRF or on another device, or what it counted last or its end has not been exported yet.
 * Then they share the series.
 */
const takeOver = (flows: Flows, group: Group, batch: SocketBatch, at: number): void => {
  if (group.slot >= 0) {
    if (isUnexported(flows, group.slot)) return;
    closeFlow(flows, group.slot, flows.hasEvents);
  } else if (group.live > 0 || group.emptySince >= flows.nextSettle) return;
  if (group.row < 0) return;
  flows.table.restart(group.row, flows.lastTime);
  zeroCounters(flows, group.row, batch, at);
};

/** Whether the socket's counters count from its birth; else from what they are now. */
const isYounger = (flows: Flows, cookie: number, first: boolean): boolean =>
  !first && !(flows.undecidedAtStart.size > 0 && flows.undecidedAtStart.delete(cookie));

/** Counts one more flow into its group. */
const countOpened = (flows: Flows, group: Group, row: number, first: boolean): void => {
  addLive(flows, group, 1);
  if (first || flows.perSocket) return;
  const opened = flows.table.values(flows.columns.opened);
  opened[row] = (opened[row] as number) + 1;
};

const countClosed = (flows: Flows, group: Group, row: number): void => {
  if (!flows.perSocket && row >= 0) {
    const closed = flows.table.values(flows.columns.closed);
    closed[row] = (closed[row] as number) + 1;
  }
  addLive(flows, group, -1);
};

/** Where the group's flows are counted; -1 before there is such a row. */
export const heldRow = (flows: Flows, group: Group): number => (group.row < 0 ? flows.overflow.row : group.row);

/** A slot for a flow not seen before. Its baseline is 0, but for a flow older than the agent in a group: what it has now. */
const openFlow = (flows: Flows, batch: SocketBatch, at: number, facts: FlowFacts): number => {
  const { counters, grouping } = flows;
  let group = groupFor(flows, batch, at, facts, false);
  if (flows.perSocket) {
    takeOver(flows, group, batch, at);
    // In the overflow, a group without flows is none.
    if (!flows.groups.has(group.key)) group = groupFor(flows, batch, at, facts, false);
  }
  const row = rowOf(flows, group, batch, at, facts);
  const slot = flows.freeSlots.pop() ?? flows.slots++;
  if (slot >= flows.cookies.length) growSlots(flows);
  const cookie = batch.cookie[at] as number;
  if (cookie < 0) flows.substituted = true;
  const first = isFirstDump(flows, batch, at, facts);
  const younger = isYounger(flows, cookie, first);
  flows.slotOfCookie.set(cookie, slot);
  flows.cookies[slot] = cookie;
  flows.groupOf[slot] = group;
  flows.rows[slot] = row;
  flows.seen[slot] = 0;
  flows.ports[slot] = portsOf(batch, at);
  flows.netns[slot] = batch.netns[at] as number;
  flows.live[slot] = 1;
  flows.recheck[slot] = grouping.needsProcess || grouping.needsCgroup ? ownerDumps : 0;
  group.slot = slot;
  const wholeLife = younger || (flows.perSocket && group.row >= 0 && first);
  for (let index = 0; index < counters.count; index++) {
    const value = batch.info[at * batch.infoStride + (counters.field[index] as number)] as number;
    flows.last[slot * counters.count + index] = wholeLife ? 0 : value;
  }
  countOpened(flows, group, row, first);
  return slot;
};

/** Frees a slot; its flow has been counted as closed. */
export const freeSlot = (flows: Flows, slot: number): void => {
  flows.slotOfCookie.delete(flows.cookies[slot] as number);
  flows.freeSlots.push(slot);
  flows.cookies[slot] = Number.NaN;
  flows.groupOf[slot] = undefined;
  flows.live[slot] = 0;
};

/** Counts a flow as closed; with `awaits` its counters are kept for its destroy event. */
export const closeFlow = (flows: Flows, slot: number, awaits: boolean): void => {
  const group = flows.groupOf[slot] as Group;
  if (flows.live[slot] === 1) countClosed(flows, group, heldRow(flows, group));
  if (isUnexported(flows, slot)) outliveExport(flows, group);
  flows.live[slot] = 0;
  if (group.slot === slot) group.slot = -1;
  if (!awaits) {
    freeSlot(flows, slot);
    return;
  }
  flows.awaiting.push({ slot, cookie: flows.cookies[slot] as number });
};

/** A flow that had been absent too long is there again. */
const reopen = (flows: Flows, slot: number, batch: SocketBatch, at: number, facts: FlowFacts): void => {
  const group = groupFor(flows, batch, at, facts, false);
  const row = rowOf(flows, group, batch, at, facts);
  flows.groupOf[slot] = group;
  flows.rows[slot] = row;
  flows.live[slot] = 1;
  group.slot = slot;
  countOpened(flows, group, row, flows.lastTime === 0);
};

/** Puts a new flow aside until its owner has been looked for; false where it cannot wait. */
const wait = ({ waiting }: Flows, batch: SocketBatch, at: number): boolean => {
  if (waiting === undefined) return false;
  let last = waiting.at(-1);
  if (last === undefined || last.length === rowsOfWaiting) {
    if (waiting.length === mostWaiting) return false;
    last = createSocketBatch(rowsOfWaiting, batch.infoStride);
    waiting.push(last);
  }
  copyRow(batch, at, last);
  return true;
};

/** A cookie that has no slot: a new flow, or one that is not wanted. -1: none. */
const newSlot = (flows: Flows, batch: SocketBatch, at: number, facts: FlowFacts): number => {
  const cookie = batch.cookie[at] as number;
  if (flows.destroyed?.has(cookie) === true) return -1;
  const verdict = facts.admit(batch, at, "dump");
  if (verdict === "no") return -1;
  if (facts.ownerPending(batch, at) && wait(flows, batch, at)) return -1;
  if (verdict === "undecided") {
    if (isFirstDump(flows, batch, at, facts)) flows.undecidedAtStart.add(cookie);
    return -1;
  }
  return openFlow(flows, batch, at, facts);
};

/**
 * The flow's slot, or -1. The kernel walks its table in the same order each time, so that the flow that came after the
 * one before is tried first: a lookup by cookie costs as much as the rest of the fold.
 */
const slotOf = (flows: Flows, batch: SocketBatch, at: number, facts: FlowFacts): number => {
  const cookie = batch.cookie[at] as number;
  const before = flows.previous + 1;
  let slot = flows.successors[before] as number;
  if (flows.cookies[slot] !== cookie) {
    slot = flows.slotOfCookie.get(cookie) ?? newSlot(flows, batch, at, facts);
    if (slot < 0) return slot;
    flows.successors[before] = slot;
  }
  flows.previous = slot;
  return slot;
};

/** The owner of a flow may be known by now: what it counts from now on goes to its group. */
const reconsider = (flows: Flows, slot: number, batch: SocketBatch, at: number, facts: FlowFacts): void => {
  if (facts.ownerPending(batch, at)) {
    flows.recheck[slot] = (flows.recheck[slot] as number) - 1;
    return;
  }
  // A connection that nobody has accepted has its listener's owner for now.
  if (batch.inode[at] !== 0) flows.recheck[slot] = 0;
  const from = flows.groupOf[slot] as Group;
  const to = groupFor(flows, batch, at, facts, false);
  if (to === from) return;
  addLive(flows, to, 1);
  addLive(flows, from, -1);
  flows.groupOf[slot] = to;
  flows.rows[slot] = rowOf(flows, to, batch, at, facts);
};

/** What became of a row: added, passed over since this dump has shown its cookie before, or left out, for now or for good. */
export type Folded = "added" | "again" | "left";

/** Adds one flow of a batch. */
export const foldFlow = (flows: Flows, batch: SocketBatch, at: number, facts: FlowFacts): Folded => {
  let slot = slotOf(flows, batch, at, facts);
  if (slot < 0) return "left";
  if (flows.seen[slot] === flows.dump) return "again";
  if (flows.ports[slot] !== portsOf(batch, at)) {
    // Connected anew under the same cookie: nothing of it is what it was.
    closeFlow(flows, slot, false);
    slot = slotOf(flows, batch, at, facts);
    if (slot < 0) return "left";
  } else if (flows.live[slot] === 0) reopen(flows, slot, batch, at, facts);
  if (flows.recheck[slot] !== 0) reconsider(flows, slot, batch, at, facts);
  if ((flows.rows[slot] as number) < 0) flows.rows[slot] = rowOf(flows, flows.groupOf[slot] as Group, batch, at, facts);
  addCounters(flows, slot, batch, at);
  flows.seen[slot] = flows.dump;
  flows.rowOfBatch[at] = flows.rows[slot] as number;
  if (flows.rankedSince > 0 && flows.options.rankBy === "rtt") rankRtt(flows, slot, batch, at);
  return "added";
};

/** From now on, new flows whose owner is not known wait for it. */
export const letWait = (flows: Flows): void => {
  flows.waiting = [];
};

/** The flows that waited; they are to be folded now, with or without an owner. */
export const takeWaiting = (flows: Flows): readonly SocketBatch[] => {
  const { waiting } = flows;
  flows.waiting = undefined;
  return waiting ?? [];
};

const settleGroup = (flows: Flows, group: Group): void => {
  const { gauges, table, columns, options } = flows;
  if (group.row < 0) {
    if (group.live === 0 && group.row === noRow) forget(flows, group);
    return;
  }
  table.values(columns.count)[group.row] = group.live;
  const { folded } = gauges;
  for (let index = 0, cell = group.row * 2 * gauges.count; index < gauges.count; index++, cell += 2) {
    const samples = folded[cell + 1] as number;
    if (samples === 0) continue;
    const value = (folded[cell] as number) / (gauges.isMean[index] === 1 ? samples : 1);
    table.values(gauges.columns[index] as number)[group.row] = value / (gauges.scale[index] as number);
  }
  if (group === flows.overflow || group.live > 0) return;
  const ttl = flows.perSocket ? 0 : options.seriesTtl;
  if (flows.tick - group.emptySince >= ttl) endGroup(flows, group);
};

/** Drops what has waited longest for its event, beyond what is kept. */
const trimAwaiting = (flows: Flows): void => {
  const bound = Math.max(leastAwaiting, flows.slotOfCookie.size >> 1);
  const { awaiting } = flows;
  const excess = awaiting.length - bound;
  const kept = awaiting.filter(({ slot, cookie }, index) => {
    if (flows.cookies[slot] !== cookie || flows.live[slot] === 1) return false;
    if (index >= excess) return true;
    freeSlot(flows, slot);
    return false;
  });
  flows.awaiting = kept;
};

/**
 * After a complete dump: closes flows, ends groups, and finishes means; flows of the network namespaces `unread` are not
 * absent. Yields the number of sockets after each slice.
 */
export function* settleFlows(flows: Flows, unread: ReadonlySet<number> = noNetnsFacts.unread): Generator<number> {
  flows.destroyed = undefined;
  endLeaving(flows);
  for (let slot = 0; slot < flows.slots; slot++) {
    if (slot % socketsOfSlice === socketsOfSlice - 1) yield socketsOfSlice;
    if (flows.live[slot] === 0) continue;
    // Two dumps of ticks in a row did not show it: a single one can miss a live socket.
    if ((flows.seen[slot] as number) >= flows.settledDump || unread.has(flows.netns[slot] as number)) continue;
    closeFlow(flows, slot, flows.hasEvents);
  }
  flows.settledDump = flows.dump;
  trimAwaiting(flows);
  let handled = 0;
  for (const group of flows.groups.values()) {
    if (++handled % socketsOfSlice === 0) yield socketsOfSlice;
    if (group.row >= 0) settleGroup(flows, group);
  }
  if (flows.overflow.row >= 0) settleGroup(flows, flows.overflow);
  yield* rankGroups(flows);
  for (const group of flows.groups.values()) {
    if (++handled % socketsOfSlice === 0) yield socketsOfSlice;
    if (group.row < 0) settleGroup(flows, group);
  }
  flows.transient = 0;
  flows.nextSettle = flows.tick + 1;
  flows.lastTime = flows.time;
}

/** Instead of `settleFlows` where the dump was not complete: what it did not show is not absent. */
export const abandonFlows = (flows: Flows): void => {
  flows.destroyed = undefined;
  flows.waiting = undefined;
  flows.nextSettle = flows.tick + 1;
};

/** The tick's metrics; `absent` after a dump that failed. */
export const collectFlows = (flows: Flows, absent: boolean): Generator<number, MetricColumns[]> =>
  flows.table.collect(absent);

/** Groups with series of their own, and flows in the overflow group. */
export const countGroups = (flows: Flows): { readonly own: number; readonly overflowed: number } => ({
  own: flows.ownRows - flows.promises,
  overflowed: flows.overflow.live,
});
