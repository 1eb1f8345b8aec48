import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeJson } from "../../src/export/otlp-json.ts";
import { encodeRequests } from "../../src/export/otlp-protobuf.ts";
import { attributeSet, noAttributes, type Snapshot } from "../../src/model/columns.ts";
import { decodeRequest } from "../kit/otlp-receiver.ts";
import { anySnapshot, descriptorOf, endedOf, numbersOf, snapshotOf, startMs } from "../kit/otlp-snapshots.ts";

const parse = (snapshot: Snapshot): unknown => JSON.parse(encodeJson(snapshot));

const named = (name: string) => ({ name, description: `What ${name} says.`, unit: "By" });

describe("encodeJson", () => {
  test("a whole request", () => {
    const snapshot = snapshotOf(
      {
        ...numbersOf(descriptorOf("io", "counter"), [2 ** 53]),
        ended: endedOf(descriptorOf("io", "counter"), { i: 9 }).ended,
      },
      {
        descriptor: descriptorOf("rtt", "histogram", "double"),
        numbers: [],
        histograms: [
          {
            own: noAttributes,
            sets: [attributeSet({ share: 0.5, up: true, port: -1, name: "ü" })],
            starts: Float64Array.of(startMs),
            bounds: [0.1],
            counts: Float64Array.of(1, 2),
            sums: Float64Array.of(0.25),
          },
        ],
        ended: [],
      },
      numbersOf(descriptorOf("latency", "gauge", "double"), [0.5]),
    );
    const times = { startTimeUnixNano: "1764000000000000000", timeUnixNano: "1764000015000000000" };
    expect(parse(snapshot)).toEqual({
      resourceMetrics: [
        {
          resource: { attributes: [{ key: "service.name", value: { stringValue: "sockscope" } }] },
          scopeMetrics: [
            {
              scope: { name: "sockscope", version: "0.1.0" },
              metrics: [
                {
                  ...named("io"),
                  sum: {
                    dataPoints: [
                      {
                        ...times,
                        asInt: "9007199254740992",
                        attributes: [{ key: "series", value: { intValue: "0" } }],
                      },
                    ],
                    aggregationTemporality: 2,
                    isMonotonic: true,
                  },
                },
                {
                  ...named("rtt"),
                  histogram: {
                    dataPoints: [
                      {
                        ...times,
                        count: "3",
                        sum: 0.25,
                        bucketCounts: ["1", "2"],
                        explicitBounds: [0.1],
                        attributes: [
                          { key: "share", value: { doubleValue: 0.5 } },
                          { key: "up", value: { boolValue: true } },
                          { key: "port", value: { intValue: "-1" } },
                          { key: "name", value: { stringValue: "ü" } },
                        ],
                      },
                    ],
                    aggregationTemporality: 2,
                  },
                },
                {
                  ...named("latency"),
                  gauge: {
                    dataPoints: [
                      {
                        timeUnixNano: times.timeUnixNano,
                        asDouble: 0.5,
                        attributes: [{ key: "series", value: { intValue: "0" } }],
                      },
                    ],
                  },
                },
                {
                  ...named("io"),
                  sum: {
                    dataPoints: [
                      {
                        ...times,
                        flags: 1,
                        attributes: [
                          { key: "direction", value: { stringValue: "transmit" } },
                          { key: "i", value: { intValue: "9" } },
                        ],
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
    });
  });

  test("one line, and one object even without metrics", () => {
    expect(encodeJson(snapshotOf())).toBe(
      '{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"sockscope"}}]},' +
        '"scopeMetrics":[{"scope":{"name":"sockscope","version":"0.1.0"},"metrics":[]}]}]}',
    );
  });

  test("what JSON numbers cannot say is a string", () => {
    const text = encodeJson(snapshotOf(numbersOf(descriptorOf("rate", "gauge", "double"), [NaN, Infinity, -Infinity])));
    expect(text.match(/"asDouble":[^,]+/g)).toEqual([
      '"asDouble":"NaN"',
      '"asDouble":"Infinity"',
      '"asDouble":"-Infinity"',
    ]);
  });

  test("a lone surrogate becomes U+FFFD", () => {
    const snapshot = { ...snapshotOf(), resource: { name: "\ud800x" } };
    expect(encodeJson(snapshot)).toContain('{"stringValue":"\ufffdx"}');
  });

  test("any snapshot says the same as its protobuf form by the published schema", () => {
    fc.assert(
      fc.property(anySnapshot, (snapshot) => {
        const [request] = encodeRequests(snapshot, { maxBytes: 4 * 1024 * 1024 });
        if (request === undefined) return;
        // An empty list is not on the wire.
        const withoutEmptyLists = JSON.parse(encodeJson(snapshot), (_key, value: unknown) =>
          Array.isArray(value) && value.length === 0 ? undefined : value,
        );
        expect(withoutEmptyLists).toEqual(decodeRequest(request.body));
      }),
      { numRuns: 300 },
    );
  });
});
