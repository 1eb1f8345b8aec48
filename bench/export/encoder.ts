import { ValueType } from "@opentelemetry/api";
import { ProtobufMetricsSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  DataPointType,
  type MetricData,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import { atLeast, atMost, type Figure } from "../bars.ts";
import { connection, resource, scope } from "./load.ts";
import { RequestBuffers } from "../../src/export/otlp-buffers.ts";
import { encodeRequests } from "../../src/export/otlp-protobuf.ts";
import {
  attributeSet,
  type Attributes,
  type MetricColumns,
  noAttributes,
  type Snapshot,
} from "../../src/model/columns.ts";

const seriesCount = 10_000;
const metricCount = 10;
const points = seriesCount * metricCount;
const maxBytes = 4 * 1024 * 1024;
const startMs = 1_764_000_000_000;
const timeMs = startMs + 900_000;
/** ns a point. */
const bar = 60;
/** How many times as long the stock serializer takes, at least. */
const timesBar = 8;

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

/** ns of CPU a point of the quietest of warm runs: what others do on the machine only adds to it. */
const measure = (runs: number, encode: () => void): number => {
  for (let run = 0; run < 3; run++) encode();
  const times = Array.from({ length: runs }, () => {
    // CPU, since other programs run on the machine, too.
    const begin = process.cpuUsage();
    encode();
    const { user, system } = process.cpuUsage(begin);
    return (1000 * (user + system)) / points;
  });
  return Math.min(...times);
};

/** Encodes 100,000 points with our encoder and with the stock serializer. */
export const benchEncoder = async (): Promise<Figure[]> => {
  const connections = Array.from({ length: seriesCount }, (_, index) => connection(index));
  const snapshot = snapshotOf(connections);
  const buffers = new RequestBuffers(maxBytes);
  const ours = measure(31, () => {
    for (const encoded of encodeRequests(snapshot, { maxBytes, buffers })) encoded?.release?.();
  });
  const stockMetrics = stockOf(connections);
  const stock = measure(7, () => ProtobufMetricsSerializer.serializeRequest(stockMetrics));
  const times = stock / ours;
  return [
    atMost(`encoder, ${points} points of 6 attributes: ${ours.toFixed(1)} ns a point`, ours, bar, "ns"),
    atLeast(`the stock serializer: ${stock.toFixed(0)} ns a point, ${times.toFixed(1)} x ours`, times, timesBar, "x"),
  ];
};
