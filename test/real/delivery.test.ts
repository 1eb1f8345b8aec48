import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { configFile, startAgent } from "../kit/agent.ts";
import { type Collector, collectorGrpcUrl, collectorUrl, startCollector } from "../kit/collector.ts";
import { startOtlpReceiver } from "../kit/otlp-receiver.ts";
import { enterOwnNamespace } from "../kit/own-namespace.ts";
import { scratchFolder } from "../kit/program.ts";
import { canRun } from "../kit/real-parts.ts";
import { until } from "../kit/until.ts";

const configOf = (endpoint: string, timeout = "5s", protocol = "http/protobuf"): string => `
collection: { interval: 200ms, timeout: 200ms }
sockets: off
export:
  otlp:
    endpoint: "${endpoint}"
    timeout: ${timeout}
    protocol: ${protocol}
    retry_on_failure: { initial_interval: 100ms, max_interval: 200ms }
`;

type Agent = ReturnType<typeof startAgent>;

/** What the agent says about its destination, but for the line that names it. */
const aboutDelivery = (agent: Agent): string[] =>
  agent.lines
    .filter(({ message }) => message.includes("the OTLP destination"))
    .map(({ level, message }) => `${level} ${message}`);

/** The destination keeps failing for some ticks: what it says, it says once. */
const afterTicks = async (agent: Agent, lines = 1): Promise<void> => {
  await until("the agent notices", () => aboutDelivery(agent).length >= lines);
  // Nothing tells from outside that a tick has passed in silence.
  await new Promise((resolve) => setTimeout(resolve, 1000));
};

const arrives = (collector: Collector): Promise<boolean> =>
  until("metrics arrive", async () => (await collector.page()).value("sockscope_sockstat_used") !== undefined);

describe.skipIf(!canRun("otelcol"))("delivery to the Collector", () => {
  let leave: (() => void) | undefined;
  beforeAll(() => {
    leave = enterOwnNamespace();
  });
  afterAll(() => leave?.());

  test.each([
    ["http/protobuf", collectorUrl],
    ["grpc", collectorGrpcUrl],
  ])("%s: it starts late and restarts: a line each way, and no tick is lost", { timeout: 60_000 }, async (...to) => {
    const [protocol, endpoint] = to;
    using folder = scratchFolder();
    using config = configFile(configOf(endpoint, "5s", protocol));
    await using agent = startAgent(config.path);
    const times: number[] = [];
    for (const [index, name] of ["first.json", "second.json"].entries()) {
      const down = Date.now();
      await afterTicks(agent, 2 * index + 1);
      const up = Date.now();
      await using collector = await startCollector({ file: join(folder.path, name) });
      const used = () => collector.exported().filter((point) => point.name === "sockscope.sockstat.used");
      await until("what waited and what is new arrives", () => (used().at(-1)?.time ?? 0) > up);
      await collector.stop();
      times.push(...used().map(({ time }) => time));
      expect(times.filter((time) => time > down && time < up).length).toBeGreaterThanOrEqual(2);
    }
    const gone = expect.stringMatching(/^warn cannot reach .*127\.0\.0\.1:431[78] \(\w+\): .* queued and retried/);
    const back = expect.stringMatching(/^info .* is back: \d+ requests? waited$/);
    // The last stop may have been noticed already.
    expect(aboutDelivery(agent).slice(0, 4)).toEqual([gone, back, gone, back]);
    expect(aboutDelivery(agent)[0]).toMatch(/\(ECONNREFUSED\): .*; check that it runs and listens there$/);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });

  test.each([
    ["401", "auth.yaml", /refuses requests \(status 401, .*: their points are dropped; check export\.otlp\.headers$/],
    [
      "a limit of the request size",
      "small-requests.yaml",
      /refuses .*"http: request body too large".*; raise the .* limit/,
    ],
    [
      "a full memory_limiter",
      "no-memory.yaml",
      /answers with status 503: requests are queued and retried; .* overloaded/,
    ],
    [
      "401 by gRPC",
      "auth.yaml",
      /refuses requests \(status UNAUTHENTICATED, .*: their points are dropped; check export\.otlp\.headers$/,
      "grpc",
    ],
    [
      "a full memory_limiter by gRPC",
      "no-memory.yaml",
      /answers with status UNAVAILABLE: requests are queued and retried; .* overloaded/,
      "grpc",
    ],
  ])("%s: one line, and the metrics go on once it takes them", { timeout: 60_000 }, async (...about) => {
    const [, overlay, line, protocol] = about;
    using config = configFile(configOf(protocol === "grpc" ? collectorGrpcUrl : collectorUrl, "5s", protocol));
    await using refusing = await startCollector({ overlays: [overlay] });
    await using agent = startAgent(config.path);
    await afterTicks(agent);
    expect(aboutDelivery(agent)).toEqual([expect.stringMatching(line)]);
    expect((await refusing.page()).samples).toEqual([]);
    await refusing.stop();
    await using collector = await startCollector({ overlays: ["quick.yaml"] });
    await arrives(collector);
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });

  test.each([
    [
      "a wrong path",
      `${collectorUrl}/otel`,
      /refuses requests \(status 404, .*; check the path of export\.otlp\.endpoint$/,
    ],
    [
      "TLS on the plain port",
      "https://127.0.0.1:4318",
      /cannot reach .*; if this port speaks plain HTTP, write http:\/\//,
    ],
    ["the port of gRPC", "http://127.0.0.1:4317", /cannot reach .* the one for HTTP is 4318$/],
    ["gRPC on the port of HTTP", collectorUrl, /cannot reach .* the one for gRPC is 4317$/, "grpc"],
    [
      "gRPC by TLS on the plain port",
      "https://127.0.0.1:4317",
      /cannot reach .*; if this port speaks plain HTTP, write http:\/\//,
      "grpc",
    ],
  ])("%s: one line, and the metrics go on after a reload", { timeout: 60_000 }, async (...about) => {
    const [, endpoint, line, protocol] = about;
    using config = configFile(configOf(endpoint, "5s", protocol));
    await using collector = await startCollector({ overlays: ["quick.yaml"] });
    await using agent = startAgent(config.path);
    await afterTicks(agent);
    expect(aboutDelivery(agent)).toEqual([expect.stringMatching(line)]);
    config.write(configOf(collectorUrl));
    agent.child.kill("SIGHUP");
    await arrives(collector);
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });

  test.each([
    ["http/protobuf", "zstd"],
    ["http/json", "none"],
    ["http/json", "gzip"],
    ["http/json", "zstd"],
    ["grpc", "none"],
    ["grpc", "gzip"],
    ["grpc", "zstd"],
  ])("it takes %s with compression %s", { timeout: 60_000 }, async (protocol, compression) => {
    const endpoint = protocol === "grpc" ? collectorGrpcUrl : collectorUrl;
    using config = configFile(
      configOf(endpoint, "5s", protocol).replace("sockets: off", "") + `    compression: ${compression}\n`,
    );
    await using collector = await startCollector({ overlays: ["quick.yaml"] });
    await using agent = startAgent(config.path);
    await arrives(collector);
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
    expect(aboutDelivery(agent)).toEqual([]);
  });

  test.each([
    ["http/protobuf", collectorUrl],
    ["grpc", collectorGrpcUrl],
  ])("%s: it hangs: one line that names the timeout, one when it goes on", { timeout: 60_000 }, async (...to) => {
    const [protocol, endpoint] = to;
    using config = configFile(configOf(endpoint, "500ms", protocol));
    await using collector = await startCollector({ overlays: ["quick.yaml"] });
    await using agent = startAgent(config.path);
    await arrives(collector);
    collector.child.kill("SIGSTOP");
    await afterTicks(agent);
    collector.child.kill("SIGCONT");
    await agent.logged(/is back/);
    expect(aboutDelivery(agent)).toEqual([
      expect.stringMatching(/^warn cannot reach .*\(no answer in 500 ms\): .* raise export\.otlp\.timeout$/),
      expect.stringMatching(/^info .* is back: \d+ requests waited$/),
    ]);
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });

  // The Collector answers 400 to a request that is too large and 503 to one too many; others use these.
  test.each([
    [413, /refuses requests \(status 413\): their points are dropped; raise the destination's limit .* 4 MiB$/],
    [429, /answers with status 429: requests are queued and retried; .* overloaded/],
  ])("another receiver's %i: one line, and the metrics go on", { timeout: 60_000 }, async (status, line) => {
    await using receiver = await startOtlpReceiver({ port: 4318 });
    receiver.always({ status });
    using config = configFile(configOf(collectorUrl));
    await using agent = startAgent(config.path);
    await afterTicks(agent);
    expect(aboutDelivery(agent)).toEqual([expect.stringMatching(line)]);
    receiver.always({ status: 200 });
    await until("metrics arrive", () => receiver.points().length > 0);
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });
});
