import { describe, expect, test } from "vitest";
import { encodeRequests, pointsPerSlice } from "../../src/export/otlp-protobuf.ts";
import { type AttributeSet, attributeSet, noAttributes } from "../../src/model/columns.ts";
import { decodeAll, encode, expectedPoints, maxBytes } from "../kit/otlp-encoding.ts";
import { decodeRequest } from "../kit/otlp-receiver.ts";
import { descriptorOf, endedOf, numbersOf, snapshotOf, startMs } from "../kit/otlp-snapshots.ts";

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
