import type { OwnAttributes, ProducerMetricOf } from "../metrics/catalogue.ts";
import type { FlowFamily } from "../model/config.ts";
import type { SocketBatch } from "../model/socket.ts";
import { tcpInfo, tcpInfoIndex, tcpInfoStride, type TcpInfoField } from "../netlink/tcp-info.ts";
import type { SeriesTable } from "./series.ts";

/** What a series of flows is one of: a group, or what another tool makes of them. */
export type FlowSeries = "group" | "ss_exporter";
type FlowMetric = ProducerMetricOf<FlowSeries>;
type Column = (table: SeriesTable<FlowSeries>) => number;

const microseconds = 1e6;

/** A counter of struct tcp_info that is added up over the sockets of a group. */
export type FlowCounter = {
  readonly family: FlowFamily;
  readonly field: TcpInfoField;
  /** Where it wraps; 0: u64, which does not. */
  readonly wraps: number;
  /** Units of the field in one of the metric's. */
  readonly scale: number;
  readonly column: Column;
};

export const counter = <M extends FlowMetric>(
  family: FlowFamily,
  field: TcpInfoField,
  metric: M,
  own: OwnAttributes<M>,
  scale = 1,
): FlowCounter => ({
  family,
  field,
  wraps: tcpInfo[field].width === 8 ? 0 : 4_294_967_296,
  scale,
  column: (table) => table.column(metric, own),
});

const transmit = { "network.io.direction": "transmit" } as const;
const receive = { "network.io.direction": "receive" } as const;

const counters: readonly FlowCounter[] = [
  counter("io", "bytes_acked", "sockscope.flow.io", transmit),
  counter("io", "bytes_received", "sockscope.flow.io", receive),
  counter("segments", "segs_out", "sockscope.flow.segments", transmit),
  counter("segments", "segs_in", "sockscope.flow.segments", receive),
  counter("data_segments", "data_segs_out", "sockscope.flow.data_segments", transmit),
  counter("data_segments", "data_segs_in", "sockscope.flow.data_segments", receive),
  counter("retransmits", "total_retrans", "sockscope.flow.retransmits", {}),
  counter("retransmits", "bytes_retrans", "sockscope.flow.retransmit.io", {}),
  counter("stall", "busy_time", "sockscope.flow.busy.time", {}, microseconds),
  counter(
    "stall",
    "rwnd_limited",
    "sockscope.flow.stall.time",
    { "sockscope.stall.reason": "receiver_window" },
    microseconds,
  ),
  counter(
    "stall",
    "sndbuf_limited",
    "sockscope.flow.stall.time",
    { "sockscope.stall.reason": "send_buffer" },
    microseconds,
  ),
  counter("ecn", "delivered_ce", "sockscope.flow.ecn.segments", transmit),
  counter("ecn", "received_ce", "sockscope.flow.ecn.segments", receive),
];

/** How the values of a group's sockets become one. */
export type GaugeFold = "mean" | "min" | "max" | "sum";

export type FlowGauge = {
  readonly family: FlowFamily;
  /** A field of struct tcp_info, or one of the socket's queues. */
  readonly from: TcpInfoField | "wqueue" | "rqueue";
  readonly fold: GaugeFold;
  /** Units of the field in one of the metric's. */
  readonly scale: number;
  /** Readings below `least`, and from `limit` on, are none. */
  readonly least: number;
  readonly limit: number;
  /** Only where the application did not limit it, or where there was an RTT sample. */
  readonly only: "unlimited" | "sampled" | undefined;
  /** Says nothing of a single socket. */
  readonly onlyInGroups: boolean;
  readonly column: Column;
};

type GaugeOptions = Partial<Pick<FlowGauge, "scale" | "least" | "limit" | "only" | "onlyInGroups">>;

export const gauge = <M extends FlowMetric>(
  family: FlowFamily,
  from: FlowGauge["from"],
  fold: GaugeFold,
  metric: M,
  own: OwnAttributes<M>,
  { scale = 1, least = 0, limit = Infinity, only, onlyInGroups = false }: GaugeOptions = {},
): FlowGauge => ({
  family,
  from,
  fold,
  scale,
  least,
  limit,
  only,
  onlyInGroups,
  column: (table) => table.column(metric, own),
});

/** The kernel's 0 means that there was no sample. */
const rtt: GaugeOptions = { scale: microseconds, least: 1 };
/** TCP_INFINITE_SSTHRESH, and the least value of a u64 that stands for "no limit". */
const noThreshold = 0x7fffffff;
const noRate = 2 ** 63;
const noMinRtt = 0xffffffff;

const gauges: readonly FlowGauge[] = [
  gauge("rtt", "rtt", "mean", "sockscope.flow.rtt", {}, rtt),
  gauge("rtt", "rtt", "max", "sockscope.flow.rtt.max", {}, { ...rtt, onlyInGroups: true }),
  gauge("rtt", "rttvar", "mean", "sockscope.flow.rtt.variation", {}, { scale: microseconds, only: "sampled" }),
  gauge("rtt", "min_rtt", "min", "sockscope.flow.rtt.min", {}, { scale: microseconds, limit: noMinRtt }),
  gauge("cwnd", "snd_cwnd", "mean", "sockscope.flow.cwnd", {}),
  gauge("ssthresh", "snd_ssthresh", "mean", "sockscope.flow.ssthresh", {}, { limit: noThreshold }),
  gauge("delivery_rate", "delivery_rate", "sum", "sockscope.flow.delivery_rate", {}, { least: 1, only: "unlimited" }),
  gauge("pacing_rate", "pacing_rate", "sum", "sockscope.flow.pacing_rate", {}, { limit: noRate }),
  gauge("queue", "wqueue", "sum", "sockscope.flow.queue.usage", transmit),
  gauge("queue", "rqueue", "sum", "sockscope.flow.queue.usage", receive),
  gauge("unacked", "unacked", "sum", "sockscope.flow.unacked", {}),
  gauge("lost", "lost", "sum", "sockscope.flow.lost", {}),
  gauge("reordering", "reordering", "mean", "sockscope.flow.reordering", {}),
  gauge("rto", "rto", "mean", "sockscope.flow.rto", {}, { scale: microseconds }),
];

export const countersOf = (families: readonly FlowFamily[]): readonly FlowCounter[] =>
  counters.filter(({ family }) => families.includes(family));

export const gaugesOf = (families: readonly FlowFamily[], perSocket: boolean): readonly FlowGauge[] =>
  gauges.filter(({ family, onlyInGroups }) => families.includes(family) && !(perSocket && onlyInGroups));

/** What tells that a socket has been connected, whatever metrics are wanted; RTT goes into its histogram too. */
const always: readonly TcpInfoField[] = ["rtt", "min_rtt", "bytes_acked", "bytes_received"];

/** The fields of struct tcp_info that flows are made of. */
export const flowFields = (families: readonly FlowFamily[]): readonly TcpInfoField[] => [
  ...always,
  ...countersOf(families).map(({ field }) => field),
  ...gaugesOf(families, false).flatMap(({ from, only }): TcpInfoField[] => [
    ...(from === "wqueue" || from === "rqueue" ? [] : [from]),
    ...(only === "unlimited" ? (["delivery_rate_app_limited"] as const) : []),
  ]),
];

/** Smoothed RTT in s; the kernel's 0 means that there was no sample. */
export const rttOf = (batch: SocketBatch, row: number): number => {
  const value = batch.info[row * tcpInfoStride + tcpInfoIndex.rtt] as number;
  return value > 0 ? value / microseconds : Number.NaN;
};

/** Whether the socket was ever ESTABLISHED, by what a destroy event still tells of it. */
export const wasConnected = (batch: SocketBatch, row: number): boolean => {
  const at = row * tcpInfoStride;
  const sampled = (batch.info[at + tcpInfoIndex.min_rtt] as number) < noMinRtt;
  return sampled || hasBytes(batch, row);
};

/** False where the kernel had erased the counters, or nothing was ever sent. */
export const hasBytes = (batch: SocketBatch, row: number): boolean => {
  const at = row * tcpInfoStride;
  return (
    (batch.info[at + tcpInfoIndex.bytes_acked] as number) > 0 ||
    (batch.info[at + tcpInfoIndex.bytes_received] as number) > 0
  );
};
