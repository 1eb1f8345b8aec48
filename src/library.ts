import { setTimeout } from "node:timers/promises";
import { loadOwn, type SockscopeConfig } from "./config/library.ts";
import { watchTargets } from "./config/watch.ts";
import { createParts, now } from "./core-parts.ts";
import { createProbing } from "./core-probing.ts";
import { createDiagLog } from "./export/diag-log.ts";
import { type Collected, type Instruments, type Meters, registerInstruments } from "./export/instruments.ts";
import { createProducer, hasPoints, type MetricProducer } from "./export/producer.ts";
import { shareCollections } from "./export/shared-collection.ts";
import { ConfigError, type ConfigFault } from "./model/errors.ts";
import { version } from "./version.ts";

export { ConfigError, type ConfigFault, type SockscopeConfig };

/** sockscope in an application that has an OpenTelemetry SDK of its own. */
export type Sockscope = {
  /** The series that can end: for `metricProducers` of the application's reader, or of each of them. */
  readonly producer: MetricProducer;
  /** Makes all other metrics instruments of this MeterProvider, whose readers have the producer. Once is enough. */
  readonly register: (meterProvider: Meters) => void;
  /** Ends probes, threads and sockets within 5 s. What was collected last is exported before, by the provider's own shutdown. */
  readonly shutdown: () => Promise<void>;
};

const farewellMs = 5000;

/** None of its threads, timers and sockets holds the process; what somebody waits for does. */
const holding = async <T>(work: Promise<T>): Promise<T> => {
  const timer = setInterval(() => undefined, 2 ** 30);
  return work.finally(() => clearInterval(timer));
};

const nothing: Collected = { time: 0, columns: [], observations: [] };

const start = async (config: SockscopeConfig | string): Promise<Sockscope> => {
  const log = createDiagLog();
  const loaded = await loadOwn(config, process.env);
  for (const note of loaded.notes) log("info", note);
  const { collection, probes } = loaded.config;
  const registered = new Map<Meters, Instruments>();
  const parts = createParts({
    config: loaded.config,
    log,
    record: (...recorded) => registered.forEach(({ record }) => record(...recorded)),
  });
  const probing = createProbing(parts);
  await parts.setSources(loaded.config);
  await probing.set(probes);
  const watch = watchTargets({
    loaded,
    load: () => loadOwn(config, process.env),
    log,
    apply: (next) => probing.set(next.probes),
  });

  let closing: Promise<void> | undefined;
  let running: Promise<Collected> | undefined;
  const tick = (): Promise<Collected> => (running = holding(parts.ticker.tick()));
  // Ticks come as often with several readers as with one, since what is said in ticks - how long a group outlives its last
  // connection, how often a connection is a sample - must not depend on who else reads.
  const shared = shareCollections(tick, { spacingMs: collection.intervalMs / 2, now });
  const collect = async (): Promise<Collected> => (closing === undefined ? shared() : nothing);

  const close = async (): Promise<void> => {
    await watch.stop();
    await probing.stop();
    await running;
    await parts.close();
  };

  return {
    producer: createProducer({ version, collect, wants: hasPoints }),
    register: (meterProvider) => {
      if (closing === undefined && !registered.has(meterProvider))
        registered.set(meterProvider, registerInstruments(meterProvider, version, collect));
    },
    shutdown: () => {
      closing ??= (async () => {
        for (const { release } of registered.values()) release();
        registered.clear();
        const over = new AbortController();
        const farewell = setTimeout(farewellMs, undefined, { signal: over.signal }).catch(() => undefined);
        await Promise.race([close(), farewell]).finally(() => over.abort());
      })();
      return closing;
    },
  };
};

/**
 * Starts to probe and to read sockets by a configuration of the file's shape, or by the file at a path. Throws a
 * `ConfigError` with every fault of it.
 */
export const createSockscope = (config: SockscopeConfig | string = {}): Promise<Sockscope> => holding(start(config));
