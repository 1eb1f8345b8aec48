import { once } from "node:events";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createSocket } from "node:dgram";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createServer } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { configFile, startAgent } from "../kit/agent.ts";
import { dashboards, substituted } from "../kit/dashboards.ts";
import { closedPort, openFlow, startEcho } from "../kit/loopback.ts";
import { enterOwnNamespace } from "../kit/own-namespace.ts";
import { scratchFolder, startProgram } from "../kit/program.ts";
import { queryNow } from "../kit/promql.ts";
import { canRun, realParts } from "../kit/real-parts.ts";
import { certificateOf, tlsFile } from "../kit/tls-files.ts";
import { until } from "../kit/until.ts";

const prometheus = "http://127.0.0.1:9090";
const database = "http://127.0.0.1:8428";

const startTls = async () => {
  const server = createServer(certificateOf("server"), (socket) => socket.on("error", () => undefined));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { port, [Symbol.asyncDispose]: async () => void (await once(server.close(), "close")) };
};

const startUdp = async () => {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return { [Symbol.dispose]: () => void socket.close() };
};

/** What /proc says here, and of limits, which the kernel shows in its first network namespace only, what it says there. */
const procWithLimits = (folder: string): string => {
  const limits = join(folder, "sys/net/ipv4");
  mkdirSync(limits, { recursive: true });
  symlinkSync("/proc/self/net", join(folder, "net"));
  writeFileSync(join(limits, "tcp_mem"), "287901\t383868\t575802\n");
  writeFileSync(join(limits, "udp_mem"), "575802\t767736\t1151604\n");
  writeFileSync(join(limits, "tcp_max_orphans"), "131072\n");
  writeFileSync(join(limits, "tcp_max_tw_buckets"), "131072\n");
  return folder;
};

const configOf = (echo: number, tls: number, closed: number, proc: string): string => `
collection: { interval: 500ms, timeout: 500ms }
paths: { proc: ${proc} }
probes:
  interval: 500ms
  timeout: 400ms
  targets:
    - { name: echo, target: "tcp://localhost:${echo}" }
    - { name: web, target: "tcp://localhost:${tls}", tls: { ca_file: ${tlsFile("ca.pem")} } }
    - { name: refusing, target: "tcp://127.0.0.1:${closed}" }
    - { name: elsewhere, target: "tcp://127.0.0.1:${echo}", source_address: 203.0.113.9 }
    - { name: ping, target: "icmp://127.0.0.1", count: 2, packet_interval: 50ms }
sockets: { metrics: { stall: on } }
export:
  prometheus: { listen: "127.0.0.1:9464" }
  otlp: { endpoint: "${database}/opentelemetry" }
`;

const startPrometheus = (folder: string) => {
  const file = join(folder, "prometheus.yml");
  writeFileSync(
    file,
    `
global: { scrape_interval: 500ms, scrape_timeout: 500ms }
scrape_configs: [{ job_name: sockscope, static_configs: [{ targets: ["127.0.0.1:9464"] }] }]
`,
  );
  const args = [
    `--config.file=${file}`,
    `--storage.tsdb.path=${join(folder, "prometheus")}`,
    "--web.listen-address=127.0.0.1:9090",
  ];
  return startProgram({ path: realParts.prometheus, args }, `${prometheus}/-/ready`);
};

const startDatabase = (folder: string) => {
  const args = [
    `-storageDataPath=${join(folder, "victoria")}`,
    "-httpListenAddr=127.0.0.1:8428",
    "-opentelemetry.usePrometheusNaming",
  ];
  return startProgram({ path: realParts.victoria, args }, `${database}/health`);
};

describe.skipIf(!canRun("prometheus", "victoria"))("the dashboards", () => {
  let leave: (() => void) | undefined;
  beforeAll(() => {
    leave = enterOwnNamespace();
  });
  afterAll(() => leave?.());

  test("every query of every panel has data, in Prometheus and in VictoriaMetrics", { timeout: 120_000 }, async () => {
    using folder = scratchFolder();
    await using open = new AsyncDisposableStack();
    const echo = open.use(await startEcho());
    const tls = open.use(await startTls());
    open.use(await startUdp());
    open.use(await startDatabase(folder.path));
    open.use(await startPrometheus(folder.path));
    using config = configFile(configOf(echo.port, tls.port, await closedPort(), procWithLimits(folder.path)));
    await using agent = startAgent(config.path);
    await agent.pageUrl();
    open.use(await openFlow(echo.port, 100_000));

    const queries = dashboards.flatMap(({ title, panels }) =>
      panels.flatMap(({ title: panel, targets = [] }) =>
        targets.map(({ expr }) => ({ of: `${title} > ${panel}`, query: substituted(expr, "10s") })),
      ),
    );
    expect(queries.length).toBeGreaterThan(60);
    // NaN is what a quantile of no samples is: nothing that a panel could show.
    const without = async (url: string): Promise<string[]> => {
      const found = await Promise.all(
        queries.map(async ({ of, query }) =>
          (await queryNow(url, query)).some(({ value }) => !Number.isNaN(value)) ? [] : [`${of}: ${query}`],
        ),
      );
      return found.flat();
    };
    for (const url of [prometheus, database]) {
      let missing = queries.map(({ of }) => of);
      // Flows go on, so that rates have something to be of.
      const filled = until(
        `all have data at ${url}`,
        async () => {
          await using flow = await openFlow(echo.port, 10_000);
          expect(flow).toBeDefined();
          missing = await without(url);
          return missing.length === 0;
        },
        40_000,
      );
      await filled.catch(() => expect(missing, url).toEqual([]));
    }
    const down = dashboards.flatMap(({ panels }) => panels).find(({ title }) => title === "Down now");
    const targets = await queryNow(prometheus, substituted(down?.targets?.[0]?.expr ?? "", "10s"));
    expect(targets.map(({ labels }) => labels["sockscope_probe_name"])).toEqual(["refusing"]);
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });
});
