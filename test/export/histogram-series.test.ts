import { expect, test } from "vitest";
import { encodeJson } from "../../src/export/otlp-json.ts";
import { renderPrometheus } from "../../src/export/prometheus-text.ts";
import { HistogramTable } from "../../src/fold/histograms.ts";
import { SeriesTable } from "../../src/fold/series.ts";
import { attributeSet } from "../../src/model/columns.ts";
import { encode } from "../kit/otlp-encoding.ts";
import { decodeRequest } from "../kit/otlp-receiver.ts";
import { snapshotOf } from "../kit/otlp-snapshots.ts";
import { drain } from "../kit/points.ts";
import { parsePage } from "./prometheus-parser.ts";

const name = "sockscope.probe.packet.rtt";

/** Three series with numbers and distributions under one set each, of which the second has ended. */
const createSnapshot = () => {
  const numbers = new SeriesTable<"target">();
  const rtts = new HistogramTable(name, [0.001, 0.1]);
  const up = numbers.column("sockscope.probe.up", {});
  const series = ["a", "b", "c"].map((target, at) => {
    const set = attributeSet({ "sockscope.probe.name": target });
    const row = numbers.add(set, 1000);
    numbers.values(up)[row] = 1;
    const distribution = rtts.add(set, 1000 * (at + 1));
    for (let times = 0; times <= at; times++) rtts.record(distribution, 0.0625 * (times + 1));
    return { row, distribution };
  });
  drain(rtts.collect());
  numbers.remove(series[1]!.row);
  rtts.remove(series[1]!.distribution);
  return snapshotOf(...drain(numbers.collect()).value, ...drain(rtts.collect()).value);
};

const live = [
  { name: "a", start: "1000000000", count: "1", sum: 0.0625, bucketCounts: ["0", "1", "0"] },
  { name: "c", start: "3000000000", count: "3", sum: 0.375, bucketCounts: ["0", "1", "2"] },
];

type Request = Pick<ReturnType<typeof decodeRequest>, "resourceMetrics">;

const pointsOf = ({ resourceMetrics }: Request) =>
  resourceMetrics?.[0]?.scopeMetrics?.[0]?.metrics
    ?.filter((metric) => metric.name === name)
    .map(({ histogram }) =>
      histogram?.dataPoints?.map(
        ({ attributes, startTimeUnixNano, timeUnixNano: _time, explicitBounds: _bounds, ...point }) => ({
          name: attributes?.[0]?.value?.stringValue,
          start: startTimeUnixNano,
          ...point,
        }),
      ),
    );

test("as OTLP, the live ones in a metric, the ended one flagged in another", () => {
  const expected = [live, [{ name: "b", start: "2000000000", count: "0", flags: 1 }]];
  const { requests } = encode(createSnapshot());
  expect(requests.flatMap(({ body }) => pointsOf(decodeRequest(body)))).toEqual(expected);
  expect(pointsOf(JSON.parse(encodeJson(createSnapshot())) as Request)).toEqual(expected);
});

test("on the page, without the ended one", () => {
  const page = [...renderPrometheus(createSnapshot(), "openmetrics")].join("");
  const family = parsePage(page, "openmetrics").get("sockscope_probe_packet_rtt_seconds");
  const buckets = family?.samples.filter((sample) => sample.name.endsWith("_bucket"));
  expect(buckets?.map(({ labels, value }) => [labels.get("sockscope_probe_name"), labels.get("le"), value])).toEqual([
    ["a", "0.001", 0],
    ["a", "0.1", 1],
    ["a", "+Inf", 1],
    ["c", "0.001", 0],
    ["c", "0.1", 1],
    ["c", "+Inf", 3],
  ]);
  expect(page).toContain('sockscope_probe_packet_rtt_seconds_sum{sockscope_probe_name="c"} 0.375\n');
  expect(page).not.toContain('"b"');
});
