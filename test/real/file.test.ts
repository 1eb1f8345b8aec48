import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { configFile, startAgent } from "../kit/agent.ts";
import { collectorUrl, startCollector } from "../kit/collector.ts";
import { openFlow, startEcho } from "../kit/loopback.ts";
import { flattenPoints, type MetricsRequest, type ReceivedPoint } from "../kit/otlp-receiver.ts";
import { enterOwnNamespace } from "../kit/own-namespace.ts";
import { scratchFolder } from "../kit/program.ts";
import { canRun } from "../kit/real-parts.ts";
import { until } from "../kit/until.ts";

const keysOf = (points: readonly ReceivedPoint[]): string[] =>
  points.map((point) => JSON.stringify(point, (_, value: unknown) => (value === undefined ? null : value))).sort();

describe.skipIf(!canRun("otelcol"))("the Collector, with a file of ours", () => {
  let leave: (() => void) | undefined;
  beforeAll(() => {
    leave = enterOwnNamespace();
  });
  afterAll(() => leave?.());

  // Its otlpjsonfile receiver reads a line with the code by which its OTLP receiver reads a request of JSON.
  test("reads each line, and has every point of it", { timeout: 60_000 }, async () => {
    using folder = scratchFolder();
    await using echo = await startEcho();
    using config = configFile(`
collection: { interval: 300ms, timeout: 300ms }
probes: { interval: 300ms, timeout: 200ms, targets: ["tcp://127.0.0.1:${echo.port}"] }
export: { file: { path: metrics.jsonl } }`);
    const path = join(dirname(config.path), "metrics.jsonl");
    await using agent = startAgent(config.path);
    await agent.logged(/^metrics are written to/);
    const flow = await openFlow(echo.port, 1000);
    await until(
      "a flow is in the file",
      async () => existsSync(path) && readFileSync(path, "utf8").includes('"sockscope.flow.io"'),
    );
    await flow.close();
    expect(await agent.stop()).toEqual({ code: 0, signal: null });

    await using collector = await startCollector({ file: join(folder.path, "exported.json") });
    const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
    for (const body of lines) {
      const headers = { "content-type": "application/json" };
      const response = await fetch(`${collectorUrl}/v1/metrics`, { method: "POST", headers, body });
      expect([response.status, await response.text()]).toEqual([200, '{"partialSuccess":{}}']);
    }
    const written = flattenPoints(lines.map((line) => JSON.parse(line) as MetricsRequest));
    await until("all points have gone through", async () => collector.exported().length >= written.length);
    expect(written.length).toBeGreaterThan(100);
    expect(keysOf(collector.exported())).toEqual(keysOf(written));
  });
});
