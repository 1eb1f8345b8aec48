import { type Attributes, attributeSet } from "../model/columns.ts";
import type { SocketBatch } from "../model/socket.ts";
import { groupKey, type FlowFacts } from "./flow-group.ts";
import { createGroup, type Flows, type Group, growFolded, noRow, promised } from "./flow-state.ts";

/** Groups without a row that one tick may make for flows that are gone already, as a part of `max_groups`. */
const transientShare = 2;

/** Sets a row's counters to 0, and to absent where the kernel does not give the field. */
export const zeroCounters = (flows: Flows, row: number, batch: SocketBatch, at: number): void => {
  const { table, columns, counters } = flows;
  table.values(columns.count)[row] = 0;
  if (!flows.perSocket) {
    table.values(columns.opened)[row] = 0;
    table.values(columns.closed)[row] = 0;
  }
  for (let index = 0; index < counters.count; index++) {
    const given = batch.info[at * batch.infoStride + (counters.field[index] as number)] as number;
    table.values(counters.columns[index] as number)[row] = Number.isNaN(given) ? Number.NaN : 0;
  }
};

const addRow = (flows: Flows, values: Attributes, start: number, batch: SocketBatch, at: number): number => {
  const row = flows.table.add(attributeSet(values), start);
  growFolded(flows, row);
  zeroCounters(flows, row, batch, at);
  return row;
};

/** Whether this dump is the first that could show the socket: it may be older than the agent. */
export const isFirstDump = (flows: Flows, batch: SocketBatch, at: number, facts: FlowFacts): boolean =>
  flows.lastTime === 0 || facts.unmet(batch, at);

const startOfGroup = (flows: Flows): number => (flows.lastTime === 0 ? flows.time : flows.lastTime);

/** The row of what has none of its own. */
const overflowRow = (flows: Flows, batch: SocketBatch, at: number): number => {
  const { overflow } = flows;
  if (overflow.row === noRow)
    overflow.row = addRow(flows, { "otel.metric.overflow": true }, startOfGroup(flows), batch, at);
  return overflow.row;
};

/** The row that a group's flows are added to. A promoted group starts with what its flows bring now, from 0. */
export const rowOf = (flows: Flows, group: Group, batch: SocketBatch, at: number, facts: FlowFacts): number => {
  if (group.row === promised) {
    group.row = addRow(flows, flows.grouping.attributes(batch, at, facts), flows.lastTime, batch, at);
    group.since = flows.tick;
    flows.overflow.live -= group.live;
  }
  return group.row === noRow ? overflowRow(flows, batch, at) : group.row;
};

/** The flow's group; a new one has a row of its own while there is room. `gone`: the flow has ended already. */
export const groupFor = (flows: Flows, batch: SocketBatch, at: number, facts: FlowFacts, gone: boolean): Group => {
  const { groups, options, perSocket } = flows;
  const values = flows.grouping.attributes(batch, at, facts);
  const key = groupKey(values);
  const known = groups.get(key);
  if (known !== undefined) return known;
  const group = createGroup(key);
  group.emptySince = flows.nextSettle;
  if (flows.ownRows < options.maxGroups) {
    // A socket that is older than the agent brings a past of unknown length, a group starts with what is counted.
    const isPast = perSocket && isFirstDump(flows, batch, at, facts);
    group.row = addRow(flows, values, isPast ? 0 : startOfGroup(flows), batch, at);
    group.since = flows.tick;
    flows.ownRows++;
  } else if (gone) {
    if (flows.transient >= options.maxGroups * transientShare) return flows.overflow;
    flows.transient++;
  }
  groups.set(key, group);
  return group;
};

/** The group has `change` more live flows. */
export const addLive = (flows: Flows, group: Group, change: 1 | -1): void => {
  const { overflow } = flows;
  group.live += change;
  if (group !== overflow && group.row < 0) overflow.live += change;
  if (group.live === 0) {
    group.emptySince = flows.nextSettle;
    // Without a row there is nothing to live on for.
    if (group !== overflow && group.row < 0 && group.activity === 0) forget(flows, group);
  }
};

/** A socket that a tick exports for the last time lives until then: by socket, one tick beyond its end. */
export const outliveExport = (flows: Flows, group: Group): void => {
  if (group.live === 0) group.emptySince = flows.nextSettle + (flows.perSocket ? 1 : 0);
};

/** Takes a group without flows out of the table of groups, and gives back the promise that it may have had. */
export const forget = (flows: Flows, group: Group): void => {
  if (group.row === promised) flows.ownRows--;
  group.row = noRow;
  flows.groups.delete(group.key);
};

/** Ends a group's series with the next collection. */
export const endGroup = (flows: Flows, group: Group): void => {
  flows.table.remove(group.row);
  flows.ownRows--;
  forget(flows, group);
};

/** The group's flows go on in the overflow; its series is exported once more, with what this tick added, and ends then. */
export const demote = (flows: Flows, group: Group): void => {
  flows.leaving.push(group.row);
  flows.overflow.live += group.live;
  group.row = noRow;
  if (group.live === 0) flows.groups.delete(group.key);
};

/** Ends the series that left in the tick before. */
export const endLeaving = (flows: Flows): void => {
  for (const row of flows.leaving) flows.table.remove(row);
  flows.ownRows -= flows.leaving.length;
  flows.leaving = [];
};

/** What the flows of a group are folded into, by slot: after groups have changed their rows. */
export function* remapRows(flows: Flows): Generator<number> {
  const slice = 2_000;
  for (let slot = 0; slot < flows.slots; slot++) {
    if (slot % slice === slice - 1) yield slice;
    const group = flows.groupOf[slot];
    if (group !== undefined) flows.rows[slot] = group.row === noRow ? flows.overflow.row : group.row;
  }
}
