import type { ProbesPart } from "./collect/probes.ts";
import { now, type Parts } from "./core-parts.ts";
import type { Config } from "./model/config.ts";
import { createSchedule, type Schedule } from "./probe/schedule.ts";

export type Probing = {
  /** The targets from now on. */
  readonly set: (probes: Config["probes"]) => Promise<void>;
  /** Ends when the runs under way have, which are cancelled. */
  readonly stop: () => Promise<void>;
};

/** Runs targets at their intervals, and records what comes of it. */
export const createProbing = ({ probes: part, run, readyToProbe }: Parts): Probing => {
  let schedule: Schedule | undefined;
  let concurrency: number | undefined;
  return {
    set: async (probes) => {
      if (probes.concurrency !== concurrency) {
        concurrency = probes.concurrency;
        await schedule?.stop();
        const onResult: ProbesPart["record"] = (...result) => part.record(...result);
        if (probes.targets.length > 0) await readyToProbe();
        schedule = createSchedule({ concurrency, now, run, onResult });
      }
      part.update(probes.targets, Date.now());
      schedule?.update(probes.targets);
    },
    stop: async () => schedule?.stop(),
  };
};
