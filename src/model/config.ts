import type { Network } from "./address.ts";
import type { Attributes, Temporality } from "./columns.ts";
import type { ConnectionState } from "./connection-state.ts";
import type { SocketProtocol } from "./socket.ts";
import type { Target, TlsOptions } from "./target.ts";

/** The effective configuration: defaults filled in, durations in ms, every target complete. `config/` makes it from YAML. */
export type Config = {
  /** Nothing is to be done; all that could be is off. */
  readonly disabled: boolean;
  readonly collection: { readonly intervalMs: number; readonly timeoutMs: number };
  readonly resource: { readonly attributes: Attributes };
  readonly paths: PathsConfig;
  /** No network has two names. */
  readonly networks: readonly NamedNetworks[];
  readonly probes: { readonly concurrency: number; readonly targets: readonly Target[] };
  /** undefined: this agent runs its probes whatever others do. */
  readonly election: ElectionConfig | undefined;
  readonly sockets: SocketsConfig | "off";
  readonly host: { readonly sockstat: boolean };
  readonly export: {
    /** Each destination gets every tick. */
    readonly otlp: readonly OtlpConfig[];
    readonly prometheus: PrometheusConfig | undefined;
    readonly file: FileConfig | undefined;
    readonly console: ConsoleFormat | undefined;
  };
  readonly compat: CompatConfig;
};

export const electionBackends = ["kubernetes", "etcd", "none"] as const;
export const electionModes = ["leader"] as const;

export type ElectionConfig = {
  readonly mode: (typeof electionModes)[number];
  /** Agents with the same backend, namespace and name are candidates of one election. */
  readonly name: string;
  /** undefined: the pod's with Kubernetes, else `default`. */
  readonly namespace: string | undefined;
  /** undefined: the host's name. */
  readonly identity: string | undefined;
  /** Above `renewDeadlineMs`, which is above twice `retryPeriodMs`. */
  readonly leaseDurationMs: number;
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
  readonly backend: EtcdConfig | KubernetesConfig;
};

export type EtcdConfig = {
  readonly kind: "etcd";
  /** Origins, at least one. */
  readonly endpoints: readonly string[];
  readonly tls: TlsOptions | undefined;
  /** The password is a secret: never logged, never printed. */
  readonly credentials: { readonly username: string; readonly password: string } | undefined;
};

/** What is undefined is as a pod has it. */
export type KubernetesConfig = {
  readonly kind: "kubernetes";
  /** Origins, at least one. */
  readonly endpoints: readonly string[] | undefined;
  readonly tls: TlsOptions | undefined;
  readonly tokenFile: string | undefined;
};

/** Mount points: in a container, where the host's are mounted. */
export type PathsConfig = {
  readonly proc: string;
  /** Of cgroup v2, or of the hierarchies beside which it is mounted as `unified`. */
  readonly cgroup: string;
};

/** `sockets.group_by`: presets, each a list of attributes. */
export const groupings = ["socket", "process", "endpoint", "container", "host"] as const;
export type Grouping = (typeof groupings)[number];

export type NamedNetworks = { readonly name: string; readonly networks: readonly Network[] };

/** Ports, both ends inclusive. */
export type PortRange = { readonly from: number; readonly to: number };

export const sides = ["any", "local", "remote"] as const;

/**
 * What a socket must be: every key that is given has to hold, and a key holds when one of its values does. Values do
 * not overlap. `side` says whose port and address `ports`, `addresses`, `networks`, `hosts` and `loopback` are about,
 * `portSide`, where it is there, whose ports.
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
  readonly portSide?: (typeof sides)[number] | undefined;
};

/** A socket is taken when `include` is empty or one of its entries matches, and no entry of `exclude` matches. */
export type SelectConfig = { readonly include: readonly SelectEntry[]; readonly exclude: readonly SelectEntry[] };

/** Attributes that a list in `sockets.group_by` can name. */
export const groupAttributeNames = [
  "network.transport",
  "network.type",
  "network.local.address",
  "network.local.port",
  "network.peer.address",
  "network.peer.port",
  "sockscope.flow.role",
  "sockscope.peer.network",
  "sockscope.peer.prefix",
  "sockscope.tcp.congestion_control",
  "sockscope.socket.cookie",
  "process.pid",
  "process.executable.name",
  "container.id",
  "k8s.pod.uid",
  "sockscope.systemd.unit",
  "sockscope.netns",
] as const;
export type GroupAttribute = (typeof groupAttributeNames)[number];

/** `sockets.metrics`: what is said of flows. */
export const flowFamilies = [
  "io",
  "segments",
  "data_segments",
  "retransmits",
  "rtt",
  "cwnd",
  "ssthresh",
  "delivery_rate",
  "pacing_rate",
  "stall",
  "queue",
  "unacked",
  "lost",
  "reordering",
  "rto",
  "ecn",
] as const;
export type FlowFamily = (typeof flowFamilies)[number];

export const rankings = ["bytes", "retransmits", "flows", "rtt"] as const;
export type RankBy = (typeof rankings)[number];

/** The family that a ranking reads; undefined: it needs none. */
export const familyOfRank: Readonly<Record<RankBy, FlowFamily | undefined>> = {
  bytes: "io",
  retransmits: "retransmits",
  rtt: "rtt",
  flows: undefined,
};

export const eventModes = ["auto", "on", "off"] as const;
export type EventMode = (typeof eventModes)[number];

export const timeWaitSources = ["sockstat", "dump"] as const;
export type TimeWaitSource = (typeof timeWaitSources)[number];

export const socketSources = ["auto", "netlink", "ss", "proc"] as const;
export type SocketSource = (typeof socketSources)[number];

/** Network namespaces beside the agent's own: by containers and processes that run in them, and by the names of ip-netns(8). */
export type NetnsSelection = {
  readonly containers: readonly string[];
  readonly pids: readonly number[];
  readonly names: readonly string[];
};

export type SocketsConfig = {
  readonly source: SocketSource;
  readonly protocols: readonly SocketProtocol[];
  /** Where TIME_WAIT sockets are counted. */
  readonly timeWait: TimeWaitSource;
  readonly select: SelectConfig;
  readonly groupBy: Grouping | readonly GroupAttribute[];
  readonly namespaces: "own" | "all" | NetnsSelection;
  readonly events: EventMode;
  /** Groups, listeners and UDP ports that keep series of their own, each; the rest shares the overflow series. */
  readonly maxGroups: number;
  readonly rankBy: RankBy;
  /** Ticks that a group outlives its last flow. */
  readonly seriesTtl: number;
  readonly metrics: readonly FlowFamily[];
  /** Upper bounds in seconds, ascending. */
  readonly rttBounds: readonly number[];
};

/** Tools whose own series `compat` adds. */
export const compatTools = ["datakit", "telegraf", "ss_exporter", "sockstat", "connection_status"] as const;
export type CompatTool = (typeof compatTools)[number];

/** What Telegraf's socketstat reads. */
export const telegrafProtocols = [
  "tcp",
  "udp",
  "raw",
  "unix",
  "packet",
  "dccp",
  "sctp",
] as const satisfies readonly SocketProtocol[];
export type TelegrafProtocol = (typeof telegrafProtocols)[number];

export type TelegrafConfig = { readonly protocols: readonly TelegrafProtocol[] };

/** `(SRC#ip|port)(DST#ip|port)` or `(pid)(DST#ip|port)`. */
export const labelFoldings = ["raw_endpoint", "pid_condensed"] as const;
export type LabelFolding = (typeof labelFoldings)[number];

export const ssExporterMetrics = ["rtt", "cwnd", "delivery_rate", "data_segs_in", "data_segs_out"] as const;
export type SsExporterMetric = (typeof ssExporterMetrics)[number];

export type SsExporterConfig = {
  readonly labelFolding: LabelFolding;
  readonly metrics: readonly SsExporterMetric[];
  /** Upper bounds in milliseconds, ascending; undefined: no histogram. */
  readonly rttBoundsMs: readonly number[] | undefined;
};

/** Series under other tools' own names; those of a tool that is not named are neither made nor read for. */
export type CompatConfig = {
  readonly datakit: boolean;
  readonly telegraf: TelegrafConfig | undefined;
  readonly ssExporter: SsExporterConfig | undefined;
  readonly sockstat: boolean;
  readonly connectionStatus: boolean;
};

export const compressions = ["gzip", "zstd", "none"] as const;
export type Compression = (typeof compressions)[number];

export const otlpProtocols = ["http/protobuf", "http/json", "grpc"] as const;
export type OtlpProtocol = (typeof otlpProtocols)[number];

/** An HTTP proxy. */
export type ProxyConfig = {
  /** The proxy itself is spoken to by TLS. */
  readonly isTls: boolean;
  /** `host:port`, an IPv6 address in brackets. */
  readonly authority: string;
  /** `user:password`, a secret. */
  readonly credentials: string | undefined;
};

/** A destination of OTLP. */
export type OtlpConfig = {
  /** The full URL that requests go to; of gRPC, which has a path of its own, only scheme, host and port. */
  readonly url: string;
  /** Only of an `https://` URL; undefined: as it is without settings. */
  readonly tls: TlsOptions | undefined;
  /** By the environment, so that no file has it. */
  readonly proxy: ProxyConfig | undefined;
  readonly protocol: OtlpProtocol;
  readonly compression: Compression;
  /** Of counters and histograms. */
  readonly temporality: Temporality;
  /** Values are secrets: never logged, never printed. */
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly retry: RetryConfig;
  /** Bound of the stored (compressed) bytes. */
  readonly queueBytes: number;
  /** What is sent of a queue: its newest requests before its oldest. */
  readonly newestFirst: boolean;
  /** The folder in which requests wait; undefined: in memory. */
  readonly storage: string | undefined;
};

export type RetryConfig = {
  readonly initialIntervalMs: number;
  readonly multiplier: number;
  readonly randomizationFactor: number;
  readonly maxIntervalMs: number;
  /** 0: as long as the queue holds the request. */
  readonly maxElapsedMs: number;
};

/** The page of the last tick. */
export type PrometheusConfig = {
  readonly listen: ListenConfig;
  /** The password is a secret: never logged, never printed. */
  readonly basicAuth: { readonly username: string; readonly password: string } | undefined;
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined;
};

/** How a tick is printed. */
export const consoleFormats = ["table", "otlp-json", "prometheus"] as const;
export type ConsoleFormat = (typeof consoleFormats)[number];

/** A file of OTLP JSON lines, with those that it was before. */
export type FileConfig = {
  readonly path: string;
  /** Of one file. */
  readonly maxBytes: number;
  /** All of them: path, path.1, ... */
  readonly maxFiles: number;
};

export type ListenConfig = { readonly host: string; readonly port: number };
