import { type RetryConfig, type SocketsConfig, type SsExporterConfig, ssExporterMetrics } from "../model/config.ts";

/** What a key that the file does not set stands for. */
export const defaults = {
  collection: { intervalMs: 15_000, timeoutMs: 10_000 },
  paths: { proc: "/proc", cgroup: "/sys/fs/cgroup" },
  probes: {
    intervalMs: 30_000,
    timeoutMs: 5_000,
    concurrency: 512,
    attempts: 1,
    silenceMs: 1_000,
    count: 1,
    packetIntervalMs: 200,
  },
  sockets: {
    source: "auto",
    protocols: ["tcp", "udp"],
    timeWait: "sockstat",
    select: { include: [], exclude: [] },
    groupBy: "endpoint",
    events: "auto",
    maxGroups: 2_000,
    rankBy: "bytes",
    seriesTtl: 10,
    metrics: ["io", "segments", "retransmits", "rtt", "cwnd", "delivery_rate", "queue"],
    rttBounds: [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1],
  } satisfies SocketsConfig,
  sockstat: true,
  otlp: {
    endpoint: "http://localhost:4318",
    protocol: "http/protobuf",
    compression: "gzip",
    temporality: "cumulative",
    timeoutMs: 10_000,
    retry: {
      initialIntervalMs: 5_000,
      multiplier: 1.5,
      randomizationFactor: 0.5,
      maxIntervalMs: 30_000,
      maxElapsedMs: 0,
    } satisfies RetryConfig,
    queueMib: 64,
    newestFirst: false,
  },
  file: { maxMib: 100, maxFiles: 5 },
  console: "table",
  ssExporter: {
    labelFolding: "raw_endpoint",
    metrics: ssExporterMetrics,
    rttBoundsMs: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000],
  } satisfies SsExporterConfig,
  listen: { host: "127.0.0.1", port: 9464 },
} as const;
