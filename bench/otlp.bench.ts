import { ValueType } from "@opentelemetry/api";
import { ProtobufMetricsSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  DataPointType,
  type MetricData,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import { encodeRequests } from "../src/export/otlp-protobuf.ts";
import {
  attributeSet,
  type Attributes,
  type MetricColumns,
  noAttributes,
  type Snapshot,
} from "../src/model/columns.ts";

const seriesCount = 10_000;
const metricCount = 10;
const points = seriesCount * metricCount;
const startMs = 1_764_000_000_000;
const timeMs = startMs + 900_000;
const scope = { name: "sockscope", version: "0.1.0" };
const resource = { "service.name": "sockscope", "host.name": "bench-host", "os.type": "linux" };

/** Ours may take at most this part of the stock serializer's time. */
const bar = 1 / 10;

const connection = (index: number): Attributes => ({
  "network.transport": "tcp",
  "network.type": "ipv4",
  "network.local.address": `10.0.${(index >> 8) & 255}.${index & 255}`,
  "network.local.port": 32_768 + (index % 28_000),
  "network.peer.address": `198.51.${(index * 7) & 255}.${(index * 13) & 255}`,
  "network.peer.port": 443,
});

const valueOf = (metric: number, index: number): number => metric * 1_000_003 + index * 1_461;

const nameOf = (metric: number): string => `sockscope.bench.counter_${metric}`;

const snapshotOf = (connections: readonly Attributes[]): Snapshot => {
  const sets = connections.map(attributeSet);
  const metric = (index: number): MetricColumns => ({
    descriptor: { name: nameOf(index), description: "", unit: "By", kind: "counter", value: "int" },
    numbers: [
      {
        own: noAttributes,
        sets,
        starts: new Float64Array(seriesCount).fill(startMs),
        values: Float64Array.from(sets, (_, series) => valueOf(index, series)),
      },
    ],
    histograms: [],
    ended: [],
  });
  return { time: timeMs, resource, scope, metrics: Array.from({ length: metricCount }, (_, index) => metric(index)) };
};

const stockOf = (connections: readonly Attributes[]): ResourceMetrics => {
  const metric = (index: number): MetricData => ({
    descriptor: { name: nameOf(index), description: "", unit: "By", valueType: ValueType.INT },
    dataPointType: DataPointType.SUM,
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
    isMonotonic: true,
    dataPoints: connections.map((attributes, series) => ({
      startTime: [startMs / 1000, 0],
      endTime: [timeMs / 1000, 0],
      attributes,
      value: valueOf(index, series),
    })),
  });
  return {
    resource: resourceFromAttributes(resource),
    scopeMetrics: [{ scope, metrics: Array.from({ length: metricCount }, (_, index) => metric(index)) }],
  };
};

/** Median ns a point of warm runs. */
const measure = (runs: number, encode: () => void): number => {
  for (let run = 0; run < 3; run++) encode();
  const times = Array.from({ length: runs }, () => {
    const begin = process.hrtime.bigint();
    encode();
    return Number(process.hrtime.bigint() - begin) / points;
  });
  return times.sort((a, b) => a - b)[runs >> 1] ?? Infinity;
};

/** Encodes 100,000 points with our encoder and with the stock serializer; false where ours is above the bar. */
// oxlint-disable-next-line require-await
export const benchOtlp = async (): Promise<boolean> => {
  const connections = Array.from({ length: seriesCount }, (_, index) => connection(index));
  const snapshot = snapshotOf(connections);
  const ours = measure(31, () => {
    for (const _ of encodeRequests(snapshot, { maxBytes: 4 * 1024 * 1024 }));
  });
  const stockMetrics = stockOf(connections);
  const stock = measure(7, () => ProtobufMetricsSerializer.serializeRequest(stockMetrics));
  const within = ours <= stock * bar;
  process.stdout.write(
    `OTLP protobuf, ${points} points of 6 attributes: ours ${ours.toFixed(1)} ns/point, ` +
      `stock ${stock.toFixed(0)} ns/point, ratio 1:${(stock / ours).toFixed(1)}; ` +
      `bar 1:${1 / bar} ${within ? "kept" : "MISSED"}\n`,
  );
  return within;
};
