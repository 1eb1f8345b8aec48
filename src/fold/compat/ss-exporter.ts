import { type MetricColumns, noAttributes } from "../../model/columns.ts";
import type { SocketsConfig, SsExporterConfig, SsExporterMetric } from "../../model/config.ts";
import type { SocketBatch } from "../../model/socket.ts";
import { addressText, type End, local, peer } from "../../netlink/address.ts";
import type { TcpInfoField } from "../../netlink/tcp-info.ts";
import { counter, type FlowCounter, type FlowGauge, gauge, rttOf } from "../flow-columns.ts";
import type { FlowFacts, FlowGrouping } from "../flow-group.ts";
import { createFlows, type Flows } from "../flow-state.ts";
import { collectFlows, foldFlow } from "../flows.ts";
import { HistogramTable } from "../histograms.ts";

const microsecondsOfMs = 1000;

const counters: Partial<Record<SsExporterMetric, FlowCounter>> = {
  data_segs_in: counter("data_segments", "data_segs_in", "tcp_data_segs_in", {}),
  data_segs_out: counter("data_segments", "data_segs_out", "tcp_data_segs_out", {}),
};

/** Of a round-trip time and of a rate 0 means that there was no sample. */
const gauges: Partial<Record<SsExporterMetric, FlowGauge>> = {
  rtt: gauge("rtt", "rtt", "mean", "tcp_rtt", {}, { scale: microsecondsOfMs, least: 1 }),
  cwnd: gauge("cwnd", "snd_cwnd", "mean", "tcp_cwnd", {}),
  delivery_rate: gauge("delivery_rate", "delivery_rate", "sum", "tcp_delivery_rate", {}, { least: 1 }),
};

const fields: Readonly<Record<SsExporterMetric, TcpInfoField>> = {
  rtt: "rtt",
  cwnd: "snd_cwnd",
  delivery_rate: "delivery_rate",
  data_segs_in: "data_segs_in",
  data_segs_out: "data_segs_out",
};

/** The fields of struct tcp_info that the series are made of. */
export const ssExporterFields = ({ metrics }: SsExporterConfig): readonly TcpInfoField[] =>
  metrics.map((metric) => fields[metric]);

const endOf = (batch: SocketBatch, at: number, end: End): string =>
  `${addressText(batch, at, end)}|${(end === local ? batch.localPort : batch.peerPort)[at]}`;

const groupingOf = ({ labelFolding }: SsExporterConfig): FlowGrouping => {
  const condensed = labelFolding === "pid_condensed";
  const source = (batch: SocketBatch, at: number, facts: FlowFacts): string =>
    condensed ? `(${facts.process(batch, at)?.pid ?? "?"})` : `(SRC#${endOf(batch, at, local)})`;
  return {
    attributes: (batch, at, facts) => ({ flow: `${source(batch, at, facts)}(DST#${endOf(batch, at, peer)})` }),
    needsProcess: condensed,
    needsCgroup: false,
    needsCongestion: false,
  };
};

/** Series of prometheus_ss_exporter: its flows are groups of their own beside those of `sockets.group_by`. */
export type SsExporter = {
  readonly flows: Flows;
  readonly histogram: HistogramTable | undefined;
  /** The histogram's only row, from its first sample on. */
  histogramRow: number | undefined;
};

const pick = <T>(rows: Partial<Record<SsExporterMetric, T>>, metrics: readonly SsExporterMetric[]): readonly T[] =>
  metrics.flatMap((metric) => rows[metric] ?? []);

export const createSsExporter = (
  config: SsExporterConfig,
  { maxGroups, seriesTtl }: Pick<SocketsConfig, "maxGroups" | "seriesTtl">,
): SsExporter => ({
  flows: createFlows(
    {
      // By socket, series are the kernel's own values and end with it.
      groupBy: config.labelFolding === "raw_endpoint" ? "socket" : "process",
      maxGroups,
      seriesTtl,
      rankBy: "flows",
      metrics: [],
    },
    false,
    { grouping: groupingOf(config), counters: pick(counters, config.metrics), gauges: pick(gauges, config.metrics) },
  ),
  histogram: config.rttBoundsMs === undefined ? undefined : new HistogramTable("tcp_rtt_hist_ms", config.rttBoundsMs),
  histogramRow: undefined,
});

/** Adds a flow that the flows of `sockets.group_by` have taken. */
export const foldSsExporter = (exporter: SsExporter, batch: SocketBatch, at: number, facts: FlowFacts): void => {
  const { flows, histogram } = exporter;
  if (foldFlow(flows, batch, at, facts) !== "added" || histogram === undefined) return;
  const rtt = rttOf(batch, at);
  if (Number.isNaN(rtt)) return;
  exporter.histogramRow ??= histogram.add(noAttributes, flows.lastTime === 0 ? flows.time : flows.lastTime);
  histogram.record(exporter.histogramRow, rtt * 1000);
};

/** The tick's metrics; `absent` after a dump that failed. */
export function* collectSsExporter(
  { flows, histogram }: SsExporter,
  absent: boolean,
): Generator<number, MetricColumns[]> {
  const columns = yield* collectFlows(flows, absent);
  return [
    // How many flows a group has, has had and has lost is no series of the tool.
    ...columns.filter(({ descriptor }) => descriptor.verbatim === true),
    ...(histogram === undefined ? [] : yield* histogram.collect(absent)),
  ];
}
