import { hostname, platform } from "node:os";
import { createParts, type Parts } from "./core-parts.ts";
import { createTelemetry, type Telemetry } from "./export/otel.ts";
import { createBootClock } from "./kernel/boot-clock.ts";
import { mapLargeBuffers } from "./kernel/allocator.ts";
import { createFileLock } from "./kernel/file-lock.ts";
import { readMachineId, uuidV5 } from "./kernel/identity.ts";
import type { Attributes, Snapshot } from "./model/columns.ts";
import type { Config } from "./model/config.ts";
import type { Log } from "./model/log.ts";

export type CoreOptions = {
  readonly config: Config;
  /** The file that the configuration came from. */
  readonly file: string;
  readonly version: string;
  readonly log: Log;
  /** Called before each collection. */
  readonly beforeTick?: () => void;
};

const resourceOf = async ({ config, file, version }: CoreOptions): Promise<Attributes> => {
  const service = String(config.resource.attributes["service.name"] ?? "sockscope");
  return {
    "service.name": service,
    "service.version": version,
    "service.instance.id": uuidV5([await readMachineId(), service, file].join("/")),
    "host.name": hostname(),
    "os.type": platform(),
    ...config.resource.attributes,
  };
};

/** What `run` and `once` have in common: the parts, and the pipeline that collects them. */
export type Core = Parts & {
  readonly telemetry: Telemetry;
  /** ms since the start of the machine, suspension included. */
  readonly bootClock: () => number;
  /** undefined where the C library cannot be called. */
  readonly lockFile: ReturnType<typeof createFileLock> | undefined;
};

export const createCore = async (
  options: CoreOptions,
  consume: (snapshot: Snapshot) => Promise<void>,
): Promise<Core> => {
  const { config, version, log, beforeTick } = options;
  const telemetry = createTelemetry({
    resource: await resourceOf(options),
    version,
    ...config.collection,
    collect: () => {
      beforeTick?.();
      return parts.ticker.tick();
    },
    consume,
    log,
  });
  const parts = createParts({ config, log, record: telemetry.record });
  const { libc } = parts;
  if (libc !== undefined) mapLargeBuffers(libc);
  return { ...parts, telemetry, bootClock: createBootClock(libc), lockFile: libc && createFileLock(libc) };
};
