import type { SocketBatch } from "../model/socket.ts";
import { hasBytes, wasConnected } from "./flow-columns.ts";
import type { FlowFacts } from "./flow-group.ts";
import { groupFor, isFirstDump, outliveExport, rowOf } from "./flow-rows.ts";
import type { EventOutcome, Flows, Group } from "./flow-state.ts";
import { addCounters, addWhole } from "./flow-values.ts";
import { closeFlow, freeSlot, portsOf } from "./flows.ts";

/** The group that an ended flow's last counts go to: its own, or, where that has ended by now, one of the same name. */
const groupOfEnded = (flows: Flows, slot: number, batch: SocketBatch, at: number, facts: FlowFacts): Group => {
  const group = flows.groupOf[slot] as Group;
  return flows.groups.get(group.key) === group ? group : groupFor(flows, batch, at, facts, true);
};

/** A flow that began and ended between two dumps. */
const countWhole = (flows: Flows, batch: SocketBatch, at: number, facts: FlowFacts): EventOutcome => {
  if (!wasConnected(batch, at)) return "ignored";
  if (batch.peerPort[at] === 0) return "erased";
  // Older than the agent, or gone before the first dump: what it counted is not known to be new.
  if (isFirstDump(flows, batch, at, facts)) return "ignored";
  const verdict = facts.admit(batch, at, "event");
  if (verdict === "undecided") return "undecided";
  if (verdict === "no") return "ignored";
  const group = groupFor(flows, batch, at, facts, true);
  const row = rowOf(flows, group, batch, at, facts);
  addWhole(flows, group, row, batch, at);
  if (!flows.perSocket) {
    for (const column of [flows.columns.opened, flows.columns.closed]) {
      const values = flows.table.values(column);
      values[row] = (values[row] as number) + 1;
    }
  }
  outliveExport(flows, group);
  return "counted";
};

/** The end of a flow that a dump has shown. */
const merge = (flows: Flows, slot: number, batch: SocketBatch, at: number, facts: FlowFacts): EventOutcome => {
  if (batch.peerPort[at] !== 0 && flows.ports[slot] !== portsOf(batch, at)) {
    // Since the last dump it has been connected elsewhere under the same cookie.
    const before = flows.groupOf[slot] as Group;
    closeFlow(flows, slot, false);
    outliveExport(flows, before);
    return countWhole(flows, batch, at, facts);
  }
  // tcp_disconnect() erases the peer and the counters before the event: what the last dump said stands.
  const erased = batch.peerPort[at] === 0 || !hasBytes(batch, at);
  const group = groupOfEnded(flows, slot, batch, at, facts);
  if (!erased) {
    flows.groupOf[slot] = group;
    flows.rows[slot] = rowOf(flows, group, batch, at, facts);
    addCounters(flows, slot, batch, at);
  }
  if (flows.live[slot] === 1) closeFlow(flows, slot, false);
  else freeSlot(flows, slot);
  outliveExport(flows, group);
  return batch.peerPort[at] === 0 ? "erased" : "merged";
};

/**
 * Merges one destroy event: a row with the state CLOSE and the last struct tcp_info of a socket, as the kernel sends it
 * when it frees the socket. It has neither inode nor cgroup, and for some ends neither peer nor counters.
 */
export const foldEvent = (flows: Flows, batch: SocketBatch, at: number, facts: FlowFacts): void => {
  const cookie = batch.cookie[at] as number;
  if (flows.substituted) {
    flows.events.ignored++;
    return;
  }
  flows.destroyed?.add(cookie);
  const slot = flows.slotOfCookie.get(cookie);
  const outcome = slot === undefined ? countWhole(flows, batch, at, facts) : merge(flows, slot, batch, at, facts);
  flows.events[outcome]++;
};
