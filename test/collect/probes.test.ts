import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createProbesPart } from "../../src/collect/probes.ts";
import type { Facts, Outcome, Verdict } from "../../src/model/outcome.ts";
import { type Attributes, attributesKey } from "../../src/model/columns.ts";
import type { Target } from "../../src/model/target.ts";
import { endedOf, histogramsOf, pointsOf } from "../kit/points.ts";
import { tcpTarget, udpTarget, unixTarget } from "../kit/probe.ts";

const target = (name: string, more: Partial<Target<"tcp">> = {}): Target<"tcp"> =>
  tcpTarget(name, 1, { name, url: `tcp://${name}:1`, intervalMs: 1000, timeoutMs: 500, ...more });

const up: Outcome = { kind: "up", seconds: 0.25, phases: { resolve: 0.05, connect: 0.2 }, facts: {} };
const upWith = (facts: Facts): Outcome => ({ ...up, phases: {}, facts });
const down: Extract<Verdict, { kind: "down" }> = {
  kind: "down",
  error: "connection_refused",
  phase: "connect",
  detail: "ECONNREFUSED",
  seconds: 0.1,
  phases: {},
  facts: {},
};
const notRun: Outcome = {
  kind: "not_run",
  error: "too_many_files",
  detail: "EMFILE",
  seconds: 0,
  phases: {},
  facts: {},
};
const unresolved: Outcome = { ...down, error: "dns_timeout", phase: "resolve", detail: "EAI_AGAIN" };

const createTest = (targets: readonly Target[]) => {
  const recorded: unknown[][] = [];
  const clock = { time: 1000 };
  const part = createProbesPart(
    (metric, value, attributes) => recorded.push([metric, value, attributes]),
    () => clock.time,
  );
  part.update(targets, clock.time);
  const collect = async () => part.collect(0, AbortSignal.timeout(1000));
  /** By metric, target, address, the metric's own attributes. */
  const values = async (): Promise<Record<string, number>> =>
    Object.fromEntries(
      pointsOf((await collect()).columns).map(({ metric, attributes, value }) => [
        [
          metric.replace("sockscope.probe.", ""),
          attributes["sockscope.probe.name"],
          attributes["network.peer.address"],
          attributes["network.io.direction"],
          attributes["sockscope.probe.outcome"],
          attributes["error.type"],
          attributes["sockscope.probe.phase"],
        ]
          .filter((word) => word !== undefined)
          .join(" "),
        value,
      ]),
    );
  /** Names of the series that a collection ends, in order. */
  const endings = async (): Promise<string[]> =>
    endedOf((await collect()).columns)
      .map(({ metric, attributes }) =>
        [
          metric.replace("sockscope.probe.", ""),
          attributes["network.peer.address"],
          attributes["sockscope.probe.phase"],
        ]
          .filter((word) => word !== undefined)
          .join(" "),
      )
      .sort();
  return { part, recorded, clock, collect, values, endings };
};

describe("probe results", () => {
  test("a target that has not run yet has no point, and is pending", async () => {
    const { collect } = createTest([target("a"), target("b", { allAddresses: true, attempts: 2 })]);
    const { columns, observations } = await collect();
    expect(columns).toEqual([]);
    const pending = observations.filter(({ value }) => value > 0);
    expect(pending).toEqual([
      {
        metric: "sockscope.probe.targets",
        value: 2,
        attributes: { "sockscope.probe.type": "tcp", "sockscope.probe.outcome": "pending" },
      },
    ]);
  });

  test("up has latency by phase; down has none and says why; the agent's own trouble is not down", async () => {
    const a = target("a");
    const { part, values } = createTest([a]);
    part.record(a, up, 0);
    expect(await values()).toEqual({
      "up a": 1,
      "latency a": 0.25,
      "phase.latency a resolve": 0.05,
      "phase.latency a connect": 0.2,
      "runs a up": 1,
    });
    part.record(a, down, 0);
    part.record(a, { ...down, error: "connection_reset", phase: "tls" }, 0);
    part.record(a, { ...down, error: "connection_reset", phase: "exchange" }, 0);
    const failed = {
      "runs a up": 1,
      "runs a down connection_refused connect": 1,
      "runs a down connection_reset tls": 1,
      "runs a down connection_reset exchange": 1,
    };
    expect(await values()).toEqual({ "up a": 0, ...failed });
    part.record(a, notRun, 0);
    expect(await values()).toEqual({ ...failed, "runs a not_run too_many_files": 1 });
    part.record(a, { kind: "unanswered", seconds: 1, phases: {}, facts: {} }, 0);
    expect(await values()).toMatchObject({ "up a": 1, "runs a unanswered": 1 });
  });

  test("a reading that becomes absent is ended once", async () => {
    const a = target("a");
    const { part, endings } = createTest([a]);
    part.record(a, { ...up, facts: { tcpRtt: 0.001 } }, 0);
    await endings();
    part.record(a, notRun, 0);
    expect(await endings()).toEqual(["latency", "phase.latency connect", "phase.latency resolve", "tcp.rtt", "up"]);
    expect(await endings()).toEqual([]);
  });

  test("results, durations and lag are counted by type, with error.type and phase on failures", async () => {
    const a = target("a");
    const { part, recorded, collect } = createTest([a]);
    part.record(a, up, 0.5);
    part.record(a, down, 0.25);
    part.record(a, up, 0);
    part.record(a, notRun, 0);
    const results = (await collect()).observations.filter(({ metric }) => metric === "sockscope.probe.results");
    expect(results.map(({ attributes, value }) => [Object.values(attributes), value])).toEqual([
      [["tcp", "up"], 2],
      [["tcp", "down", "connection_refused"], 1],
      [["tcp", "not_run", "too_many_files"], 1],
    ]);
    const type = { "sockscope.probe.type": "tcp" };
    const refused = { "error.type": "connection_refused", "sockscope.probe.phase": "connect" };
    expect(recorded).toEqual([
      ["sockscope.probe.duration", 0.25, type],
      ["sockscope.probe.schedule.lag", 0.5, {}],
      ["sockscope.probe.duration", 0.1, { ...type, ...refused }],
      ["sockscope.probe.schedule.lag", 0.25, {}],
      ["sockscope.probe.duration", 0.25, type],
      ["sockscope.probe.schedule.lag", 0, {}],
      ["sockscope.probe.duration", 0, { ...type, "error.type": "too_many_files" }],
      ["sockscope.probe.schedule.lag", 0, {}],
    ]);
  });
});

describe("a target's attributes", () => {
  const { host, url, name, intervalMs, timeoutMs, attempts, attributes, allAddresses, source } = target("h");
  const common = { url, name, intervalMs, timeoutMs, attempts, attributes };
  const icmp: Target = { ...common, type: "icmp4", host, allAddresses, source, count: 5, packetIntervalMs: 200 };
  const unixgram: Target = {
    ...common,
    type: "unixgram",
    path: "/dev/log",
    send: undefined,
    expect: undefined,
    silenceMs: 1000,
  };
  const named = { "sockscope.probe.name": "h" };

  test.each<[Target, Record<string, string | number>]>([
    [
      target("h"),
      { "sockscope.probe.type": "tcp", "server.address": "h", "server.port": 1, "network.transport": "tcp" },
    ],
    [
      { ...udpTarget("h", 53, { name: "h" }), type: "udp6" },
      { "sockscope.probe.type": "udp6", "server.address": "h", "server.port": 53, "network.transport": "udp" },
    ],
    [icmp, { "sockscope.probe.type": "icmp4", "server.address": "h", "network.protocol.name": "icmp" }],
    [
      unixTarget("/run/a.sock", { name: "h", attributes: { team: "edge" } }),
      {
        "sockscope.probe.type": "unix",
        "server.address": "/run/a.sock",
        "network.transport": "unix",
        team: "edge",
      },
    ],
    [unixgram, { "sockscope.probe.type": "unixgram", "server.address": "/dev/log", "network.transport": "unix" }],
    [
      { ...unixgram, type: "unixpacket" },
      { "sockscope.probe.type": "unixpacket", "server.address": "/dev/log", "network.transport": "unix" },
    ],
  ])("$type", async (each, expected) => {
    const { part, collect } = createTest([each]);
    part.record(each, up, 0);
    expect(pointsOf((await collect()).columns)[0]).toEqual({
      metric: "sockscope.probe.up",
      start: 1000,
      value: 1,
      attributes: { ...named, ...expected },
    });
  });
});

describe("attempts", () => {
  test("of a target that has several, each one with its outcome", async () => {
    const a = target("a", { attempts: 3 });
    const { part, values } = createTest([a]);
    part.record(a, { ...up, failedAttempts: [down, { ...down, error: "connect_timeout" }] }, 0);
    part.record(a, up, 0);
    part.record(a, { ...down, failedAttempts: [down, down] }, 0);
    part.record(a, notRun, 0);
    const all = await values();
    expect(Object.entries(all).filter(([name]) => name.startsWith("attempts"))).toEqual([
      ["attempts a down connection_refused connect", 4],
      ["attempts a down connect_timeout connect", 1],
      ["attempts a up", 2],
      ["attempts a not_run too_many_files", 1],
    ]);
    expect(all).toMatchObject({ "runs a up": 2, "runs a down connection_refused connect": 1 });
  });

  test("a target that has one has none", async () => {
    const a = target("a");
    const { part, values } = createTest([a]);
    part.record(a, down, 0);
    expect(await values()).toEqual({ "up a": 0, "runs a down connection_refused connect": 1 });
  });
});

describe("facts", () => {
  test("the kernel's RTT and the certificate are those of the last run, even of one that failed", async () => {
    const a = target("a");
    const { part, values } = createTest([a]);
    part.record(a, upWith({ tcpRtt: 0.012, certificateExpiry: 86_400 }), 0);
    expect(await values()).toMatchObject({ "tcp.rtt a": 0.012, "tls.certificate.expiry a": 86_400 });
    part.record(a, { ...down, error: "tls_certificate_expired", phase: "tls", facts: { certificateExpiry: -60 } }, 0);
    expect(await values()).toEqual({
      "up a": 0,
      "runs a up": 1,
      "runs a down tls_certificate_expired tls": 1,
      "tls.certificate.expiry a": -60,
    });
  });

  test("packets add up; jitter and TTL are those of the last run", async () => {
    const a = target("a");
    const { part, values, collect, clock } = createTest([a]);
    part.record(a, down, 0);
    expect(Object.keys(await values())).toEqual(["up a", "runs a down connection_refused connect"]);
    clock.time = 5000;
    part.record(a, upWith({ packets: { sent: 5, rtts: [0.001, 0.004, 0.002] }, ttl: 57 }), 0);
    expect(await values()).toEqual({
      "up a": 1,
      "latency a": 0.25,
      "runs a up": 1,
      "runs a down connection_refused connect": 1,
      "packets a transmit": 5,
      "packets a receive": 3,
      "packets.lost a": 2,
      "jitter a": expect.closeTo(0.0025, 12),
      "ttl a": 57,
    });
    const lost = { packets: { sent: 2, rtts: [0.3] } };
    part.record(a, upWith(lost), 0);
    part.record(a, { ...down, error: "read_timeout", facts: { packets: { sent: 1, rtts: [] } } }, 0);
    part.record(a, unresolved, 0);
    expect(await values()).toEqual({
      "up a": 0,
      "runs a up": 2,
      "runs a down connection_refused connect": 1,
      "runs a down read_timeout connect": 1,
      "runs a down dns_timeout resolve": 1,
      "packets a transmit": 8,
      "packets a receive": 4,
      "packets.lost a": 4,
    });
    const [rtts, ...others] = histogramsOf((await collect()).columns);
    expect(others).toEqual([]);
    // Bounds: ..., 0.001, 0.0025, 0.005, ..., 0.25, 0.5, ...
    expect(rtts).toMatchObject({ metric: "sockscope.probe.packet.rtt", start: 1000 });
    expect(rtts?.sum).toBeCloseTo(0.307, 12);
    expect(rtts?.counts).toEqual([0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
  });

  test("one answer has no jitter", async () => {
    const a = target("a");
    const { part, values } = createTest([a]);
    part.record(a, upWith({ packets: { sent: 1, rtts: [0.001] } }), 0);
    expect(await values()).not.toHaveProperty(["jitter a"]);
  });

  test("resolved addresses are those of the last run; a change is of the set, whatever ran between", async () => {
    const a = target("a");
    const { part, values, endings } = createTest([a]);
    const resolvedTo = (...resolved: string[]): Outcome => ({ ...down, facts: { resolved } });
    const figures = async (): Promise<(number | undefined)[]> => {
      const all = await values();
      return [all["resolved_addresses a"], all["address_changes a"]];
    };
    part.record(a, unresolved, 0);
    expect(await figures()).toEqual([undefined, undefined]);
    part.record(a, resolvedTo("10.0.0.1", "10.0.0.2"), 0);
    expect(await figures()).toEqual([2, 0]);
    part.record(a, resolvedTo("10.0.0.2", "10.0.0.1"), 0);
    expect(await figures()).toEqual([2, 0]);
    part.record(a, resolvedTo("10.0.0.2", "10.0.0.3"), 0);
    expect(await figures()).toEqual([2, 1]);
    part.record(a, unresolved, 0);
    expect(await endings()).toEqual(["resolved_addresses"]);
    expect(await figures()).toEqual([undefined, 1]);
    part.record(a, resolvedTo("10.0.0.3", "10.0.0.2"), 0);
    expect(await figures()).toEqual([2, 1]);
    part.record(a, resolvedTo("10.0.0.3"), 0);
    expect(await figures()).toEqual([1, 2]);
  });
});

describe("all addresses", () => {
  const a = target("a", { allAddresses: true });
  const upAt = (address: string, facts: Facts = {}): Verdict => ({ ...upWith(facts), address });
  const downAt = (address: string): Verdict => ({ ...down, address });
  const outcomeOf = (...byAddress: Verdict[]): Outcome => ({
    ...(byAddress.find(({ kind }) => kind === "down") ?? (byAddress[0] as Verdict)),
    facts: { resolved: byAddress.map(({ address }) => address ?? "") },
    byAddress,
  });

  test("a series for each address, which starts when it appeared; names are the target's", async () => {
    const { part, clock, collect, values } = createTest([a]);
    clock.time = 2000;
    part.record(a, outcomeOf(upAt("10.0.0.1", { tcpRtt: 0.001 }), downAt("10.0.0.2")), 0);
    clock.time = 3000;
    part.record(a, outcomeOf(upAt("10.0.0.1", { tcpRtt: 0.002 }), upAt("10.0.0.2"), upAt("::1")), 0);
    expect(await values()).toEqual({
      "up a 10.0.0.1": 1,
      "up a 10.0.0.2": 1,
      "up a ::1": 1,
      "runs a 10.0.0.1 up": 2,
      "runs a 10.0.0.2 up": 1,
      "runs a 10.0.0.2 down connection_refused connect": 1,
      "runs a ::1 up": 1,
      "latency a 10.0.0.1": 0.25,
      "latency a 10.0.0.2": 0.25,
      "latency a ::1": 0.25,
      "tcp.rtt a 10.0.0.1": 0.002,
      "resolved_addresses a": 3,
      "address_changes a": 1,
    });
    const starts = pointsOf((await collect()).columns)
      .filter(({ metric }) => metric === "sockscope.probe.up")
      .map(({ attributes, start }) => [attributes["network.peer.address"], start]);
    expect(starts).toEqual([
      ["10.0.0.1", 2000],
      ["10.0.0.2", 2000],
      ["::1", 3000],
    ]);
    const { observations } = await collect();
    expect(observations.filter(({ value }) => value > 0).map(({ attributes }) => Object.values(attributes))).toEqual([
      ["tcp", "down", "connection_refused"],
      ["tcp", "up"],
      ["tcp", "up"],
    ]);
  });

  test("an address that is not among the last run's ends, its distribution too; one that returns starts anew", async () => {
    const { part, clock, collect, values, endings } = createTest([a]);
    const packets = { packets: { sent: 1, rtts: [0.1] } };
    part.record(a, outcomeOf(upAt("10.0.0.1", packets), upAt("10.0.0.2", packets)), 0);
    expect(histogramsOf((await collect()).columns)).toHaveLength(2);
    part.record(a, outcomeOf(upAt("10.0.0.1", packets)), 0);
    expect(await endings()).toEqual(
      ["latency", "packet.rtt", "packets", "packets", "packets.lost", "runs", "up"].map((name) => `${name} 10.0.0.2`),
    );
    expect(await endings()).toEqual([]);
    clock.time = 9000;
    part.record(a, outcomeOf(upAt("10.0.0.1", packets), upAt("10.0.0.2", packets)), 0);
    expect(await values()).toMatchObject({ "runs a 10.0.0.1 up": 3, "runs a 10.0.0.2 up": 1 });
    expect(
      histogramsOf((await collect()).columns).map(({ attributes, start, sum }) => [
        attributes["network.peer.address"],
        start,
        Math.round(sum * 10),
      ]),
    ).toEqual([
      ["10.0.0.1", 1000, 3],
      ["10.0.0.2", 9000, 1],
    ]);
  });

  test("an address that goes and returns between two ticks has no end", async () => {
    const { part, values, collect } = createTest([a]);
    part.record(a, outcomeOf(upAt("10.0.0.1"), upAt("10.0.0.2")), 0);
    await collect();
    part.record(a, outcomeOf(upAt("10.0.0.1")), 0);
    part.record(a, outcomeOf(upAt("10.0.0.1"), upAt("10.0.0.2")), 0);
    expect(endedOf((await collect()).columns)).toEqual([]);
    expect(await values()).toMatchObject({ "runs a 10.0.0.1 up": 3, "runs a 10.0.0.2 up": 2 });
  });

  test("a run that failed before there were addresses is that of every known one", async () => {
    const { part, values } = createTest([a]);
    part.record(a, outcomeOf(upAt("10.0.0.1"), upAt("10.0.0.2")), 0);
    part.record(a, unresolved, 0);
    const failed = {
      "runs a 10.0.0.1 up": 1,
      "runs a 10.0.0.2 up": 1,
      "runs a 10.0.0.1 down dns_timeout resolve": 1,
      "runs a 10.0.0.2 down dns_timeout resolve": 1,
      "address_changes a": 0,
    };
    expect(await values()).toEqual({ "up a 10.0.0.1": 0, "up a 10.0.0.2": 0, ...failed });
    part.record(a, notRun, 0);
    expect(await values()).toEqual({
      ...failed,
      "runs a 10.0.0.1 not_run too_many_files": 1,
      "runs a 10.0.0.2 not_run too_many_files": 1,
    });
  });

  test("with none known it is a series without an address, until there are some", async () => {
    const { part, values, endings } = createTest([a]);
    part.record(a, unresolved, 0);
    part.record(a, unresolved, 0);
    expect(await values()).toEqual({ "up a": 0, "runs a down dns_timeout resolve": 2 });
    part.record(a, outcomeOf(upAt("10.0.0.1")), 0);
    expect(await endings()).toEqual(["runs resolve", "up"]);
    part.record(a, unresolved, 0);
    expect(await values()).toEqual({
      "up a 10.0.0.1": 0,
      "runs a 10.0.0.1 up": 1,
      "runs a 10.0.0.1 down dns_timeout resolve": 1,
      "address_changes a": 0,
    });
  });

  test("switched off and on by a reload, counters start anew at that time", async () => {
    const { part, clock, collect, values, endings } = createTest([a]);
    part.record(a, outcomeOf(upAt("10.0.0.1")), 0);
    await collect();
    const one = target("a");
    part.update([one], 2000);
    part.record(one, up, 0);
    expect(await endings()).toEqual(
      ["latency 10.0.0.1", "runs 10.0.0.1", "up 10.0.0.1"].concat("resolved_addresses").sort(),
    );
    part.update([a], 3000);
    clock.time = 4000;
    part.record(a, outcomeOf(upAt("10.0.0.1")), 0);
    await collect();
    expect(await values()).toMatchObject({ "runs a 10.0.0.1 up": 1 });
    const runs = pointsOf((await collect()).columns).filter(({ metric }) => metric === "sockscope.probe.runs");
    expect(runs.map(({ start, attributes }) => [start, attributes["network.peer.address"]])).toEqual([
      [4000, "10.0.0.1"],
    ]);
  });
});

describe("a reload", () => {
  test("a removed target ends; one whose attributes stay goes on, whatever else changes", async () => {
    const [a, b] = [target("a"), target("b")];
    const { part, collect, values } = createTest([a, b]);
    part.record(a, up, 0);
    part.record(b, up, 0);
    await collect();
    const later = target("b", { intervalMs: 9000 });
    part.update([later], 2000);
    part.record(a, up, 0);
    part.record(later, up, 0);
    const { columns } = await collect();
    expect(new Set(endedOf(columns).map(({ attributes }) => attributes["sockscope.probe.name"]))).toEqual(
      new Set(["a"]),
    );
    expect((await values())["runs b up"]).toBe(2);
  });

  test("a target that is removed and comes back between two ticks has no end", async () => {
    const a = target("a");
    const { part, collect } = createTest([a]);
    part.record(a, up, 0);
    await collect();
    part.update([], 2000);
    part.update([a], 2001);
    const { columns } = await collect();
    expect(endedOf(columns)).toEqual([]);
    expect(pointsOf(columns).find(({ metric }) => metric === "sockscope.probe.runs")).toMatchObject({
      value: 1,
      start: 1000,
    });
  });

  test("the order of a target's own attributes is nothing that changes", async () => {
    const a = target("a", { attributes: { team: "edge", tier: 1 } });
    const { part, collect, values } = createTest([a]);
    part.record(a, up, 0);
    await collect();
    part.update([target("a", { attributes: { tier: 1, team: "edge" } })], 2000);
    expect(endedOf((await collect()).columns)).toEqual([]);
    expect(await values()).toMatchObject({ "runs a up": 1 });
  });

  test("keeps addresses, distributions, attempts and changes", async () => {
    const a = target("a", { allAddresses: true, attempts: 2 });
    const { part, clock, collect, values } = createTest([a]);
    const run = (...addresses: string[]): Outcome => {
      const facts: Facts = { packets: { sent: 1, rtts: [0.1] } };
      const byAddress = addresses.map((address): Verdict => ({ ...upWith(facts), address }));
      return { ...upWith({ resolved: addresses }), failedAttempts: [down], byAddress };
    };
    part.record(a, run("10.0.0.1"), 0);
    part.record(a, run("10.0.0.1", "10.0.0.2"), 0);
    const before = await values();
    part.update([a, target("b")], 2000);
    expect(await values()).toEqual(before);
    clock.time = 3000;
    part.record(a, run("10.0.0.2", "10.0.0.3"), 0);
    expect(await values()).toMatchObject({
      "runs a 10.0.0.2 up": 2,
      "runs a 10.0.0.3 up": 1,
      "attempts a up": 3,
      "attempts a down connection_refused connect": 3,
      "address_changes a": 2,
    });
    const distributions = histogramsOf((await collect()).columns);
    expect(distributions.map(({ start, counts }) => [start, counts.reduce((sum, count) => sum + count)])).toEqual([
      [1000, 2],
      [3000, 1],
    ]);
  });

  test("a removed target ends all that it had", async () => {
    const a = target("a", { allAddresses: true, attempts: 2 });
    const { part, collect } = createTest([a]);
    const facts: Facts = { packets: { sent: 2, rtts: [0.1, 0.2] }, ttl: 3, tcpRtt: 1, certificateExpiry: 5 };
    const byAddress: Verdict[] = [{ ...up, facts, address: "10.0.0.1" }];
    part.record(a, { ...upWith({ resolved: ["10.0.0.1"] }), byAddress }, 0);
    const { columns } = await collect();
    const live = [...pointsOf(columns), ...histogramsOf(columns)].map(({ metric, attributes }) => ({
      metric,
      attributes,
    }));
    part.update([], 2000);
    const after = (await collect()).columns;
    expect([...pointsOf(after), ...histogramsOf(after)]).toEqual([]);
    const ended = endedOf(after).map(({ metric, attributes }) => ({ metric, attributes }));
    expect(ended).toHaveLength(live.length);
    expect(ended).toEqual(expect.arrayContaining(live));
    expect((await collect()).columns).toEqual([]);
  });

  test("the end ends everything", async () => {
    const a = target("a", { attempts: 2 });
    const { part, collect } = createTest([a]);
    part.record(a, upWith({ packets: { sent: 2, rtts: [0.1, 0.2] }, resolved: ["10.0.0.1"] }), 0);
    const { columns } = await collect();
    const ended = await part.end();
    expect(endedOf(ended)).toHaveLength(pointsOf(columns).length + histogramsOf(columns).length);
    expect([...pointsOf(ended), ...histogramsOf(ended)]).toEqual([]);
  });
});

describe("whatever runs and reloads come", () => {
  const addresses = ["10.0.0.1", "10.0.0.2", "::1"];
  const facts: Facts = { packets: { sent: 3, rtts: [0.1, 0.2] }, ttl: 9, tcpRtt: 0.1, certificateExpiry: 60 };
  const anyVerdict = fc.constantFrom<Verdict>(up, { ...up, facts }, down, { ...down, facts }, notRun);
  const anyAddresses = fc.dictionary(fc.constantFrom(...addresses), anyVerdict, { minKeys: 1 });
  const anyStep = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("run"),
        name: fc.constantFrom("a", "b"),
        verdict: anyVerdict,
        by: anyAddresses,
        resolves: fc.boolean(),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("reload"),
        targets: fc.dictionary(fc.constantFrom("a", "b"), fc.boolean()),
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant("collect") }) },
  );

  test("no set twice in a tick, no counter falls within a start, and all that goes is ended once", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { maxLength: 40 }), async (steps) => {
        let targets = new Map([
          ["a", target("a", { attempts: 2 })],
          ["b", target("b", { allAddresses: true, attempts: 2 })],
        ]);
        const { part, clock, collect } = createTest([...targets.values()]);
        let present = new Set<string>();
        const counted = new Map<string, number>();
        const check = async (): Promise<void> => {
          const { columns } = await collect();
          const keyOf = ({ metric, attributes }: { metric: string; attributes: Attributes }): string =>
            `${metric} ${attributesKey(attributes)}`;
          const histograms = histogramsOf(columns).map(({ counts, ...point }) => ({
            ...point,
            value: counts.reduce((sum, count) => sum + count),
          }));
          const points = [...pointsOf(columns), ...histograms];
          const live = new Set(points.map(keyOf));
          expect(live.size).toBe(points.length);
          const ended = endedOf(columns).map(keyOf);
          expect(ended.toSorted()).toEqual([...present].filter((key) => !live.has(key)).sort());
          present = live;
          for (const point of points) {
            if (!/runs|attempts|packet|changes/.test(point.metric)) continue;
            const key = `${keyOf(point)} ${point.start}`;
            expect(point.value).toBeGreaterThanOrEqual(counted.get(key) ?? 0);
            counted.set(key, point.value);
          }
        };
        for (const step of steps) {
          clock.time += 1;
          if ("targets" in step) {
            targets = new Map(
              Object.entries(step.targets).map(([name, allAddresses]) => [
                name,
                target(name, { allAddresses, attempts: 2 }),
              ]),
            );
            part.update([...targets.values()], clock.time);
          } else if ("by" in step) {
            const of = targets.get(step.name);
            if (of === undefined) continue;
            const byAddress = Object.entries(step.by).map(([address, verdict]): Verdict => ({ ...verdict, address }));
            const resolved = { ...step.verdict.facts, resolved: Object.keys(step.by) };
            const verdict = step.resolves ? { ...step.verdict, facts: resolved } : step.verdict;
            part.record(of, of.allAddresses && step.resolves ? { ...verdict, byAddress } : verdict, 0);
          } else {
            await check();
          }
        }
        await check();
      }),
      { numRuns: 200 },
    );
  });
});

test("10,000 targets: a collection lets the loop turn", async () => {
  const targets = Array.from({ length: 10_000 }, (_, index) => target(`t${index}`, { attempts: 2 }));
  const { part, collect } = createTest(targets);
  const facts: Facts = { packets: { sent: 2, rtts: [0.1, 0.2] }, resolved: ["10.0.0.1"], ttl: 3 };
  for (const each of targets) part.record(each, { ...up, facts }, 0);
  let turns = 0;
  let done = false;
  const turn = (): void => {
    turns++;
    if (!done) setImmediate(turn);
  };
  setImmediate(turn);
  const { columns } = await collect();
  done = true;
  expect(pointsOf(columns)).toHaveLength(13 * 10_000);
  expect(histogramsOf(columns)).toHaveLength(10_000);
  // The loop turns before 10,000 points are done.
  expect(turns).toBeGreaterThanOrEqual(14);
});
