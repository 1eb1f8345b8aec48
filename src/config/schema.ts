import { z } from "zod";
import { temporalities } from "../model/columns.ts";
import {
  compressions,
  consoleFormats,
  eventModes,
  type FlowFamily,
  groupAttributeNames,
  groupings,
  otlpProtocols,
  rankings,
  socketSources,
  timeWaitSources,
} from "../model/config.ts";
import { socketProtocols } from "../model/socket.ts";
import { defaults } from "./defaults.ts";
import { election } from "./election.ts";
import { formatDuration } from "../text/duration.ts";
import { headerNameFault, headerValueFault } from "./headers.ts";
import { formatHostPort, parseHostPort } from "./host-port.ts";
import { compat } from "./compat.ts";
import {
  ascending,
  attributes,
  block,
  decimal,
  duration,
  durationOrZero,
  listOf,
  onOff,
  onOffOr,
  oneOf,
  optional,
  parsed,
  text,
  whole,
} from "./kinds.ts";
import { parseBaseUrl, parseMetricsUrl } from "./otlp-url.ts";
import { namedNetworks, netnsSelection, select } from "./select.ts";
import { filePath, refusing, shortestIntervalMs, span, target, tlsBlock } from "./target-schema.ts";

const interval = (description: string, ms: number) =>
  optional(duration(shortestIntervalMs), `${description} At least 100ms.`, formatDuration(ms));

/** `collection`. */
export const collection = block({
  interval: interval(
    "Time between two ticks; each tick reads the sockets and exports once.",
    defaults.collection.intervalMs,
  ),
  timeout: span(
    "How long a tick may take. Inherited, it is capped to the interval; above it, it is refused.",
    defaults.collection.timeoutMs,
  ),
});

const resource = block({
  attributes: optional(
    attributes((name) => (name === "" ? "an attribute needs a name" : undefined)),
    "Attributes of the resource, beside those that sockscope finds out itself.",
  ),
});

/** A path that does not depend on where it is written. */
export const absolutePath = (standard: string) =>
  parsed<string>(
    (path) =>
      path.startsWith("/") && !path.includes("\0") ? path : { fault: `must be an absolute path, as in ${standard}` },
    /^\//,
  );

const paths = block({
  proc: optional(absolutePath(defaults.paths.proc), "Where the proc file system is mounted.", defaults.paths.proc),
  cgroup: optional(
    absolutePath(defaults.paths.cgroup),
    "Where the cgroup file system is mounted: version 2, or the hierarchies that have it under unified.",
    defaults.paths.cgroup,
  ),
});

/** The keys of `probes` that its targets inherit. */
export const inherited = {
  interval: interval("Time between two runs of a target that does not set its own.", defaults.probes.intervalMs),
  timeout: span(
    "How long a run of a target that does not set its own may take; capped to the target's interval.",
    defaults.probes.timeoutMs,
  ),
};

/** `probes.targets_file`. */
export const targetsFile = z.union(
  [filePath.transform((pattern) => [pattern]), z.array(filePath, { error: "must be a list of files" })],
  { error: "must be a file, a pattern such as targets/*.yaml, or a list of them" },
);

const probes = block({
  ...inherited,
  concurrency: optional(whole(1, 65_535), "Runs at the same time, at most.", defaults.probes.concurrency),
  targets_file: optional(
    targetsFile,
    "Files with more targets, a pattern or a list of them: absolute, or relative to the folder of this file. They are watched: a change is in force within seconds.",
  ),
  targets: optional(
    z.array(target, { error: "must be a list of targets" }),
    "What to probe. An item is a URL, or a map with the keys below.",
  ),
});

/** `sockets.protocols`. */
export const protocols = listOf(oneOf(socketProtocols), "must be a list of protocols, as in [tcp, udp]").min(1, {
  error: "must name at least one protocol; write sockets: off to read none",
});

const bounds = ascending("seconds", 0.005);

const groupList = listOf(oneOf(groupAttributeNames), "must be a preset, or a list of attributes").min(1, {
  error: "must name an attribute; write host for one group of all",
});

const shownFamilies: readonly FlowFamily[] = defaults.sockets.metrics;

const family = (name: FlowFamily, description: string) =>
  optional(onOff(), description, shownFamilies.includes(name) ? "on" : "off");

const families = {
  io: family("io", "Bytes, by direction."),
  segments: family("segments", "Segments, by direction."),
  data_segments: family("data_segments", "Segments with data, by direction."),
  retransmits: family("retransmits", "Retransmitted segments and bytes."),
  rtt: family("rtt", "Round-trip times: smoothed, variation, least and greatest."),
  cwnd: family("cwnd", "Congestion window."),
  ssthresh: family("ssthresh", "Slow start threshold."),
  delivery_rate: family("delivery_rate", "Delivery rate."),
  pacing_rate: family("pacing_rate", "Pacing rate."),
  stall: family(
    "stall",
    "Time with data to send, and what of it was lost to the receiver's window and the send buffer.",
  ),
  queue: family("queue", "Bytes in the send and receive queues."),
  unacked: family("unacked", "Segments in flight."),
  lost: family("lost", "Segments that are taken for lost."),
  reordering: family("reordering", "Reordering that is allowed for."),
  rto: family("rto", "Retransmission timeout."),
  ecn: family("ecn", "Segments that met congestion (ECN)."),
} satisfies Record<FlowFamily, z.ZodType>;

/** `sockets`, as far as its own keys go. */
export const sockets = block({
  source: optional(
    oneOf(socketSources),
    "What sockets are read by: netlink, the command ss, or the files in /proc/net, which have no counters; auto takes the first of them that can, protocol by protocol.",
    defaults.sockets.source,
  ),
  protocols: optional(
    protocols,
    "Which sockets are read: tcp has flows, tcp and unix have listeners, udp has ports; all others and unix are counted by type and state.",
    defaults.sockets.protocols,
  ),
  time_wait: optional(
    oneOf(timeWaitSources),
    "Where TIME_WAIT sockets are counted: sockstat has their number, a dump reads each of them and has it by network.type.",
    defaults.sockets.timeWait,
  ),
  select: optional(select, "Which sockets are taken: by the rule below, all of them without it."),
  group_by: optional(
    z.union([oneOf(groupings), groupList], {
      error: `must be ${groupings.join(", ")}, or a list of attributes`,
    }),
    `What shares series: nothing (socket), what a process has with one peer's port (process), the sockets of one service or one peer's port (endpoint), those of a container or a systemd unit (container), all of a protocol (host); or whatever has equal values of a list of attributes.`,
    defaults.sockets.groupBy,
  ),
  namespaces: optional(
    z.union([oneOf(["own", "all"]), netnsSelection], {
      error: "must be own, all, or a map with containers, pids or names",
    }),
    "Which network namespaces are read, by netlink: the agent's own, all of the host, or its own and those that are named. Others need CAP_SYS_ADMIN, and CAP_SYS_PTRACE to find those of other users' processes; without the first its own alone is read. Where others are read, series have sockscope.netns.",
    defaults.sockets.namespaces,
  ),
  events: optional(
    z.union([oneOf(eventModes), z.boolean().transform((on) => (on ? "on" : "off"))], {
      error: "must be auto, on or off",
    }),
    "Whether the end of each TCP socket is heard of, so that connections between two ticks are counted, too. auto: where the kernel allows it, without a warning where it does not. It costs the host some 7 us for each socket that closes.",
    defaults.sockets.events,
  ),
  max_groups: optional(
    whole(1, 1_000_000),
    "Groups, listeners and UDP ports that have series of their own, each; the rest shares the overflow series.",
    defaults.sockets.maxGroups,
  ),
  rank_by: optional(
    oneOf(rankings),
    "Which groups have series of their own when there are more than max_groups: those with most bytes, retransmits or flows, or with the highest round-trip time (rtt).",
    defaults.sockets.rankBy,
  ),
  metrics: optional(block(families), "What is said of flows, beside how many there are."),
  series_ttl: optional(whole(1, 1_000), "Ticks that a group outlives its last connection.", defaults.sockets.seriesTtl),
  rtt_histogram: optional(
    block({
      bounds: optional(bounds, "Upper bounds in seconds, ascending, at most 160.", defaults.sockets.rttBounds),
    }),
    "The histogram of round-trip times.",
  ),
});

const host = block({
  sockstat: optional(onOff(), "The host's socket counts and memory, from sockstat in /proc/net.", "on"),
});

const headers = z.record(
  z.string().refine((name) => headerNameFault(name) === undefined, {
    error: ({ input }) => headerNameFault(String(input)) ?? "",
  }),
  text().refine((value) => headerValueFault(value) === undefined, {
    error: ({ input }) => headerValueFault(String(input)) ?? "",
  }),
  { error: "must be a map of header names to text" },
);

const { retry } = defaults.otlp;

const retryOnFailure = block({
  initial_interval: span("Wait before the first retry.", retry.initialIntervalMs),
  multiplier: optional(decimal(1, 100), "Factor by which each wait is longer than the one before.", retry.multiplier),
  randomization_factor: optional(
    decimal(0, 1),
    "Share of a wait that chance adds or takes.",
    retry.randomizationFactor,
  ),
  max_interval: span("Longest wait.", retry.maxIntervalMs),
  max_elapsed_time: optional(
    durationOrZero(),
    "When to give a request up; 0 is as long as the queue holds it.",
    retry.maxElapsedMs,
  ),
});

/** A destination of `export.otlp`. */
export const otlp = block({
  endpoint: optional(
    parsed(parseBaseUrl, /^https?:\/\//),
    `Base URL of an OTLP receiver; /v1/metrics is appended. For grpc without a path, as in ${defaults.otlp.grpcEndpoint}, the default there.`,
    defaults.otlp.endpoint,
  ),
  metrics_endpoint: optional(
    parsed(parseMetricsUrl, /^https?:\/\//),
    "Full URL of an OTLP/HTTP receiver, used as it is, instead of endpoint.",
  ),
  tls: optional(tlsBlock("receiver"), "For https://: what is trusted, and what the receiver is shown."),
  protocol: optional(
    oneOf(otlpProtocols),
    "How requests are encoded and sent: by HTTP, or by grpc, which is protobuf too. JSON takes 30 times the CPU time of protobuf and twice the bytes: for receivers that know nothing else.",
    defaults.otlp.protocol,
  ),
  compression: optional(
    oneOf(compressions),
    "How requests are compressed: zstd needs half of gzip's time for fewer bytes, where the receiver knows it.",
    defaults.otlp.compression,
  ),
  temporality: optional(
    oneOf(temporalities),
    "What counters and histograms count: all since the start of the series, or what came since the last request (delta), of which the queue loses what it drops. Up-down counters are cumulative in both.",
    defaults.otlp.temporality,
  ),
  headers: optional(
    headers,
    "Headers of every request, for grpc its metadata. Their values are secrets: never logged, never printed.",
  ),
  timeout: span("How long a request may take.", defaults.otlp.timeoutMs),
  retry_on_failure: optional(retryOnFailure, "What follows a request that failed and may succeed later."),
  sending_queue: optional(
    block({
      max_mib: optional(
        whole(1, 65_536),
        "MiB of compressed requests that wait; the oldest go when it is full.",
        defaults.otlp.queueMib,
      ),
      newest_first: optional(
        onOff(),
        "Whether the newest requests go first after an outage, so that the present is seen soon; what is dropped is the oldest in any case.",
        "off",
      ),
      storage: optional(
        absolutePath("/var/lib/sockscope"),
        "Folder in which requests wait instead of in memory, so that they outlive a restart and kill -9: what is left is sent first at the next start. It is made where it is missing; each destination has a folder of its own in it, by its URL, and one agent at a time uses that. A request counts as queued once the kernel has it; it is synced to the disk within a second unless it is delivered by then, so that a loss of power costs a second at most. What was in flight at the end may be sent twice.",
      ),
    }),
    "Where requests wait for the receiver.",
  ),
});

const destinations = z.union(
  [otlp, z.array(otlp).min(1, { error: "must name a destination: leave it out to send nothing" })],
  { error: "must be a map of keys, or a list of maps" },
);

const control = /\p{Cc}/u;

/** RFC 7617, section 2. */
const userNameFault = (name: string): string | undefined => {
  if (name === "") return "must not be empty";
  return name.includes(":") || control.test(name) ? "must be text without a colon and control characters" : undefined;
};

/** In words that do not hold it. */
const passwordFault = (word: string): string | undefined => {
  if (word === "") return "must not be empty";
  return control.test(word) ? "must be text without control characters" : undefined;
};

const prometheus = block({
  listen: optional(
    parsed((address) => parseHostPort(address, 0), /^.*:\d+$/, text("host:port, as in 127.0.0.1:9464")),
    "host:port of the page. [::1]:9464 is an IPv6 address, :9464 all interfaces, port 0 any free port.",
    formatHostPort(defaults.listen),
  ),
  basic_auth: optional(
    block({
      username: refusing((name) => userNameFault(name), "the name of a user").meta({
        description: "Name of the user.",
      }),
      password: refusing((word) => passwordFault(word), "a password").meta({
        description: "The password, a secret: never logged, never printed. As in ${env:PAGE_PASSWORD}.",
      }),
    }),
    "Who may read the page. Without this block everybody who can reach it. /livez, /readyz and /healthz stay open; the figures of /healthz do not.",
  ),
  tls: optional(
    block({
      cert_file: filePath.meta({ description: "PEM file with the page's certificate, and those that it needs." }),
      key_file: filePath.meta({ description: "PEM file with its private key, without a passphrase." }),
    }),
    "Makes it an https:// page. Renewed files are used within seconds, without a restart.",
  ),
});

const file = block({
  path: filePath.meta({
    description: "The file: absolute, or relative to the folder of this file. Its folder must exist.",
  }),
  max_mib: optional(
    whole(1, 1_048_576),
    "MiB of a file; one that is full becomes path.1, path.1 becomes path.2 and so on.",
    defaults.file.maxMib,
  ),
  max_files: optional(whole(1, 1_000), "Files that are kept, with the one that is written.", defaults.file.maxFiles),
});

const consoleBlock = block({
  format: optional(
    oneOf(consoleFormats),
    "A table for people, OTLP JSON lines, or the Prometheus text format.",
    defaults.console,
  ),
});

/** The whole file. */
export const schema = block({
  collection: optional(collection, "When sockscope looks."),
  resource: optional(resource, "What the metrics are of."),
  paths: optional(paths, "Where sockscope looks."),
  networks: optional(
    namedNetworks,
    "Names for networks, by which sockets can be grouped (sockscope.peer.network), as in office: [10.0.0.0/8]. Where networks of two names hold an address, the one with the longer prefix counts.",
  ),
  probes: optional(probes, "Endpoints to test. Without this block nothing is probed."),
  election: optional(
    election,
    "Which agent of several runs the probes. Without this block each agent runs its own. once and probe take no part in it.",
  ),
  sockets: optional(
    onOffOr(sockets),
    "Statistics of this machine's sockets; off reads none. Without this block the defaults hold.",
  ),
  host: optional(onOffOr(host), "Counts of the host as a whole; off reads none. Without this block the defaults hold."),
  export: optional(
    block({
      otlp: optional(
        destinations,
        "Where metrics are sent: one destination, or a list of several, each with its own queue. Without this block nothing is sent, unless an OTEL_EXPORTER_OTLP_* variable names an endpoint.",
      ),
      prometheus: optional(prometheus, "The page of the last tick. Without this block there is none."),
      file: optional(
        file,
        "A file to which run appends every tick as OTLP JSON lines, which the collector's otlpjsonfile receiver reads.",
      ),
      console: optional(onOffOr(consoleBlock), "Prints every tick of run to stdout. Off without this key."),
    }),
    "Where the metrics go.",
  ),
  compat: optional(
    compat,
    "Tools whose own series are added, under their names, with their labels and units, from what sockscope reads anyway. An item is a name, or a map of one name to its options. Without this key there are none.",
  ),
});

/** The file as the schema reads it: durations in ms, URLs parsed, absent keys absent. */
export type File = z.output<typeof schema>;

/** A destination of `export.otlp` as the schema reads it. */
export type Destination = z.output<typeof otlp>;

/** The file as it is written. */
export type Written = z.input<typeof schema>;
