import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { configFile, startAgent } from "../kit/agent.ts";
import { collectorPage, collectorUrl, startCollector } from "../kit/collector.ts";
import { parseExposition } from "../kit/exposition.ts";
import { openFlow, startEcho } from "../kit/loopback.ts";
import { enterOwnNamespace } from "../kit/own-namespace.ts";
import { scratchFolder, startProgram } from "../kit/program.ts";
import { queryNow } from "../kit/promql.ts";
import { canRun, realParts } from "../kit/real-parts.ts";
import { tlsFile } from "../kit/tls-files.ts";
import { fetchText, until } from "../kit/until.ts";

const prometheus = "http://127.0.0.1:9090";

const scrapeConfig = `
global: { scrape_interval: 500ms, scrape_timeout: 500ms }
scrape_configs:
  - job_name: page
    static_configs: [{ targets: ["127.0.0.1:9464"] }]
  - job_name: collector
    honor_labels: true
    static_configs: [{ targets: ["${new URL(collectorPage).host}"] }]
`;

const startPrometheus = (folder: string, scrape = scrapeConfig) => {
  const file = join(folder, "prometheus.yml");
  writeFileSync(file, scrape);
  const args = [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(folder, "data")}`,
    "--web.listen-address=127.0.0.1:9090",
  ];
  return startProgram({ path: realParts.prometheus, args }, `${prometheus}/-/ready`);
};

const configOf = (probedPort: number): string => `
collection: { interval: 500ms, timeout: 500ms }
probes:
  interval: 500ms
  timeout: 400ms
  targets: [{ name: echo, target: "tcp://127.0.0.1:${probedPort}" }]
export:
  prometheus: { listen: "127.0.0.1:9464" }
  otlp: { endpoint: "${collectorUrl}" }
`;

/** What promtool objects to and why it stays. */
const forced: Readonly<Record<string, string>> = {
  'system_network_connection_count non-histogram and non-summary metrics should not have "_count" suffix':
    "The name is OpenTelemetry's semantic conventions'.",
  'sockscope_flow_count non-histogram and non-summary metrics should not have "_count" suffix':
    "By the same conventions a number of things is THING.count.",
};

describe.skipIf(!canRun("otelcol", "prometheus", "promtool"))("Prometheus", () => {
  let leave: (() => void) | undefined;
  beforeAll(() => {
    leave = enterOwnNamespace();
  });
  afterAll(() => leave?.());

  test("scrapes the page and the Collector's, and promtool finds no fault", { timeout: 90_000 }, async () => {
    using folder = scratchFolder();
    await using echo = await startEcho();
    await using probed = await startEcho();
    using config = configFile(configOf(probed.port));
    await using open = new AsyncDisposableStack();
    open.use(await startCollector());
    await using agent = startAgent(config.path);
    await agent.pageUrl();
    open.use(await startPrometheus(folder.path));
    const byJob = async (query: string): Promise<Record<string, number>> =>
      Object.fromEntries((await queryNow(prometheus, query)).map(({ labels, value }) => [labels["job"], value]));

    await until("both pages are scraped", async () => Object.keys(await byJob("up")).length === 2);
    expect(await byJob("up")).toEqual({ page: 1, collector: 1 });
    // With honor_labels a sample of the Collector's page belongs to who sent it.
    const both = (value: number) => ({ page: value, sockscope: value });
    await until(
      "the target is up on both",
      async () => Object.values(await byJob('sockscope_probe_up{sockscope_probe_name="echo"}')).join() === "1,1",
    );
    open.use(await openFlow(echo.port, 10_000));
    const bytes = `sockscope_flow_io_bytes_total{network_local_port="${echo.port}",network_io_direction="receive"}`;
    await until("the flow's bytes are there", async () => Object.values(await byJob(bytes)).join() === "10000,10000");
    expect(await byJob(bytes)).toEqual(both(10_000));
    expect(await byJob(`sockscope_listener_accept_queue_limit{network_local_port="${echo.port}"}`)).toEqual(both(511));
    expect(await byJob("up")).toEqual({ page: 1, collector: 1 });

    const text = (await fetchText("http://127.0.0.1:9464/metrics")) ?? "";
    expect(parseExposition(text).find("sockscope_flow_io_bytes_total")).not.toEqual([]);
    const said = spawnSync(realParts.promtool, ["check", "metrics"], { input: text, encoding: "utf8" });
    expect(said.stdout).toBe("");
    expect(said.stderr.trim().split("\n").sort()).toEqual(Object.keys(forced).sort());
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });

  test("scrapes a page that has a password and TLS, and no other without them", { timeout: 60_000 }, async () => {
    using folder = scratchFolder();
    using config = configFile(`
collection: { interval: 500ms, timeout: 500ms }
export:
  prometheus:
    listen: 127.0.0.1:9464
    basic_auth: { username: prometheus, password: "pass:wörd" }
    tls: { cert_file: ${tlsFile("server.pem")}, key_file: ${tlsFile("server.key")} }
`);
    const job = (name: string, password: string): string => `
  - job_name: ${name}
    scheme: https
    tls_config: { ca_file: ${tlsFile("ca.pem")} }
    basic_auth: { username: prometheus, password: "${password}" }
    static_configs: [{ targets: ["localhost:9464"] }]`;
    const scrape = `global: { scrape_interval: 500ms, scrape_timeout: 500ms }
scrape_configs:${job("right", "pass:wörd")}${job("wrong", "pass")}
`;
    await using agent = startAgent(config.path);
    await agent.logged(/^metrics: https:/);
    await using program = await startPrometheus(folder.path, scrape);
    expect(program).toBeDefined();
    const up = async () =>
      Object.fromEntries((await queryNow(prometheus, "up")).map(({ labels, value }) => [labels["job"], value]));
    await until("both have been tried", async () => (await up())["right"] === 1 && "wrong" in (await up()));
    expect(await up()).toEqual({ right: 1, wrong: 0 });
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });
});
