import { platform } from "node:os";
import { performance } from "node:perf_hooks";
import { createHostPart } from "./collect/host.ts";
import { createProbesPart, type ProbesPart } from "./collect/probes.ts";
import { createTicker, type Ticker } from "./collect/tick.ts";
import { composeSockets } from "./core-sockets.ts";
import { type Libc, loadLibc } from "./kernel/libc.ts";
import { createProbeSockets } from "./kernel/probe-sockets.ts";
import { readProcFile } from "./kernel/proc-files.ts";
import { createResolver } from "./kernel/resolver.ts";
import type { RecordValue } from "./metrics/observation.ts";
import type { Config } from "./model/config.ts";
import type { Log } from "./model/log.ts";
import type { Outcome } from "./model/outcome.ts";
import type { Permit } from "./model/sources.ts";
import type { Target } from "./model/target.ts";
import { runProbe } from "./probe/index.ts";
import { permittedSockets } from "./probe/permitted.ts";

/** Monotonic ms. */
export const now = (): number => performance.now();
/** In one line: some modules append where they looked. */
export const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n", 1).join("");

/** The C library, or undefined with a line in the log. */
export const tryLibc = (log: Log): Libc | undefined => {
  try {
    return loadLibc();
  } catch (error) {
    log(
      "warn",
      `the C library cannot be called: sockets are not read by netlink, and names resolve on Node's threads: ${reasonOf(error)}`,
    );
    return undefined;
  }
};

/** Reasons that are told; a host that has more of them has told enough. */
const mostReasons = 20;

/** Says what keeps the agent itself from probing, each reason once. */
const createNotRunNotes = (log: Log) => {
  const told = new Set<string>();
  return (target: Target, outcome: Outcome): Outcome => {
    if (outcome.kind !== "not_run" || outcome.error === "cancelled") return outcome;
    const reason = `${outcome.error} (${outcome.detail})`;
    if (told.has(reason) || told.size >= mostReasons) return outcome;
    told.add(reason);
    log("warn", `${target.url} could not be probed, by no fault of its own: ${reason}; said once`);
    return outcome;
  };
};

/** What is collected, and by what. */
export type Parts = {
  /** undefined where the C library cannot be called. */
  readonly libc: Libc | undefined;
  readonly ticker: Ticker;
  readonly probes: ProbesPart;
  /** With `permit` as long as that gives one. */
  readonly run: (target: Target, signal: AbortSignal, permit?: () => Permit | undefined) => Promise<Outcome>;
  /** Until then the first run would wait for the thread that makes its sockets. */
  readonly readyToProbe: () => Promise<void>;
  /** Puts sources for this configuration in the place of the present ones. */
  readonly setSources: (config: Config) => Promise<void>;
  readonly close: () => Promise<void>;
};

export type PartsOptions = {
  readonly config: Config;
  readonly log: Log;
  /** Where histograms are recorded. */
  readonly record: RecordValue;
};

/** Nothing of it concerns the process as a whole, which may be an application's. */
export const createParts = ({ config, log, record }: PartsOptions): Parts => {
  const libc = tryLibc(log);
  const resolver = createResolver({ libc });
  const probeSockets = createProbeSockets({ libc, now });
  const deps = { resolve: resolver.resolve, sockets: probeSockets, now };
  const note = createNotRunNotes(log);
  // The reader's timeout would discard what a tick has read so far: the tick's own comes first.
  const timing = { timeoutMs: config.collection.timeoutMs * 0.9, clock: Date.now, log };
  const probes = createProbesPart(record, Date.now);
  const ticker = createTicker({ probes }, timing);
  let closeSockets = (): void => undefined;
  let several = false;

  const setSockets = async (next: Config): Promise<void> => {
    const { sockets } = next;
    const closeOld = closeSockets;
    if (sockets === "off") {
      closeSockets = () => undefined;
      several = false;
      await ticker.replace("sockets", undefined);
    } else {
      const part = await composeSockets({ libc, config: next, sockets, resolve: resolver.resolve, now, log });
      closeSockets = part.close;
      several = part.several;
      await ticker.replace("sockets", part);
    }
    closeOld();
  };

  const setHost = async ({ sockets, paths, host, compat }: Config): Promise<void> => {
    const timeWait =
      sockets !== "off" && sockets.protocols.includes("tcp") && sockets.timeWait === "sockstat" && !several;
    const wanted = platform() === "linux" && (host.sockstat || timeWait || compat.sockstat);
    const pageSize = libc === undefined ? undefined : Number(libc.func("int getpagesize()")());
    const sockstat = host.sockstat && several ? ("kernel" as const) : host.sockstat;
    const settings = { proc: paths.proc, read: readProcFile, pageSize, sockstat, timeWait, log };
    await ticker.replace("host", wanted ? createHostPart({ ...settings, compat: compat.sockstat }) : undefined);
  };

  return {
    libc,
    ticker,
    probes,
    readyToProbe: () => probeSockets.ready(),
    run: async (target, signal, permit) => {
      if (permit === undefined) return note(target, await runProbe(target, deps, signal));
      const sockets = permittedSockets(probeSockets, permit);
      const outcome = await runProbe(target, { ...deps, sockets }, signal);
      return permit() === undefined ? outcome : note(target, outcome);
    },
    setSources: async (next) => {
      probes.setCompat(next.compat);
      await setSockets(next);
      await setHost(next);
    },
    close: async () => {
      closeSockets();
      await Promise.all([resolver.close(), probeSockets.close()]);
    },
  };
};
