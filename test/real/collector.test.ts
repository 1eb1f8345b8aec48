import { createSocket } from "node:dgram";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { compatMetrics } from "../../src/metrics/compat.ts";
import { flowFamilies } from "../../src/model/config.ts";
import { configFile, startAgent } from "../kit/agent.ts";
import { collectorUrl, startCollector } from "../kit/collector.ts";
import { expectAsDocumented, expectPageAsDocumented } from "../kit/documented.ts";
import type { ExposedSample, Exposition } from "../kit/exposition.ts";
import { closedPort, openFlow, startEcho } from "../kit/loopback.ts";
import { readMetricsDoc } from "../kit/metrics-doc.ts";
import { enterOwnNamespace } from "../kit/own-namespace.ts";
import { scratchFolder } from "../kit/program.ts";
import { canRun } from "../kit/real-parts.ts";
import { certificateOf } from "../kit/tls-files.ts";
import { until } from "../kit/until.ts";

const configOf = (targets: readonly string[], groupBy: string, sockets = ""): string => `
collection: { interval: 500ms, timeout: 500ms }
probes:
  interval: 500ms
  timeout: 400ms
  targets: [${targets.join(", ")}]
sockets: { group_by: ${groupBy}${sockets} }
export:
  otlp: { endpoint: "${collectorUrl}", protocol: http/protobuf, compression: gzip }
`;

/**
 * The rate of a flow is known only while the network limits it and not the application, the threshold once it has lost;
 * these two limits only in the kernel's first network namespace.
 */
const mayBeAbsent = new Set([
  "sockscope.flow.delivery_rate",
  "sockscope.flow.ssthresh",
  "sockscope.sockstat.memory.limit",
  "sockscope.sockstat.orphan.limit",
  // One network namespace is read, and there is no election.
  "sockscope.agent.namespaces",
  "sockscope.agent.election.leader",
]);

const ofOtherTools = Object.keys(compatMetrics);

const everything = `, protocols: [tcp, udp, unix, netlink], metrics: { ${flowFamilies.map((family) => `${family}: on`).join(", ")} }`;

describe.skipIf(!canRun("otelcol"))("the Collector, with the shipped configuration", () => {
  let leave: (() => void) | undefined;
  beforeAll(() => {
    leave = enterOwnNamespace();
  });
  afterAll(() => leave?.());

  test("exports what is documented, with the values of known sockets and targets", { timeout: 60_000 }, async () => {
    using folder = scratchFolder();
    // The flows have a server of their own: a probe's connection that a dump happens to catch is a flow, too.
    await using echo = await startEcho();
    await using probed = await startEcho();
    const refusing = await closedPort();
    const udp = createSocket("udp4").bind(0, "127.0.0.1");
    await once(udp, "listening");
    const up = `{ name: echo, target: "tcp://127.0.0.1:${probed.port}", attributes: { team: edge } }`;
    const down = `{ name: refusing, target: "tcp://127.0.0.1:${refusing}", attempts: 2 }`;
    const server = createTlsServer(certificateOf("server"), (socket) => socket.on("error", () => undefined).resume());
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port: securePort } = server.address() as AddressInfo;
    const secure = `{ name: secure, target: "tcp://127.0.0.1:${securePort}", tls: { insecure_skip_verify: on } }`;
    const ping = `{ name: ping, target: "icmp://localhost", count: 2, packet_interval: 10ms }`;
    using config = configFile(configOf([up, down, secure, ping], "endpoint", everything));
    await using collector = await startCollector({ file: join(folder.path, "exported.json") });
    await using agent = startAgent(config.path);
    // A flow that the first dump shows is older than the agent; these count from their first byte.
    await until("the first points arrive", async () => (await collector.page()).samples.length > 0);
    await using first = await openFlow(echo.port, 10_000);
    await using second = await openFlow(echo.port, 10);

    const serving = { sockscope_flow_role: "server", network_local_port: String(echo.port) };
    const client = { sockscope_flow_role: "client", network_peer_port: String(echo.port) };
    const bytesOf = (shown: Exposition): (number | undefined)[] =>
      [serving, client].flatMap((end) =>
        ["receive", "transmit"].map((direction) =>
          shown.value("sockscope_flow_io_bytes_total", { ...end, network_io_direction: direction }),
        ),
      );
    const page = await until("the flows' bytes arrive, and their acknowledgements, and an echo", async () => {
      const now = await collector.page();
      const echoed = now.value("sockscope_probe_ttl", { sockscope_probe_name: "ping" }) === 64;
      return echoed && bytesOf(now).every((value) => value !== undefined && value >= 10_010) && now;
    });
    // The kernel counts the SYN of the end that opened a connection as an acknowledged byte.
    expect(bytesOf(page)).toEqual([10_010, 10_010, 10_010, 10_010 + 2]);
    expect(page.value("sockscope_flow_count", client)).toBe(2);
    expect(page.value("sockscope_listener_accept_queue_limit", { network_local_port: String(echo.port) })).toBe(511);
    const named = { sockscope_probe_name: "echo", sockscope_probe_type: "tcp", team: "edge", job: "sockscope" };
    expect(page.value("sockscope_probe_up", named)).toBe(1);
    expect(page.value("sockscope_probe_latency_seconds", named)).toBeLessThan(0.4);
    expect(page.value("sockscope_probe_up", { sockscope_probe_name: "refusing" })).toBe(0);
    expect(page.find("sockscope_probe_latency_seconds", { sockscope_probe_name: "refusing" })).toEqual([]);
    const failed = {
      sockscope_probe_name: "refusing",
      sockscope_probe_outcome: "down",
      error_type: "connection_refused",
    };
    expect(page.value("sockscope_probe_runs_total", failed)).toBeGreaterThanOrEqual(1);
    const states = page.find("system_network_connection_count", { network_type: "ipv4" });
    expect(states.map(({ labels }) => labels["network_connection_state"])).toEqual(
      expect.arrayContaining(["established", "listen", "close_wait", "syn_sent"]),
    );
    const info = page.find("target_info");
    expect(info).toHaveLength(1);
    expect(info[0]?.labels["job"]).toBe("sockscope");
    expect(info[0]?.labels["instance"]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5/);

    expect(await agent.stop()).toEqual({ code: 0, signal: null });
    await collector.stop();
    const points = collector.exported();
    const configured = { groupBy: "endpoint", targetAttributes: ["team"] };
    expectAsDocumented(points, configured);
    expectPageAsDocumented(page, configured);
    const seen = new Set(points.map(({ name }) => name));
    const own = [...readMetricsDoc().metrics.keys()].filter((name) => !ofOtherTools.includes(name));
    expect(own.filter((name) => !seen.has(name) && !mayBeAbsent.has(name))).toEqual([]);
    const last = points.findLast(
      ({ name, attributes }) =>
        name === "sockscope.flow.io" &&
        attributes["sockscope.flow.role"] === "server" &&
        attributes["network.local.port"] === echo.port &&
        attributes["network.io.direction"] === "receive",
    );
    expect(last?.value).toBe(10_010);
    const numbers = points.flatMap(({ value, histogram }) => [value ?? 0, histogram?.sum ?? 0]);
    expect(numbers.filter(Number.isNaN)).toEqual([]);
    expect(page.samples.filter(({ value }) => Number.isNaN(value))).toEqual([]);
    await Promise.all([first.close(), second.close()]);
    server.close();
    udp.close();
  });

  test("exports the series of five other tools as they are documented", { timeout: 60_000 }, async () => {
    using folder = scratchFolder();
    await using echo = await startEcho();
    const udp = createSocket("udp4").bind(0, "127.0.0.1");
    await once(udp, "listening");
    const targets = [`"tcp://127.0.0.1:${echo.port}"`, `"udp://127.0.0.1:${udp.address().port}"`];
    const compat = "compat: [datakit, telegraf, ss_exporter, sockstat, connection_status]\n";
    using config = configFile(configOf(targets, "endpoint") + compat);
    await using collector = await startCollector({ file: join(folder.path, "exported.json") });
    await using flow = await openFlow(echo.port, 1000);
    await using agent = startAgent(config.path);
    const labels = { name: `tcp://127.0.0.1:${echo.port}`, port: String(echo.port), protocol: "tcp" };
    await until("each of them arrives", async () => {
      const { samples } = await collector.page();
      const arrived = (name: string): boolean => samples.some((sample) => sample.name.startsWith(name));
      return ofOtherTools.every((name) => arrived(name.replaceAll(".", "_")));
    });
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
    await collector.stop();
    const given = collector.exported().filter(({ name }) => ofOtherTools.includes(name));
    expect([...new Set(given.map(({ name }) => name))].toSorted()).toEqual(ofOtherTools.toSorted());
    expectAsDocumented(given, { groupBy: "endpoint" });
    const valueOf = (metric: string, wanted: Readonly<Record<string, string>>): number | undefined =>
      given.findLast(
        ({ name, attributes }) =>
          name === metric && Object.entries(wanted).every(([key, value]) => attributes[key] === value),
      )?.value;
    expect(valueOf("connection_status_up", labels)).toBe(1);
    expect(valueOf("udp.success", { dest_port: String(udp.address().port) })).toBe(1);
    const acknowledged = { local_port: String(flow.localPort), remote_port: String(echo.port), proto: "tcp" };
    expect(valueOf("socketstat_bytes_acked", acknowledged)).toBe(1001);
    const ends = { flow: `(SRC#127.0.0.1|${flow.localPort})(DST#127.0.0.1|${echo.port})` };
    expect(valueOf("tcp_data_segs_out", ends)).toBeGreaterThan(0);
    await flow.close();
    udp.close();
  });

  test("200 targets of which a reload removes 100: exactly the other 100 show", { timeout: 60_000 }, async () => {
    using folder = scratchFolder();
    await using echo = await startEcho();
    const target = (name: string): string => `{ name: ${name}, target: "tcp://127.0.0.1:${echo.port}" }`;
    const names = Array.from({ length: 200 }, (_, index) => `t${index}`);
    using config = configFile(configOf(names.map(target), "host"));
    await using collector = await startCollector({ file: join(folder.path, "exported.json") });
    await using agent = startAgent(config.path);
    const shown = async (): Promise<string[]> =>
      (await collector.page())
        .find("sockscope_probe_up")
        .map(({ labels }) => labels["sockscope_probe_name"] ?? "")
        .sort();
    await until("all 200 show", async () => (await shown()).length === 200);

    config.write(configOf(names.filter((_, index) => index % 2 === 0).map(target), "host"));
    agent.child.kill("SIGHUP");
    const flagged = () =>
      collector.exported().filter(({ name, flags }) => name === "sockscope.probe.up" && flags === 1);
    await until("100 end", () => flagged().length >= 100);
    expect(new Set(flagged().map(({ time }) => time)).size).toBe(1);
    expect(flagged()).toHaveLength(100);
    // The page had them when the file had them; what it keeps it would keep for minutes.
    expect(await shown()).toEqual(names.filter((_, index) => index % 2 === 0).sort());
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });

  test("200 flows of which 100 close: exactly the other 100 show, at both ends", { timeout: 60_000 }, async () => {
    await using echo = await startEcho();
    using config = configFile(configOf([], "socket"));
    await using collector = await startCollector({ overlays: ["quick.yaml"] });
    await using agent = startAgent(config.path);
    await agent.logged(/metrics are sent/);
    const flows = [];
    for (let index = 0; index < 200; index++) flows.push(await openFlow(echo.port, 100));
    const port = String(echo.port);
    /** What is shown of the client's and of the server's ends. */
    const shown = async (): Promise<ExposedSample[][]> => {
      const page = await collector.page();
      return [{ network_peer_port: port }, { network_local_port: port }].map((end) =>
        page.find("sockscope_flow_io_bytes_total", { ...end, network_io_direction: "receive" }),
      );
    };
    await until("all 200 show, with their bytes", async () =>
      (await shown()).every((end) => end.length === 200 && end.every(({ value }) => value === 100)),
    );
    await Promise.all(flows.slice(0, 100).map((flow) => flow.close()));
    const left = flows.slice(100).map(({ localPort }) => String(localPort));
    const ends = await until("100 are gone", async () => {
      const now = await shown();
      return now.every(({ length }) => length <= 100) && now;
    });
    const portOf = (label: string) => (sample: ExposedSample) => sample.labels[label] ?? "";
    expect(ends[0]?.map(portOf("network_local_port")).sort()).toEqual(left.sort());
    expect(ends[1]?.map(portOf("network_peer_port")).sort()).toEqual(left.sort());
    expect(ends.flat().every(({ value }) => value === 100)).toBe(true);
    await Promise.all(flows.map((flow) => flow.close()));
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });
});
