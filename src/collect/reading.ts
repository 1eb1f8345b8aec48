import { setImmediate } from "node:timers/promises";
import type { Observation } from "../metrics/observation.ts";
import type { MetricColumns } from "../model/columns.ts";

/** What one part of the agent contributes to a tick. */
export type Reading = { readonly columns: readonly MetricColumns[]; readonly observations: readonly Observation[] };

/** A part of the agent that is read once a tick. */
export type Part = {
  /** `time` is the tick's, Unix ms. Rejects only by a fault of the agent: what a source refuses is part of the reading. */
  collect(time: number, signal: AbortSignal): Promise<Reading>;
  /** Ends all series; nothing is collected afterwards. */
  end(): Promise<readonly MetricColumns[]>;
};

/** Generators yield at most 2,000 points or sockets at once, so that a slice stays below 10,000. */
const breatheAt = 8_000;

/** Runs a generator that yields how much it has handled, and lets the event loop turn in between. */
export const inSlices = async <T>(generator: Generator<number, T>): Promise<T> => {
  let handled = 0;
  for (;;) {
    const step = generator.next();
    if (step.done === true) return step.value;
    handled += step.value;
    if (handled < breatheAt) continue;
    handled = 0;
    await setImmediate();
  }
};
