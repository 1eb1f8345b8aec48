import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attributeSet, type MetricColumns, noAttributes, type Snapshot } from "../../src/model/columns.ts";
import { type Collector, collectorUrl, startCollector } from "../kit/collector.ts";
import { descriptorOf, snapshotOf } from "../kit/otlp-snapshots.ts";
import { openDestination } from "../kit/otlp-sending.ts";
import { enterOwnNamespace } from "../kit/own-namespace.ts";
import { scratchFolder } from "../kit/program.ts";
import { canRun } from "../kit/real-parts.ts";
import { until } from "../kit/until.ts";

const flows = 25_000;
const metrics = ["io", "segments", "retransmits", "queue"];

/** The attributes of single flows: as long as they get. */
const sets = Array.from({ length: flows }, (_, index) =>
  attributeSet({
    "network.transport": "tcp",
    "network.type": "ipv6",
    "network.local.address": `2001:db8:1234:5678:9abc:def0:1234:${index.toString(16)}`,
    "network.local.port": 30_000 + (index % 30_000),
    "network.peer.address": "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
    "network.peer.port": 443,
  }),
);

/** 100,000 series: four counters of every flow. The first `endedFlows` flows end. */
const snapshotAt = (time: number, endedFlows: number): Snapshot => ({
  ...snapshotOf(
    ...metrics.map((name, metric): MetricColumns => {
      const starts = new Float64Array(flows).fill(time - 15_000);
      return {
        descriptor: descriptorOf(`scale.${name}`, "counter"),
        numbers: [
          {
            own: noAttributes,
            sets: sets.slice(endedFlows),
            starts: starts.subarray(endedFlows),
            values: Float64Array.from({ length: flows - endedFlows }, (_, index) => index + endedFlows + metric),
          },
        ],
        histograms: [],
        ended:
          endedFlows === 0
            ? []
            : [{ own: noAttributes, sets: sets.slice(0, endedFlows), starts: starts.subarray(0, endedFlows) }],
      };
    }),
  ),
  time,
});

const accepted = (collector: Collector): Promise<number> => collector.own("otelcol_receiver_accepted_metric_points");

describe.skipIf(!canRun("otelcol"))("100,000 series, into the Collector with the shipped configuration", () => {
  let leave: (() => void) | undefined;
  beforeAll(() => {
    leave = enterOwnNamespace();
  });
  afterAll(() => leave?.());

  test("all arrive and none is refused, and 60,000 that end are gone", { timeout: 120_000 }, async () => {
    using folder = scratchFolder();
    const file = join(folder.path, "exported.json");
    await using collector = await startCollector({ file });
    await using destination = openDestination(`${collectorUrl}/v1/metrics`);
    const shown = async () => (await collector.page()).samples.filter(({ name }) => name.startsWith("scale_"));

    await destination.send(snapshotAt(Date.now(), 0));
    const all = await until(
      "100,000 show",
      async () => {
        const now = await shown();
        return now.length >= 100_000 && now;
      },
      60_000,
    );
    expect(all).toHaveLength(100_000);
    expect(all.reduce((sum, { value }) => sum + value, 0)).toBe(4 * ((flows * (flows - 1)) / 2) + flows * (1 + 2 + 3));

    await destination.send(snapshotAt(Date.now(), 15_000));
    await until("40,000 show", async () => (await shown()).length === 40_000, 60_000);
    expect(destination.stats()).toMatchObject({
      sentPoints: 200_000,
      queueBytes: 0,
      dropped: { queue_full: 0, rejected: 0, refused: 0, expired: 0, too_large: 0 },
    });
    expect(destination.lines).toEqual([]);
    expect(await accepted(collector)).toBe(200_000);
    expect(await collector.own("otelcol_receiver_refused_metric_points")).toBe(0);
    expect(await collector.own("otelcol_receiver_failed_metric_points")).toBe(0);
    expect(await collector.own("otelcol_exporter_send_failed_metric_points")).toBe(0);
    await collector.stop();
    const exported = collector.exported();
    expect(exported).toHaveLength(200_000);
    expect(exported.filter(({ flags }) => flags === 1)).toHaveLength(60_000);
  });
});
