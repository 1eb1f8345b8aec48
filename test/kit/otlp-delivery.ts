import { createServer, type Server } from "node:net";
import { once } from "node:events";
import type { ServerOptions } from "node:https";
import type { SecureServerOptions } from "node:http2";
import { afterEach, expect } from "vitest";
import type { OtlpDestination } from "../../src/export/otlp-destination.ts";
import { OtlpDestinations } from "../../src/export/otlp-destinations.ts";
import { createOtlpDestination, type OtlpDependencies } from "../../src/export/otlp-transport.ts";
import { attributeSet, noAttributes, type Snapshot } from "../../src/model/columns.ts";
import type { OtlpConfig } from "../../src/model/config.ts";
import { type GrpcReceiver, startGrpcReceiver } from "./grpc-receiver.ts";
import { type OtlpReceiver, startOtlpReceiver } from "./otlp-receiver.ts";
import { descriptorOf, numbersOf, snapshotOf, startMs, timeMs } from "./otlp-snapshots.ts";

export const secret = "Bearer s3cr3t-t0k3n";
export const mib = 1024 * 1024;

export const after = (ms: number): AbortSignal => AbortSignal.timeout(ms);

/** A retry configuration with one interval in ms. */
export const everyMs = (ms: number, maxElapsedMs = 0): OtlpConfig["retry"] => ({
  initialIntervalMs: ms,
  multiplier: 1,
  randomizationFactor: 0,
  maxIntervalMs: ms,
  maxElapsedMs,
});

const series = attributeSet({ series: 0 });

/** One point whose value tells the snapshots apart, always of the same series. */
export const numbered = (value: number, time = timeMs, start = startMs): Snapshot => ({
  ...snapshotOf({
    descriptor: descriptorOf("a", "counter"),
    numbers: [{ own: noAttributes, sets: [series], starts: Float64Array.of(start), values: Float64Array.of(value) }],
    histograms: [],
    ended: [],
  }),
  time,
});

/** As many points, whose values do not compress well. */
export const noise = (points: number): Snapshot =>
  snapshotOf(
    numbersOf(
      descriptorOf("a", "counter"),
      Array.from({ length: points }, (_, index) => (index * 2_654_435_761) % 2 ** 32),
    ),
  );

export const values = (from: Pick<OtlpReceiver, "points">): (number | undefined)[] =>
  from.points().map(({ value }) => value);

/** The same as totals, whatever the temporality: the last of them is what was counted in all. */
export const totals = (from: Pick<OtlpReceiver, "points">): (number | undefined)[] => {
  let sum = 0;
  return from.points().map(({ value, temporality }) => (temporality === 1 ? (sum += value ?? 0) : value));
};

export const portOf = (server: Server): number => {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
};

/** A port on loopback where nothing listens. */
export const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = portOf(server);
  server.close();
  await once(server, "close");
  return port;
};

const userAgent = "sockscope/0.1.0 OTel-OTLP-Exporter-JavaScript/0.301.0";

export const otlpConfigOf = (url: string, config: Partial<OtlpConfig> = {}): OtlpConfig => ({
  url,
  tls: undefined,
  proxy: undefined,
  protocol: "http/protobuf",
  compression: "gzip",
  temporality: "cumulative",
  headers: { Authorization: secret },
  timeoutMs: 5000,
  retry: everyMs(20),
  queueBytes: 64 * mib,
  newestFirst: false,
  storage: undefined,
  ...config,
});

/** Receivers, destinations and their log lines, which end with each test of the file. No line may hold the secret. */
export const useDelivery = () => {
  const lines: string[] = [];
  const cleanup: (() => Promise<unknown>)[] = [];
  let aheadMs = 0;
  const log = (level: string, message: string): void => void lines.push(`${level} ${message}`);
  afterEach(async () => {
    for (const close of cleanup.splice(0).toReversed()) await close();
    expect(lines.splice(0).join("\n")).not.toContain("s3cr3t");
  });
  return {
    /** Each `level message`. */
    lines,
    /** Monotonic, as the destinations read it. */
    clock: { advance: (ms: number): void => void (aheadMs += ms) },
    receiver: async (port = 0, tls?: ServerOptions): Promise<OtlpReceiver> => {
      const started = await startOtlpReceiver({ port, tls });
      cleanup.push(started.close);
      return started;
    },
    grpcReceiver: async (port = 0, tls?: SecureServerOptions): Promise<GrpcReceiver> => {
      const started = await startGrpcReceiver({ port, tls });
      cleanup.push(started.close);
      return started;
    },
    destination: (
      url: string,
      config: Partial<OtlpConfig> = {},
      maxRequestBytes = 4 * mib,
      dependencies: Partial<OtlpDependencies> = {},
    ): OtlpDestination => {
      const created = createOtlpDestination(otlpConfigOf(url, config), {
        log,
        userAgent,
        maxRequestBytes,
        monotonic: () => performance.now() + aheadMs,
        ...dependencies,
      });
      cleanup.push(() => created.shutdown(AbortSignal.abort()));
      return created;
    },
    destinations: (...configs: readonly OtlpConfig[]): OtlpDestinations => {
      const created = new OtlpDestinations({ log, userAgent });
      created.replace(configs, AbortSignal.abort());
      cleanup.push(() => created.shutdown(AbortSignal.abort()));
      return created;
    },
  };
};
