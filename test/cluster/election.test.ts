import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Election, type ElectionSettings } from "../../src/cluster/election.ts";
import type { LeaseRecord } from "../../src/model/lease.ts";
import { createModelAgent, createRecordStore, noFaults, randomOf } from "../kit/election-model.ts";

const times = { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 };
const settings = (name: string, more: Partial<ElectionSettings> = {}): ElectionSettings => ({
  identity: name,
  session: `session of ${name}`,
  ...times,
  ...more,
});

const record = (more: Partial<LeaseRecord> = {}): LeaseRecord => ({
  identity: "b",
  session: "session of b",
  durationMs: 15_000,
  term: 7,
  released: false,
  rival: "",
  ...more,
});

/** What an election does next, with an answer to it. */
const drive = (more: Partial<ElectionSettings> = {}) => {
  const election = new Election(settings("a", more), () => 0.5);
  return {
    election,
    /** Reads at `now` that this is there. */
    reads: (now: number, version: string | undefined, held: LeaseRecord | undefined = record()) => {
      expect(election.next(now)).toEqual({ do: "read" });
      const found = version === undefined ? undefined : { version, record: held };
      election.answered({ do: "read" }, now, now, { found });
    },
    /** Writes, and is told after `tookMs`. */
    writes: (now: number, tookMs: number, version: string) => {
      const action = election.next(now);
      if (action.do !== "write") throw new Error(`${action.do} instead of a write`);
      const answer =
        version === "failed" ? version : { written: version === "conflict" ? ("conflict" as const) : { version } };
      election.answered(action, now, now + tookMs, answer);
      return action;
    },
  };
};

describe("one candidate", () => {
  test("takes over what has not changed for the lease's duration, and not a millisecond before", () => {
    const { election, reads, writes } = drive();
    reads(1000, "5");
    expect(election.holder).toBe("b");
    expect(election.next(1000)).toEqual({ do: "wait", until: 1000 + 2000 * 1.6 });
    reads(4200, "5");
    reads(15_000, "5");
    expect(election.next(15_000)).toEqual({ do: "wait", until: 16_000 });
    reads(16_000, "5");
    const { expected, record: written } = writes(16_000, 50, "6");
    expect([expected, written]).toEqual(["5", record({ identity: "a", session: "session of a", term: 8 })]);
    expect([15_999, 16_000, 25_999, 26_000].map((now) => election.mayProbe(now))).toEqual([false, true, true, false]);
    expect(election.holder).toBe("a");
  });

  test("waits from the last change that it saw", () => {
    const { election, reads } = drive();
    reads(1000, "5");
    reads(10_000, "6");
    reads(16_000, "6");
    expect(election.next(16_000)).toEqual({ do: "wait", until: 19_200 });
    reads(24_999, "6");
    expect(election.next(24_999)).toEqual({ do: "wait", until: 25_000 });
  });

  test("waits for the longer one of its own duration and the holder's", () => {
    for (const [own, held, expiry] of [
      [15_000, 60_000, 61_000],
      [15_000, 1, 16_000],
    ] as const) {
      const { election, reads } = drive({ leaseDurationMs: own });
      reads(1000, "5", record({ durationMs: held }));
      reads(expiry - 1, "5", record({ durationMs: held }));
      expect(election.next(expiry - 1)).toEqual({ do: "wait", until: expiry });
    }
  });

  test("takes over at once what was let go of", () => {
    const { election, reads, writes } = drive();
    reads(1000, "5", record({ identity: "", session: "", released: true }));
    writes(1000, 10, "6");
    expect(election.mayProbe(1010)).toBe(true);
  });

  test.each([
    ["nothing is there", undefined, undefined],
    ["somebody has removed the holder", "5", record({ identity: "", session: "" })],
  ])("where %s it writes, and probes only when whoever led has stopped", (_what, version, held) => {
    const { election, reads, writes } = drive();
    reads(1000, version, held);
    writes(1000, 10, "6");
    expect([1010, 10_999].map((now) => election.mayProbe(now))).toEqual([false, false]);
    writes(8000, 10, "7");
    expect([15_999, 16_000, 17_999, 18_000].map((now) => election.mayProbe(now))).toEqual([false, true, true, false]);
  });

  test("keeps off what sockscope did not write", () => {
    const { election, reads } = drive();
    const found = { version: "5", record: undefined };
    election.answered({ do: "read" }, 1000, 1000, { found });
    expect([election.isForeign, election.holder, election.next(1000).do]).toEqual([true, undefined, "wait"]);
    reads(50_000, undefined);
    expect(election.isForeign).toBe(false);
  });
});

describe("the holder", () => {
  const leading = () => {
    const driven = drive();
    driven.reads(0, "5", record({ identity: "", session: "", released: true }));
    driven.writes(0, 10, "6");
    return driven;
  };

  test("renews every period, and counts from when it began to", () => {
    const { election, writes } = leading();
    expect(election.next(10)).toEqual({ do: "wait", until: 2010 });
    expect(writes(2010, 1500, "7").expected).toBe("6");
    expect(election.term).toEqual({ from: 2010, until: 12_010 });
  });

  test("whose renewal fails looks what is there, and goes on where it is still its own", () => {
    const { election, reads, writes } = leading();
    writes(2010, 5000, "failed");
    expect(election.next(7010)).toEqual({ do: "wait", until: 9010 });
    // What failed had arrived.
    reads(9010, "7", record({ identity: "a", session: "session of a", term: 8 }));
    expect(election.mayProbe(9010)).toBe(true);
    expect(writes(9010, 10, "8").expected).toBe("7");
    expect(election.term).toEqual({ from: 9010, until: 19_010 });
  });

  test("that is late has no term any more", () => {
    const { election, reads, writes } = leading();
    expect(election.mayProbe(9999)).toBe(true);
    expect(election.mayProbe(10_000)).toBe(false);
    // It stood still for a minute, and nobody else took over.
    writes(60_000, 10, "7");
    expect(election.mayProbe(60_010)).toBe(true);
    // Another minute, and somebody has.
    writes(120_000, 10, "conflict");
    reads(120_010, "9");
    expect([election.term, election.holder]).toEqual([undefined, "b"]);
  });

  test("whose record is another's, is gone, or is edited stops at once", () => {
    for (const [version, held] of [
      ["9", record()],
      ["9", record({ identity: "", session: "" })],
      ["9", record({ identity: "", session: "", released: true })],
      [undefined, undefined],
    ] as const) {
      const { election, reads, writes } = leading();
      writes(2010, 10, "conflict");
      reads(2020, version, held);
      expect(election.mayProbe(2020)).toBe(false);
    }
  });

  test("lets go of it, and may not probe from then on", () => {
    const { election } = leading();
    const write = election.release();
    expect(election.mayProbe(100)).toBe(false);
    expect(write).toEqual({
      do: "write",
      record: record({ identity: "", session: "", term: 8, released: true }),
      expected: "6",
    });
  });

  test("that holds nothing lets go of nothing", () => {
    const { election, reads } = drive();
    reads(0, "5");
    expect(election.release()).toBeUndefined();
  });
});

describe("an identity used twice", () => {
  test("is known to both: who waits sees the other one go on, and leaves a mark", () => {
    const random = randomOf(1);
    const store = createRecordStore();
    const agents = ["one", "two"].map((session) =>
      createModelAgent(settings("a", { session }), store, noFaults, random),
    );
    for (let time = 0; time < 60_000; time += 50) for (const agent of agents) agent.advance(time);
    expect(agents.map(({ election }) => election.isContested)).toEqual([true, true]);
    expect(agents.filter((agent) => agent.probes(60_000))).toHaveLength(1);
  });

  test("is none of a process that comes after another one", () => {
    const random = randomOf(2);
    const store = createRecordStore();
    const before = createModelAgent(settings("a", { session: "before" }), store, noFaults, random);
    for (let time = 0; time < 30_000; time += 50) before.advance(time);
    before.kill();
    const after = createModelAgent(settings("a", { session: "after" }), store, noFaults, random);
    for (let time = 30_000; time < 60_000; time += 50) after.advance(time);
    expect([after.election.isContested, after.probes(60_000)]).toEqual([false, true]);
  });
});

const share = fc.constantFrom(0, 0.02, 0.2, 0.5);
const scenario = fc.record({
  seed: fc.nat(),
  agents: fc.integer({ min: 2, max: 4 }),
  faults: fc.record({ failing: share, losing: share, slow: share, stalling: share }),
  edits: fc.constantFrom(0, 0.001, 0.01),
});

describe("several, whatever happens", () => {
  test("never two may probe at one moment", () => {
    let led = 0;
    fc.assert(
      fc.property(scenario, ({ seed, agents: count, faults, edits }) => {
        const random = randomOf(seed);
        const store = createRecordStore();
        let born = 0;
        const create = () => createModelAgent(settings(`agent ${born++}`), store, faults, random);
        const agents = Array.from({ length: count }, create);
        for (let time = 0; time < 180_000; time += 100) {
          for (const agent of agents) agent.advance(time);
          if (random.chance(edits))
            store.edit((held) => {
              if (held === undefined || random.chance(0.5)) return "gone";
              if (random.chance(0.3)) return { ...held, durationMs: 1 };
              return random.chance(0.5) ? { ...held, identity: "", session: "" } : undefined;
            });
          // What one that has ended had under way may still arrive.
          if (random.chance(0.001)) {
            const ending = agents[random.below(agents.length)];
            if (random.chance(0.5)) ending?.release();
            else ending?.kill();
            agents.push(create());
          }
          const probing = agents.filter((agent) => agent.probes(time)).length;
          expect(probing).toBeLessThanOrEqual(1);
          led += probing;
        }
      }),
      { numRuns: 150 },
    );
    // Most of the time somebody does.
    expect(led).toBeGreaterThan(30_000);
  });

  test("the next one leads within the lease's duration and two late looks", () => {
    for (let seed = 0; seed < 50; seed++) {
      const random = randomOf(seed);
      const store = createRecordStore();
      const agents = ["a", "b", "c"].map((name) => createModelAgent(settings(name), store, noFaults, random));
      let killedAt = Infinity;
      let ledAt = Infinity;
      for (let time = 0; time < 90_000; time += 50) {
        for (const agent of agents) agent.advance(time);
        const leader = agents.find((agent) => agent.probes(time));
        if (time > 40_000 && killedAt === Infinity && leader !== undefined) {
          leader.kill();
          killedAt = time;
        } else if (killedAt < Infinity && leader !== undefined) ledAt = Math.min(ledAt, time);
      }
      // A clock of the model may be slower by a twentieth.
      expect(ledAt - killedAt).toBeLessThan((15_000 + 2 * 2.2 * 2_000) / 0.95);
    }
  });
});
