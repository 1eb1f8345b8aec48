import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attributeSet, type MetricColumns, noAttributes, type Snapshot } from "../../src/model/columns.ts";
import { compressions, type OtlpConfig } from "../../src/model/config.ts";
import { type Collector, collectorGrpcUrl, collectorUrl, startCollector } from "../kit/collector.ts";
import type { ReceivedPoint } from "../kit/otlp-receiver.ts";
import { openDestination } from "../kit/otlp-sending.ts";
import { descriptorOf, snapshotOf } from "../kit/otlp-snapshots.ts";
import { enterOwnNamespace } from "../kit/own-namespace.ts";
import { scratchFolder } from "../kit/program.ts";
import { canRun } from "../kit/real-parts.ts";
import { tlsFile } from "../kit/tls-files.ts";
import { until } from "../kit/until.ts";

const series = 60_000;
const sets = Array.from({ length: series }, (_, index) => attributeSet({ flow: `2001:db8::${index.toString(16)}` }));

/** 6 MB in protobuf: a counter and a gauge of 60,000 series each, of which the first 100 end. */
const snapshotAt = (time: number): Snapshot => {
  const starts = new Float64Array(series).fill(time - 15_000);
  const columns = (factor: number): MetricColumns["numbers"] => [
    {
      own: noAttributes,
      sets: sets.slice(100),
      starts: starts.subarray(100),
      values: Float64Array.from({ length: series - 100 }, (_, index) => (index + 100) * factor),
    },
  ];
  const ended = [{ own: noAttributes, sets: sets.slice(0, 100), starts: starts.subarray(0, 100) }];
  return {
    ...snapshotOf(
      { descriptor: descriptorOf("grpc.io", "counter"), numbers: columns(3), histograms: [], ended },
      { descriptor: descriptorOf("grpc.rtt", "gauge"), numbers: columns(0.25), histograms: [], ended },
    ),
    time,
  };
};

const grpc = (compression: OtlpConfig["compression"]): Partial<OtlpConfig> => ({ protocol: "grpc", compression });

/** What of a snapshot the Collector exports, in an order of its own. */
const exported = async (collector: Collector, points: number): Promise<ReceivedPoint[]> => {
  await until(
    "all points are exported",
    async () => (await collector.own("otelcol_exporter_sent_metric_points")) >= 2 * points,
    60_000,
  );
  await collector.stop();
  const keyOf = ({ name, attributes }: ReceivedPoint): string => `${name} ${String(attributes["flow"])}`;
  return collector.exported().sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
};

describe.skipIf(!canRun("otelcol"))("the Collector by gRPC, with the shipped configuration", () => {
  let leave: (() => void) | undefined;
  beforeAll(() => {
    leave = enterOwnNamespace();
  });
  afterAll(() => leave?.());

  const at = Date.now();
  const points = 2 * series;
  const clean = { queue_full: 0, rejected: 0, refused: 0, expired: 0, too_large: 0 };
  let byHttp: ReceivedPoint[] = [];

  test("exports by HTTP what all others are compared with", { timeout: 120_000 }, async () => {
    using folder = scratchFolder();
    await using collector = await startCollector({ file: join(folder.path, "exported.json") });
    await using destination = openDestination(`${collectorUrl}/v1/metrics`);
    await destination.send(snapshotAt(at));
    byHttp = await exported(collector, points);
    expect(byHttp).toHaveLength(points);
  });

  test.each(compressions)("exports the same values with compression %s", { timeout: 120_000 }, async (compression) => {
    using folder = scratchFolder();
    await using collector = await startCollector({ file: join(folder.path, "exported.json") });
    await using destination = openDestination(collectorGrpcUrl, grpc(compression));
    await destination.send(snapshotAt(at));
    expect(destination.stats()).toMatchObject({ sentPoints: points, queueBytes: 0, dropped: clean });
    expect(destination.lines).toEqual([]);
    // More than the Collector takes in one request.
    if (compression === "none") expect(destination.stats().sentBytes).toBeGreaterThan(4 * 1_048_576);
    expect(await collector.own("otelcol_receiver_accepted_metric_points")).toBe(points);
    expect(await exported(collector, points)).toEqual(byHttp);
  });

  test("refuses messages above 4 MiB, as the log says", { timeout: 60_000 }, async () => {
    await using collector = await startCollector();
    for (const compression of compressions) {
      const above = { maxRequestBytes: 6 * 1_048_576 };
      await using destination = openDestination(collectorGrpcUrl, grpc(compression), above);
      await destination.send(snapshotAt(at));
      expect(destination.stats().dropped.refused).toBeGreaterThan(0);
      expect(destination.lines).toEqual([
        expect.stringMatching(
          /^warn .* refuses requests \(status RESOURCE_EXHAUSTED, .*\): their points are dropped; raise the destination's limit of the message size to 4 MiB$/,
        ),
      ]);
    }
    expect(await collector.own("otelcol_receiver_refused_metric_points")).toBe(0);
  });

  test("ends connections now and then, which is no outage", { timeout: 60_000 }, async () => {
    await using collector = await startCollector({ overlays: ["short-connections.yaml"] });
    await using destination = openDestination(collectorGrpcUrl, grpc("gzip"));
    for (let count = 0; count < 40; count++) {
      await destination.send(snapshotOf({ ...(snapshotAt(at).metrics[0] as MetricColumns), numbers: [] }));
      // Nothing tells from outside when the next connection ends.
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect(destination.lines).toEqual([]);
    expect(await collector.own("otelcol_receiver_accepted_metric_points")).toBe(4000);
  });

  test("takes them by TLS of those with a certificate only", { timeout: 60_000 }, async () => {
    await using collector = await startCollector({ overlays: ["secure.yaml"] });
    const url = collectorGrpcUrl.replace("http:", "https:");
    const own = { certFile: tlsFile("client.pem"), keyFile: tlsFile("client.key") };
    const trusted = { caFile: tlsFile("ca.pem"), serverName: undefined, insecure: false };
    const one = snapshotOf({ ...(snapshotAt(at).metrics[0] as MetricColumns), numbers: [] });
    await using known = openDestination(url, { ...grpc("gzip"), tls: { ...trusted, ...own } });
    await known.send(one);
    expect(known.lines).toEqual([]);
    expect(await collector.own("otelcol_receiver_accepted_metric_points")).toBe(100);
    const stranger = { ...trusted, certFile: undefined, keyFile: undefined };
    await using unknown = openDestination(url, { ...grpc("gzip"), tls: stranger });
    void unknown.send(one);
    await until("the log says so", () => unknown.lines.length > 0);
    expect(unknown.lines[0]).toContain("if it wants a certificate, name one in export.otlp.tls.cert_file");
    expect(await collector.own("otelcol_receiver_accepted_metric_points")).toBe(100);
  });
});
