import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { OTLPMetricExporter as JsonExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPMetricExporter as ProtobufExporter } from "@opentelemetry/exporter-metrics-otlp-proto";
import {
  AggregationTemporality,
  type DataPoint,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
  type PushMetricExporter,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import { afterEach, describe, expect, test } from "vitest";
import { createSockscope, type SockscopeConfig } from "../src/library.ts";
import { attributesKey } from "../src/model/columns.ts";
import { configFile, sockscope as command } from "./kit/agent.ts";
import { portOf } from "./kit/otlp-delivery.ts";
import { decodeJsonRequest, flattenPoints, type ReceivedPoint, startOtlpReceiver } from "./kit/otlp-receiver.ts";
import { until } from "./kit/until.ts";

const open: { close(): unknown }[] = [];
const running: { shutdown(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of running.splice(0)) await one.shutdown();
  for (const one of open.splice(0)) await one.close();
});

/** A listener on loopback with so many idle connections. */
const listen = async (connections: number) => {
  const accepted: Socket[] = [];
  const server = createServer((socket) => accepted.push(socket.resume())).listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = portOf(server);
  const clients = Array.from({ length: connections }, () => connect(port, "127.0.0.1"));
  await Promise.all(clients.map((client) => once(client, "connect")));
  await until("all are accepted", () => accepted.length === connections);
  const close = (): void => {
    for (const socket of [...clients, ...accepted]) socket.resetAndDestroy();
    server.close();
  };
  open.push({ close });
  return { port, hangUp: () => [...clients, ...accepted].forEach((socket) => socket.resetAndDestroy()) };
};

/** The points of a metric in all collections so far. */
const pointsIn = (exporter: InMemoryMetricExporter, metric: string) =>
  exporter.getMetrics().flatMap((one) => pointsOf(one, metric));

/** A point of a metric in the last collection. */
const lastOf = (exporter: InMemoryMetricExporter, metric: string) =>
  exporter
    .getMetrics()
    .slice(-1)
    .flatMap((one) => pointsOf(one, metric))
    .at(-1);

const pointsOf = ({ scopeMetrics }: ResourceMetrics, metric: string) =>
  scopeMetrics.flatMap(({ metrics }) =>
    metrics
      .filter(({ descriptor }) => descriptor.name === metric)
      .flatMap(({ dataPoints }): DataPoint<unknown>[] => dataPoints),
  );

const start = async (config: SockscopeConfig, ...exporters: readonly PushMetricExporter[]) => {
  const sockscope = await createSockscope(config);
  const readers = exporters.map(
    (exporter) =>
      new PeriodicExportingMetricReader({
        exporter,
        exportIntervalMillis: 3_600_000,
        exportTimeoutMillis: 10_000,
        metricProducers: [sockscope.producer],
      }),
  );
  const provider = new MeterProvider({ readers });
  sockscope.register(provider);
  running.push(provider, sockscope);
  return { sockscope, provider, readers };
};

const socketsOf = (port: number) =>
  ({
    protocols: ["tcp"],
    time_wait: "dump",
    select: { include: [{ ports: [port], side: "local" }] },
  }) satisfies SockscopeConfig["sockets"];

const keyOf = ({ name, attributes }: ReceivedPoint): string => `${name} ${attributesKey(attributes)}`;

/** What does not move while nothing happens. */
const isStill = ({ name }: ReceivedPoint): boolean =>
  /^(?:sockscope\.(?:probe\.(?:up|targets)|flow\.(?!busy|stall)|listener\.|agent\.(?:groups|capability))|system\.network\.connection\.count)/.test(
    name,
  );

/** The points by series, as far as they say the same at any time. */
const stable = (points: readonly ReceivedPoint[]): ReadonlyMap<string, unknown> =>
  new Map(
    points
      .filter(({ name, flags }) => !name.startsWith("otel.") && flags === 0)
      .map((point) => {
        const { unit, kind, monotonic, temporality, value } = point;
        const bounds = point.histogram?.bounds;
        return [
          keyOf(point),
          { unit, kind, monotonic, temporality, bounds, ...(isStill(point) && kind === "sum" ? { value } : {}) },
        ];
      }),
  );

describe.skipIf(process.platform !== "linux")("an application's readers", () => {
  test.each([
    ["http/protobuf", (url: string) => new ProtobufExporter({ url })],
    ["http/json", (url: string) => new JsonExporter({ url })],
  ])("with the stock exporter of %s send the points that once prints", { timeout: 30_000 }, async (_, exporterOf) => {
    const { port } = await listen(3);
    const { port: probed } = await listen(0);
    const config: SockscopeConfig = {
      collection: { interval: "1s" },
      probes: { interval: "2s", timeout: "2s", targets: [`tcp://127.0.0.1:${probed}`] },
      sockets: socketsOf(port),
    };
    using file = configFile(JSON.stringify(config));
    const { stdout, stderr, code } = await command([
      "once",
      "-c",
      file.path,
      "--for",
      "200ms",
      "--format",
      "otlp-json",
    ]);
    expect([code, stderr]).toEqual([0, expect.any(String)]);
    const wanted = stable(flattenPoints([decodeJsonRequest(Buffer.from(stdout))]));

    const receiver = await startOtlpReceiver();
    open.push(receiver);
    const { provider } = await start(config, exporterOf(receiver.url));
    const last = (): readonly ReceivedPoint[] =>
      flattenPoints(receiver.requests.slice(-1).map(({ message }) => message));
    await until("a probe has run", async () => {
      await provider.forceFlush();
      return last().some(({ name }) => name === "sockscope.probe.tcp.rtt");
    });
    const got = stable(last());
    expect([...got.keys()].sort()).toEqual([...wanted.keys()].sort());
    for (const [key, value] of wanted) expect([key, got.get(key)]).toEqual([key, value]);
    expect(
      [...got.values()].filter((value) => typeof value === "object" && value !== null && "value" in value).length,
    ).toBeGreaterThan(20);
    expect(new Set(last().map(keyOf)).size).toBe(last().length);
  });

  test("one collection is for callback and producer, also of several readers that ask at any time", async () => {
    const { port, hangUp } = await listen(2);
    const own = () => new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
    const exporters = [own(), own(), new InMemoryMetricExporter(AggregationTemporality.DELTA)];
    const config: SockscopeConfig = {
      collection: { interval: "600ms" },
      sockets: { ...socketsOf(port), group_by: "host", series_ttl: 2 },
    };
    const { readers } = await start(config, ...exporters);
    /** Ticks by what counts them: each is a sample of both connections. */
    const samples = (exporter: InMemoryMetricExporter) => pointsIn(exporter, "sockscope.tcp.rtt").at(-1);
    for (let tick = 1; tick <= 3; tick++) {
      await Promise.all(readers.map((reader) => reader.forceFlush()));
      await sleep(50);
      await readers[1]?.forceFlush();
      for (const exporter of exporters) {
        expect(samples(exporter)?.value).toMatchObject({ count: 2 * tick });
      }
      await sleep(300);
    }
    // A group outlives its last connection by two ticks, not by two of each reader's collections.
    hangUp();
    await until(
      "the kernel has none",
      () =>
        !readFileSync("/proc/net/tcp", "utf8").includes(
          `:${port.toString(16).toUpperCase().padStart(4, "0")} 0100007F`,
        ),
    );
    const present: boolean[] = [];
    for (let tick = 0; tick < 4; tick++) {
      for (const reader of readers) await reader.forceFlush();
      present.push(...exporters.map((exporter) => lastOf(exporter, "sockscope.flow.count") !== undefined));
      await sleep(350);
    }
    const ticks = [0, 3, 6, 9].map((at) => present.slice(at, at + 3));
    expect(ticks.every(([first, ...others]) => others.every((other) => other === first))).toBe(true);
    expect(ticks.map(([first]) => first)).toEqual([true, true, false, false]);
    for (const exporter of exporters) {
      const metrics =
        exporter
          .getMetrics()
          .at(-1)
          ?.scopeMetrics.flatMap((scope) => scope.metrics) ?? [];
      expect(metrics.filter(({ dataPoints }) => dataPoints.length === 0)).toEqual([]);
    }
  });

  test("a reader of deltas gets those of the instruments, and they add up; the producer's stay cumulative", async () => {
    const { port } = await listen(0);
    const cumulative = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
    const delta = new InMemoryMetricExporter(AggregationTemporality.DELTA);
    const config: SockscopeConfig = {
      collection: { interval: "100ms" },
      probes: { interval: "100ms", timeout: "100ms", targets: [`tcp://127.0.0.1:${port}`] },
      sockets: "off",
      host: "off",
    };
    const { readers, sockscope } = await start(config, cumulative, delta);
    await until("some probes have run", async () => {
      for (const reader of readers) await reader.forceFlush();
      return Number(lastOf(cumulative, "sockscope.probe.results")?.value) >= 5;
    });
    await sockscope.shutdown();
    for (const [metric, ours] of [
      ["sockscope.probe.results", AggregationTemporality.DELTA],
      ["sockscope.probe.runs", AggregationTemporality.CUMULATIVE],
    ] as const) {
      const [data] = delta
        .getMetrics()
        .flatMap(({ scopeMetrics }) =>
          scopeMetrics.flatMap(({ metrics }) => metrics.filter(({ descriptor }) => descriptor.name === metric)),
        );
      expect([metric, data?.aggregationTemporality]).toEqual([metric, ours]);
    }
    const sum = pointsIn(delta, "sockscope.probe.results").reduce((total, { value }) => total + Number(value), 0);
    expect(sum).toBe(Number(pointsIn(cumulative, "sockscope.probe.results").at(-1)?.value));
    expect(Number(pointsIn(delta, "sockscope.probe.runs").at(-1)?.value)).toBeGreaterThanOrEqual(5);
    const histograms = pointsIn(delta, "sockscope.probe.duration").map(({ value }) => value as { count: number });
    expect(histograms.reduce((total, { count }) => total + count, 0)).toBeGreaterThanOrEqual(5);
  });

  test("a provider that is registered twice counts once, and nothing is collected after the shutdown", async () => {
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
    const { sockscope, provider } = await start({ host: "off", collection: { interval: "100ms" } }, exporter);
    sockscope.register(provider);
    await provider.forceFlush();
    expect(exporter.getMetrics()).toHaveLength(1);
    await Promise.all([sockscope.shutdown(), sockscope.shutdown()]);
    sockscope.register(provider);
    const dumps = pointsIn(exporter, "sockscope.agent.dump.duration").at(-1)?.value;
    await provider.forceFlush();
    // What an instrument has observed the SDK repeats; the producer has no more.
    expect(lastOf(exporter, "sockscope.agent.dump.duration")?.value).toBe(dumps);
    expect(lastOf(exporter, "sockscope.listener.accept_queue.limit")).toBeUndefined();
  });

  test("files of targets are watched as the agent watches them", async () => {
    const { port } = await listen(0);
    using targets = configFile(`- { name: one, target: "tcp://127.0.0.1:${port}" }`);
    const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
    const { provider } = await start(
      {
        collection: { interval: "100ms" },
        probes: { interval: "200ms", timeout: "200ms", targets_file: targets.path },
        sockets: "off",
        host: "off",
      },
      exporter,
    );
    targets.write(`- { name: two, target: "tcp://127.0.0.1:${port}" }`);
    await until("the new target has run", async () => {
      await provider.forceFlush();
      return lastOf(exporter, "sockscope.probe.up")?.attributes["sockscope.probe.name"] === "two";
    });
    expect(
      pointsIn(exporter, "sockscope.probe.up").map(({ attributes }) => attributes["sockscope.probe.name"]),
    ).toContain("two");
  });
});

test("a faulty configuration is thrown, and nothing runs", async () => {
  await expect(createSockscope({ sockets: { max_groups: 0 } })).rejects.toThrow(
    "sockets.max_groups: must be a whole number from 1 to 1000000",
  );
});
