import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { createProbesPart } from "../../src/collect/probes.ts";
import type { Target } from "../../src/model/target.ts";
import { runProbe } from "../../src/probe/index.ts";
import { createSchedule } from "../../src/probe/schedule.ts";
import { pointsOf } from "../kit/points.ts";
import { depsOf, tcpTarget } from "../kit/probe.ts";

test("reloads while hundreds of targets run: those that stay lose no run, no slot and no series", async () => {
  const server = createServer((socket) => socket.on("error", () => {}).resume()).listen(0, "127.0.0.1", 1024);
  await once(server, "listening");
  const startedAt = 1_000_000;
  const { port } = server.address() as AddressInfo;
  const targetOf = (name: string): Target => tcpTarget("127.0.0.1", port, { name, intervalMs: 200, timeoutMs: 200 });
  const stay = Array.from({ length: 150 }, (_, index) => targetOf(`stays ${index}`));
  const deps = depsOf();
  const part = createProbesPart(
    () => undefined,
    () => startedAt,
  );
  const running = new Set<string>();
  const lost: string[] = [];
  const schedule = createSchedule({
    concurrency: 64,
    now: deps.now,
    run: async (target, signal) => {
      if (running.has(target.name)) lost.push(`${target.name} runs twice at once`);
      running.add(target.name);
      const outcome = await runProbe(target, deps, signal);
      running.delete(target.name);
      return outcome;
    },
    onResult: (target, outcome, lag) => {
      // A busy machine may give up a slot.
      const spared = outcome.kind === "up" || (outcome.kind === "not_run" && outcome.error === "agent_overloaded");
      if (target.name.startsWith("stays") && !spared) lost.push(JSON.stringify(outcome));
      part.record(target, outcome, lag);
    },
  });
  const load = (others: number, time: number): void => {
    const come = Array.from({ length: 150 }, (_, index) => targetOf(`comes ${others} ${index}`));
    part.update([...come, ...stay], time);
    schedule.update([...come, ...stay]);
  };
  load(0, startedAt);
  for (let reload = 1; reload <= 10; reload++) {
    await setTimeout(150);
    load(reload, startedAt + reload);
  }
  await setTimeout(150);
  await schedule.stop();
  server.close();
  const { columns } = await part.collect(0, AbortSignal.timeout(1000));
  const runs = pointsOf(columns).filter(
    ({ metric, attributes }) =>
      metric === "sockscope.probe.runs" &&
      attributes["sockscope.probe.outcome"] === "up" &&
      String(attributes["sockscope.probe.name"]).startsWith("stays"),
  );
  expect(lost).toEqual([]);
  expect(runs).toHaveLength(stay.length);
  for (const { value, start } of runs) {
    expect(start).toBe(startedAt);
    // 1,650 ms of 200.
    expect(value).toBeGreaterThanOrEqual(3);
    expect(value).toBeLessThanOrEqual(9);
  }
});
