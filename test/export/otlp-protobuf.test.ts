import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { attributeSet, noAttributes } from "../../src/model/columns.ts";
import { decodeAll, encode, expectedPoints } from "../kit/otlp-encoding.ts";
import { decodeRequest, flattenPoints } from "../kit/otlp-receiver.ts";
import { anySnapshot, descriptorOf, endedOf, numbersOf, snapshotOf, startMs } from "../kit/otlp-snapshots.ts";

describe("encodeRequests", () => {
  test("a snapshot of deltas has them for counters and histograms, and nothing else differs", () => {
    fc.assert(
      fc.property(anySnapshot, (snapshot) => {
        const isDelta = ({ kind, monotonic }: { kind: string; monotonic: boolean }): boolean =>
          kind === "histogram" || monotonic;
        expect(decodeAll({ ...snapshot, temporality: "delta" })).toEqual(
          decodeAll(snapshot).map((point) => ({ ...point, temporality: isDelta(point) ? 1 : point.temporality })),
        );
      }),
      { numRuns: 50 },
    );
  });

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

  test("every ended series has a metric message of its own, within the limit", () => {
    const ended = endedOf(descriptorOf("a", "counter"), ...Array.from({ length: 50 }, (_, series) => ({ series })));
    for (const limit of [4096, 500]) {
      const { requests, tooLarge } = encode(snapshotOf(ended), limit);
      const metrics = requests.flatMap(
        ({ body }) => decodeRequest(body).resourceMetrics?.[0]?.scopeMetrics?.[0]?.metrics ?? [],
      );
      expect(metrics.map(({ sum }) => sum?.dataPoints?.length)).toEqual(Array.from({ length: 50 }, () => 1));
      expect(metrics.every(({ name, unit, sum }) => name === "a" && unit === "By" && sum?.isMonotonic)).toBe(true);
      expect(requests.every(({ body }) => body.length <= limit)).toBe(true);
      expect(requests.length).toBeGreaterThan(limit === 500 ? 10 : 0);
      expect(tooLarge).toBe(0);
    }
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
