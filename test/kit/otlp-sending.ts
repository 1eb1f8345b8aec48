import { createOtlpDestination, type OtlpDependencies } from "../../src/export/otlp-transport.ts";
import type { Snapshot } from "../../src/model/columns.ts";
import type { OtlpConfig } from "../../src/model/config.ts";

const configOf = (url: string): OtlpConfig => ({
  url,
  tls: undefined,
  proxy: undefined,
  protocol: "http/protobuf",
  compression: "gzip",
  temporality: "cumulative",
  headers: {},
  timeoutMs: 30_000,
  queueBytes: 64 * 1024 * 1024,
  newestFirst: false,
  storage: undefined,
  retry: {
    initialIntervalMs: 1000,
    multiplier: 1.5,
    randomizationFactor: 0.5,
    maxIntervalMs: 5000,
    maxElapsedMs: 0,
  },
});

/** The agent's own way to send, with its defaults, for snapshots that a test makes up. */
export const openDestination = (
  url: string,
  config: Partial<OtlpConfig> = {},
  dependencies: Partial<OtlpDependencies> = {},
) => {
  const lines: string[] = [];
  const log = (level: string, message: string): void => void lines.push(`${level} ${message}`);
  const destination = createOtlpDestination(
    { ...configOf(url), ...config },
    { log, userAgent: "test", ...dependencies },
  );
  return {
    /** What it has logged. */
    lines: lines as readonly string[],
    stats: () => destination.stats(),
    /** Resolves when everything is delivered. */
    send: async (snapshot: Snapshot): Promise<void> => {
      await destination.export(snapshot);
      await destination.flush(AbortSignal.timeout(60_000));
    },
    [Symbol.asyncDispose]: () => destination.shutdown(AbortSignal.timeout(1000)),
  };
};
