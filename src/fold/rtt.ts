import { descriptorOf } from "../metrics/catalogue.ts";
import { attributeSet, noAttributes, type MetricColumns } from "../model/columns.ts";
import { bucketOf } from "./histograms.ts";

type Distribution = {
  readonly own: ReturnType<typeof attributeSet>;
  readonly counts: Float64Array;
  sum: number;
  start: number;
};

/** The distribution of the flows' RTT: cumulative over the ticks, a sample of each live flow a tick. */
export type RttHistogram = {
  readonly bounds: readonly number[];
  readonly ipv4: Distribution;
  readonly ipv6: Distribution;
};

/** `bounds` are upper bounds in seconds, inclusive and ascending. */
export const createRttHistogram = (bounds: readonly number[]): RttHistogram => {
  const distribution = (type: "ipv4" | "ipv6"): Distribution => ({
    own: attributeSet({ "network.type": type }),
    counts: new Float64Array(bounds.length + 1),
    sum: 0,
    start: 0,
  });
  return { bounds, ipv4: distribution("ipv4"), ipv6: distribution("ipv6") };
};

/** Adds a sample of `seconds`; `start` (Unix ms) is the tick before, from which on the first sample counts. */
export const addRtt = (histogram: RttHistogram, ipv4: boolean, seconds: number, start: number): void => {
  const { bounds } = histogram;
  const distribution = ipv4 ? histogram.ipv4 : histogram.ipv6;
  const bucket = bucketOf(bounds, seconds);
  distribution.counts[bucket] = (distribution.counts[bucket] as number) + 1;
  distribution.sum += seconds;
  if (distribution.start === 0) distribution.start = start;
};

/** The metric now; undefined before the first sample. */
export const collectRtt = (histogram: RttHistogram): MetricColumns | undefined => {
  const sampled = [histogram.ipv4, histogram.ipv6].filter(({ start }) => start > 0);
  if (sampled.length === 0) return undefined;
  return {
    descriptor: descriptorOf("sockscope.tcp.rtt"),
    numbers: [],
    histograms: sampled.map(({ own, counts, sum, start }) => ({
      own,
      sets: [noAttributes],
      starts: Float64Array.of(start),
      bounds: histogram.bounds,
      counts: counts.slice(),
      sums: Float64Array.of(sum),
    })),
    ended: [],
  };
};
