import { type Flows, type Group, noRow, promised } from "./flow-state.ts";
import { demote, remapRows } from "./flow-rows.ts";

const groupsOfSlice = 2_000;
/** Of a group's rank, what it keeps from one tick to the next. */
const memory = 0.5;
/** A group takes another's place when it ranks this much above it ... */
const advantage = 1.5;
/** ... and the other has had its place for this many ticks. */
const tenure = 3;
/** Places that change hands in one tick: a tenth of them, but no more than can be sorted in a moment. */
const mostSwaps = 256;

/** The best of many by score, without sorting them all: the highest `size`, the first the best. */
const keepBest = (best: Group[], size: number, group: Group, better: (a: Group, b: Group) => boolean): void => {
  const last = best.at(-1);
  if (best.length >= size && (last === undefined || !better(group, last))) return;
  let at = best.length;
  while (at > 0 && better(group, best[at - 1] as Group)) at--;
  best.splice(at, 0, group);
  if (best.length > size) best.pop();
};

const higher = (a: Group, b: Group): boolean => a.score > b.score;
const lower = (a: Group, b: Group): boolean => a.score < b.score;

const score = (flows: Flows, group: Group): void => {
  switch (flows.options.rankBy) {
    case "flows":
      group.score = group.live;
      break;
    case "rtt":
      group.score = group.activity;
      break;
    default:
      group.score = group.score * memory + group.activity;
  }
  group.activity = 0;
};

/** Groups that have a row, or the promise of one; without those that leave. */
const held = (flows: Flows): number => flows.ownRows - flows.leaving.length;

/** A promise that no flow came for is taken back. */
const takeBack = (flows: Flows, group: Group): void => {
  group.row = noRow;
  flows.ownRows--;
};

/**
 * Gives rows of their own to the groups that rank highest among those without, in free places and in those of groups
 * that rank clearly lower. Yields the number of groups or flows after each slice.
 */
export function* rankGroups(flows: Flows): Generator<number> {
  const { options, groups } = flows;
  flows.promises = 0;
  if (groups.size <= held(flows)) {
    flows.rankedSince = 0;
    return;
  }
  if (flows.rankedSince === 0) flows.rankedSince = flows.tick;
  const swaps = flows.tick - flows.rankedSince < tenure ? 0 : Math.min(mostSwaps, Math.ceil(options.maxGroups / 10));
  const places = Math.min(mostSwaps, Math.max(0, options.maxGroups - held(flows))) + swaps;
  const rising: Group[] = [];
  const falling: Group[] = [];
  let handled = 0;
  let changed = false;
  for (const group of groups.values()) {
    if (++handled % groupsOfSlice === 0) yield groupsOfSlice;
    score(flows, group);
    if (group.row === promised && group.since < flows.tick) {
      takeBack(flows, group);
      changed = true;
    }
    if (group.row === noRow) keepBest(rising, places, group, higher);
    else if (flows.tick - group.since >= tenure) keepBest(falling, swaps, group, lower);
  }
  for (const group of rising) {
    if (held(flows) >= options.maxGroups) {
      const victim = falling.shift();
      if (victim === undefined || group.score <= victim.score * advantage) break;
      demote(flows, victim);
    }
    group.row = promised;
    group.since = flows.tick;
    flows.ownRows++;
    flows.promises++;
    changed = true;
  }
  if (changed) yield* remapRows(flows);
}
