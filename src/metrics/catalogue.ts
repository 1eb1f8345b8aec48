import type { InstrumentKind, MetricDescriptor } from "../model/columns.ts";
import { connectionStates } from "../model/connection-state.ts";
import type { Grouping } from "../model/config.ts";
import { agentErrors, outcomes, phases, targetErrors } from "../model/outcome.ts";
import { probeTypes } from "../model/target.ts";
import { compatAttributes, compatMetrics, compatSeries } from "./compat.ts";

/** The states of the sockets that are counted: beside TCP's, those of an SCTP association, and what has no name here. */
export const socketStates = [
  ...connectionStates,
  "cookie_wait",
  "cookie_echoed",
  "shutdown_pending",
  "shutdown_sent",
  "shutdown_received",
  "shutdown_ack_sent",
  "other",
] as const;

/** SOCK_x. */
export const socketTypes = ["stream", "dgram", "raw", "seqpacket", "other"] as const;

export type AttributeRow =
  | { readonly type: "string"; readonly values?: readonly string[]; readonly description: string }
  | { readonly type: "int" | "boolean"; readonly description: string };

/** Every attribute that a metric can carry, beside those that a target or the resource names in the configuration. */
export const attributes = {
  "container.id": { type: "string", description: "The container's id, or the name that its manager gave it." },
  "error.type": {
    type: "string",
    values: [...new Set([...targetErrors, ...agentErrors])],
    description:
      "Why, from errno and codes. Of otel.sdk.exporter.* an HTTP status, a code of the system, of TLS or of the HTTP client, timeout, or the reason of a drop.",
  },
  "http.response.status_code": { type: "int", description: "The status that a request was answered with." },
  "rpc.response.status_code": {
    type: "string",
    description: "The name of the gRPC status that a request was answered with.",
  },
  "k8s.pod.uid": { type: "string", description: "The UID of the pod; of a static pod, the hash in its stead." },
  "network.connection.state": {
    type: "string",
    values: socketStates,
    description: "The state of the connection; cookie_wait and those after it are SCTP's.",
  },
  "network.io.direction": { type: "string", values: ["transmit", "receive"], description: "Seen from this host." },
  "network.local.address": {
    type: "string",
    description: "The socket's own address, IPv4-mapped ones as IPv4, or its path.",
  },
  "network.local.port": { type: "int", description: "The socket's own port." },
  "network.peer.address": { type: "string", description: "The other end's address; IPv4-mapped ones as IPv4." },
  "network.peer.port": { type: "int", description: "The other end's port." },
  "network.protocol.name": {
    type: "string",
    values: ["icmp", "raw", "frag", "udplite", "packet", "sctp", "dccp", "mptcp", "vsock", "netlink"],
    description: "What network.transport has no value for.",
  },
  "network.transport": {
    type: "string",
    values: ["tcp", "udp", "unix"],
    description: "The transport protocol.",
  },
  "network.type": { type: "string", values: ["ipv4", "ipv6"], description: "By address: an IPv4-mapped one is ipv4." },
  "otel.component.name": { type: "string", description: "The SDK component, by a name that no other one has." },
  "otel.component.type": { type: "string", description: "The kind of SDK component." },
  "otel.metric.overflow": {
    type: "boolean",
    description: "True on the series that holds what had no room for a series of its own.",
  },
  "process.executable.name": {
    type: "string",
    description: "Base name of the executable, or the kernel's name of the process.",
  },
  "process.pid": {
    type: "int",
    description: "The process that holds the socket; the lowest pid where several do.",
  },
  "server.address": {
    type: "string",
    description: "The host of a target or a destination as configured, or the path of a unix socket.",
  },
  "server.port": { type: "int", description: "The port of a target or a destination." },
  "sockscope.agent.source": {
    type: "string",
    values: [
      "sockets",
      "sockstat",
      "events",
      "cgroups",
      "processes",
      "all_processes",
      "namespaces",
      "namespace_events",
    ],
    description:
      "What the agent reads or asks. events: the end of TCP sockets; namespaces: the sockets of other network namespaces; namespace_events: the end of theirs; cgroups: the names of the host's cgroups; processes: the files of its own user's processes; all_processes: those of every process.",
  },
  "sockscope.destination": {
    type: "string",
    description: "Host and port of an OTLP destination, with a number (`#2`) where several have them.",
  },
  "sockscope.drop.reason": {
    type: "string",
    values: ["queue_full", "rejected", "refused", "expired", "too_large", "damaged"],
    description:
      "queue_full: the queue's bound; rejected: by partial success; refused: a response that is not retried; expired: max_elapsed_time; too_large: one point above the request limit; damaged: a stored request that cannot be read.",
  },
  "sockscope.event.outcome": {
    type: "string",
    values: ["merged", "counted", "erased", "undecided", "ignored"],
    description:
      "merged: the end of a flow that a dump had shown; counted: a flow that lived between two dumps; erased: a flow whose counters the kernel had erased; undecided: the selection asks for what an event does not carry; ignored: no flow, or one that is not selected.",
  },
  "sockscope.flow.role": {
    type: "string",
    values: ["server", "client", "unknown"],
    description: "server: accepted by a listener of this host; client: opened to the peer.",
  },
  "sockscope.memory.threshold": {
    type: "string",
    values: ["low", "pressure", "max"],
    description:
      "Below low the kernel does not care, above pressure it keeps buffers small, above max it gives no memory.",
  },
  "sockscope.netns": {
    type: "string",
    description:
      "The network namespace, where several are read or it is asked for: its name in /run/netns, or else the number of its inode, as lsns(8) shows it.",
  },
  "sockscope.peer.network": { type: "string", description: "The network of the peer, by its name under `networks`." },
  "sockscope.peer.prefix": { type: "string", description: "The /24 (IPv4) or /56 (IPv6) of the peer." },
  "sockscope.probe.name": { type: "string", description: "The target's name." },
  "sockscope.probe.outcome": {
    type: "string",
    values: [...outcomes, "pending"],
    description: "How a run ended; pending (targets only): not run yet.",
  },
  "sockscope.probe.phase": { type: "string", values: phases, description: "A step of a run." },
  "sockscope.probe.type": { type: "string", values: probeTypes, description: "The kind of probe." },
  "sockscope.series": {
    type: "string",
    values: ["groups", "listeners", "udp_ports", "telegraf", "ss_exporter"],
    description: "A set of series with a budget; the last two with `compat`.",
  },
  "sockscope.socket.cookie": { type: "int", description: "The kernel's number of the socket." },
  "sockscope.socket.type": { type: "string", values: socketTypes, description: "The type of socket, SOCK_x." },
  "sockscope.stall.reason": {
    type: "string",
    values: ["receiver_window", "send_buffer"],
    description: "receiver_window: the peer took no more; send_buffer: the socket's own buffer was too small.",
  },
  "sockscope.systemd.unit": { type: "string", description: "The systemd unit, spelled as systemctl takes it." },
  "sockscope.tcp.congestion_control": { type: "string", description: "The congestion control algorithm." },
  ...compatAttributes,
} as const satisfies Record<string, AttributeRow>;

export type AttributeName = keyof typeof attributes;

type ValueOf<A extends AttributeName> = (typeof attributes)[A] extends { readonly values: readonly (infer V)[] }
  ? V
  : (typeof attributes)[A] extends { readonly type: "int" }
    ? number
    : (typeof attributes)[A] extends { readonly type: "boolean" }
      ? boolean
      : string;

/**
 * What a series of the producer is one of; its attributes come with the series.
 * The metric's `own` attributes come on top of them.
 */
export type SeriesKind =
  | "target"
  | "group"
  | "listener"
  | "udp_port"
  | "family"
  | keyof typeof compatSeries
  | "namespace"
  | "none";

export const seriesAttributes = {
  target: [
    "sockscope.probe.name",
    "sockscope.probe.type",
    "server.address",
    "server.port",
    "network.transport",
    "network.protocol.name",
    "network.peer.address",
  ],
  group: [],
  listener: ["network.transport", "network.type", "network.local.address", "network.local.port", "sockscope.netns"],
  udp_port: ["network.transport", "network.type", "network.local.address", "network.local.port", "sockscope.netns"],
  family: ["network.transport", "network.protocol.name", "sockscope.socket.type", "network.connection.state"],
  ...compatSeries,
  namespace: ["sockscope.netns"],
  none: [],
} as const satisfies Record<SeriesKind, readonly AttributeName[]>;

/** The attributes of a flow's group, by the presets of `sockets.group_by`. */
export const groupAttributes = {
  socket: [
    "network.transport",
    "network.type",
    "network.local.address",
    "network.local.port",
    "network.peer.address",
    "network.peer.port",
  ],
  process: ["network.transport", "process.pid", "process.executable.name", "network.peer.address", "network.peer.port"],
  endpoint: [
    "network.transport",
    "sockscope.flow.role",
    "network.local.port",
    "network.peer.address",
    "network.peer.port",
    "process.executable.name",
    "container.id",
  ],
  container: ["network.transport", "sockscope.flow.role", "container.id", "sockscope.systemd.unit"],
  host: ["network.transport"],
} as const satisfies Record<Grouping, readonly AttributeName[]>;

export type Row = {
  /**
   * `sdk`: an instrument of the MeterProvider, for series that live as long as the process. `producer`: columns, for
   * series that can end. `either`: the one, or the other where there are several network namespaces.
   */
  readonly carrier: "sdk" | "producer" | "either";
  readonly kind: InstrumentKind;
  readonly unit: string;
  readonly value: "int" | "double";
  readonly series: SeriesKind;
  /** The metric's own attributes: all of them are on every point, `optional` ones on some. */
  readonly own: readonly AttributeName[];
  readonly optional?: readonly AttributeName[];
  /** Those of them that have other values than the table of attributes lists. */
  readonly unlisted?: readonly AttributeName[];
  /** Explicit histogram bounds in the metric's unit; those of `sockscope.tcp.rtt` come from the configuration. */
  readonly bounds?: readonly number[];
  /** Its name on the Prometheus page is its own, to which nothing is appended. */
  readonly verbatim?: true;
  readonly description: string;
};

const durationBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;
const packetBounds = [
  0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
] as const;

const exporterAttributes = ["otel.component.name", "otel.component.type", "server.address", "server.port"] as const;

/** THE table: what sockscope exports. docs/METRICS.md is generated from it, and a point that does not fit it does not compile. */
export const catalogue = {
  "sockscope.probe.up": {
    carrier: "producer",
    kind: "updowncounter",
    unit: "{target}",
    value: "int",
    series: "target",
    own: [],
    description:
      "1: the target answered, or a UDP target without expectation did not refuse. 0: down. Absent only while the agent itself cannot test.",
  },
  "sockscope.probe.runs": {
    carrier: "producer",
    kind: "counter",
    unit: "{run}",
    value: "int",
    series: "target",
    own: ["sockscope.probe.outcome"],
    optional: ["error.type", "sockscope.probe.phase"],
    description: "Runs of the target by outcome; error.type for down and not_run, and of down the phase that failed.",
  },
  "sockscope.probe.attempts": {
    carrier: "producer",
    kind: "counter",
    unit: "{attempt}",
    value: "int",
    series: "target",
    own: ["sockscope.probe.outcome"],
    optional: ["error.type", "sockscope.probe.phase"],
    description:
      "Attempts of the runs of a target that has more than one: what a run that ended well had failed of before.",
  },
  "sockscope.probe.latency": {
    carrier: "producer",
    kind: "gauge",
    unit: "s",
    value: "double",
    series: "target",
    own: [],
    description: "The last run, name resolution included. Absent unless it was answered.",
  },
  "sockscope.probe.phase.latency": {
    carrier: "producer",
    kind: "gauge",
    unit: "s",
    value: "double",
    series: "target",
    own: ["sockscope.probe.phase"],
    description: "The last run by phase. Without resolve it is the latency without DNS.",
  },
  "sockscope.probe.tcp.rtt": {
    carrier: "producer",
    kind: "gauge",
    unit: "s",
    value: "double",
    series: "target",
    own: [],
    description: "The kernel's own round-trip time of the last run's connection (tcpi_rtt).",
  },
  "sockscope.probe.packets": {
    carrier: "producer",
    kind: "counter",
    unit: "{packet}",
    value: "int",
    series: "target",
    own: ["network.io.direction"],
    description:
      "Packets sent, and packets that were answered, of ICMP targets and of UDP targets with several packets.",
  },
  "sockscope.probe.packets.lost": {
    carrier: "producer",
    kind: "counter",
    unit: "{packet}",
    value: "int",
    series: "target",
    own: [],
    description: "Packets sent that were not answered in time.",
  },
  "sockscope.probe.packet.rtt": {
    carrier: "producer",
    kind: "histogram",
    unit: "s",
    value: "double",
    series: "target",
    bounds: packetBounds,
    own: [],
    description: "Round-trip times of those packets.",
  },
  "sockscope.probe.jitter": {
    carrier: "producer",
    kind: "gauge",
    unit: "s",
    value: "double",
    series: "target",
    own: [],
    description: "Mean difference between the round-trip times of packets that follow each other, in the last run.",
  },
  "sockscope.probe.ttl": {
    carrier: "producer",
    kind: "gauge",
    unit: "{hop}",
    value: "int",
    series: "target",
    own: [],
    description: "TTL or hop limit that the last echo reply came with.",
  },
  "sockscope.probe.resolved_addresses": {
    carrier: "producer",
    kind: "updowncounter",
    unit: "{address}",
    value: "int",
    series: "target",
    own: [],
    description: "Addresses that the name resolved to in the last run; of literal addresses there is none.",
  },
  "sockscope.probe.address_changes": {
    carrier: "producer",
    kind: "counter",
    unit: "{change}",
    value: "int",
    series: "target",
    own: [],
    description: "Runs that found other addresses than the run before.",
  },
  "sockscope.probe.tls.certificate.expiry": {
    carrier: "producer",
    kind: "gauge",
    unit: "s",
    value: "double",
    series: "target",
    own: [],
    description: "Time until the first certificate of the chain expires; negative where one has.",
  },
  "sockscope.probe.results": {
    carrier: "sdk",
    kind: "counter",
    unit: "{run}",
    value: "int",
    series: "none",
    own: ["sockscope.probe.type", "sockscope.probe.outcome"],
    optional: ["error.type"],
    description: "Runs of all targets by type and outcome.",
  },
  "sockscope.probe.targets": {
    carrier: "sdk",
    kind: "updowncounter",
    unit: "{target}",
    value: "int",
    series: "none",
    own: ["sockscope.probe.type", "sockscope.probe.outcome"],
    description: "Targets now, by the outcome of their last run; pending before the first.",
  },
  "sockscope.probe.duration": {
    carrier: "sdk",
    kind: "histogram",
    unit: "s",
    value: "double",
    series: "none",
    bounds: durationBounds,
    own: ["sockscope.probe.type"],
    optional: ["error.type", "sockscope.probe.phase"],
    description: "All runs, name resolution included; failures with error.type, and of down the phase that failed.",
  },
  "sockscope.probe.schedule.lag": {
    carrier: "sdk",
    kind: "histogram",
    unit: "s",
    value: "double",
    series: "none",
    bounds: durationBounds,
    own: [],
    description: "Start of a run minus its planned start.",
  },
  "system.network.connection.count": {
    carrier: "either",
    kind: "updowncounter",
    unit: "{connection}",
    value: "int",
    series: "namespace",
    own: ["network.transport", "network.connection.state"],
    optional: ["network.type"],
    description:
      "TCP sockets by state, zeros included. With sockets.time_wait: sockstat, time_wait has no network.type.",
  },
  "sockscope.flow.count": {
    carrier: "producer",
    kind: "updowncounter",
    unit: "{flow}",
    value: "int",
    series: "group",
    own: [],
    description: "Flows in the group now: TCP sockets that reached ESTABLISHED.",
  },
  "sockscope.flow.opened": {
    carrier: "producer",
    kind: "counter",
    unit: "{flow}",
    value: "int",
    series: "group",
    own: [],
    description:
      "Flows that appeared. Exact with destroy events; without them a lower bound: flows that lived between two dumps are not seen.",
  },
  "sockscope.flow.closed": {
    carrier: "producer",
    kind: "counter",
    unit: "{flow}",
    value: "int",
    series: "group",
    own: [],
    description:
      "Flows that ended. Exact with destroy events; without them a lower bound: flows that were absent from two dumps in a row. opened - closed = count - count at start.",
  },
  "sockscope.flow.io": {
    carrier: "producer",
    kind: "counter",
    unit: "By",
    value: "int",
    series: "group",
    own: ["network.io.direction"],
    description:
      "transmit: tcpi_bytes_acked, receive: tcpi_bytes_received; the kernel counts the SYN that a client sent and FINs as a byte each.",
  },
  "sockscope.flow.segments": {
    carrier: "producer",
    kind: "counter",
    unit: "{segment}",
    value: "int",
    series: "group",
    own: ["network.io.direction"],
    description: "tcpi_segs_out and tcpi_segs_in.",
  },
  "sockscope.flow.data_segments": {
    carrier: "producer",
    kind: "counter",
    unit: "{segment}",
    value: "int",
    series: "group",
    own: ["network.io.direction"],
    description: "Segments with data: tcpi_data_segs_out and tcpi_data_segs_in.",
  },
  "sockscope.flow.retransmits": {
    carrier: "producer",
    kind: "counter",
    unit: "{segment}",
    value: "int",
    series: "group",
    own: [],
    description: "tcpi_total_retrans.",
  },
  "sockscope.flow.retransmit.io": {
    carrier: "producer",
    kind: "counter",
    unit: "By",
    value: "int",
    series: "group",
    own: [],
    description: "tcpi_bytes_retrans.",
  },
  "sockscope.flow.busy.time": {
    carrier: "producer",
    kind: "counter",
    unit: "s",
    value: "double",
    series: "group",
    own: [],
    description: "Time with data to send (tcpi_busy_time), in steps of a jiffy.",
  },
  "sockscope.flow.stall.time": {
    carrier: "producer",
    kind: "counter",
    unit: "s",
    value: "double",
    series: "group",
    own: ["sockscope.stall.reason"],
    description: "Of that, time in which nothing could be sent: tcpi_rwnd_limited and tcpi_sndbuf_limited.",
  },
  "sockscope.flow.ecn.segments": {
    carrier: "producer",
    kind: "counter",
    unit: "{segment}",
    value: "int",
    series: "group",
    own: ["network.io.direction"],
    description: "Segments that met congestion (CE). transmit: tcpi_delivered_ce, receive: tcpi_received_ce.",
  },
  "sockscope.flow.rtt": {
    carrier: "producer",
    kind: "gauge",
    unit: "s",
    value: "double",
    series: "group",
    own: [],
    description: "Smoothed round-trip time (tcpi_rtt): one socket's value, or the group's mean.",
  },
  "sockscope.flow.rtt.min": {
    carrier: "producer",
    kind: "gauge",
    unit: "s",
    value: "double",
    series: "group",
    own: [],
    description: "Least round-trip time (tcpi_min_rtt), the least of the group.",
  },
  "sockscope.flow.rtt.max": {
    carrier: "producer",
    kind: "gauge",
    unit: "s",
    value: "double",
    series: "group",
    own: [],
    description: "The greatest smoothed round-trip time in the group.",
  },
  "sockscope.flow.rtt.variation": {
    carrier: "producer",
    kind: "gauge",
    unit: "s",
    value: "double",
    series: "group",
    own: [],
    description: "Variation of the round-trip time (tcpi_rttvar): one socket's value, or the group's mean.",
  },
  "sockscope.flow.cwnd": {
    carrier: "producer",
    kind: "gauge",
    unit: "{segment}",
    value: "double",
    series: "group",
    own: [],
    description: "Congestion window (tcpi_snd_cwnd): one socket's value, or the group's mean.",
  },
  "sockscope.flow.ssthresh": {
    carrier: "producer",
    kind: "gauge",
    unit: "{segment}",
    value: "double",
    series: "group",
    own: [],
    description: "Slow start threshold (tcpi_snd_ssthresh), mean of the group. Absent while there is none.",
  },
  "sockscope.flow.unacked": {
    carrier: "producer",
    kind: "gauge",
    unit: "{segment}",
    value: "int",
    series: "group",
    own: [],
    description: "Segments in flight (tcpi_unacked), sum of the group.",
  },
  "sockscope.flow.lost": {
    carrier: "producer",
    kind: "gauge",
    unit: "{segment}",
    value: "int",
    series: "group",
    own: [],
    description: "Segments that are taken for lost (tcpi_lost), sum of the group.",
  },
  "sockscope.flow.reordering": {
    carrier: "producer",
    kind: "gauge",
    unit: "{segment}",
    value: "double",
    series: "group",
    own: [],
    description: "Reordering that is allowed for (tcpi_reordering), mean of the group.",
  },
  "sockscope.flow.rto": {
    carrier: "producer",
    kind: "gauge",
    unit: "s",
    value: "double",
    series: "group",
    own: [],
    description: "Retransmission timeout (tcpi_rto), mean of the group.",
  },
  "sockscope.flow.pacing_rate": {
    carrier: "producer",
    kind: "gauge",
    unit: "By/s",
    value: "double",
    series: "group",
    own: [],
    description: "tcpi_pacing_rate, sum of the group.",
  },
  "sockscope.flow.delivery_rate": {
    carrier: "producer",
    kind: "gauge",
    unit: "By/s",
    value: "double",
    series: "group",
    own: [],
    description: "tcpi_delivery_rate where the application did not limit it, sum of the group.",
  },
  "sockscope.flow.queue.usage": {
    carrier: "producer",
    kind: "gauge",
    unit: "By",
    value: "int",
    series: "group",
    own: ["network.io.direction"],
    description:
      "transmit: bytes not acknowledged or not sent. receive: bytes not read by the application. Sum of the group.",
  },
  "sockscope.tcp.rtt": {
    carrier: "producer",
    kind: "histogram",
    unit: "s",
    value: "double",
    series: "none",
    own: ["network.type"],
    description: "Smoothed round-trip times: one sample for each live flow at each collection.",
  },
  "sockscope.listener.accept_queue.usage": {
    carrier: "producer",
    kind: "updowncounter",
    unit: "{connection}",
    value: "int",
    series: "listener",
    own: [],
    description:
      "Connections that wait to be accepted, over all sockets that listen there. A unix socket's local address is its path, with @ first for an abstract one.",
  },
  "sockscope.listener.accept_queue.limit": {
    carrier: "producer",
    kind: "updowncounter",
    unit: "{connection}",
    value: "int",
    series: "listener",
    own: [],
    description: "The backlog. The kernel admits one more, so usage can exceed it by 1 a socket.",
  },
  "sockscope.listener.drops": {
    carrier: "producer",
    kind: "counter",
    unit: "{connection}",
    value: "int",
    series: "listener",
    own: [],
    description: "Connections that the TCP listener itself dropped (SK_MEMINFO_DROPS).",
  },
  "sockscope.udp.queue.usage": {
    carrier: "producer",
    kind: "gauge",
    unit: "By",
    value: "int",
    series: "udp_port",
    own: ["network.io.direction"],
    description: "Bytes in the queues of the unconnected UDP sockets bound there.",
  },
  "sockscope.udp.drops": {
    carrier: "producer",
    kind: "counter",
    unit: "{datagram}",
    value: "int",
    series: "udp_port",
    own: [],
    description: "Datagrams that those sockets dropped (SK_MEMINFO_DROPS).",
  },
  "sockscope.socket.count": {
    carrier: "producer",
    kind: "updowncounter",
    unit: "{socket}",
    value: "int",
    series: "family",
    own: [],
    description:
      "Sockets that are neither TCP nor UDP, by protocol, type and state, zeros included. Of SCTP: endpoints that listen or are closed, and associations. A protocol that the kernel lacks has none.",
  },
  "sockscope.socket.drops": {
    carrier: "producer",
    kind: "counter",
    unit: "{packet}",
    value: "int",
    series: "family",
    own: [],
    description: "What packet and netlink sockets dropped for want of room in their buffers (SK_MEMINFO_DROPS).",
  },
  "sockscope.sockstat.used": {
    carrier: "either",
    kind: "updowncounter",
    unit: "{socket}",
    value: "int",
    series: "namespace",
    own: [],
    description: "Sockets of all families, in the network namespace.",
  },
  "sockscope.sockstat.in_use": {
    carrier: "either",
    kind: "updowncounter",
    unit: "{socket}",
    value: "int",
    series: "namespace",
    own: ["network.type"],
    optional: ["network.transport", "network.protocol.name"],
    description: "Sockets in use, in the network namespace. TCP: not only established ones.",
  },
  "sockscope.sockstat.orphan": {
    carrier: "sdk",
    kind: "updowncounter",
    unit: "{socket}",
    value: "int",
    series: "none",
    own: ["network.transport"],
    description: "TCP sockets without a file, of the whole kernel.",
  },
  "sockscope.sockstat.time_wait": {
    carrier: "either",
    kind: "updowncounter",
    unit: "{socket}",
    value: "int",
    series: "namespace",
    own: ["network.transport"],
    description: "TCP sockets in TIME_WAIT, in the network namespace.",
  },
  "sockscope.sockstat.allocated": {
    carrier: "sdk",
    kind: "updowncounter",
    unit: "{socket}",
    value: "int",
    series: "none",
    own: ["network.transport"],
    description: "TCP sockets allocated, of the whole kernel.",
  },
  "sockscope.sockstat.memory.usage": {
    carrier: "sdk",
    kind: "updowncounter",
    unit: "By",
    value: "int",
    series: "none",
    own: [],
    optional: ["network.transport", "network.protocol.name", "network.type"],
    description:
      "Buffer memory: TCP and UDP of the whole kernel, in whole pages; fragments (with network.type) of this network namespace.",
  },
  "sockscope.sockstat.memory.limit": {
    carrier: "sdk",
    kind: "updowncounter",
    unit: "By",
    value: "int",
    series: "none",
    own: ["network.transport", "sockscope.memory.threshold"],
    description:
      "What the buffer memory of TCP and UDP is held against (tcp_mem, udp_mem). The kernel shows it in its first network namespace only.",
  },
  "sockscope.sockstat.orphan.limit": {
    carrier: "sdk",
    kind: "updowncounter",
    unit: "{socket}",
    value: "int",
    series: "none",
    own: ["network.transport"],
    description:
      "Orphans beyond it are reset (tcp_max_orphans). The kernel shows it in its first network namespace only.",
  },
  "sockscope.sockstat.time_wait.limit": {
    carrier: "sdk",
    kind: "updowncounter",
    unit: "{socket}",
    value: "int",
    series: "none",
    own: ["network.transport"],
    description: "Sockets beyond it skip TIME_WAIT (tcp_max_tw_buckets), in this network namespace.",
  },
  "sockscope.agent.dump.duration": {
    carrier: "sdk",
    kind: "gauge",
    unit: "s",
    value: "double",
    series: "none",
    own: [],
    description: "Wall time of the last socket dump with decoding and folding.",
  },
  "sockscope.agent.dump.sockets": {
    carrier: "sdk",
    kind: "gauge",
    unit: "{socket}",
    value: "int",
    series: "none",
    own: [],
    description: "Sockets in the last dump.",
  },
  "sockscope.agent.dump.retries": {
    carrier: "sdk",
    kind: "counter",
    unit: "{dump}",
    value: "int",
    series: "none",
    own: [],
    description: "Socket dumps that were interrupted or cut short and made once more.",
  },
  "sockscope.agent.events": {
    carrier: "sdk",
    kind: "counter",
    unit: "{event}",
    value: "int",
    series: "none",
    own: ["sockscope.event.outcome"],
    description: "Destroy events of TCP sockets, by what they brought.",
  },
  "sockscope.agent.events.lost": {
    carrier: "sdk",
    kind: "counter",
    unit: "{event}",
    value: "int",
    series: "none",
    own: [],
    description: "Destroy events that the kernel could not hand over, since the receive buffer was full.",
  },
  "sockscope.agent.rows.skipped": {
    carrier: "sdk",
    kind: "counter",
    unit: "{row}",
    value: "int",
    series: "none",
    own: ["sockscope.agent.source"],
    description: "Messages and lines that could not be decoded.",
  },
  "sockscope.agent.source.errors": {
    carrier: "sdk",
    kind: "counter",
    unit: "{error}",
    value: "int",
    series: "none",
    own: ["sockscope.agent.source"],
    description: "Readings that failed.",
  },
  "sockscope.agent.groups": {
    carrier: "sdk",
    kind: "updowncounter",
    unit: "{series}",
    value: "int",
    series: "none",
    own: ["sockscope.series"],
    description: "Series of their own now.",
  },
  "sockscope.agent.groups.overflowed": {
    carrier: "sdk",
    kind: "updowncounter",
    unit: "{socket}",
    value: "int",
    series: "none",
    own: ["sockscope.series"],
    description: "Sockets of the last collection that are in the overflow series.",
  },
  "sockscope.agent.namespaces": {
    carrier: "sdk",
    kind: "updowncounter",
    unit: "{namespace}",
    value: "int",
    series: "none",
    own: [],
    description: "Network namespaces whose sockets are read, the agent's own among them; where others are asked for.",
  },
  "sockscope.agent.capability": {
    carrier: "sdk",
    kind: "updowncounter",
    unit: "{source}",
    value: "int",
    series: "none",
    own: ["sockscope.agent.source"],
    description: "1: the agent can read it here. 0: it cannot; the log says why.",
  },
  "sockscope.agent.election.leader": {
    carrier: "sdk",
    kind: "updowncounter",
    unit: "{agent}",
    value: "int",
    series: "none",
    own: [],
    description:
      "1: this agent leads its election and runs the probes. 0: it stands by. Absent without an election; the sum over an election's agents is 1 but for hand-overs.",
  },
  "sockscope.agent.export.queue.usage": {
    carrier: "sdk",
    kind: "updowncounter",
    unit: "By",
    value: "int",
    series: "none",
    own: ["sockscope.destination"],
    description: "Bytes of requests that wait to be sent, as stored (compressed).",
  },
  "sockscope.agent.export.bytes": {
    carrier: "sdk",
    kind: "counter",
    unit: "By",
    value: "int",
    series: "none",
    own: ["sockscope.destination"],
    description: "Request bodies that the destination took, as sent.",
  },
  "sockscope.agent.export.dropped": {
    carrier: "sdk",
    kind: "counter",
    unit: "{point}",
    value: "int",
    series: "none",
    own: ["sockscope.destination", "sockscope.drop.reason"],
    description: "Data points that were given up.",
  },
  "sockscope.agent.export.retries": {
    carrier: "sdk",
    kind: "counter",
    unit: "{request}",
    value: "int",
    series: "none",
    own: ["sockscope.destination"],
    description: "Requests that were sent once more after an attempt that failed.",
  },
  "otel.sdk.exporter.metric_data_point.exported": {
    carrier: "sdk",
    kind: "counter",
    unit: "{data_point}",
    value: "int",
    series: "none",
    own: exporterAttributes,
    optional: ["error.type"],
    unlisted: ["error.type"],
    description: "Data points that a destination took, or, with error.type, that were given up.",
  },
  "otel.sdk.exporter.metric_data_point.inflight": {
    carrier: "sdk",
    kind: "updowncounter",
    unit: "{data_point}",
    value: "int",
    series: "none",
    own: exporterAttributes,
    description: "Data points that wait or are under way.",
  },
  "otel.sdk.exporter.operation.duration": {
    carrier: "sdk",
    kind: "histogram",
    unit: "s",
    value: "double",
    series: "none",
    own: exporterAttributes,
    optional: ["error.type", "http.response.status_code", "rpc.response.status_code"],
    unlisted: ["error.type"],
    bounds: durationBounds,
    description: "Attempts to deliver a request, each by itself, until the whole answer was there.",
  },
  "otel.sdk.metric_reader.collection.duration": {
    carrier: "sdk",
    kind: "histogram",
    unit: "s",
    value: "double",
    series: "none",
    own: ["otel.component.name", "otel.component.type"],
    optional: ["error.type"],
    bounds: [],
    description: "Collections of the SDK's reader; the SDK records it itself, without buckets.",
  },
  ...compatMetrics,
} as const satisfies Record<string, Row>;

type Catalogue = typeof catalogue;
export type MetricName = keyof Catalogue;
export type ProducerMetric = { [M in MetricName]: Catalogue[M]["carrier"] extends "sdk" ? never : M }[MetricName];
export type SdkMetric = { [M in MetricName]: Catalogue[M]["carrier"] extends "producer" ? never : M }[MetricName];
export type SdkMetricOf<K extends InstrumentKind> = {
  [M in SdkMetric]: Catalogue[M]["kind"] extends K ? M : never;
}[SdkMetric];
export type ProducerMetricOf<S extends SeriesKind> = {
  [M in ProducerMetric]: Catalogue[M]["series"] extends S ? M : never;
}[ProducerMetric];

type OptionalOf<M extends MetricName> = Catalogue[M] extends {
  readonly optional: readonly (infer A extends AttributeName)[];
}
  ? A
  : never;

type ValueIn<M extends MetricName, A extends AttributeName> = Catalogue[M] extends {
  readonly unlisted: readonly (infer U)[];
}
  ? A extends U
    ? string
    : ValueOf<A>
  : ValueOf<A>;

/** The metric's own attributes: required ones all there, optional ones allowed, others refused. */
export type OwnAttributes<M extends MetricName> = { readonly [A in Catalogue[M]["own"][number]]: ValueIn<M, A> } & {
  readonly [A in OptionalOf<M>]?: ValueIn<M, A>;
};

export const descriptorOf = (name: MetricName): MetricDescriptor => {
  const row: Row = catalogue[name];
  const { description, unit, kind, value } = row;
  return { name, description, unit, kind, value, ...(row.verbatim === true ? { verbatim: true } : {}) };
};
