import type { ProbesPart } from "./collect/probes.ts";
import { now, type Parts } from "./core-parts.ts";
import type { Config } from "./model/config.ts";
import type { Permit, RunProbe } from "./model/sources.ts";
import type { Target } from "./model/target.ts";
import { createSchedule, type Schedule } from "./probe/schedule.ts";

/** What an election says of the targets that it is about. */
export type Duty = {
  /** Whether they are this agent's to probe. */
  readonly leads: () => boolean;
  readonly permit: () => Permit | undefined;
};

export type Probing = {
  /** The targets from now on. */
  readonly set: (probes: Config["probes"]) => Promise<void>;
  /** Takes up or leaves the targets of an election, whose duty has changed. */
  readonly refresh: () => void;
  /** Ends when the runs under way have, which are cancelled. */
  readonly stop: () => Promise<void>;
};

/** Runs targets at their intervals, and records what comes of it. Without a duty all targets are this process's. */
export const createProbing = ({ probes: part, run: runTarget, readyToProbe }: Parts, duty?: Duty): Probing => {
  let schedule: Schedule | undefined;
  let concurrency: number | undefined;
  let targets: readonly Target[] = [];

  const dutyOf = ({ everywhere }: Target): Duty | undefined => (everywhere === true ? undefined : duty);
  const isOwn = (target: Target): boolean => dutyOf(target)?.leads() !== false;
  const run: RunProbe = (target, signal) => runTarget(target, signal, dutyOf(target)?.permit);
  const onResult: ProbesPart["record"] = (target, ...result) => {
    // What came to light while another agent may lead is not this one's to say.
    if (isOwn(target)) part.record(target, ...result);
  };

  const refresh = (): void => {
    const own = targets.filter(isOwn);
    part.update(own, Date.now());
    schedule?.update(own);
  };

  return {
    set: async (probes) => {
      if (probes.concurrency !== concurrency) {
        concurrency = probes.concurrency;
        await schedule?.stop();
        if (probes.targets.length > 0) await readyToProbe();
        schedule = createSchedule({ concurrency, now, run, onResult });
      }
      ({ targets } = probes);
      refresh();
    },
    refresh,
    stop: async () => schedule?.stop(),
  };
};
