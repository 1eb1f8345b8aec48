import { describe, expect, test } from "vitest";
import { createProbesPart } from "../../src/collect/probes.ts";
import type { Outcome } from "../../src/model/outcome.ts";
import type { Target } from "../../src/model/target.ts";
import { endedOf, pointsOf } from "../kit/points.ts";

const target = (name: string, more: Partial<Target<"tcp">> = {}): Target<"tcp"> => ({
  type: "tcp",
  name,
  url: `tcp://${name}:1`,
  host: name,
  port: 1,
  intervalMs: 1000,
  timeoutMs: 500,
  attributes: {},
  ...more,
});

const up: Outcome = { kind: "up", seconds: 0.25, phases: { resolve: 0.05, connect: 0.2 } };
const down: Outcome = {
  kind: "down",
  error: "connection_refused",
  phase: "connect",
  detail: "ECONNREFUSED",
  seconds: 0.1,
  phases: {},
};
const notRun: Outcome = { kind: "not_run", error: "too_many_files", detail: "EMFILE", seconds: 0, phases: {} };

const createTest = (targets: readonly Target[]) => {
  const recorded: unknown[][] = [];
  const part = createProbesPart((metric, value, attributes) => recorded.push([metric, value, attributes]));
  part.update(targets, 1000);
  const collect = async () => part.collect(0, AbortSignal.timeout(1000));
  const values = async (): Promise<Record<string, number>> =>
    Object.fromEntries(
      pointsOf((await collect()).columns).map(({ metric, attributes, value }) => [
        [
          metric.replace("sockscope.probe.", ""),
          attributes["sockscope.probe.name"],
          attributes["sockscope.probe.phase"] ?? attributes["sockscope.probe.outcome"] ?? "",
          attributes["error.type"] ?? "",
        ]
          .join(" ")
          .trim(),
        value,
      ]),
    );
  return { part, recorded, collect, values };
};

describe("probe results", () => {
  test("a target that has not run yet has no point, and is pending", async () => {
    const { collect } = createTest([target("a")]);
    const { columns, observations } = await collect();
    expect(columns).toEqual([]);
    const pending = observations.filter(({ value }) => value > 0);
    expect(pending).toEqual([
      {
        metric: "sockscope.probe.targets",
        value: 1,
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
    expect(await values()).toEqual({ "up a": 0, "runs a up": 1, "runs a down connection_refused": 1 });
    part.record(a, notRun, 0);
    expect(await values()).toEqual({
      "runs a up": 1,
      "runs a down connection_refused": 1,
      "runs a not_run too_many_files": 1,
    });
    part.record(a, { kind: "unanswered", seconds: 1, phases: {} }, 0);
    expect(await values()).toMatchObject({ "up a": 1, "runs a unanswered": 1 });
  });

  test("a reading that becomes absent is ended once", async () => {
    const a = target("a");
    const { part, collect } = createTest([a]);
    part.record(a, up, 0);
    await collect();
    part.record(a, notRun, 0);
    expect(endedOf((await collect()).columns).map(({ metric }) => metric)).toEqual([
      "sockscope.probe.up",
      "sockscope.probe.latency",
      "sockscope.probe.phase.latency",
      "sockscope.probe.phase.latency",
    ]);
    expect(endedOf((await collect()).columns)).toEqual([]);
  });

  test("a target's series carry its place and its own attributes, and start when it came", async () => {
    const unix: Target = {
      type: "unix",
      name: "app",
      url: "unix:///run/app.sock",
      path: "/run/app.sock",
      intervalMs: 1,
      timeoutMs: 1,
      attributes: { team: "edge" },
    };
    const { part, collect } = createTest([unix]);
    part.record(unix, up, 0);
    expect(pointsOf((await collect()).columns)[0]).toEqual({
      metric: "sockscope.probe.up",
      start: 1000,
      value: 1,
      attributes: {
        "sockscope.probe.name": "app",
        "sockscope.probe.type": "unix",
        "server.address": "/run/app.sock",
        "network.transport": "unix",
        team: "edge",
      },
    });
  });

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

  test("results, durations and lag are counted by type, with error.type on failures", async () => {
    const a = target("a");
    const { part, recorded, collect } = createTest([a]);
    part.record(a, up, 0.5);
    part.record(a, down, 0.25);
    part.record(a, up, 0);
    const results = (await collect()).observations.filter(({ metric }) => metric === "sockscope.probe.results");
    expect(results.map(({ attributes, value }) => [Object.values(attributes), value])).toEqual([
      [["tcp", "up"], 2],
      [["tcp", "down", "connection_refused"], 1],
    ]);
    expect(recorded.slice(0, 4)).toEqual([
      ["sockscope.probe.duration", 0.25, { "sockscope.probe.type": "tcp" }],
      ["sockscope.probe.schedule.lag", 0.5, {}],
      ["sockscope.probe.duration", 0.1, { "sockscope.probe.type": "tcp", "error.type": "connection_refused" }],
      ["sockscope.probe.schedule.lag", 0.25, {}],
    ]);
  });
});
