import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeJson, encodeJsonRequests, pointsPerSlice } from "../../src/export/otlp-json.ts";
import type { EncodedRequest } from "../../src/export/otlp-protobuf.ts";
import { attributeSet, noAttributes, type Snapshot } from "../../src/model/columns.ts";
import { after, mib, noise, numbered, useDelivery, values } from "../kit/otlp-delivery.ts";
import { expectedPoints } from "../kit/otlp-encoding.ts";
import { decodeJsonRequest, flattenPoints } from "../kit/otlp-receiver.ts";
import { anySnapshot, descriptorOf, endedOf, numbersOf, snapshotOf, startMs } from "../kit/otlp-snapshots.ts";

/** All requests of a snapshot, and the points of each slice. */
const encode = (snapshot: Snapshot, maxBytes = 4 * mib) => {
  const requests: EncodedRequest[] = [];
  const steps = encodeJsonRequests(snapshot, { maxBytes });
  for (;;) {
    const step = steps.next();
    if (step.done === true) return { requests, tooLarge: step.value };
    if (step.value !== undefined) requests.push(step.value);
  }
};

const decodeAll = (requests: readonly EncodedRequest[]) =>
  flattenPoints(requests.map(({ body }) => decodeJsonRequest(body)));

const pointsIn = ({ metrics }: Snapshot): number =>
  metrics
    .flatMap(({ numbers, histograms, ended }) => [...numbers, ...histograms, ...ended])
    .reduce((sum, { sets }) => sum + sets.length, 0);

describe("requests in JSON", () => {
  test("one that holds all is what encodeJson writes", () => {
    fc.assert(
      fc.property(anySnapshot, (snapshot) => {
        const { requests } = encode(snapshot);
        if (pointsIn(snapshot) === 0) expect(requests).toEqual([]);
        else expect(requests.map(({ body }) => new TextDecoder().decode(body))).toEqual([encodeJson(snapshot)]);
      }),
      { numRuns: 200 },
    );
  });

  test("of deltas say so of counters and histograms, and of nothing else", () => {
    fc.assert(
      fc.property(anySnapshot, (snapshot) => {
        const deltas = decodeAll(encode({ ...snapshot, temporality: "delta" }).requests);
        const expected = decodeAll(encode(snapshot).requests).map((point) =>
          point.kind === "histogram" || point.monotonic ? { ...point, temporality: 1 } : point,
        );
        expect(deltas).toEqual(expected);
      }),
      { numRuns: 50 },
    );
  });

  test("however small, each is whole, within its bound, and none of the points is lost or doubled", () => {
    fc.assert(
      fc.property(anySnapshot, fc.integer({ min: 200, max: 5000 }), (snapshot, maxBytes) => {
        const { requests, tooLarge } = encode(snapshot, maxBytes);
        for (const { body, points } of requests) {
          expect(body.length).toBeLessThanOrEqual(maxBytes);
          expect(flattenPoints([decodeJsonRequest(body)])).toHaveLength(points);
        }
        const all = decodeAll(encode(snapshot).requests);
        const split = decodeAll(requests);
        expect(split.length + tooLarge).toBe(pointsIn(snapshot));
        // In their order, without those that are too large.
        let at = 0;
        for (const point of split) {
          while (at < all.length && JSON.stringify(all[at]) !== JSON.stringify(point)) at++;
          expect(at++).toBeLessThan(all.length);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("are full, and have all points once", () => {
    const many = snapshotOf(
      numbersOf(descriptorOf("a", "counter"), [...Array(3000).keys()]),
      endedOf(descriptorOf("a", "counter"), { series: 9 }),
    );
    const { requests } = encode(many, 10_000);
    expect(requests.length).toBeGreaterThan(10);
    for (const { body } of requests.slice(0, -1)) expect(body.length).toBeGreaterThan(10_000 - 300);
    expect(decodeAll(requests)).toEqual(expectedPoints(many));
  });

  test("leave out a point that cannot fit, and count it", () => {
    const column = { own: noAttributes, starts: Float64Array.of(0, 0, 0), values: Float64Array.of(0, 1, 2) };
    const sets = [attributeSet({ i: 0 }), attributeSet({ i: "x".repeat(2000) }), attributeSet({ i: 2 })];
    const snapshot = snapshotOf({
      descriptor: descriptorOf("a", "counter"),
      numbers: [{ ...column, sets }],
      histograms: [],
      ended: [],
    });
    const { requests, tooLarge } = encode(snapshot, 1000);
    expect(tooLarge).toBe(1);
    expect(decodeAll(requests).map(({ value }) => value)).toEqual([0, 2]);
    expect(encode({ ...snapshot, resource: { long: "x".repeat(2000) } }, 1000)).toEqual({ requests: [], tooLarge: 3 });
  });

  test("are measured in bytes, not in characters", () => {
    const sets = Array.from({ length: 100 }, (_, series) => attributeSet({ name: "€".repeat(30), series }));
    const column = { own: noAttributes, sets, starts: new Float64Array(100).fill(startMs) };
    const snapshot = snapshotOf({
      descriptor: descriptorOf("a", "gauge"),
      numbers: [{ ...column, values: column.starts }],
      histograms: [],
      ended: [],
    });
    const { requests } = encode(snapshot, 2000);
    for (const { body } of requests) expect(body.length).toBeLessThanOrEqual(2000);
    expect(decodeAll(requests)).toHaveLength(100);
  });

  test("are encoded in slices", () => {
    expect(pointsPerSlice).toBeLessThanOrEqual(10_000);
    let handled = 0;
    const set = {
      get values() {
        handled++;
        return { a: 1 };
      },
      otlp: undefined,
      labels: undefined,
    };
    const column = { own: noAttributes, sets: Array.from({ length: 25_000 }, () => set) };
    const starts = new Float64Array(25_000).fill(startMs);
    const descriptor = descriptorOf("a", "counter");
    const snapshot = snapshotOf({
      descriptor,
      numbers: [{ ...column, starts, values: starts }],
      histograms: [],
      ended: [{ ...column, starts }],
    });
    const slices: number[] = [];
    for (const _ of encodeJsonRequests(snapshot, { maxBytes: 4 * mib })) {
      slices.push(handled);
      handled = 0;
    }
    slices.push(handled);
    expect(Math.max(...slices)).toBeLessThanOrEqual(pointsPerSlice);
    expect(slices.reduce((sum, count) => sum + count, 0)).toBe(50_000);
  });
});

const { destination, lines, receiver } = useDelivery();

describe("delivery in JSON", () => {
  test.each(["none", "gzip", "zstd"] as const)("with compression %s", async (compression) => {
    const to = await receiver();
    const from = destination(to.url, { protocol: "http/json", compression });
    const snapshot = snapshotOf(...noise(20_000).metrics, endedOf(descriptorOf("a", "counter"), { series: "gone" }));
    await from.export(snapshot);
    await from.flush(after(15_000));
    for (const { headers, uncompressedBytes } of to.requests) {
      expect(headers["content-type"]).toBe("application/json");
      expect(headers["content-encoding"]).toBe(compression === "none" ? undefined : compression);
      expect(uncompressedBytes).toBeLessThanOrEqual(4 * mib);
    }
    expect(values(to)).toEqual([...(snapshot.metrics[0]?.numbers[0]?.values ?? []), undefined]);
    expect(from.stats()).toMatchObject({ sentPoints: 20_001, queueBytes: 0 });
    expect(lines).toEqual([]);
  });

  test("a partial success and a refusal are read as JSON", async () => {
    const to = await receiver();
    const headers = { "content-type": "application/json; charset=utf-8" };
    to.answer(
      { headers, body: '{"partialSuccess":{"rejectedDataPoints":"2","errorMessage":"too old"}}' },
      { headers, status: 400, body: '{"code":3,"message":"no such tenant"}' },
      { headers, body: "{}" },
    );
    const from = destination(to.url, { protocol: "http/json" });
    await from.export(noise(5));
    await from.export(numbered(1));
    await from.export(numbered(2));
    await from.flush(after(5000));
    expect(from.stats()).toMatchObject({ sentPoints: 4, dropped: { rejected: 2, refused: 1 } });
    expect(lines).toEqual([
      `warn the OTLP destination 127.0.0.1:${to.port} rejected 2 points: "too old"`,
      `warn the OTLP destination 127.0.0.1:${to.port} refuses requests (status 400, "no such tenant"): their points are dropped`,
    ]);
  });
});
