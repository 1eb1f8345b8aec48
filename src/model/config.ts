import type { Network } from "./address.ts";
import type { Attributes } from "./columns.ts";
import type { ConnectionState } from "./connection-state.ts";
import type { SocketProtocol } from "./socket.ts";
import type { Target } from "./target.ts";

/** The effective configuration: defaults filled in, durations in ms, every target complete. `config/` makes it from YAML. */
export type Config = {
  readonly collection: { readonly intervalMs: number; readonly timeoutMs: number };
  readonly resource: { readonly attributes: Attributes };
  readonly paths: { readonly proc: string };
  /** No network has two names. */
  readonly networks: readonly NamedNetworks[];
  readonly probes: { readonly concurrency: number; readonly targets: readonly Target[] };
  readonly sockets: SocketsConfig | "off";
  readonly host: { readonly sockstat: boolean };
  readonly export: { readonly otlp: OtlpConfig | undefined; readonly prometheus: ListenConfig | undefined };
};

export const groupings = ["socket", "endpoint", "host"] as const;
export type Grouping = (typeof groupings)[number];

export type NamedNetworks = { readonly name: string; readonly networks: readonly Network[] };

/** Ports, both ends inclusive. */
export type PortRange = { readonly from: number; readonly to: number };

export const sides = ["any", "local", "remote"] as const;

/**
 * What a socket must be: every key that is given has to hold, and a key holds when one of its values does. Values do
 * not overlap. `side` says whose port and address `ports`, `addresses`, `networks`, `hosts` and `loopback` are about.
 */
export type SelectEntry = {
  readonly protocols?: readonly SocketProtocol[] | undefined;
  readonly states?: readonly ConnectionState[] | undefined;
  /** Ascending, with a gap between each and the next. */
  readonly ports?: readonly PortRange[] | undefined;
  readonly addresses?: readonly Network[] | undefined;
  readonly networks?: readonly Network[] | undefined;
  readonly hosts?: readonly string[] | undefined;
  readonly pids?: readonly number[] | undefined;
  readonly cmds?: readonly string[] | undefined;
  readonly cgroups?: readonly string[] | undefined;
  readonly containers?: readonly string[] | undefined;
  readonly loopback?: boolean | undefined;
  readonly side: (typeof sides)[number];
};

/** A socket is taken when `include` is empty or one of its entries matches, and no entry of `exclude` matches. */
export type SelectConfig = { readonly include: readonly SelectEntry[]; readonly exclude: readonly SelectEntry[] };

export type SocketsConfig = {
  readonly protocols: readonly ("tcp" | "udp")[];
  readonly select: SelectConfig;
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
