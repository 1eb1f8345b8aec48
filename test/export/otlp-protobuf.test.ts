import { ValueType } from "@opentelemetry/api";
import { ProtobufMetricsSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  DataPointType,
  type MetricData,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import * as fc from "fast-check";
import protobuf from "protobufjs";
import { describe, expect, test } from "vitest";
import { type EncodedRequest, encodeRequests, pointsPerSlice } from "../../src/export/otlp-protobuf.ts";
import { type AttributeSet, attributeSet, noAttributes, type Snapshot } from "../../src/model/columns.ts";
import { decodeRequest, flattenPoints, type ReceivedPoint } from "../kit/otlp-receiver.ts";
import { anySnapshot, descriptorOf, endedOf, numbersOf, snapshotOf, startMs, timeMs } from "../kit/otlp-snapshots.ts";

const maxBytes = 4 * 1024 * 1024;

const encode = (snapshot: Snapshot, limit = maxBytes): { requests: EncodedRequest[]; tooLarge: number } => {
  const requests: EncodedRequest[] = [];
  const steps = encodeRequests(snapshot, { maxBytes: limit });
  for (;;) {
    const step = steps.next();
    if (step.done === true) return { requests, tooLarge: step.value };
    if (step.value !== undefined) requests.push(step.value);
  }
};

const decodeAll = (snapshot: Snapshot, limit?: number): ReceivedPoint[] =>
  flattenPoints(encode(snapshot, limit).requests.map(({ body }) => decodeRequest(body)));

const startOf = (kind: string, starts: Float64Array, index: number): number =>
  kind === "gauge" ? 0 : (starts[index] ?? 0);

/** What a receiver has to see, straight from the columns. */
const expectedPoints = ({ time, metrics }: Snapshot): ReceivedPoint[] => {
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

describe("encodeRequests", () => {
  test("a counter, as a whole message", () => {
    const snapshot = snapshotOf({
      descriptor: descriptorOf("flow.io", "counter"),
      numbers: [
        {
          own: attributeSet({ "network.io.direction": "transmit" }),
          sets: [attributeSet({ peer: "çà", port: 443, low: -1, share: 0.25, overflow: true })],
          starts: Float64Array.of(startMs),
          values: Float64Array.of(2 ** 53),
        },
      ],
      histograms: [],
      ended: [],
    });
    const { requests, tooLarge } = encode(snapshot);
    expect(tooLarge).toBe(0);
    expect(requests.map(({ points }) => points)).toEqual([1]);
    expect(requests.map(({ body }) => decodeRequest(body))).toEqual([
      {
        resourceMetrics: [
          {
            resource: { attributes: [{ key: "service.name", value: { stringValue: "sockscope" } }] },
            scopeMetrics: [
              {
                scope: { name: "sockscope", version: "0.1.0" },
                metrics: [
                  {
                    name: "flow.io",
                    description: "What flow.io says.",
                    unit: "By",
                    sum: {
                      dataPoints: [
                        {
                          attributes: [
                            { key: "network.io.direction", value: { stringValue: "transmit" } },
                            { key: "peer", value: { stringValue: "çà" } },
                            { key: "port", value: { intValue: "443" } },
                            { key: "low", value: { intValue: "-1" } },
                            { key: "share", value: { doubleValue: 0.25 } },
                            { key: "overflow", value: { boolValue: true } },
                          ],
                          startTimeUnixNano: "1764000000000000000",
                          timeUnixNano: "1764000015000000000",
                          asInt: "9007199254740992",
                        },
                      ],
                      aggregationTemporality: 2,
                      isMonotonic: true,
                    },
                  },
                ],
              },
            ],
          },
        ],
      },
    ]);
  });

  test("a histogram has buckets, count and sum, and neither min nor max", () => {
    const snapshot = snapshotOf({
      descriptor: descriptorOf("rtt", "histogram", "double"),
      numbers: [],
      histograms: [
        {
          own: noAttributes,
          sets: [attributeSet({ "network.type": "ipv4" }), attributeSet({ "network.type": "ipv6" })],
          starts: Float64Array.of(startMs, startMs),
          bounds: [0.001, 0.01],
          counts: Float64Array.of(1, 2, 3, 0, 0, 2 ** 40),
          sums: Float64Array.of(0.5, 7),
        },
      ],
      ended: [],
    });
    const [request] = encode(snapshot).requests;
    const metric = decodeRequest(request?.body ?? new Uint8Array()).resourceMetrics?.[0]?.scopeMetrics?.[0]
      ?.metrics?.[0];
    expect(metric?.histogram).toEqual({
      aggregationTemporality: 2,
      dataPoints: [
        {
          attributes: [{ key: "network.type", value: { stringValue: "ipv4" } }],
          startTimeUnixNano: "1764000000000000000",
          timeUnixNano: "1764000015000000000",
          count: "6",
          sum: 0.5,
          bucketCounts: ["1", "2", "3"],
          explicitBounds: [0.001, 0.01],
        },
        {
          attributes: [{ key: "network.type", value: { stringValue: "ipv6" } }],
          startTimeUnixNano: "1764000000000000000",
          timeUnixNano: "1764000015000000000",
          count: "1099511627776",
          sum: 7,
          bucketCounts: ["0", "0", "1099511627776"],
          explicitBounds: [0.001, 0.01],
        },
      ],
    });
  });

  test("gauges and unknown starts have no start time", () => {
    const snapshot = snapshotOf(
      numbersOf(descriptorOf("latency", "gauge", "double"), [0.5]),
      numbersOf(descriptorOf("io", "counter"), [1], 0),
    );
    expect(decodeAll(snapshot).map(({ name, start }) => [name, start])).toEqual([
      ["latency", 0],
      ["io", 0],
    ]);
  });

  test("ended series are flagged, without a value, in metrics of their own after all live ones", () => {
    const snapshot = snapshotOf(
      {
        ...numbersOf(descriptorOf("a", "counter"), [1]),
        ended: endedOf(descriptorOf("a", "counter"), { series: 9 }).ended,
      },
      endedOf(descriptorOf("rtt", "histogram"), { series: 8 }),
      numbersOf(descriptorOf("b", "gauge"), [2]),
    );
    const [request] = encode(snapshot).requests;
    const decoded = decodeRequest(request?.body ?? new Uint8Array());
    expect(decoded.resourceMetrics?.[0]?.scopeMetrics?.[0]?.metrics?.map(({ name }) => name)).toEqual([
      "a",
      "b",
      "a",
      "rtt",
    ]);
    expect(flattenPoints([decoded]).map(({ name, value, flags }) => [name, value, flags])).toEqual([
      ["a", 1, 0],
      ["b", 2, 0],
      ["a", undefined, 1],
      ["rtt", undefined, 1],
    ]);
    const histogram = decoded.resourceMetrics?.[0]?.scopeMetrics?.[0]?.metrics?.[3]?.histogram?.dataPoints?.[0];
    expect(histogram).toEqual({
      attributes: [
        { key: "direction", value: { stringValue: "transmit" } },
        { key: "series", value: { intValue: "8" } },
      ],
      startTimeUnixNano: "1764000000000000000",
      timeUnixNano: "1764000015000000000",
      count: "0",
      flags: 1,
    });
  });

  test("a metric without points and a snapshot without metrics leave nothing", () => {
    expect(encode(snapshotOf())).toEqual({ requests: [], tooLarge: 0 });
    expect(encode(snapshotOf(numbersOf(descriptorOf("a", "counter"), []))).requests).toEqual([]);
  });

  test("a set is encoded once and read again in the next tick", () => {
    const snapshot = snapshotOf(numbersOf(descriptorOf("a", "counter"), [1, 2]));
    const first = decodeAll(snapshot);
    const kept = snapshot.metrics[0]?.numbers[0]?.sets.map(({ otlp }) => otlp);
    expect(kept?.every((bytes) => bytes !== undefined && bytes.length > 0)).toBe(true);
    expect(decodeAll(snapshot)).toEqual(first);
    expect(snapshot.metrics[0]?.numbers[0]?.sets.map(({ otlp }) => otlp)).toEqual(kept);
  });

  test("any snapshot comes back as it went", () => {
    fc.assert(
      fc.property(anySnapshot, (snapshot) => {
        expect(decodeAll(snapshot)).toEqual(expectedPoints(snapshot));
      }),
      { numRuns: 300 },
    );
  });

  test("any limit is kept, no point is torn, and what cannot fit is counted", () => {
    fc.assert(
      fc.property(anySnapshot, fc.integer({ min: 50, max: 1500 }), (snapshot, limit) => {
        const { requests, tooLarge } = encode(snapshot, limit);
        for (const { body } of requests) expect(body.length).toBeLessThanOrEqual(limit);
        const points = requests.map(({ body }) => flattenPoints([decodeRequest(body)]));
        expect(points.map(({ length }) => length)).toEqual(requests.map(({ points: count }) => count));
        const expected = expectedPoints(snapshot);
        expect(points.flat().length + tooLarge).toBe(expected.length);
        if (tooLarge === 0) expect(points.flat()).toEqual(expected);
      }),
      { numRuns: 300 },
    );
  });
});

describe("splitting", () => {
  const many = snapshotOf(
    numbersOf(descriptorOf("a", "counter"), [...Array(3000).keys()]),
    endedOf(descriptorOf("a", "counter"), { series: 9 }),
  );

  test("every request has resource, scope and metric, and the order is kept", () => {
    const limit = 10_000;
    const { requests } = encode(many, limit);
    expect(requests.length).toBeGreaterThan(10);
    for (const { body } of requests.slice(0, -1)) expect(body.length).toBeGreaterThan(limit - 100);
    for (const { body } of requests) {
      const decoded = decodeRequest(body);
      expect(decoded.resourceMetrics?.[0]?.resource?.attributes).toHaveLength(1);
      expect(decoded.resourceMetrics?.[0]?.scopeMetrics?.[0]?.scope?.name).toBe("sockscope");
    }
    expect(decodeAll(many, limit)).toEqual(expectedPoints(many));
  });

  test("one point above the limit is left out and counted, the others go", () => {
    const snapshot = snapshotOf({
      descriptor: descriptorOf("a", "counter"),
      numbers: [
        {
          own: noAttributes,
          sets: [attributeSet({ i: 0 }), attributeSet({ i: "x".repeat(2000) }), attributeSet({ i: 2 })],
          starts: Float64Array.of(0, 0, 0),
          values: Float64Array.of(0, 1, 2),
        },
      ],
      histograms: [],
      ended: [],
    });
    expect(encode(snapshot, 1000).tooLarge).toBe(1);
    expect(decodeAll(snapshot, 1000).map(({ value }) => value)).toEqual([0, 2]);
  });

  test("a resource above the limit loses every point, and nothing else happens", () => {
    expect(encode({ ...many, resource: { long: "x".repeat(2000) } }, 1000)).toEqual({ requests: [], tooLarge: 3001 });
  });

  test("a body is not overwritten by later requests", () => {
    const steps = encodeRequests(many, { maxBytes: 10_000 });
    const first = steps.next().value;
    if (typeof first !== "object") throw new Error("no request");
    const copy = first.body.slice();
    while (steps.next().done !== true);
    expect(first.body).toEqual(copy);
  });

  test("no slice has more than 10,000 points", () => {
    let handled = 0;
    const counted = (series: number): AttributeSet => {
      const otlp = Uint8Array.of(0x3a, 2, 0x0a, 0);
      return {
        values: { series },
        get otlp() {
          handled++;
          return otlp;
        },
        set otlp(_bytes) {
          throw new Error("encoded again");
        },
        labels: undefined,
      };
    };
    const column = { own: noAttributes, sets: Array.from({ length: 25_000 }, (_, series) => counted(series)) };
    const starts = new Float64Array(25_000).fill(startMs);
    const descriptor = descriptorOf("a", "counter");
    const snapshot = snapshotOf(
      { descriptor, numbers: [{ ...column, starts, values: starts }], histograms: [], ended: [{ ...column, starts }] },
      {
        descriptor: descriptorOf("h", "histogram"),
        numbers: [],
        histograms: [{ ...column, starts, bounds: [], counts: new Float64Array(25_000), sums: starts }],
        ended: [],
      },
    );
    const slices: number[] = [];
    for (const _ of encodeRequests(snapshot, { maxBytes })) {
      slices.push(handled);
      handled = 0;
    }
    slices.push(handled);
    // A point that did not fit is looked at again in the next request.
    expect(Math.max(...slices)).toBeLessThanOrEqual(pointsPerSlice + 1);
    expect(slices.reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(75_000);
  });
});

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
