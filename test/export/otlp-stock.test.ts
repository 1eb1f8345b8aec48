import { ValueType } from "@opentelemetry/api";
import { ProtobufMetricsSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  DataPointType,
  type MetricData,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import protobuf from "protobufjs";
import { describe, expect, test } from "vitest";
import { attributeSet, noAttributes, type Snapshot } from "../../src/model/columns.ts";
import { encode } from "../kit/otlp-encoding.ts";
import { descriptorOf, startMs, timeMs } from "../kit/otlp-snapshots.ts";

/** The two fields of the one `ResourceMetrics`: resource, scope_metrics. */
const fieldsOf = (body: Uint8Array): [resource: Uint8Array, scopeMetrics: Uint8Array] => {
  const request = protobuf.Reader.create(body);
  expect(request.uint32()).toBe(0x0a);
  const metrics = protobuf.Reader.create(request.bytes());
  expect(request.pos).toBe(body.length);
  expect(metrics.uint32()).toBe(0x0a);
  const first = metrics.bytes();
  expect(metrics.uint32()).toBe(0x12);
  return [first, metrics.bytes()];
};

describe("against the stock serializer", () => {
  const resource = { "service.name": "sockscope", "host.name": "h" };
  const scope = { name: "sockscope", version: "0.1.0" };
  const sets = [...Array(300).keys()].map((port) => ({
    "network.transport": "tcp",
    "network.peer.address": `198.51.100.${port & 255}`,
    "network.peer.port": port,
    note: "ünïcode",
    negative: -port,
    share: port / 7,
    overflow: port % 2 === 0,
  }));
  const times = { startTime: [startMs / 1000, 0] as [number, number], endTime: [timeMs / 1000, 0] as [number, number] };
  const cumulative = { aggregationTemporality: AggregationTemporality.CUMULATIVE };
  const values = sets.map((_, index) => (index - 100) * 1_234_567_891_011);

  const sum = (name: string, valueType: ValueType, isMonotonic: boolean): MetricData => ({
    descriptor: { name, description: `What ${name} says.`, unit: "By", valueType },
    dataPointType: DataPointType.SUM,
    ...cumulative,
    isMonotonic,
    dataPoints: sets.map((attributes, index) => ({ ...times, attributes, value: values[index] ?? 0 })),
  });
  const stock: ResourceMetrics = {
    resource: resourceFromAttributes(resource),
    scopeMetrics: [
      {
        scope,
        metrics: [
          sum("counter", ValueType.INT, true),
          sum("state", ValueType.DOUBLE, false),
          {
            descriptor: { name: "rtt", description: "What rtt says.", unit: "By", valueType: ValueType.DOUBLE },
            dataPointType: DataPointType.HISTOGRAM,
            ...cumulative,
            dataPoints: sets.map((attributes, index) => ({
              ...times,
              attributes,
              value: {
                buckets: { boundaries: [0.1, 1], counts: [index, 2, 2 ** 40] },
                sum: index / 3,
                count: index + 2 + 2 ** 40,
              },
            })),
          },
        ],
      },
    ],
  };

  const column = {
    own: noAttributes,
    sets: sets.map(attributeSet),
    starts: new Float64Array(sets.length).fill(startMs),
    values: Float64Array.from(values),
  };
  const ours: Snapshot = {
    time: timeMs,
    resource,
    scope,
    metrics: [
      { descriptor: descriptorOf("counter", "counter"), numbers: [column], histograms: [], ended: [] },
      { descriptor: descriptorOf("state", "updowncounter", "double"), numbers: [column], histograms: [], ended: [] },
      {
        descriptor: descriptorOf("rtt", "histogram", "double"),
        numbers: [],
        histograms: [
          {
            ...column,
            bounds: [0.1, 1],
            counts: Float64Array.from(sets.flatMap((_, index) => [index, 2, 2 ** 40])),
            sums: Float64Array.from(sets, (_, index) => index / 3),
          },
        ],
        ended: [],
      },
    ],
  };

  test("scope, metrics and points are the same bytes", () => {
    const [theirResource, theirMetrics] = fieldsOf(
      ProtobufMetricsSerializer.serializeRequest(stock) ?? new Uint8Array(),
    );
    const [ourResource, ourMetrics] = fieldsOf(encode(ours).requests[0]?.body ?? new Uint8Array());
    expect(Buffer.compare(ourMetrics, theirMetrics)).toBe(0);
    // The stock one writes dropped_attributes_count (field 2) even where it is 0.
    expect(Buffer.concat([ourResource, Uint8Array.of(0x10, 0)]).equals(theirResource)).toBe(true);
  });
});
