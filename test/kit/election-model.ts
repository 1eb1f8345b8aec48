import { type Answer, Election, type ElectionSettings } from "../../src/cluster/election.ts";
import type { Found, LeaseRecord, Written } from "../../src/model/lease.ts";

/** Whole numbers below `most`, the same for one seed (mulberry32). */
export const randomOf = (seed: number) => {
  let state = seed;
  const unit = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    unit,
    below: (most: number): number => Math.floor(unit() * most),
    chance: (share: number) => unit() < share,
  };
};

export type Random = ReturnType<typeof randomOf>;

/** The record of a backend that compares and swaps. */
export const createRecordStore = () => {
  let versions = 0;
  let found: Found | undefined;
  return {
    read: (): Found | undefined => found,
    write: (record: LeaseRecord | undefined, expected: string | undefined): Written => {
      if (found?.version !== expected) return "conflict";
      found = { version: String(++versions), record };
      return { version: found.version };
    },
    /** Whoever may do so by hand. */
    edit: (change: (record: LeaseRecord | undefined) => LeaseRecord | undefined | "gone"): void => {
      const record = change(found?.record);
      found = record === "gone" ? undefined : { version: String(++versions), record };
    },
  };
};

export type RecordStore = ReturnType<typeof createRecordStore>;

/** What may go wrong, as shares of requests, and of the turns of an agent. */
export type Faults = {
  readonly failing: number;
  readonly losing: number;
  readonly slow: number;
  readonly stalling: number;
};

export const noFaults: Faults = { failing: 0, losing: 0, slow: 0, stalling: 0 };

/** An agent of the model: its own clock, requests that take their time, turns that come late. */
export const createModelAgent = (settings: ElectionSettings, store: RecordStore, faults: Faults, random: Random) => {
  const election = new Election(settings, random.unit);
  const rate = 0.95 + random.unit() / 10;
  const offset = random.below(1e9);
  const clock = (time: number): number => offset + time * rate;
  let nextTurn = random.below(3000);
  let isDead = false;
  const inFlight: { readonly at: number; readonly land: () => void }[] = [];

  /** The answer to a request and when it comes; what it does at the backend happens on the way, or never, or later. */
  const begin = (time: number): void => {
    const now = clock(time);
    const action = election.next(now);
    if (action.do === "wait") {
      nextTurn = time + Math.max(1, (action.until - now) / rate);
      return;
    }
    const takes = 1 + random.below(random.chance(faults.slow) ? 12_000 : 60);
    const lands = time + random.below(takes);
    let answer: Answer = "failed";
    if (!random.chance(faults.failing))
      inFlight.push({
        at: lands,
        land: () => {
          answer =
            action.do === "read" ? { found: store.read() } : { written: store.write(action.record, action.expected) };
        },
      });
    const isLost = random.chance(faults.losing) || takes > 5000;
    const heard = time + Math.min(takes, 5000) + (random.chance(faults.stalling) ? random.below(40_000) : 0);
    nextTurn = Infinity;
    inFlight.push({
      at: heard,
      land: () => {
        election.answered(action, now, clock(heard), isLost ? "failed" : answer);
        nextTurn = heard;
      },
    });
  };

  return {
    election,
    /** Whether it would connect now. */
    probes: (time: number): boolean => !isDead && election.mayProbe(clock(time)),
    kill: (): void => {
      isDead = true;
    },
    release: (): void => {
      const write = election.release();
      if (write !== undefined && !random.chance(faults.failing)) store.write(write.record, write.expected);
      isDead = true;
    },
    advance: (time: number): void => {
      for (;;) {
        inFlight.sort((a, b) => a.at - b.at);
        if (inFlight[0] !== undefined && inFlight[0].at <= time) inFlight.shift()?.land();
        else if (!isDead && nextTurn <= time) begin(Math.max(nextTurn, time - 1));
        else return;
      }
    },
  };
};
