import type { OwnAttributes, ProducerMetricOf } from "../metrics/catalogue.ts";
import type { SocketBatch } from "../model/socket.ts";
import { tcpInfoIndex as field, tcpInfoStride, type TcpInfoField } from "../netlink/tcp-info.ts";
import type { SeriesTable } from "./series.ts";

type FlowMetric = ProducerMetricOf<"group">;

/** A counter of struct tcp_info that is added up over the sockets of a group. */
type Counter = {
  readonly field: TcpInfoField;
  /** Where it wraps; u64 do not. */
  readonly wraps: number;
  readonly column: (table: SeriesTable<"group">) => number;
};

const counter = <M extends FlowMetric>(
  name: TcpInfoField,
  bits: 32 | 64,
  metric: M,
  own: OwnAttributes<M>,
): Counter => ({
  field: name,
  wraps: bits === 32 ? 4_294_967_296 : 0,
  column: (table) => table.column(metric, own),
});

export const flowCounters: readonly Counter[] = [
  counter("bytes_acked", 64, "sockscope.flow.io", { "network.io.direction": "transmit" }),
  counter("bytes_received", 64, "sockscope.flow.io", { "network.io.direction": "receive" }),
  counter("segs_out", 32, "sockscope.flow.segments", { "network.io.direction": "transmit" }),
  counter("segs_in", 32, "sockscope.flow.segments", { "network.io.direction": "receive" }),
  counter("total_retrans", 32, "sockscope.flow.retransmits", {}),
];

/** The fields that flows are made of. */
export const flowFields: readonly TcpInfoField[] = [
  ...flowCounters.map(({ field: name }) => name),
  "rtt",
  "rttvar",
  "min_rtt",
  "snd_cwnd",
  "delivery_rate",
  "delivery_rate_app_limited",
];

/** How the values of a group's sockets become one. */
export type GaugeFold = "mean" | "min" | "max" | "sum";

type Gauge = {
  readonly fold: GaugeFold;
  readonly column: (table: SeriesTable<"group">) => number;
  /** Says nothing of a single socket. */
  readonly onlyInGroups?: true;
};

const gauge = <M extends FlowMetric>(metric: M, own: OwnAttributes<M>, fold: GaugeFold): Gauge => ({
  fold,
  column: (table) => table.column(metric, own),
});

/** In the order in which `sampleFlow` gives their values. */
export const flowGauges: readonly Gauge[] = [
  gauge("sockscope.flow.rtt", {}, "mean"),
  { ...gauge("sockscope.flow.rtt.max", {}, "max"), onlyInGroups: true },
  gauge("sockscope.flow.rtt.variation", {}, "mean"),
  gauge("sockscope.flow.rtt.min", {}, "min"),
  gauge("sockscope.flow.cwnd", {}, "mean"),
  gauge("sockscope.flow.delivery_rate", {}, "sum"),
  gauge("sockscope.flow.queue.usage", { "network.io.direction": "transmit" }, "sum"),
  gauge("sockscope.flow.queue.usage", { "network.io.direction": "receive" }, "sum"),
];

const microsecondsOfSecond = 1e6;
const noMinRtt = 0xffffffff;

/** Smoothed RTT in s; the kernel's 0 means that there was no sample. */
export const rttOf = (batch: SocketBatch, row: number): number => {
  const rtt = batch.info[row * tcpInfoStride + field.rtt] as number;
  return rtt > 0 ? rtt / microsecondsOfSecond : Number.NaN;
};

/**
 * One socket's gauges in their metrics' units; NaN: absent. One function for all of them: a call each would cost more
 * than the rest of the fold.
 */
export const sampleFlow = (batch: SocketBatch, row: number, sample: Float64Array): void => {
  const { info } = batch;
  const at = row * tcpInfoStride;
  const rtt = rttOf(batch, row);
  sample[0] = rtt;
  sample[1] = rtt;
  sample[2] = Number.isNaN(rtt) ? Number.NaN : (info[at + field.rttvar] as number) / microsecondsOfSecond;
  const minRtt = info[at + field.min_rtt] as number;
  sample[3] = minRtt === noMinRtt ? Number.NaN : minRtt / microsecondsOfSecond;
  sample[4] = info[at + field.snd_cwnd] as number;
  const rate = info[at + field.delivery_rate] as number;
  sample[5] = rate > 0 && info[at + field.delivery_rate_app_limited] === 0 ? rate : Number.NaN;
  sample[6] = batch.wqueue[row] as number;
  sample[7] = batch.rqueue[row] as number;
};
