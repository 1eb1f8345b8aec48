import { HistogramTable } from "../fold/histograms.ts";
import { addTo, SeriesTable } from "../fold/series.ts";
import { catalogue, type OwnAttributes } from "../metrics/catalogue.ts";
import type { AttributeSet, MetricColumns } from "../model/columns.ts";
import { type Facts, phases, type Verdict } from "../model/outcome.ts";

type Failure = Pick<OwnAttributes<"sockscope.probe.runs">, "error.type" | "sockscope.probe.phase">;

/** Why a run failed, and of down the phase that did; nothing of one that did not. */
export const failureOf = (verdict: Verdict): Failure => {
  if (verdict.kind === "down") return { "error.type": verdict.error, "sockscope.probe.phase": verdict.phase };
  return verdict.kind === "not_run" ? { "error.type": verdict.error } : {};
};

/** Adds 1 to a row of the metric's column for what became of a run or an attempt. */
export const countVerdicts = (
  table: SeriesTable<"target">,
  metric: "sockscope.probe.runs" | "sockscope.probe.attempts",
): ((row: number, verdict: Verdict) => void) => {
  const columns = new Map<string, number>();
  return (row, verdict) => {
    const failure = failureOf(verdict);
    const key = `${verdict.kind} ${failure["error.type"]} ${failure["sockscope.probe.phase"]}`;
    let column = columns.get(key);
    if (column === undefined) {
      column = table.column(metric, { "sockscope.probe.outcome": verdict.kind, ...failure });
      columns.set(key, column);
    }
    addTo(table.values(column), row, 1);
  };
};

/** Mean difference in s between round-trip times that follow each other; NaN of fewer than two. */
const jitterOf = (rtts: readonly number[]): number => {
  let sum = 0;
  for (let at = 1; at < rtts.length; at++) sum += Math.abs((rtts[at] as number) - (rtts[at - 1] as number));
  return rtts.length < 2 ? Number.NaN : sum / (rtts.length - 1);
};

/** A series of runs: of a target, or of one of its addresses. */
export type ProbeSeries = {
  readonly set: AttributeSet;
  readonly start: number;
  readonly row: number;
  /** Its row among the distributions, once it had packets. */
  packetRow: number | undefined;
};

/** What the runs of targets and addresses become, a series each. */
export const createProbeSeries = () => {
  const table = new SeriesTable<"target">();
  const packetRtts = new HistogramTable("sockscope.probe.packet.rtt", catalogue["sockscope.probe.packet.rtt"].bounds);
  const up = table.column("sockscope.probe.up", {});
  const countRun = countVerdicts(table, "sockscope.probe.runs");
  const latency = table.column("sockscope.probe.latency", {});
  const phaseColumns = phases.map((phase) => ({
    phase,
    column: table.column("sockscope.probe.phase.latency", { "sockscope.probe.phase": phase }),
  }));
  const tcpRtt = table.column("sockscope.probe.tcp.rtt", {});
  const sent = table.column("sockscope.probe.packets", { "network.io.direction": "transmit" });
  const received = table.column("sockscope.probe.packets", { "network.io.direction": "receive" });
  const lost = table.column("sockscope.probe.packets.lost", {});
  const jitter = table.column("sockscope.probe.jitter", {});
  const ttl = table.column("sockscope.probe.ttl", {});
  const expiry = table.column("sockscope.probe.tls.certificate.expiry", {});

  const put = (column: number, row: number, value: number | undefined): void => {
    table.values(column)[row] = value ?? Number.NaN;
  };

  const addPackets = (series: ProbeSeries, packets: NonNullable<Facts["packets"]>): void => {
    const { row } = series;
    addTo(table.values(sent), row, packets.sent);
    addTo(table.values(received), row, packets.rtts.length);
    addTo(table.values(lost), row, packets.sent - packets.rtts.length);
    const packetRow = (series.packetRow ??= packetRtts.add(series.set, series.start));
    for (const rtt of packets.rtts) packetRtts.record(packetRow, rtt);
  };

  return {
    /** A new series, all absent, that counts from `start` (Unix ms) on. */
    add: (set: AttributeSet, start: number): ProbeSeries => ({
      set,
      start,
      row: table.add(set, start),
      packetRow: undefined,
    }),
    /** Ends the series with the next collection. */
    remove({ row, packetRow }: ProbeSeries): void {
      table.remove(row);
      if (packetRow !== undefined) packetRtts.remove(packetRow);
    },
    record(series: ProbeSeries, verdict: Verdict): void {
      const { row } = series;
      const { facts } = verdict;
      const answered = verdict.kind === "up";
      put(up, row, verdict.kind === "not_run" ? undefined : verdict.kind === "down" ? 0 : 1);
      countRun(row, verdict);
      put(latency, row, answered ? verdict.seconds : undefined);
      for (const { phase, column } of phaseColumns) put(column, row, answered ? verdict.phases[phase] : undefined);
      put(tcpRtt, row, facts.tcpRtt);
      put(jitter, row, facts.packets && jitterOf(facts.packets.rtts));
      put(ttl, row, facts.ttl);
      put(expiry, row, facts.certificateExpiry);
      if (facts.packets !== undefined) addPackets(series, facts.packets);
    },
    *collect(absent = false): Generator<number, MetricColumns[]> {
      return [...(yield* table.collect(absent)), ...(yield* packetRtts.collect(absent))];
    },
  };
};
