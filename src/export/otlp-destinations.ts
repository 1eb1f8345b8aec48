import type { Snapshot } from "../model/columns.ts";
import type { OtlpConfig } from "../model/config.ts";
import type { FileLock } from "./otlp-storage.ts";
import type { OtlpDestination, OtlpStats } from "./otlp-destination.ts";
import { createOtlpDestination, hostOf, type OtlpDependencies } from "./otlp-transport.ts";

type Running = {
  readonly key: string;
  readonly config: OtlpConfig;
  readonly name: string;
  readonly destination: OtlpDestination;
};

/** The one that a new configuration is most likely a change of: of its URL, and with its headers if there is one. */
const predecessorOf = ({ url, headers }: OtlpConfig, leaving: readonly Running[]): Running | undefined => {
  const ofUrl = leaving.filter(({ config }) => config.url === url);
  return ofUrl.find(({ config }) => JSON.stringify(config.headers) === JSON.stringify(headers)) ?? ofUrl[0];
};

/**
 * Destinations side by side, each with its own queue, so that none waits for another.
 *
 * Each encodes for itself: one encoding for all would have to keep step with the slowest of them, or hold what it has
 * not taken yet beside its queue, and a point costs some 40 ns.
 */
export class OtlpDestinations {
  readonly #dependencies: OtlpDependencies;
  #running: readonly Running[] = [];

  constructor(dependencies: OtlpDependencies) {
    this.#dependencies = dependencies;
  }

  /**
   * Those whose configuration stays keep their queue; the others end, by when the signal aborts, beside the new ones.
   * `lock` is for those with storage.
   */
  replace(configs: readonly OtlpConfig[], farewell: AbortSignal, lock?: FileLock): void {
    const left = new Map(this.#running.map((one) => [one.key, one]));
    const kept = configs.map((config) => {
      const key = JSON.stringify(config);
      const same = left.get(key);
      left.delete(key);
      return same ?? { key, config };
    });
    const names = new Set(kept.flatMap((one) => ("name" in one ? [one.name] : [])));
    const leaving = [...left.values()];
    // A new one may want the storage of one that ends.
    const earlier = Promise.allSettled(leaving.map(({ destination }) => destination.shutdown(farewell)));
    this.#running = kept.map((one) => {
      if ("name" in one) return one;
      const predecessor = predecessorOf(one.config, leaving);
      if (predecessor !== undefined) leaving.splice(leaving.indexOf(predecessor), 1);
      return this.#start(one.key, one.config, names, { lock, earlier, predecessor: predecessor?.destination });
    });
  }

  /** Resolves when all have queued the snapshot, or could not before the signal aborted. */
  async export(snapshot: Snapshot, signal: AbortSignal): Promise<void> {
    const exports = await Promise.allSettled(
      this.#running.map(({ destination }) => destination.export(snapshot, signal)),
    );
    for (const one of exports) if (one.status === "rejected") throw one.reason;
  }

  /** In the order of the configuration. */
  stats(): readonly OtlpStats[] {
    return this.#running.map(({ destination }) => destination.stats());
  }

  async shutdown(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#running.map(({ destination }) => destination.shutdown(signal)));
  }

  /** Numbered where a host and port has several: what else tells them apart, path and headers, may hold keys. */
  #start(
    key: string,
    config: OtlpConfig,
    names: Set<string>,
    inherited: Pick<OtlpDependencies, "lock" | "earlier" | "predecessor">,
  ): Running {
    const host = hostOf(new URL(config.url));
    let name = host;
    for (let number = 2; names.has(name); number++) name = `${host}#${number}`;
    names.add(name);
    const destination = createOtlpDestination(config, { ...this.#dependencies, ...inherited, name });
    return { key, config, name, destination };
  }
}
