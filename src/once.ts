import { setTimeout } from "node:timers/promises";
import { type CoreOptions, createCore } from "./core.ts";
import { now, tryLibc } from "./core-parts.ts";
import { createProbeSockets } from "./kernel/probe-sockets.ts";
import { createResolver } from "./kernel/resolver.ts";
import type { Snapshot } from "./model/columns.ts";
import type { Config } from "./model/config.ts";
import type { Log } from "./model/log.ts";
import type { Outcome } from "./model/outcome.ts";
import type { RunProbe } from "./model/sources.ts";
import type { Target } from "./model/target.ts";
import { runProbe } from "./probe/index.ts";

/** One run of each target, at most `concurrency` at a time; results as they come, until the signal aborts. */
const probeAll = async (
  { targets, concurrency }: Config["probes"],
  run: RunProbe,
  signal: AbortSignal,
  onResult: (target: Target, outcome: Outcome) => void,
): Promise<void> => {
  const waiting = targets.values();
  const worker = async (): Promise<void> => {
    for (const target of waiting) {
      const outcome = await run(target, signal);
      // What the abort cut short is no result; what ended just before it is one.
      if (signal.aborted && outcome.kind === "not_run" && outcome.error === "cancelled") return;
      onResult(target, outcome);
    }
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
  const { targets } = options.config.probes;
  if (targets.length > 0) await core.readyToProbe();
  core.probes.update(targets, Date.now());
  await core.telemetry.collectNow();
  const { signal } = new AbortController();
  const probed = probeAll(options.config.probes, core.run, signal, (target, outcome) =>
    core.probes.record(target, outcome, 0),
  );
  await Promise.all([probed, setTimeout(forMs)]);
  await core.telemetry.collectNow();
  await core.close();
  return latest;
};

/** As many as the agent runs by default. */
const concurrency = 512;

export type Rounds = {
  readonly count: number;
  /** From the start of a round to that of the next, at least. */
  readonly intervalMs: number;
  readonly signal: AbortSignal;
  readonly log: Log;
};

/**
 * Rounds over the targets, one after the other; in a round all targets run side by side. Each result as it comes. Ends
 * early when the signal aborts.
 */
export const probeNow = async (
  targets: readonly Target[],
  { count, intervalMs, signal, log }: Rounds,
  onResult: (target: Target, outcome: Outcome) => void,
): Promise<void> => {
  const libc = tryLibc(log);
  const resolver = createResolver({ libc });
  const sockets = createProbeSockets({ libc, now });
  const deps = { resolve: resolver.resolve, sockets, now };
  await sockets.ready();
  const run: RunProbe = (target) => runProbe(target, deps, signal);
  for (let round = 0; round < count && !signal.aborted; round++) {
    const isLast = round === count - 1;
    const pause = isLast || intervalMs === 0 ? undefined : setTimeout(intervalMs, undefined, { signal });
    await Promise.all([probeAll({ targets, concurrency }, run, signal, onResult), pause?.catch(() => undefined)]);
  }
  await Promise.all([resolver.close(), sockets.close()]);
};
