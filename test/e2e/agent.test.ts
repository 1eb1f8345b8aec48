import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { get } from "node:https";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { describe, expect, test } from "vitest";
import { cleanEnvironment, configFile, followAgent, root, startAgent, startAgentAsNobody } from "../kit/agent.ts";
import { tellAgentStory } from "../kit/agent-story.ts";
import { startHttpProxy } from "../kit/http-proxy.ts";
import { closedPort, openFlow, startEcho } from "../kit/loopback.ts";
import { type ReceivedPoint, startOtlpReceiver } from "../kit/otlp-receiver.ts";
import { ca, tlsFile } from "../kit/tls-files.ts";

const isRoot = process.getuid?.() === 0;
const onLinux = process.platform === "linux";

const page = 'export: { prometheus: { listen: "127.0.0.1:0" } }';
const fast = "collection: { interval: 200ms, timeout: 200ms }";

const valueOf = (text: string, series: string): number | undefined => {
  const line = text.split("\n").find((one) => one.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
};

describe.skipIf(!onLinux)("the agent", () => {
  test("sends what docs/METRICS.md says, and ends what ends once", { timeout: 60_000 }, async () => {
    using file = configFile("");
    await tellAgentStory(file, () => startAgent(file.path));
  });

  test.skipIf(!isRoot)("does the same as uid 65534 without capabilities", { timeout: 60_000 }, async () => {
    using file = configFile("");
    await tellAgentStory(file, () => startAgentAsNobody(file.path));
  });

  test("a port already in use for the page: exit 1, the place and the remedy, nothing started", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as { port: number };
    using file = configFile(`export: { prometheus: { listen: "127.0.0.1:${port}" } }`);
    await using agent = startAgent(file.path);
    expect(await agent.exited).toEqual({ code: 1, signal: null });
    expect(agent.raw.at(-1)).toContain(`127.0.0.1:${port}`);
    expect(agent.raw.at(-1)).toContain("export.prometheus.listen");
    expect(agent.raw.join("\n")).not.toMatch(/at .*\.ts:\d+/);
    taken.close();
  });

  test("a proxy is named once, where the destination is, and its credentials nowhere", async () => {
    await using receiver = await startOtlpReceiver();
    await using proxy = await startHttpProxy();
    using file = configFile(`${fast}\nsockets: off`);
    await using agent = startAgent(file.path, {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://collector.invalid:${receiver.port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_COMPRESSION: "zstd",
      HTTP_PROXY: `http://user:s3cr3t@127.0.0.1:${proxy.port}`,
    });
    await receiver.until((requests) => requests.length > 1);
    const { message } = await agent.logged(/are sent to/);
    expect(message).toBe(
      `metrics are sent to collector.invalid:${receiver.port} through the proxy 127.0.0.1:${proxy.port} by OTLP`,
    );
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
    expect(agent.raw.join("\n").split(`127.0.0.1:${proxy.port}`)).toHaveLength(2);
    expect(agent.raw.join("\n")).not.toMatch(/s3cr3t|dXNlcj/);
  });

  test("a bad file on reload leaves the old one in force, with every fault in the log", async () => {
    await using echo = await startEcho();
    const target = (interval: string) =>
      `probes: { interval: ${interval}, timeout: 100ms, targets: [ "tcp://127.0.0.1:${echo.port}" ] }`;
    using file = configFile([fast, page, target("200ms")].join("\n"));
    await using agent = startAgent(file.path);
    const url = await agent.pageUrl();
    file.write([fast, page, target("soon"), "intervall: 3"].join("\n"));
    agent.child.kill("SIGHUP");
    const { message } = await agent.logged(/stays as it was/);
    expect(message).toMatch(/:3:\d+: probes\.interval: /);
    expect(message).toMatch(/:4:1: intervall: unknown key "intervall"/);
    const runs = `sockscope_probe_runs_total{sockscope_probe_outcome="up",sockscope_probe_name="tcp://127.0.0.1:${echo.port}"`;
    const count = async (): Promise<number> => {
      const text = await (await fetch(`${url}/metrics`)).text();
      return Number(
        text
          .split("\n")
          .find((line) => line.startsWith(runs))
          ?.split(" ")
          .at(-1) ?? 0,
      );
    };
    const before = await count();
    await expect.poll(count, { timeout: 5000 }).toBeGreaterThan(before);
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });

  test("a reload moves the page, the destination and the grouping, and says what needs a restart", async () => {
    await using echo = await startEcho();
    await using before = await startOtlpReceiver();
    await using after = await startOtlpReceiver();
    const text = (groupBy: string, receiver: { port: number }, port: number, interval: string): string => `
collection: { interval: ${interval}, timeout: 200ms }
sockets: { group_by: ${groupBy} }
export: { otlp: { endpoint: "http://127.0.0.1:${receiver.port}" }, prometheus: { listen: "127.0.0.1:${port}" } }`;
    const [first, second] = [await closedPort(), await closedPort()];
    using file = configFile(text("endpoint", before, first, "200ms"));
    await using agent = startAgent(file.path);
    await before.until((requests) => requests.length > 0);
    await using flow = await openFlow(echo.port, 100);
    const counts = (receiver: typeof before) => receiver.points().filter(({ name }) => name === "sockscope.flow.count");
    await before.until(() => counts(before).some(({ attributes }) => attributes["network.local.port"] === echo.port));

    file.write(text("host", after, second, "5s"));
    agent.child.kill("SIGHUP");
    await agent.logged(/^reloaded/);
    await after.until(() =>
      counts(after).some(({ attributes, flags }) => attributes["sockscope.flow.role"] === undefined && flags !== 1),
    );
    const ended = counts(after).filter(
      ({ attributes, flags }) => flags === 1 && attributes["network.local.port"] === echo.port,
    );
    expect(ended).toHaveLength(1);
    expect(agent.lines.map(({ message }) => message)).toContain(
      "a change of collection needs a restart; the value of the start stays",
    );
    expect((await fetch(`http://127.0.0.1:${second}/livez`)).status).toBe(200);
    await expect(fetch(`http://127.0.0.1:${first}/livez`)).rejects.toThrow();
    const settled = before.requests.length;
    await after.until((requests) => requests.length >= 5);
    expect(before.requests.length).toBe(settled);
    expect(flow.localPort).toBeGreaterThan(0);
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });

  test("a reload gives the page, where it is, a password and a certificate", async () => {
    const port = await closedPort();
    const text = (more: string): string => `${fast}\nexport: { prometheus: { listen: "127.0.0.1:${port}"${more} } }`;
    using file = configFile(text(""));
    await using agent = startAgent(file.path);
    await agent.pageUrl();
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200);

    file.write(text(", basic_auth: { username: me, password: secret-of-the-page }"));
    agent.child.kill("SIGHUP");
    await agent.logged(/^reloaded/);
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(401);
    const authorization = `Basic ${Buffer.from("me:secret-of-the-page").toString("base64")}`;
    expect((await fetch(`http://127.0.0.1:${port}/`, { headers: { authorization } })).status).toBe(200);
    expect((await fetch(`http://127.0.0.1:${port}/livez`)).status).toBe(200);

    file.write(text(`, tls: { cert_file: "${tlsFile("server.pem")}", key_file: "${tlsFile("other.key")}" }`));
    agent.child.kill("SIGHUP");
    const { message } = await agent.logged(/stays as it was/);
    expect(message).toMatch(
      /:2:\d+: export\.prometheus\.tls\.key_file: .*other\.key holds a private key that does not/,
    );
    expect((await fetch(`http://127.0.0.1:${port}/`, { headers: { authorization } })).status).toBe(200);

    file.write(text(`, tls: { cert_file: "${tlsFile("server.pem")}", key_file: "${tlsFile("server.key")}" }`));
    agent.child.kill("SIGHUP");
    expect((await agent.logged(/^metrics: https/)).message).toBe(`metrics: https://127.0.0.1:${port}/metrics`);
    const [response] = (await once(get(`https://localhost:${port}/livez`, { ca }), "response")) as [IncomingMessage];
    expect(response.resume().statusCode).toBe(200);
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
    expect(agent.raw.join("\n")).not.toContain("secret-of-the-page");
  });

  test("every tick is a line of the file, which a reload keeps unless its block changes", async () => {
    using file = configFile("");
    const folder = dirname(file.path);
    const text = (more: string): string => `${fast}\nexport: { file: { path: metrics.jsonl${more} } }`;
    file.write(text(""));
    await using agent = startAgent(file.path);
    await agent.logged(new RegExp(`^metrics are written to ${folder}/metrics.jsonl$`));
    const linesOf = (name: string): string[] => readFileSync(join(folder, name), "utf8").split("\n").slice(0, -1);
    const count = (): number => (existsSync(join(folder, "metrics.jsonl")) ? linesOf("metrics.jsonl").length : 0);
    await expect.poll(count, { timeout: 5000 }).toBeGreaterThan(2);
    const { ino } = statSync(join(folder, "metrics.jsonl"));
    file.write(`${text("")}\n# reloaded`);
    agent.child.kill("SIGHUP");
    await agent.logged(/^reloaded/);
    file.write(text(", max_files: 2").replace("metrics.jsonl", "other.jsonl"));
    agent.child.kill("SIGHUP");
    await expect.poll(() => existsSync(join(folder, "other.jsonl")), { timeout: 5000 }).toBe(true);
    expect(statSync(join(folder, "metrics.jsonl")).ino).toBe(ino);
    const before = linesOf("metrics.jsonl");
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
    expect(linesOf("metrics.jsonl")).toEqual(before);
    const times = [...before, ...linesOf("other.jsonl")].map((line) => /"timeUnixNano":"(\d+)"/.exec(line)?.[1] ?? "");
    expect(times).toEqual(times.toSorted());
    expect(new Set(times).size).toBe(times.length);
    for (const line of before)
      expect(line).toMatch(/^\{"resourceMetrics":.*"name":"system\.network\.connection\.count".*\}$/);
    expect(agent.lines.filter(({ message }) => /cannot write|written again/.test(message))).toEqual([]);
  });

  test.skipIf(!isRoot)("a folder that is not for its user: exit 2, the place and the remedy", async () => {
    using file = configFile("export: { file: { path: metrics.jsonl } }");
    await using agent = startAgentAsNobody(file.path);
    expect(await agent.exited).toEqual({ code: 2, signal: null });
    expect(agent.raw.at(-1)).toBe(
      `${file.path}:1:25: export.file.path: cannot write ${dirname(file.path)}/metrics.jsonl: permission denied: let the user that sockscope runs as write there`,
    );
  });

  test.skipIf(!isRoot)("a full disk costs one line when it is full and one when it is not, and no tick", async () => {
    using file = configFile("");
    const disk = join(dirname(file.path), "disk");
    mkdirSync(disk);
    file.write(`${fast}\n${page.replace("export: {", "export: { file: { path: disk/metrics.jsonl },")}`);
    const script = 'mount -t tmpfs -o size=256k tmpfs "$0" && exec "$1" "$2" run -c "$3" --log-format json';
    const main = join(root, "src/main.ts");
    await using agent = followAgent(
      spawn("unshare", ["-m", "sh", "-c", script, disk, process.execPath, main, file.path], {
        env: cleanEnvironment(),
        stdio: ["ignore", "inherit", "pipe"],
      }),
    );
    const url = await agent.pageUrl();
    expect((await agent.logged(/ENOSPC/)).message).toBe(
      `cannot write ${disk}/metrics.jsonl (ENOSPC): its metrics are lost until it can`,
    );
    const health = await fetch(`${url}/healthz`);
    expect(health.status).toBe(503);
    expect(await health.json()).toMatchObject({ reason: `cannot write ${disk}/metrics.jsonl (ENOSPC)` });
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    // The agent's own view of its mounts.
    const seen = `/proc/${agent.child.pid}/root${disk}/metrics.jsonl`;
    const lines = readFileSync(seen, "utf8").split("\n");
    expect(lines.pop()).toBe("");
    for (const line of lines) expect(() => void JSON.parse(line)).not.toThrow();
    rmSync(seen);
    await agent.logged(/metrics\.jsonl is written again; \d+ ticks? w/);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
    const about = agent.lines.filter(
      ({ message }) => message.includes("metrics.jsonl") && !message.startsWith("metrics are"),
    );
    expect(about.slice(0, 2).map(({ level }) => level)).toEqual(["warn", "info"]);
  });

  test("every tick is printed, and a reader that goes away ends the printing only", async () => {
    using file = configFile(
      `${fast}\nexport: { console: { format: otlp-json }, prometheus: { listen: "127.0.0.1:0" } }`,
    );
    const main = join(root, "src/main.ts");
    const child = spawn(process.execPath, [main, "run", "-c", file.path, "--log-format", "json"], {
      env: cleanEnvironment(),
      stdio: ["ignore", "pipe", "pipe"],
    });
    await using agent = followAgent(child);
    const url = await agent.pageUrl();
    const lines: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      lines.push(line);
      if (lines.length === 3) break;
    }
    child.stdout.destroy();
    for (const line of lines) expect(line).toMatch(/^\{"resourceMetrics":\[.*\]\}$/);
    expect((await agent.logged(/^nothing more is printed/)).message).toBe(
      "nothing more is printed: stdout is closed (EPIPE)",
    );
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
    expect(agent.lines.filter(({ message }) => message.startsWith("nothing more"))).toHaveLength(1);
  });

  test("a reader of stdout that reads nothing holds up neither ticks nor the end", async () => {
    using file = configFile(
      `${fast}\nexport: { console: { format: prometheus }, prometheus: { listen: "127.0.0.1:0" } }`,
    );
    const main = join(root, "src/main.ts");
    const child = spawn(process.execPath, [main, "run", "-c", file.path, "--log-format", "json"], {
      env: cleanEnvironment(),
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.stdout.pause();
    await using agent = followAgent(child);
    const url = await agent.pageUrl();
    expect((await agent.logged(/^whoever reads stdout is too slow/)).level).toBe("warn");
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });

  test("a reload selects other sockets, and calls networks by other names", async () => {
    await using echo = await startEcho();
    await using other = await startEcho();
    await using receiver = await startOtlpReceiver();
    await using flow = await openFlow(echo.port, 100);
    await using second = await openFlow(other.port, 100);
    expect(second.localPort).not.toBe(flow.localPort);
    const text = (name: string, entry: string): string => `
collection: { interval: 200ms, timeout: 200ms }
networks: { ${name}: [127.0.0.0/8] }
sockets: { group_by: [sockscope.peer.network], select: { include: [${entry}] } }
export: { otlp: { endpoint: "http://127.0.0.1:${receiver.port}" } }`;
    const counted = (name: string): readonly unknown[] =>
      receiver
        .points()
        .filter((point) => point.name === "sockscope.flow.count" && point.attributes["sockscope.peer.network"] === name)
        .map(({ value }) => value);
    using file = configFile(text("here", `{ ports: [${echo.port}], hosts: [localhost] }, { hosts: [none.invalid] }`));
    await using agent = startAgent(file.path);
    await receiver.until(() => counted("here").length > 1);
    expect(new Set(counted("here"))).toEqual(new Set([2]));
    await agent.logged(/^the host none\.invalid of sockets\.select does not resolve/);

    file.write(text("there", `{ ports: [${echo.port}], hosts: [localhost] }, { hosts: [none.invalid] }`));
    agent.child.kill("SIGHUP");
    await receiver.until(() => counted("there").length > 1);
    expect(new Set(counted("there"))).toEqual(new Set([2]));

    file.write(text("there", `{ ports: [${echo.port}, ${other.port}] }`));
    agent.child.kill("SIGHUP");
    await receiver.until(() => counted("there").includes(4));
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });

  test("a collector that is down costs one line when it goes and one when it is back, and no point", async () => {
    const port = await closedPort();
    const retry = "retry_on_failure: { initial_interval: 100ms, max_interval: 200ms }";
    using file = configFile(
      `${fast}\nexport: { otlp: { endpoint: "http://127.0.0.1:${port}", ${retry} }, prometheus: { listen: "127.0.0.1:0" } }`,
    );
    await using agent = startAgent(file.path);
    await agent.logged(/cannot reach the OTLP destination/);
    const url = await agent.pageUrl();
    const statusOf = async (path: string): Promise<number> => (await fetch(`${url}${path}`)).status;
    await expect.poll(() => statusOf("/healthz"), { timeout: 5000 }).toBe(503);
    const ill: unknown = await (await fetch(`${url}/healthz`)).json();
    expect(ill).toMatchObject({
      status: "unhealthy",
      reason: `no export to 127.0.0.1:${port} in the last 0.6 s`,
      destinations: [
        {
          destination: `127.0.0.1:${port}`,
          queue: { requests: expect.any(Number) as number },
          last_success: null,
          last_error: { type: "ECONNREFUSED" },
        },
      ],
    });
    expect(await statusOf("/livez")).toBe(200);
    await using receiver = await startOtlpReceiver({ port });
    await receiver.until((requests) => requests.length >= 6);
    await expect.poll(() => statusOf("/healthz"), { timeout: 5000 }).toBe(200);
    await agent.stop();
    const aboutDelivery = agent.lines.filter(
      ({ message }) => message.includes(`127.0.0.1:${port}`) && !message.startsWith("metrics are sent"),
    );
    expect(aboutDelivery.map(({ level }) => level)).toEqual(["warn", "info"]);
    const times = [...new Set(receiver.points().map(({ time }) => time))];
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(times.length).toBeGreaterThanOrEqual(6);
    const named = (name: string) => receiver.points().filter((point) => point.name === name);
    expect(named("otel.sdk.exporter.operation.duration").map(({ attributes }) => attributes)).toContainEqual({
      "otel.component.name": `otlp_http_metric_exporter/127.0.0.1:${port}`,
      "otel.component.type": "otlp_http_metric_exporter",
      "server.address": "127.0.0.1",
      "server.port": port,
      "error.type": "ECONNREFUSED",
    });
    expect(named("sockscope.agent.export.retries").at(-1)?.value).toBeGreaterThan(0);
    expect(named("otel.sdk.exporter.metric_data_point.inflight").at(-1)?.value).toBeDefined();
  });

  test("two destinations: one that hangs takes no tick from the other, and health names it", async () => {
    await using stuck = await startOtlpReceiver();
    await using sound = await startOtlpReceiver();
    stuck.always("hang");
    using file = configFile(
      `${fast}\nexport: { otlp: [{ endpoint: "http://127.0.0.1:${stuck.port}" }, { endpoint: "http://127.0.0.1:${sound.port}" }], prometheus: { listen: "127.0.0.1:0" } }`,
    );
    await using agent = startAgent(file.path);
    const url = await agent.pageUrl();
    await agent.logged(new RegExp(`^metrics are sent to 127.0.0.1:${stuck.port} and 127.0.0.1:${sound.port} by OTLP`));
    await sound.until((requests) => requests.length >= 5);
    await expect.poll(async () => (await fetch(`${url}/healthz`)).status, { timeout: 5000 }).toBe(503);
    expect(await (await fetch(`${url}/healthz`)).json()).toMatchObject({
      reason: `no export to 127.0.0.1:${stuck.port} in the last 0.6 s`,
      destinations: [{ sent: { points: 0 } }, { last_error: null, dropped: { queue_full: 0 } }],
    });
    const destinations = new Set(
      sound
        .points()
        .filter(({ name }) => name === "sockscope.agent.export.queue.usage")
        .map(({ attributes }) => attributes["sockscope.destination"]),
    );
    expect(destinations).toEqual(new Set([`127.0.0.1:${stuck.port}`, `127.0.0.1:${sound.port}`]));
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });

  test("deltas add up to what a cumulative destination gets", async () => {
    await using echo = await startEcho();
    await using cumulative = await startOtlpReceiver();
    await using delta = await startOtlpReceiver();
    using file = configFile(`${fast}
probes: { interval: 200ms, timeout: 200ms, targets: [tcp://127.0.0.1:${echo.port}] }
sockets: { protocols: [tcp, udp, unix, netlink] }
export:
  otlp:
    - endpoint: "http://127.0.0.1:${cumulative.port}"
    - { endpoint: "http://127.0.0.1:${delta.port}", temporality: delta }`);
    await using agent = startAgent(file.path);
    await delta.until((requests) => requests.length >= 3);
    await using flow = await openFlow(echo.port, 5000);
    await delta.until((requests) => requests.length >= 8);
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
    expect(flow.localPort).toBeGreaterThan(0);

    const keyOf = ({ name, attributes }: ReceivedPoint): string => JSON.stringify([name, attributes]);
    const isAdded = ({ kind, monotonic }: ReceivedPoint): boolean => kind === "histogram" || monotonic;
    const amountOf = ({ value, histogram }: ReceivedPoint): number => value ?? histogram?.count ?? Number.NaN;
    const totals = new Map<string, number>();
    for (const point of cumulative.points().filter(isAdded)) {
      expect(point.temporality).toBe(2);
      if (point.flags === 0 && point.start > 0) totals.set(keyOf(point), amountOf(point));
    }
    const sums = new Map<string, number>();
    const ends = new Map<string, number>();
    for (const point of delta.points()) {
      if (point.kind !== "gauge") expect(point.temporality).toBe(isAdded(point) ? 1 : 2);
      if (!isAdded(point)) continue;
      const key = keyOf(point);
      expect([key, amountOf(point)]).toEqual([key, expect.toSatisfy((amount: number) => amount >= 0)]);
      if (ends.has(key)) expect([key, point.start]).toEqual([key, ends.get(key)]);
      ends.set(key, point.time);
      sums.set(key, (sums.get(key) ?? 0) + amountOf(point));
    }
    const names = new Set(
      delta
        .points()
        .filter(isAdded)
        .map(({ name }) => name),
    );
    for (const name of ["sockscope.flow.io", "sockscope.tcp.rtt", "sockscope.probe.runs", "sockscope.probe.duration"])
      expect(names).toContain(name);
    expect(totals.size).toBeGreaterThan(10);
    for (const [key, total] of totals) expect([key, sums.get(key)]).toEqual([key, expect.closeTo(total, 6)]);
  });

  test("the page shows real sockets of this machine, and says how the agent is", async () => {
    await using echo = await startEcho();
    using file = configFile([fast, page].join("\n"));
    await using agent = startAgent(file.path);
    const url = await agent.pageUrl();
    await expect.poll(async () => (await fetch(`${url}/readyz`)).status, { timeout: 5000 }).toBe(200);
    const text = await (await fetch(`${url}/metrics`)).text();
    const labels = `network_transport="tcp",network_type="ipv4",network_local_address="127.0.0.1",network_local_port="${echo.port}"`;
    expect(valueOf(text, `sockscope_listener_accept_queue_limit{${labels}}`)).toBe(511);
    expect(valueOf(text, 'sockscope_agent_capability{sockscope_agent_source="sockets"}')).toBe(1);
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });

  test("a sandbox without netlink: said once, and the other sources go on", async () => {
    await using echo = await startEcho();
    const targets = `probes: { interval: 200ms, timeout: 100ms, targets: [ "tcp://127.0.0.1:${echo.port}" ] }`;
    using file = configFile([fast, page, targets, "sockets: { source: netlink }"].join("\n"));
    await using agent = startAgent(file.path, { NODE_OPTIONS: `--require=${root}/test/kit/no-netlink.cjs` });
    const url = await agent.pageUrl();
    const read = async (series: string) => valueOf(await (await fetch(`${url}/metrics`)).text(), series);
    await expect
      .poll(() => read('sockscope_agent_source_errors_total{sockscope_agent_source="sockets"}'), { timeout: 5000 })
      .toBeGreaterThan(2);
    expect(await read('sockscope_agent_capability{sockscope_agent_source="sockets"}')).toBe(0);
    expect(await read('sockscope_agent_capability{sockscope_agent_source="sockstat"}')).toBe(1);
    await expect
      .poll(() => read('sockscope_probe_targets{sockscope_probe_type="tcp",sockscope_probe_outcome="up"}'))
      .toBe(1);
    expect(await read("sockscope_sockstat_used")).toBeGreaterThan(0);
    expect(
      await read(
        'system_network_connection_count{network_transport="tcp",network_connection_state="established",network_type="ipv4"}',
      ),
    ).toBeUndefined();
    expect(agent.lines.filter(({ message }) => message.includes("sockets cannot be read"))).toHaveLength(1);
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });

  test("a sandbox without netlink: sockets come from /proc, without what is not there", async () => {
    await using echo = await startEcho();
    await using flow = await openFlow(echo.port, 1000);
    expect(flow.localPort).toBeGreaterThan(0);
    using file = configFile(["collection: { interval: 500ms, timeout: 500ms }", page].join("\n"));
    await using agent = startAgent(file.path, { NODE_OPTIONS: `--require=${root}/test/kit/no-netlink.cjs` });
    const url = await agent.pageUrl();
    const { level, message } = await agent.logged(/^tcp sockets are read/);
    expect(level).toBe("warn");
    expect(message).toMatch(/^tcp sockets are read from \/proc, without struct tcp_info: .*EACCES; ss has none$/);
    const established =
      'system_network_connection_count{network_transport="tcp",network_connection_state="established",network_type="ipv4"}';
    await expect
      .poll(async () => valueOf(await (await fetch(`${url}/metrics`)).text(), established), { timeout: 5000 })
      .toBeGreaterThanOrEqual(2);
    const text = await (await fetch(`${url}/metrics`)).text();
    expect(valueOf(text, 'sockscope_agent_capability{sockscope_agent_source="sockets"}')).toBe(1);
    expect(text).toMatch(/^sockscope_flow_count\{.*"server".*\} [1-9]/m);
    expect(text).toMatch(/^sockscope_listener_accept_queue_usage\{/m);
    expect(text).not.toMatch(
      /^sockscope_(?:flow_io|flow_rtt|flow_retransmits|listener_accept_queue_limit|listener_drops)/m,
    );
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });

  test("runs on with neither a page nor a destination nor a target", async () => {
    using file = configFile("host: { sockstat: on }");
    await using agent = startAgent(file.path);
    await agent.logged(/^no metrics are sent/);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });

  test("a second signal ends it at once, whatever it waits for", async () => {
    await using receiver = await startOtlpReceiver();
    receiver.always("hang");
    using file = configFile(`${fast}\nexport: { otlp: { endpoint: "http://127.0.0.1:${receiver.port}" } }`);
    await using agent = startAgent(file.path);
    await receiver.until((requests) => requests.length > 0);
    agent.child.kill("SIGTERM");
    await agent.logged(/SIGTERM: stopping/);
    agent.child.kill("SIGTERM");
    expect(await agent.exited).toEqual({ code: 130, signal: null });
  });

  test("stops within its bound while the collector hangs", async () => {
    await using receiver = await startOtlpReceiver();
    receiver.always("hang");
    using file = configFile(`${fast}\nexport: { otlp: { endpoint: "http://127.0.0.1:${receiver.port}" } }`);
    await using agent = startAgent(file.path);
    await receiver.until((requests) => requests.length > 0);
    const started = Date.now();
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
    expect(Date.now() - started).toBeLessThan(9000);
  });
});
