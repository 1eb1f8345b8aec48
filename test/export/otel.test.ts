import { afterEach, describe, expect, test } from "vitest";
import type { Collected } from "../../src/export/instruments.ts";
import { createTelemetry, type Telemetry } from "../../src/export/otel.ts";
import { columnsOf, toMetricData } from "../../src/export/metric-data.ts";
import { descriptorOf } from "../../src/metrics/catalogue.ts";
import type { Observation } from "../../src/metrics/observation.ts";
import { attributeSet, type MetricColumns, noAttributes, type Snapshot } from "../../src/model/columns.ts";
import { pointsOf } from "../kit/points.ts";

let telemetry: Telemetry | undefined;
afterEach(() => telemetry?.shutdown());

/** A pipeline that is given one collection after another; after the last they are empty. */
const createTest = (collections: readonly Partial<Collected>[], consume?: () => Promise<void>) => {
  const snapshots: Snapshot[] = [];
  const logged: string[] = [];
  let count = 0;
  const created = createTelemetry({
    resource: { "service.name": "test" },
    version: "1.2.3",
    intervalMs: 60_000,
    timeoutMs: 1000,
    collect: async () => ({ time: 1000 + count, columns: [], observations: [], ...collections[count++] }),
    consume: async (snapshot) => {
      snapshots.push(snapshot);
      await consume?.();
    },
    log: (level, message) => logged.push(`${level} ${message.split("\n")[0]}`),
  });
  telemetry = created;
  return { telemetry: created, snapshots, logged, collections: () => count };
};

const drops = (value: number, reason: "rejected" | "refused" = "refused"): Observation => ({
  metric: "sockscope.agent.export.dropped",
  value,
  attributes: { "sockscope.destination": "c:4318", "sockscope.drop.reason": reason },
});

const values = (snapshot: Snapshot | undefined, metric: string): number[] =>
  pointsOf(snapshot?.metrics ?? [])
    .filter((point) => point.metric === metric)
    .map(({ value }) => value);

const up: MetricColumns = {
  descriptor: descriptorOf("sockscope.probe.up"),
  numbers: [
    {
      own: noAttributes,
      sets: [attributeSet({ "sockscope.probe.name": "a" })],
      starts: Float64Array.of(1500.25),
      values: Float64Array.of(1),
    },
  ],
  histograms: [],
  ended: [],
};

describe("a collection", () => {
  test("is read once for the observables and the columns, and arrives as one snapshot with the tick's time", async () => {
    const { snapshots, collections } = createTest([{ time: 5000, columns: [up], observations: [drops(3)] }]);
    await telemetry?.collectNow();
    expect(collections()).toBe(1);
    expect(snapshots).toHaveLength(1);
    expect(snapshots[0]).toMatchObject({
      time: 5000,
      resource: { "service.name": "test" },
      scope: { name: "sockscope", version: "1.2.3" },
    });
    expect(snapshots[0]?.metrics.find(({ descriptor }) => descriptor.name === "sockscope.probe.up")).toBe(up);
    expect(values(snapshots[0], "sockscope.agent.export.dropped")).toEqual([3]);
  });

  test("has the catalogue's name, unit, kind and value type for what the SDK carries", async () => {
    const { snapshots } = createTest([{ observations: [drops(3)] }]);
    await telemetry?.collectNow();
    expect(snapshots[0]?.metrics[0]?.descriptor).toEqual(descriptorOf("sockscope.agent.export.dropped"));
  });

  test("an attribute set that is no longer observed is not exported, and comes back when it is", async () => {
    const { snapshots } = createTest([
      { observations: [drops(1), drops(2, "rejected")] },
      { observations: [drops(1)] },
      { observations: [drops(4, "rejected")] },
    ]);
    for (let count = 0; count < 3; count++) await telemetry?.collectNow();
    expect(snapshots.map((snapshot) => values(snapshot, "sockscope.agent.export.dropped"))).toEqual([[1, 2], [1], [4]]);
  });

  test("a counter of a part that starts anew goes on from where it was; an up-down counter falls", async () => {
    const sockets = (value: number): Observation => ({
      metric: "sockscope.agent.groups",
      value,
      attributes: { "sockscope.series": "groups" },
    });
    const { snapshots } = createTest(
      [drops(5), drops(0), drops(2), drops(1)].map((observation, at) => ({
        observations: [observation, sockets(9 - at)],
      })),
    );
    for (let count = 0; count < 4; count++) await telemetry?.collectNow();
    expect(snapshots.map((snapshot) => values(snapshot, "sockscope.agent.export.dropped")[0])).toEqual([5, 5, 7, 8]);
    expect(snapshots.map((snapshot) => values(snapshot, "sockscope.agent.groups")[0])).toEqual([9, 8, 7, 6]);
  });

  test("histograms have the catalogue's bounds in seconds and add up", async () => {
    const { snapshots } = createTest([]);
    telemetry?.record("sockscope.probe.duration", 0.003, { "sockscope.probe.type": "tcp" });
    telemetry?.record("sockscope.probe.duration", 40, { "sockscope.probe.type": "tcp" });
    await telemetry?.collectNow();
    const histogram = snapshots[0]?.metrics.find(({ descriptor }) => descriptor.name === "sockscope.probe.duration")
      ?.histograms[0];
    expect(histogram?.bounds).toEqual([
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
    ]);
    expect([...(histogram?.counts ?? [])]).toEqual([0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    expect(histogram?.sums[0]).toBeCloseTo(40.003, 9);
    expect(histogram?.sets[0]?.values).toEqual({ "sockscope.probe.type": "tcp" });
  });

  test("that cannot be exported is one line in the log, and the next one is made", async () => {
    const { snapshots, logged } = createTest([], () => Promise.reject(new Error("disk on fire")));
    telemetry?.record("sockscope.probe.schedule.lag", 0, {});
    await telemetry?.collectNow().catch(() => undefined);
    await telemetry?.collectNow().catch(() => undefined);
    expect(snapshots).toHaveLength(2);
    expect(logged[0]).toBe("error a collection could not be exported: Error: disk on fire");
  });
});

describe("columns as the SDK's MetricData", () => {
  test("can be read by any stock exporter, and make their points only then", () => {
    const data = toMetricData(up, 2000.5);
    expect(Object.getOwnPropertyDescriptor(data, "dataPoints")).not.toHaveProperty("value");
    expect(data.descriptor).toMatchObject({ name: "sockscope.probe.up", unit: "{target}" });
    expect(data).toMatchObject({ isMonotonic: false });
    expect(data.dataPoints).toEqual([
      { attributes: { "sockscope.probe.name": "a" }, value: 1, startTime: [1, 500_250_000], endTime: [2, 500_000] },
    ]);
    expect(columnsOf(data)).toBe(up);
  });

  test("histograms too", () => {
    const data = toMetricData(
      {
        descriptor: descriptorOf("sockscope.tcp.rtt"),
        numbers: [],
        histograms: [
          {
            own: attributeSet({ "network.type": "ipv4" }),
            sets: [noAttributes],
            starts: Float64Array.of(1000),
            bounds: [0.5],
            counts: Float64Array.of(2, 1),
            sums: Float64Array.of(1.5),
          },
        ],
        ended: [],
      },
      2000,
    );
    expect(data.dataPoints).toEqual([
      {
        attributes: { "network.type": "ipv4" },
        startTime: [1, 0],
        endTime: [2, 0],
        value: { buckets: { boundaries: [0.5], counts: [2, 1] }, sum: 1.5, count: 3 },
      },
    ]);
  });
});
