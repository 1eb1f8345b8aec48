import type { Path } from "../config/path.ts";
import type { Report } from "./conversion.ts";
import type { Histogram, Logic, Metrics } from "./ss-exporter-schema.ts";
import { remark, type Value } from "./draft.ts";

const base: Path = ["logic", "metrics"];

/** The document's, in ms. */
const defaultBounds = [
  0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000,
] as const;

const mostBounds = 160;

/** The one of two spellings that is there; both are a fault. */
export const spelled = <K extends string>(
  held: Readonly<Partial<Record<K, unknown>>>,
  names: readonly [K, K],
  path: Path,
  report: Report,
): K | undefined => {
  const [first, second] = names;
  if (held[first] === undefined) return held[second] === undefined ? undefined : second;
  if (held[second] !== undefined)
    report([...path, second], `is another spelling of ${first}: set one of the two`, "key");
  return first;
};

type Switch = { readonly active?: boolean | undefined } | undefined;

/** A block that names some of its members means those; one that names none means all of them. */
const isOn = (block: Switch, member: Switch, named: boolean): boolean =>
  block !== undefined && block.active !== false && (member === undefined ? !named : member.active !== false);

const boundsOf = (histogram: Histogram, path: Path, report: Report): readonly number[] => {
  const key = spelled(histogram, ["bucketBounds", "bucket_bounds"], path, report);
  const bounds = key && histogram[key];
  if (key === undefined || bounds === undefined) return defaultBounds;
  const at = [...path, key];
  if (bounds.length === 0)
    report(at, "must hold at least one bound: the exporter would have shown one bucket with everything in it");
  if (bounds.length > mostBounds) report(at, `can hold ${mostBounds} bounds: more make points that receivers refuse`);
  for (const [index, bound] of bounds.entries()) {
    if (!(bound > 0 && Number.isFinite(bound)))
      report(
        [...at, index],
        "must be a number of milliseconds above 0: the exporter would have shown a bucket that nothing can be in",
      );
    else if (bound <= (bounds[index - 1] ?? 0))
      report(
        [...at, index],
        "must be above the bound before it: the exporter would have counted into the wrong buckets",
      );
  }
  return bounds;
};

const histogramOf = (metrics: Metrics, whole: boolean, report: Report): Value => {
  const { histograms } = metrics;
  const path: Path = [...base, "histograms"];
  const key = spelled(histograms ?? {}, ["rtt", "latency"], path, report);
  const histogram = key && histograms?.[key];
  const bounds =
    key === undefined || histogram === undefined ? defaultBounds : boundsOf(histogram, [...path, key], report);
  return whole || isOn(histograms, histogram, key !== undefined) ? { bounds_ms: bounds } : "off";
};

const metricNames = ["rtt", "cwnd", "delivery_rate", "data_segs_in", "data_segs_out"] as const;

const sayRule =
  "A block that lists some of its metrics means those, one that lists none means all of them, and a block that is not listed means none.";
const sayHistogram =
  "Cumulative over all observations, one a flow and tick, as Prometheus has histograms; the exporter's counts fell when flows ended. Use rate() on it.";

/** The options of compat's ss_exporter. */
export const metricsOf = ({ metrics = {}, compression = {} }: Logic, report: Report): Value => {
  const { gauges, counters } = metrics;
  const named = (block: object | undefined): boolean => Object.keys(block ?? {}).some((key) => key !== "active");
  const member = <K extends string>(
    block: (Switch & Readonly<Partial<Record<K, Switch>>>) | undefined,
    at: string,
    names: readonly [K, K],
  ): boolean => {
    if (block === undefined) return whole;
    const key = spelled<K>(block, names, [...base, at], report);
    return isOn(block, key && block[key], named(block));
  };
  // Without any block there is nothing to go by but the document's list of metrics.
  const whole = Object.keys(metrics).length === 0;
  const on: Readonly<Record<(typeof metricNames)[number], boolean>> = {
    rtt: whole || isOn(gauges, gauges?.rtt, named(gauges)),
    cwnd: whole || isOn(gauges, gauges?.cwnd, named(gauges)),
    delivery_rate: member(gauges, "gauges", ["deliveryRate", "delivery_rate"]),
    data_segs_in: member(counters, "counters", ["dataSegsIn", "data_segs_in"]),
    data_segs_out: member(counters, "counters", ["dataSegsOut", "data_segs_out"]),
  };
  const histogram = histogramOf(metrics, whole, report);
  return {
    label_folding: foldingOf(compression, report),
    metrics: remark(on, sayRule),
    rtt_histogram: remark(histogram, histogram === "off" ? undefined : sayHistogram),
  };
};

const foldings = ["raw_endpoint", "pid_condensed"] as const;

const foldingOf = (compression: NonNullable<Logic["compression"]>, report: Report): Value => {
  const path: Path = ["logic", "compression"];
  const key = spelled(compression, ["labelFolding", "label_folding"], path, report);
  const written = key && compression[key];
  if (key === undefined || written === undefined) return "raw_endpoint";
  const isMap = typeof written === "object";
  const word = isMap ? written.origin : written;
  const folding = foldings.find((known) => known === word);
  if (folding === undefined)
    report(
      [...path, key, ...(isMap ? ["origin"] : [])],
      "must be raw_endpoint or pid_condensed: the exporter would have made labels of another form, flow_PORT_PORT",
    );
  if (folding !== "pid_condensed") return "raw_endpoint";
  return remark(
    folding,
    "Flows of one process to one end are one series: sums, and the mean of gauges; the exporter showed each under the same labels. Of a process that is not known, as without permission, the pid is ?.",
  );
};
