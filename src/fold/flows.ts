import { attributeSet, type MetricColumns } from "../model/columns.ts";
import type { SocketBatch } from "../model/socket.ts";
import { tcpInfoIndex, tcpInfoStride } from "../netlink/tcp-info.ts";
import { flowCounters, sampleFlow } from "./flow-columns.ts";
import { flowGroupings, type RoleFacts } from "./flow-group.ts";
import { counters, type Flows, growSlots } from "./flow-state.ts";

/** A flow that two complete dumps in a row did not show is closed: a single dump can miss a live socket. */
const absencesOfClosed = 2;
const socketsOfSlice = 2_000;

const counterWraps = Float64Array.from(flowCounters, ({ wraps }) => wraps);
const counterFields = flowCounters.map(({ field }) => tcpInfoIndex[field]);
/** u64 counters never wrap: one that falls says that the socket was reset under the same cookie (connect(AF_UNSPEC)). */
const restartCounters = flowCounters.flatMap(({ wraps }, index) => (wraps === 0 ? [index] : []));

/** Key of the group of what has no group of its own; no grouping makes it. */
const overflowKey = "overflow";

/** Starts a tick at `time` (Unix ms): gauges are what this tick's sockets say. */
export const beginFlows = (flows: Flows, time: number): void => {
  flows.tick++;
  flows.previous = -1;
  flows.time = time;
  for (const gauge of flows.gauges) {
    flows.table.values(gauge.column).fill(Number.NaN);
    gauge.samples.fill(0);
  }
};

/** Sets a row's counters to 0, and to absent where the kernel does not give the field. */
const zeroCounters = (flows: Flows, row: number, batch: SocketBatch, at: number): void => {
  const { table, columns } = flows;
  table.values(columns.count)[row] = 0;
  if (!flows.perSocket) {
    table.values(columns.opened)[row] = 0;
    table.values(columns.closed)[row] = 0;
  }
  for (let index = 0; index < counters; index++) {
    const given = batch.info[at * tcpInfoStride + (counterFields[index] as number)] as number;
    table.values(columns.counters[index] as number)[row] = Number.isNaN(given) ? Number.NaN : 0;
  }
};

const addGroup = (flows: Flows, key: string, batch: SocketBatch, at: number, facts: RoleFacts): number => {
  const { table, options, perSocket } = flows;
  const values =
    key === overflowKey
      ? { "otel.metric.overflow": true }
      : flowGroupings[options.groupBy].attributes(batch, at, facts);
  // A socket that is older than the agent brings a past of unknown length, a group starts with what is counted.
  const start = flows.lastTime === 0 ? (perSocket && key !== overflowKey ? 0 : flows.time) : flows.lastTime;
  const row = table.add(attributeSet(values), start);
  flows.rowOfKey.set(key, row);
  flows.groups.set(row, { key, live: 0, emptySince: 0, slot: -1 });
  for (const gauge of flows.gauges) {
    if (row < gauge.samples.length) continue;
    const samples = new Uint32Array(gauge.samples.length * 2);
    samples.set(gauge.samples);
    gauge.samples = samples;
  }
  zeroCounters(flows, row, batch, at);
  return row;
};

const groupOf = (flows: Flows, batch: SocketBatch, at: number, facts: RoleFacts): number => {
  const key = flowGroupings[flows.options.groupBy].key(batch, at, facts);
  const row = flows.rowOfKey.get(key);
  if (row !== undefined) {
    // The same addresses and ports under a new cookie: the socket that had them is gone, unless this dump has shown it
    // too, in another VRF or on another device. Then the two share the series.
    const group = flows.groups.get(row);
    if (flows.perSocket && group !== undefined && group.slot >= 0 && flows.seen[group.slot] !== flows.tick) {
      closeFlow(flows, group.slot);
      flows.table.restart(row, flows.lastTime);
      zeroCounters(flows, row, batch, at);
    }
    return row;
  }
  const own = flows.rowOfKey.size - (flows.rowOfKey.has(overflowKey) ? 1 : 0);
  if (own < flows.options.maxGroups) return addGroup(flows, key, batch, at, facts);
  return flows.rowOfKey.get(overflowKey) ?? addGroup(flows, overflowKey, batch, at, facts);
};

/** A slot for a flow not seen before. Its baseline is 0, but for a flow older than the agent in a group: what it has now. */
const openFlow = (flows: Flows, batch: SocketBatch, at: number, facts: RoleFacts): number => {
  const row = groupOf(flows, batch, at, facts);
  const slot = flows.freeSlots.pop() ?? flows.slots++;
  if (slot >= flows.cookies.length) growSlots(flows);
  const cookie = batch.cookie[at] as number;
  flows.slotOfCookie.set(cookie, slot);
  flows.cookies[slot] = cookie;
  flows.rows[slot] = row;
  const group = flows.groups.get(row);
  if (group !== undefined) {
    group.live++;
    group.slot = slot;
  }
  const older = flows.lastTime === 0;
  const wholeLife = flows.perSocket && group?.key !== overflowKey;
  for (let index = 0; index < counters; index++) {
    const value = batch.info[at * tcpInfoStride + (counterFields[index] as number)] as number;
    flows.last[slot * counters + index] = older && !wholeLife ? value : 0;
  }
  if (!older && !flows.perSocket) {
    const opened = flows.table.values(flows.columns.opened);
    opened[row] = (opened[row] as number) + 1;
  }
  return slot;
};

const closeFlow = (flows: Flows, slot: number): void => {
  const row = flows.rows[slot] as number;
  flows.slotOfCookie.delete(flows.cookies[slot] as number);
  flows.freeSlots.push(slot);
  flows.cookies[slot] = Number.NaN;
  const group = flows.groups.get(row);
  if (group !== undefined) {
    group.live--;
    group.emptySince = flows.tick;
    if (group.slot === slot) group.slot = -1;
  }
  if (!flows.perSocket) {
    const closed = flows.table.values(flows.columns.closed);
    closed[row] = (closed[row] as number) + 1;
  }
};

const hotColumns = (flows: Flows): Flows["hot"] => {
  const { table, columns, gauges } = flows;
  if (flows.hot.generation !== table.generation) {
    flows.hot = {
      generation: table.generation,
      counters: columns.counters.map((column) => table.values(column)),
      gauges: gauges.map(({ column }) => table.values(column)),
    };
  }
  return flows.hot;
};

const addCounters = (flows: Flows, slot: number, batch: SocketBatch, at: number): void => {
  const base = slot * counters;
  const row = flows.rows[slot] as number;
  const given = at * tcpInfoStride;
  let restarted = false;
  for (const index of restartCounters) {
    if ((batch.info[given + (counterFields[index] as number)] as number) < (flows.last[base + index] as number))
      restarted = true;
  }
  if (restarted) {
    flows.last.fill(0, base, base + counters);
    if (flows.perSocket && flows.groups.get(row)?.key !== overflowKey) {
      flows.table.restart(row, flows.lastTime);
      zeroCounters(flows, row, batch, at);
    }
  }
  const hot = hotColumns(flows).counters;
  for (let index = 0; index < counters; index++) {
    const value = batch.info[given + (counterFields[index] as number)] as number;
    const last = flows.last[base + index] as number;
    const delta = value >= last ? value - last : value - last + (counterWraps[index] as number);
    flows.last[base + index] = value;
    const totals = hot[index] as Float64Array;
    totals[row] = (totals[row] as number) + delta;
  }
};

const addGauges = (flows: Flows, row: number, batch: SocketBatch, at: number): void => {
  const { gauges, sample } = flows;
  const hot = hotColumns(flows).gauges;
  sampleFlow(batch, at, sample);
  for (let index = 0; index < gauges.length; index++) {
    const gauge = gauges[index] as (typeof gauges)[number];
    const value = sample[gauge.sample] as number;
    if (Number.isNaN(value)) continue;
    const values = hot[index] as Float64Array;
    const folded = values[row] as number;
    gauge.samples[row] = (gauge.samples[row] as number) + 1;
    if (Number.isNaN(folded)) values[row] = value;
    else if (gauge.fold === "min") values[row] = Math.min(folded, value);
    else if (gauge.fold === "max") values[row] = Math.max(folded, value);
    else values[row] = folded + value;
  }
};

/**
 * The flow's slot. The kernel walks its table in the same order each time, so that the flow that came after the one
 * before is tried first: a lookup by cookie costs as much as the rest of the fold.
 */
const slotOf = (flows: Flows, batch: SocketBatch, at: number, facts: RoleFacts): number => {
  const cookie = batch.cookie[at] as number;
  const before = flows.previous + 1;
  let slot = flows.successors[before] as number;
  if (flows.cookies[slot] !== cookie) {
    slot = flows.slotOfCookie.get(cookie) ?? openFlow(flows, batch, at, facts);
    flows.successors[before] = slot;
  }
  flows.previous = slot;
  return slot;
};

/** Adds one flow of a batch. A cookie that this dump has shown before is passed over. */
export const foldFlow = (flows: Flows, batch: SocketBatch, at: number, facts: RoleFacts): void => {
  const slot = slotOf(flows, batch, at, facts);
  if (flows.seen[slot] === flows.tick) return;
  flows.seen[slot] = flows.tick;
  addCounters(flows, slot, batch, at);
  addGauges(flows, flows.rows[slot] as number, batch, at);
};

/** After a complete dump: closes flows, ends groups, and finishes means. Yields the number of sockets after each slice. */
export function* settleFlows(flows: Flows): Generator<number> {
  for (let slot = 0; slot < flows.slots; slot++) {
    if (slot % socketsOfSlice === socketsOfSlice - 1) yield socketsOfSlice;
    if (Number.isNaN(flows.cookies[slot])) continue;
    if (flows.tick - (flows.seen[slot] as number) >= absencesOfClosed) closeFlow(flows, slot);
  }
  const ttl = flows.perSocket ? 0 : flows.options.seriesTtl;
  let handled = 0;
  for (const [row, group] of flows.groups) {
    if (++handled % socketsOfSlice === 0) yield socketsOfSlice;
    flows.table.values(flows.columns.count)[row] = group.live;
    for (const gauge of flows.gauges) {
      const values = flows.table.values(gauge.column);
      if (gauge.fold === "mean") values[row] = (values[row] as number) / (gauge.samples[row] as number);
    }
    if (group.live > 0 || flows.tick - group.emptySince < ttl) continue;
    flows.table.remove(row);
    flows.groups.delete(row);
    flows.rowOfKey.delete(group.key);
  }
  flows.lastTime = flows.time;
}

/** Instead of `settleFlows` where the dump was not complete: what it did not show is not absent. */
export const abandonFlows = (flows: Flows): void => {
  for (let slot = 0; slot < flows.slots; slot++) {
    flows.seen[slot] = Math.min((flows.seen[slot] as number) + 1, flows.tick);
  }
};

/** The tick's metrics; `absent` after a dump that failed. */
export const collectFlows = (flows: Flows, absent: boolean): Generator<number, MetricColumns[]> =>
  flows.table.collect(absent);

/** Groups with series of their own, and flows in the overflow group. */
export const countGroups = (flows: Flows): { readonly own: number; readonly overflowed: number } => {
  const overflow = flows.rowOfKey.get(overflowKey);
  const overflowed = overflow === undefined ? 0 : (flows.groups.get(overflow)?.live ?? 0);
  return { own: flows.groups.size - (overflow === undefined ? 0 : 1), overflowed };
};
