import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Outcome } from "../../src/model/outcome.ts";
import type { Target } from "../../src/model/target.ts";
import { createSchedule, phaseOf } from "../../src/probe/schedule.ts";
import { tcpTarget } from "../kit/probe.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance", "Date"] }));
afterEach(() => void vi.useRealTimers());

const up: Outcome = { kind: "up", seconds: 0.001, phases: {}, facts: {} };
const cancelled: Outcome = { kind: "not_run", error: "cancelled", detail: "", seconds: 0, phases: {}, facts: {} };

const intervals = [100, 250, 1000, 7000] as const;

type Action =
  | { readonly kind: "wait"; readonly ms: number }
  /** The process stands still, as when it is stopped or the machine sleeps. */
  | { readonly kind: "stall"; readonly ms: number }
  /** Somebody sets the time of day. */
  | { readonly kind: "step"; readonly ms: number }
  | { readonly kind: "reload"; readonly targets: readonly (number | undefined)[] };

const reload = fc.record({
  kind: fc.constant("reload" as const),
  targets: fc.array(fc.option(fc.nat(intervals.length - 1), { nil: undefined }), { maxLength: 12 }),
});
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 5000 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("stall" as const), ms: fc.integer({ min: 1, max: 60_000 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("step" as const), ms: fc.integer({ min: -1e9, max: 1e9 }) }),
  },
  { weight: 1, arbitrary: reload },
);

/** The target of each place that is taken, with the interval that its number says. */
const targetsOf = (taken: readonly (number | undefined)[]): Target[] =>
  taken.flatMap((interval, place) => {
    const intervalMs = interval === undefined ? undefined : intervals[interval];
    if (intervalMs === undefined) return [];
    return [tcpTarget("127.0.0.1", 1, { name: `target-${place}`, intervalMs, timeoutMs: intervalMs })];
  });

describe("whatever happens", () => {
  test("no target runs twice at once, none drifts off its slots, and no slot runs twice", async () => {
    const trace = fc.record({
      first: reload,
      actions: fc.array(action, { maxLength: 20 }),
      durations: fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 5 }),
      concurrency: fc.integer({ min: 1, max: 8 }),
    });
    await fc.assert(
      fc.asyncProperty(trace, async ({ first, actions, durations, concurrency }) => {
        let skew = 0;
        let runs = 0;
        const now = (): number => performance.now() + skew;
        const origin = now();
        /** When the run of a target that runs began. */
        const running = new Map<string, number>();
        /** The last slot that ran, of a target with an interval. */
        const slots = new Map<string, number>();
        const schedule = createSchedule({
          concurrency,
          now,
          run: async ({ name }, signal) => {
            expect(running.has(name)).toBe(false);
            running.set(name, now());
            expect(running.size).toBeLessThanOrEqual(concurrency);
            const ended = Promise.withResolvers<void>();
            const timer = setTimeout(() => ended.resolve(), durations[runs++ % durations.length]);
            signal.addEventListener("abort", () => {
              running.delete(name);
              ended.resolve();
            });
            await ended.promise;
            clearTimeout(timer);
            return signal.aborted ? cancelled : up;
          },
          onResult: ({ name, intervalMs }, { kind }, lag) => {
            expect(lag).toBeGreaterThanOrEqual(0);
            if (kind !== "up") return;
            const planned = (running.get(name) ?? Number.NaN) - lag * 1000;
            running.delete(name);
            const slot = (planned - origin) / intervalMs - phaseOf(name);
            expect(Math.abs(slot - Math.round(slot))).toBeLessThan(1e-6);
            const key = `${name} ${intervalMs}`;
            expect(Math.round(slot)).toBeGreaterThan(slots.get(key) ?? -1);
            slots.set(key, Math.round(slot));
          },
        });
        schedule.update(targetsOf(first.targets));
        for (const each of actions) {
          if (each.kind === "stall") skew += each.ms;
          else if (each.kind === "step") vi.setSystemTime(Date.now() + each.ms);
          else if (each.kind === "reload") schedule.update(targetsOf(each.targets));
          // oxlint-disable-next-line no-await-in-loop -- one after the other
          else await vi.advanceTimersByTimeAsync(each.ms);
        }
        await schedule.stop();
        expect(running.size).toBe(0);
        expect(schedule.stats()).toEqual({ targets: 0, running: 0, queued: 0 });
      }),
      { numRuns: 300 },
    );
  });

  test("a step of the clock changes nothing", async () => {
    const startsWith = async (step: number): Promise<number[]> => {
      const starts: number[] = [];
      const origin = performance.now();
      const schedule = createSchedule({
        concurrency: 8,
        now: () => performance.now(),
        run: async () => {
          starts.push(Math.round(performance.now() - origin));
          return up;
        },
        onResult: () => undefined,
      });
      schedule.update(targetsOf([0, 2]));
      await vi.advanceTimersByTimeAsync(5000);
      vi.setSystemTime(Date.now() + step);
      await vi.advanceTimersByTimeAsync(5000);
      await schedule.stop();
      return starts;
    };
    const steady = await startsWith(0);
    expect(steady).toHaveLength(110);
    expect(await startsWith(86_400_000)).toEqual(steady);
    expect(await startsWith(-86_400_000)).toEqual(steady);
  });
});
