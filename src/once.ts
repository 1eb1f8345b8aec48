import { setTimeout } from "node:timers/promises";
import { type CoreOptions, createCore, now, tryLibc } from "./core.ts";
import { createResolver } from "./kernel/resolver.ts";
import type { Snapshot } from "./model/columns.ts";
import type { Config } from "./model/config.ts";
import type { Log } from "./model/log.ts";
import type { Outcome } from "./model/outcome.ts";
import type { RunProbe } from "./model/sources.ts";
import type { Target } from "./model/target.ts";
import { runProbe } from "./probe/index.ts";

/** One run of each target, at most `concurrency` at a time; results as they come. */
const probeAll = async (
  { targets, concurrency }: Config["probes"],
  run: RunProbe,
  onResult: (target: Target, outcome: Outcome) => void,
): Promise<void> => {
  const waiting = targets.values();
  const signal = new AbortController().signal;
  const worker = async (): Promise<void> => {
    for (const target of waiting) onResult(target, await run(target, signal));
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, targets.length) }, worker));
};

/** Runs every probe once and collects twice, `forMs` apart or as long as the probes take; the second collection. */
export const collectOnce = async (options: CoreOptions, forMs: number): Promise<Snapshot | undefined> => {
  let latest: Snapshot | undefined;
  const core = await createCore(options, async (snapshot) => {
    latest = snapshot;
  });
  await core.setSources(options.config);
  core.probes.update(options.config.probes.targets, Date.now());
  await core.telemetry.collectNow();
  const probed = probeAll(options.config.probes, core.run, (target, outcome) => core.probes.record(target, outcome, 0));
  await Promise.all([probed, setTimeout(forMs)]);
  await core.telemetry.collectNow();
  await core.close();
  return latest;
};

/**
 * `count` rounds over the targets, one run at a time so that none disturbs another's figures; each result as it comes.
 * True when none was down and the agent could run all of them.
 */
export const probeNow = async (
  targets: readonly Target[],
  count: number,
  log: Log,
  onResult: (result: { readonly target: Target; readonly outcome: Outcome }) => void,
): Promise<boolean> => {
  const resolver = createResolver({ libc: tryLibc(log) });
  const deps = { resolve: resolver.resolve, now };
  let good = true;
  const show = (target: Target, outcome: Outcome): void => {
    if (outcome.kind === "down" || outcome.kind === "not_run") good = false;
    onResult({ target, outcome });
  };
  for (let round = 0; round < count; round++) {
    await probeAll({ targets, concurrency: 1 }, (target, signal) => runProbe(target, deps, signal), show);
  }
  await resolver.close();
  return good;
};
