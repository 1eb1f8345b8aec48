import type { Attributes } from "./columns.ts";
import type { Target } from "./target.ts";

/** The effective configuration: defaults filled in, durations in ms, every target complete. `config/` makes it from YAML. */
export type Config = {
  readonly collection: { readonly intervalMs: number; readonly timeoutMs: number };
  readonly resource: { readonly attributes: Attributes };
  readonly paths: PathsConfig;
  readonly probes: { readonly concurrency: number; readonly targets: readonly Target[] };
  readonly sockets: SocketsConfig | "off";
  readonly host: { readonly sockstat: boolean };
  readonly export: { readonly otlp: OtlpConfig | undefined; readonly prometheus: ListenConfig | undefined };
};

/** Mount points: in a container, where the host's are mounted. */
export type PathsConfig = {
  readonly proc: string;
  /** Of cgroup v2, or of the hierarchies beside which it is mounted as `unified`. */
  readonly cgroup: string;
};

export const groupings = ["socket", "endpoint", "host"] as const;
export type Grouping = (typeof groupings)[number];

export type SocketsConfig = {
  readonly protocols: readonly ("tcp" | "udp")[];
  readonly groupBy: Grouping;
  /** Groups, listeners and UDP ports that keep series of their own, each; the rest shares the overflow series. */
  readonly maxGroups: number;
  /** Ticks that a group outlives its last flow. */
  readonly seriesTtl: number;
  /** Upper bounds in seconds, ascending. */
  readonly rttBounds: readonly number[];
};

/** A destination of OTLP/HTTP protobuf. */
export type OtlpConfig = {
  /** The full URL that requests go to. */
  readonly url: string;
  readonly compression: "gzip" | "none";
  /** Values are secrets: never logged, never printed. */
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly retry: RetryConfig;
  /** Bound of the stored (compressed) bytes. */
  readonly queueBytes: number;
};

export type RetryConfig = {
  readonly initialIntervalMs: number;
  readonly multiplier: number;
  readonly randomizationFactor: number;
  readonly maxIntervalMs: number;
  /** 0: as long as the queue holds the request. */
  readonly maxElapsedMs: number;
};

export type ListenConfig = { readonly host: string; readonly port: number };
