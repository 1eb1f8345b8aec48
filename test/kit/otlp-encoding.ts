import { type EncodedRequest, encodeRequests } from "../../src/export/otlp-protobuf.ts";
import type { Snapshot } from "../../src/model/columns.ts";
import { decodeRequest, flattenPoints, type ReceivedPoint } from "./otlp-receiver.ts";

export const maxBytes = 4 * 1024 * 1024;

/** All requests of a snapshot. */
export const encode = (snapshot: Snapshot, limit = maxBytes): { requests: EncodedRequest[]; tooLarge: number } => {
  const requests: EncodedRequest[] = [];
  const steps = encodeRequests(snapshot, { maxBytes: limit });
  for (;;) {
    const step = steps.next();
    if (step.done === true) return { requests, tooLarge: step.value };
    if (step.value !== undefined) requests.push(step.value);
  }
};

/** The points of all requests of a snapshot, as a receiver sees them. */
export const decodeAll = (snapshot: Snapshot, limit?: number): ReceivedPoint[] =>
  flattenPoints(encode(snapshot, limit).requests.map(({ body }) => decodeRequest(body)));

const startOf = (kind: string, starts: Float64Array, index: number): number =>
  kind === "gauge" ? 0 : (starts[index] ?? 0);

/** What a receiver has to see, straight from the columns. */
export const expectedPoints = ({ time, metrics }: Snapshot): ReceivedPoint[] => {
  const common = ({ descriptor: { name, unit, kind } }: Snapshot["metrics"][number]) => ({
    name,
    unit,
    kind: kind === "gauge" || kind === "histogram" ? kind : ("sum" as const),
    monotonic: kind === "counter",
    temporality: kind === "gauge" ? 0 : 2,
    time,
  });
  const live = metrics.flatMap((metric) => [
    ...metric.numbers.flatMap(({ own, sets, starts, values }) =>
      sets.map((set, index) => ({
        ...common(metric),
        attributes: { ...own.values, ...set.values },
        start: startOf(metric.descriptor.kind, starts, index),
        value: values[index] ?? 0,
        flags: 0,
      })),
    ),
    ...metric.histograms.flatMap(({ own, sets, starts, bounds, counts, sums }) =>
      sets.map((set, index) => {
        const buckets = [...counts].slice(index * (bounds.length + 1), (index + 1) * (bounds.length + 1));
        return {
          ...common(metric),
          attributes: { ...own.values, ...set.values },
          start: starts[index] ?? 0,
          histogram: { count: buckets.reduce((a, b) => a + b, 0), sum: sums[index] ?? 0, bounds, counts: buckets },
          flags: 0,
        };
      }),
    ),
  ]);
  const ended = metrics.flatMap((metric) =>
    metric.ended.flatMap(({ own, sets, starts }) =>
      sets.map((set, index) => ({
        ...common(metric),
        attributes: { ...own.values, ...set.values },
        start: startOf(metric.descriptor.kind, starts, index),
        flags: 1,
      })),
    ),
  );
  return [...live, ...ended];
};
