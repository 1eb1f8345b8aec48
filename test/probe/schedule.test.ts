import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Outcome } from "../../src/model/outcome.ts";
import type { Target } from "../../src/model/target.ts";
import { createSchedule, phaseOf, type ScheduleOptions } from "../../src/probe/schedule.ts";
import { openResources, tcpTarget } from "../kit/probe.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
afterEach(() => void vi.useRealTimers());

const up: Outcome = { kind: "up", seconds: 0.001, phases: {}, facts: {} };
const targetsOf = (count: number, intervalMs: number): Target[] =>
  Array.from({ length: count }, (_, index) =>
    tcpTarget("127.0.0.1", 1, { name: `target-${index}`, intervalMs, timeoutMs: intervalMs }),
  );

type Result = { readonly name: string; readonly outcome: string; readonly lag: number; readonly at: number };

/** A schedule whose runs take `durationMs`, with what it started and reported. `skew` moves its clock without timers. */
const record = (durationMs: number, options: Partial<ScheduleOptions> = {}) => {
  const starts: { name: string; at: number }[] = [];
  const results: Result[] = [];
  const state = { running: 0, most: 0, skew: 0, cancelled: 0 };
  const now = (): number => performance.now() + state.skew;
  const schedule = createSchedule({
    concurrency: 512,
    now,
    run: async ({ name }, signal) => {
      starts.push({ name, at: now() });
      state.most = Math.max(state.most, ++state.running);
      const ended = Promise.withResolvers<void>();
      const timer = setTimeout(() => ended.resolve(), durationMs);
      signal.addEventListener("abort", () => ended.resolve());
      await ended.promise;
      clearTimeout(timer);
      state.running--;
      if (signal.aborted) state.cancelled++;
      return signal.aborted
        ? { kind: "not_run", error: "cancelled", detail: "", seconds: 0, phases: {}, facts: {} }
        : up;
    },
    onResult: ({ name }, outcome, lag) => {
      results.push({ name, outcome: outcome.kind === "not_run" ? outcome.error : outcome.kind, lag, at: now() });
    },
    ...options,
  });
  return { schedule, starts, results, state, origin: performance.now() };
};

describe("the grid", () => {
  test("a target runs on its slots, without drift, whatever its runs take", async () => {
    const { schedule, starts, results, origin } = record(37);
    schedule.update(targetsOf(1, 1000));
    await vi.advanceTimersByTimeAsync(100_000);
    const phase = phaseOf("target-0") * 1000;
    expect(starts).toHaveLength(100);
    for (const [slot, { at }] of starts.entries()) {
      expect(at - origin - phase - slot * 1000).toBeGreaterThanOrEqual(-1e-6);
      expect(at - origin - phase - slot * 1000).toBeLessThanOrEqual(1);
    }
    expect(Math.max(...results.map(({ lag }) => lag))).toBeLessThanOrEqual(0.001);
    await schedule.stop();
  });

  test("each target keeps its own interval", async () => {
    const { schedule, starts } = record(1);
    const [one, two] = targetsOf(2, 1000);
    schedule.update([{ ...one, intervalMs: 500 } as Target, { ...two, intervalMs: 2000 } as Target]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(starts.filter(({ name }) => name === "target-0")).toHaveLength(20);
    expect(starts.filter(({ name }) => name === "target-1")).toHaveLength(5);
    await schedule.stop();
  });

  test("ten thousand targets are spread over the interval, each once", async () => {
    const { schedule, starts, origin } = record(5);
    schedule.update(targetsOf(10_000, 30_000));
    await vi.advanceTimersByTimeAsync(30_000);
    expect(new Set(starts.map(({ name }) => name)).size).toBe(10_000);
    expect(starts).toHaveLength(10_000);
    const seconds = Array.from({ length: 30 }, () => 0);
    for (const { at } of starts) {
      const second = Math.min(29, Math.floor((at - origin) / 1000));
      seconds[second] = (seconds[second] ?? 0) + 1;
    }
    // 333 expected in each.
    expect(Math.min(...seconds)).toBeGreaterThan(250);
    expect(Math.max(...seconds)).toBeLessThan(420);
    await schedule.stop();
  });

  test("the phase is that of the name, in every process", () => {
    expect(["gateway", "target-1", "target-2"].map((name) => phaseOf(name).toFixed(6))).toEqual([
      "0.508580",
      "0.196780",
      "0.097229",
    ]);
  });
});

describe("overload", () => {
  test("no more runs at a time than the concurrency, first come, first served", async () => {
    const { schedule, starts, results, state } = record(400, { concurrency: 4 });
    const targets = targetsOf(40, 10_000);
    schedule.update(targets);
    await vi.advanceTimersByTimeAsync(14_000);
    expect(state.most).toBe(4);
    const planned = targets.map(({ name }) => name).sort((a, b) => phaseOf(a) - phaseOf(b));
    expect(starts.slice(0, 40).map(({ name }) => name)).toEqual(planned);
    expect(results.filter(({ outcome }) => outcome === "agent_overloaded")).toEqual([]);
    await schedule.stop();
  });

  test("a slot that cannot start before the next one is one not_run, and each target has its turn", async () => {
    const { schedule, starts, results } = record(900, { concurrency: 1 });
    schedule.update(targetsOf(4, 1000));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(schedule.stats()).toMatchObject({ targets: 4, running: 1 });
    for (const name of ["target-0", "target-1", "target-2", "target-3"]) {
      const runs = starts.filter((start) => start.name === name).length;
      const given = results.filter((result) => result.name === name && result.outcome === "agent_overloaded");
      expect(runs).toBeGreaterThanOrEqual(15);
      // 60 slots came due; the last may still wait.
      expect(runs + given.length).toBeGreaterThanOrEqual(59);
      expect(runs + given.length).toBeLessThanOrEqual(60);
      expect(Math.max(...given.map(({ lag }) => lag))).toBeLessThanOrEqual(1.001);
    }
    for (const { lag } of results) expect(lag).toBeLessThanOrEqual(1.001);
    await schedule.stop();
  });

  test("a run that ends after the next slot was due is followed by that slot, late", async () => {
    const { schedule, results, starts } = record(1300);
    schedule.update(targetsOf(1, 1000));
    await vi.advanceTimersByTimeAsync(4000);
    expect(starts.length).toBeGreaterThanOrEqual(3);
    expect(results[1]?.outcome).toBe("up");
    expect(results[1]?.lag).toBeCloseTo(0.3, 2);
    await schedule.stop();
  });

  test("slots that passed while the process stood still are one not_run, and nothing runs in a burst", async () => {
    const { schedule, starts, results, state, origin } = record(5);
    schedule.update(targetsOf(100, 10_000));
    await vi.advanceTimersByTimeAsync(20_000);
    expect(starts).toHaveLength(200);
    expect(results).toHaveLength(200);
    state.skew = 95_000;
    await vi.advanceTimersByTimeAsync(1000);
    const given = results.filter(({ outcome }) => outcome === "agent_overloaded");
    expect(given).toHaveLength(100);
    expect(new Set(given.map(({ name }) => name)).size).toBe(100);
    const burst = starts.length - 200;
    expect(burst).toBeLessThan(30);
    await vi.advanceTimersByTimeAsync(9500);
    expect(starts.length - 200).toBeGreaterThanOrEqual(100);
    for (const { name, at } of starts.slice(200)) {
      const offset = (at - origin - phaseOf(name) * 10_000) % 10_000;
      expect(Math.min(offset, 10_000 - offset)).toBeLessThan(2);
    }
    await schedule.stop();
  });
});

describe("reload", () => {
  test("an unchanged target keeps its slots and its run; others are counted", async () => {
    const { schedule, starts, results, state } = record(600);
    const [one, two, three] = targetsOf(3, 1000) as [Target, Target, Target];
    expect(schedule.update([one, two])).toEqual({ added: 2, removed: 0, changed: 0 });
    await vi.advanceTimersByTimeAsync(5000);
    const before = starts.filter(({ name }) => name === one.name);
    const changed = { ...two, attributes: { team: "edge" } };
    expect(schedule.update([{ ...one }, changed, three])).toEqual({ added: 1, removed: 0, changed: 1 });
    await vi.advanceTimersByTimeAsync(5000);
    const after = starts.filter(({ name }) => name === one.name);
    expect(before).toHaveLength(5);
    expect(after).toHaveLength(10);
    expect((after[5]?.at ?? 0) - (after[4]?.at ?? 0)).toBeCloseTo(1000, 0);
    expect(results.filter(({ name }) => name === one.name).length).toBeGreaterThanOrEqual(9);
    expect(results.every(({ outcome }) => outcome === "up")).toBe(true);
    expect(schedule.update([three])).toEqual({ added: 0, removed: 2, changed: 0 });
    expect(schedule.stats().targets).toBe(1);
    expect(state.cancelled).toBeLessThanOrEqual(4);
    await schedule.stop();
  });

  test("a removed target's run is cancelled and not reported", async () => {
    const { schedule, results, starts, state } = record(900);
    schedule.update(targetsOf(1, 1000));
    await vi.advanceTimersByTimeAsync(phaseOf("target-0") * 1000 + 100);
    expect(starts).toHaveLength(1);
    schedule.update([]);
    await vi.advanceTimersByTimeAsync(5000);
    expect(state.cancelled).toBe(1);
    expect(results).toEqual([]);
    expect(starts).toHaveLength(1);
    expect(schedule.stats()).toEqual({ targets: 0, running: 0, queued: 0 });
    await schedule.stop();
  });

  test("a result may change the targets", async () => {
    const seen: string[] = [];
    const holder: { change: () => void } = { change: () => {} };
    const { schedule, starts, state } = record(5, {
      onResult: ({ name }) => {
        seen.push(name);
        holder.change();
      },
    });
    holder.change = () => void schedule.update([]);
    schedule.update(targetsOf(3, 1000));
    state.skew = 5000;
    await vi.advanceTimersByTimeAsync(5000);
    expect(seen).toHaveLength(1);
    expect(starts).toEqual([]);
    await schedule.stop();
  });

  test("removed targets leave the queue", async () => {
    const { schedule, starts } = record(10_000, { concurrency: 1 });
    const targets = targetsOf(20, 10_000);
    schedule.update(targets);
    await vi.advanceTimersByTimeAsync(9900);
    expect(schedule.stats().queued).toBeGreaterThan(10);
    schedule.update(targets.filter(({ name }) => name === starts[0]?.name));
    expect(schedule.stats()).toEqual({ targets: 1, running: 1, queued: 0 });
    await schedule.stop();
  });

  test("stop cancels all runs, waits for them and leaves no timer", async () => {
    const { schedule, results, state } = record(20_000, { concurrency: 8 });
    schedule.update(targetsOf(50, 10_000));
    await vi.advanceTimersByTimeAsync(9000);
    expect(state.running).toBe(8);
    await schedule.stop();
    expect(state).toMatchObject({ running: 0, cancelled: 8 });
    expect(results.filter(({ outcome }) => outcome !== "agent_overloaded")).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
    expect(schedule.update(targetsOf(1, 1000))).toEqual({ added: 0, removed: 0, changed: 0 });
    expect(vi.getTimerCount()).toBe(0);
  });

  test("the timer does not hold the process, and an interval beyond setTimeout's range waits", async () => {
    vi.useRealTimers();
    const before = openResources().filter((kind) => kind === "Timeout").length;
    const starts: string[] = [];
    const schedule = createSchedule({
      concurrency: 1,
      now: () => performance.now(),
      run: async ({ name }) => {
        starts.push(name);
        return up;
      },
      onResult: () => {},
    });
    schedule.update(targetsOf(1, 2 ** 40));
    await new Promise((done) => setImmediate(done));
    expect(openResources().filter((kind) => kind === "Timeout").length).toBe(before);
    expect(starts).toEqual([]);
    await schedule.stop();
  });
});
