import { expect } from "vitest";
import type { configFile, followAgent } from "./agent.ts";
import { expectAsDocumented } from "./documented.ts";
import { closedPort, openFlow, startEcho } from "./loopback.ts";
import { flattenPoints, type ReceivedPoint, startOtlpReceiver } from "./otlp-receiver.ts";

type Agent = ReturnType<typeof followAgent>;

const seriesKey = ({ name, attributes }: ReceivedPoint): string =>
  `${name} ${JSON.stringify(Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1)))}`;

const configOf = (receiverUrl: string, targets: readonly string[]): string => `
collection: { interval: 200ms, timeout: 200ms }
probes:
  interval: 200ms
  timeout: 150ms
  targets:
${targets.map((target) => `    - ${target}`).join("\n")}
sockets: { group_by: endpoint, series_ttl: 2 }
export:
  otlp: { endpoint: "${receiverUrl.replace("/v1/metrics", "")}" }
  prometheus: { listen: "127.0.0.1:0" }
`;

/**
 * What an OTLP receiver sees of an agent's life: probes, flows, connection counts, sockstat and histograms as
 * documented, and one flagged point for each series of a target that a reload removes and of a group that dies.
 */
export const tellAgentStory = async (file: ReturnType<typeof configFile>, start: () => Agent): Promise<void> => {
  await using receiver = await startOtlpReceiver();
  await using echo = await startEcho();
  const refusing = await closedPort();
  const good = `{ name: echo, target: "tcp://127.0.0.1:${echo.port}", attributes: { team: edge } }`;
  const bad = `{ name: refusing, target: "tcp://127.0.0.1:${refusing}" }`;
  file.write(configOf(receiver.url, [good, bad]));
  await using agent = start();
  // A flow that the first dump shows is older than the agent and counts from there.
  await receiver.until((requests) => requests.length > 0);
  const flow = await openFlow(echo.port, 10_000);
  await using other = await openFlow(echo.port, 10);

  const all = (): ReceivedPoint[] => receiver.points();
  const find = (name: string, attributes: ReceivedPoint["attributes"]): ReceivedPoint[] =>
    all().filter(
      (point) =>
        point.name === name && Object.entries(attributes).every(([key, value]) => point.attributes[key] === value),
    );
  const last = (name: string, attributes: ReceivedPoint["attributes"] = {}): ReceivedPoint | undefined =>
    find(name, attributes).at(-1);
  /** Of all groups that these attributes are in: a busy machine may tell the owner of a flow late, or not at all. */
  const sum = (name: string, attributes: ReceivedPoint["attributes"]): number => {
    const lasts = new Map(find(name, attributes).map((point) => [seriesKey(point), point.value ?? 0]));
    return [...lasts.values()].reduce((total, value) => total + value, 0);
  };
  const seen = (condition: () => boolean): Promise<void> => receiver.until(condition, 15_000);

  const server = { "sockscope.flow.role": "server", "network.local.port": echo.port };
  const received = { ...server, "network.io.direction": "receive" } as const;
  await seen(() => sum("sockscope.flow.io", received) >= 10_010);
  await seen(() => last("sockscope.probe.up", { "sockscope.probe.name": "echo" })?.value === 1);
  await seen(() => last("sockscope.probe.up", { "sockscope.probe.name": "refusing" })?.value === 0);
  await seen(
    () =>
      last("sockscope.probe.duration", { "sockscope.probe.type": "tcp", "error.type": "connection_refused" }) !==
      undefined,
  );

  expect(last("sockscope.probe.latency", { "sockscope.probe.name": "echo" })?.value).toBeLessThan(0.15);
  expect(last("sockscope.probe.up", { "sockscope.probe.name": "echo" })?.attributes).toEqual({
    "sockscope.probe.name": "echo",
    "sockscope.probe.type": "tcp",
    "server.address": "127.0.0.1",
    "server.port": echo.port,
    "network.transport": "tcp",
    team: "edge",
  });
  expect(find("sockscope.probe.latency", { "sockscope.probe.name": "refusing" })).toEqual([]);
  expect(sum("sockscope.flow.count", server)).toBeGreaterThanOrEqual(2);
  expect(
    last("system.network.connection.count", { "network.connection.state": "established", "network.type": "ipv4" })
      ?.value,
  ).toBeGreaterThanOrEqual(4);
  expect(last("sockscope.listener.accept_queue.limit", { "network.local.port": echo.port })?.value).toBe(511);
  expect(
    last("sockscope.sockstat.in_use", { "network.transport": "tcp", "network.type": "ipv4" })?.value,
  ).toBeGreaterThanOrEqual(4);
  expect((last("sockscope.sockstat.memory.usage", { "network.transport": "tcp" })?.value ?? 1) % 4096).toBe(0);
  expect(last("sockscope.tcp.rtt", { "network.type": "ipv4" })?.histogram?.count).toBeGreaterThan(0);

  // Removed on reload: each of its series ends once, and the other target goes on.
  file.write(configOf(receiver.url, [good]));
  agent.child.kill("SIGHUP");
  const flaggedOf = (attributes: ReceivedPoint["attributes"], name: string): ReceivedPoint[] =>
    find(name, attributes).filter(({ flags }) => flags === 1);
  await seen(() => flaggedOf({ "sockscope.probe.name": "refusing" }, "sockscope.probe.up").length > 0);

  // Flows that die: after two absences and the ttl, each series of the client's group ends once.
  const client = { "sockscope.flow.role": "client", "network.peer.port": echo.port };
  await flow.close();
  await other.close();
  // The probe keeps a group of its own to that port alive only while it runs; the reload above removed nothing of it.
  file.write(configOf(receiver.url, []));
  agent.child.kill("SIGHUP");
  await seen(() => flaggedOf(client, "sockscope.flow.count").length > 0);
  const requestsThen = receiver.requests.length;
  await seen(() => receiver.requests.length >= requestsThen + 5);

  const flagged = all().filter(({ flags }) => flags === 1);
  for (const name of ["sockscope.probe.up", "sockscope.probe.runs"]) {
    const ends = flagged.filter(
      (point) => point.name === name && point.attributes["sockscope.probe.name"] === "refusing",
    );
    expect(ends.length).toBeGreaterThan(0);
    // A busy machine may have given up a run, which is an outcome of its own.
    expect(new Set(ends.map(({ attributes }) => JSON.stringify(attributes))).size).toBe(ends.length);
  }
  for (const name of ["sockscope.flow.count", "sockscope.flow.opened", "sockscope.flow.retransmits"]) {
    // A connection that no dump has shown has no owner, so that there can be a group with one and a group without.
    const ends = flaggedOf(client, name).map(({ attributes }) => attributes["process.executable.name"]);
    expect(ends.length).toBeGreaterThan(0);
    expect(new Set(ends).size).toBe(ends.length);
  }
  expect(flagged.every(({ value }) => value === undefined)).toBe(true);

  expectAsDocumented(all(), { groupBy: "endpoint", targetAttributes: ["team"] });
  for (const { message } of receiver.requests) {
    const keys = flattenPoints([message]).map(seriesKey);
    expect(new Set(keys).size).toBe(keys.length);
    const firstEnded = message.resourceMetrics?.[0]?.scopeMetrics?.[0]?.metrics?.findIndex((metric) =>
      flattenPoints([{ resourceMetrics: [{ scopeMetrics: [{ metrics: [metric] }] }] }]).some(
        ({ flags }) => flags === 1,
      ),
    );
    if (firstEnded === undefined || firstEnded < 0) continue;
    const after = message.resourceMetrics?.[0]?.scopeMetrics?.[0]?.metrics?.slice(firstEnded) ?? [];
    expect(
      flattenPoints([{ resourceMetrics: [{ scopeMetrics: [{ metrics: after }] }] }]).every(({ flags }) => flags === 1),
    ).toBe(true);
  }
  expect(await agent.stop()).toEqual({ code: 0, signal: null });
};
