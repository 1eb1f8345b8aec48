import { isDeepStrictEqual } from "node:util";
import type { Outcome } from "../model/outcome.ts";
import type { RunProbe } from "../model/sources.ts";
import type { Target } from "../model/target.ts";

export type ScheduleOptions = {
  /** Runs at a time. */
  readonly concurrency: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly run: RunProbe;
  /** `lagSeconds`: actual minus planned start; for a slot that never started, the time it was late when given up. */
  readonly onResult: (target: Target, outcome: Outcome, lagSeconds: number) => void;
};

export type ScheduleChange = { readonly added: number; readonly removed: number; readonly changed: number };

export type ScheduleStats = {
  readonly targets: number;
  readonly running: number;
  /** Due runs that wait for others to end. */
  readonly queued: number;
};

export type Schedule = {
  /**
   * Puts these targets in the place of the present ones. An unchanged target keeps its slots and the run in flight;
   * the run of a removed or changed one is cancelled without a result.
   */
  update(targets: readonly Target[]): ScheduleChange;
  stats(): ScheduleStats;
  /** Cancels all runs, without results, and waits for their ends. */
  stop(): Promise<void>;
};

/** A target in the schedule. */
type Entry = {
  readonly target: Target;
  /** The slot that comes next, in `now` milliseconds: the key of the heap. */
  next: number;
  /** The slot that is due and has not started. */
  due: number | undefined;
  /** The run in flight. */
  run: AbortController | undefined;
  removed: boolean;
};

const maxTimerMs = 2 ** 31 - 1;

/**
 * Where in its interval a target has its slots, in [0, 1): by its name alone, so that a restart keeps the spread.
 * FNV-1a, with the finalizer of MurmurHash3, without which names that end in consecutive numbers lie together.
 */
export const phaseOf = (name: string): number => {
  let hash = 0x811c9dc5;
  for (let index = 0; index < name.length; index++) hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
};

/** Moves the entry at `index` down to its place in a binary heap whose other entries are in theirs. */
const siftDown = (heap: Entry[], index: number): void => {
  const entry = heap[index];
  if (entry === undefined) return;
  for (let hole = index; ;) {
    const left = heap[2 * hole + 1];
    const right = heap[2 * hole + 2];
    const child = right !== undefined && left !== undefined && right.next < left.next ? right : left;
    if (child === undefined || child.next >= entry.next) {
      heap[hole] = entry;
      return;
    }
    heap[hole] = child;
    hole = child === left ? 2 * hole + 1 : 2 * hole + 2;
  }
};

const overloaded = (): Outcome => ({
  kind: "not_run",
  error: "agent_overloaded",
  detail: "the run could not start before the next one was due",
  seconds: 0,
  phases: {},
  facts: {},
});

const byNext = (a: Entry, b: Entry): number => a.next - b.next;

const cancel = (entry: Entry): void => {
  entry.removed = true;
  entry.run?.abort();
};

/**
 * Runs each target once an interval, on a fixed grid that its name and the schedule's creation set. One timer, which
 * does not hold the process. A slot that has not started when the target's next one is due is reported once as
 * `agent_overloaded`, and the target keeps its place among those that wait. Of the slots that pass while the process
 * stands still, one is reported and none is made up for: the target goes on with its next slot.
 */
export const createSchedule = ({ concurrency, now, run, onResult }: ScheduleOptions): Schedule => {
  const origin = now();
  let entries = new Map<string, Entry>();
  /** All entries, by `next`. */
  let heap: Entry[] = [];
  /** First in, first out, from `head` on. */
  let queue: Entry[] = [];
  let head = 0;
  let running = 0;
  let timer: NodeJS.Timeout | undefined;
  const stopped = Promise.withResolvers<void>();
  let stopping = false;

  const take = (): Entry | undefined => {
    const entry = running < concurrency ? queue[head] : undefined;
    if (entry !== undefined) head++;
    // Half of a long array at a time, so that taking costs the same however many wait.
    if (head > 1024 && head > queue.length / 2) {
      queue = queue.slice(head);
      head = 0;
    }
    return entry;
  };

  const execute = async (entry: Entry, planned: number): Promise<void> => {
    const lagSeconds = (now() - planned) / 1000;
    const controller = new AbortController();
    entry.run = controller;
    entry.due = undefined;
    running++;
    const outcome = await run(entry.target, controller.signal);
    running--;
    entry.run = undefined;
    if (!controller.signal.aborted) onResult(entry.target, outcome, lagSeconds);
    if (entry.due !== undefined && !entry.removed) queue.push(entry);
    launch();
    if (stopping && running === 0) stopped.resolve();
  };

  const launch = (): void => {
    for (let entry = take(); entry?.due !== undefined; entry = take()) void execute(entry, entry.due);
  };

  const comeDue = (entry: Entry, time: number): void => {
    const { target, due, next: slot } = entry;
    const missed = Math.floor((time - slot) / target.intervalMs);
    const last = slot + missed * target.intervalMs;
    entry.next = last + target.intervalMs;
    if (due !== undefined || missed > 0) onResult(target, overloaded(), (time - (due ?? slot)) / 1000);
    // Nobody kept it waiting, so the process stood still: were this slot run now, so would be all others' at once.
    if (entry.removed || (due === undefined && missed > 0)) return;
    entry.due = last;
    if (due === undefined && entry.run === undefined) queue.push(entry);
  };

  const wake = (): void => {
    const time = now();
    for (let entry = heap[0]; entry !== undefined && entry.next <= time; entry = heap[0]) {
      comeDue(entry, time);
      siftDown(heap, 0);
    }
    launch();
    arm();
  };

  const arm = (): void => {
    clearTimeout(timer);
    const first = heap[0];
    if (first === undefined) return;
    const delayMs = Math.min(maxTimerMs, Math.max(0, Math.ceil(first.next - now())));
    timer = setTimeout(wake, delayMs).unref();
  };

  const entryOf = (target: Target, time: number): Entry => {
    const first = origin + phaseOf(target.name) * target.intervalMs;
    const passed = Math.max(0, Math.ceil((time - first) / target.intervalMs));
    return { target, next: first + passed * target.intervalMs, due: undefined, run: undefined, removed: false };
  };

  const replace = (fresh: Map<string, Entry>): void => {
    for (const entry of entries.values()) if (fresh.get(entry.target.name) !== entry) cancel(entry);
    entries = fresh;
    heap = [...fresh.values()].sort(byNext);
    queue = queue.slice(head).filter((entry) => !entry.removed);
    head = 0;
    arm();
  };

  const update = (targets: readonly Target[]): ScheduleChange => {
    if (stopping) return { added: 0, removed: 0, changed: 0 };
    const time = now();
    const fresh = new Map<string, Entry>();
    let added = 0;
    let changed = 0;
    for (const target of targets) {
      const known = entries.get(target.name);
      const same = known !== undefined && isDeepStrictEqual(known.target, target);
      fresh.set(target.name, same ? known : entryOf(target, time));
      if (known === undefined) added++;
      else if (!same) changed++;
    }
    const removed = entries.size + added - fresh.size;
    replace(fresh);
    return { added, removed, changed };
  };

  const stop = async (): Promise<void> => {
    stopping = true;
    replace(new Map());
    if (running > 0) await stopped.promise;
  };

  const stats = (): ScheduleStats => ({ targets: entries.size, running, queued: queue.length - head });
  return { update, stats, stop };
};
