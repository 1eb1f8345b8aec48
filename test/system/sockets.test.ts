import { beforeAll, describe, expect, test } from "vitest";
import type { Point } from "../kit/points.ts";
import { inNamespace, isRoot } from "../kit/net-namespace.ts";

type Tick = {
  readonly points: readonly Point[];
  readonly ended: readonly unknown[];
  readonly observations: readonly { metric: string; value: number; attributes: Record<string, string> }[];
};
type Scenario = {
  readonly echo: number;
  readonly full: number;
  readonly udp: number;
  readonly locals: readonly number[];
  readonly before: Tick;
  readonly after: { readonly socket: Tick; readonly host: Tick };
  readonly seen: { readonly info: string; readonly states: string; readonly listeners: string; readonly udp: string };
  readonly gone: readonly (readonly Point[])[];
};

const valueOf = ({ points }: Tick, metric: string, attributes: Point["attributes"]): number | undefined =>
  points.find(
    (point) =>
      point.metric === metric && Object.entries(attributes).every(([key, value]) => point.attributes[key] === value),
  )?.value;

/** The line of `ss -tinO` for a socket by its ports. */
const infoOf = (text: string, local: number, peer: number): string =>
  text.split("\n").find((line) => new RegExp(`127\\.0\\.0\\.1:${local} +127\\.0\\.0\\.1:${peer} `).test(line)) ?? "";

const number = (line: string, pattern: RegExp): number => Number(pattern.exec(line)?.[1] ?? 0);

describe.skipIf(!isRoot)("sockets of a namespace", () => {
  let scenario: Scenario;
  beforeAll(async () => {
    scenario = await inNamespace<Scenario>("sockets-scenario.ts");
  });

  test("each flow's counters and gauges are those of ss", () => {
    for (const local of scenario.locals) {
      const line = infoOf(scenario.seen.info, local, scenario.echo);
      const flow = { "network.local.port": local, "network.peer.port": scenario.echo };
      const of = (metric: string, more: Point["attributes"] = {}) =>
        valueOf(scenario.after.socket, metric, { ...flow, ...more });
      expect(of("sockscope.flow.io", { "network.io.direction": "transmit" })).toBe(number(line, /bytes_acked:(\d+)/));
      expect(of("sockscope.flow.io", { "network.io.direction": "receive" })).toBe(number(line, /bytes_received:(\d+)/));
      expect(of("sockscope.flow.segments", { "network.io.direction": "transmit" })).toBe(
        number(line, /segs_out:(\d+)/),
      );
      expect(of("sockscope.flow.segments", { "network.io.direction": "receive" })).toBe(number(line, /segs_in:(\d+)/));
      expect(of("sockscope.flow.rtt")).toBeCloseTo(number(line, /rtt:([\d.]+)\//) / 1000, 6);
      expect(of("sockscope.flow.rtt.variation")).toBeCloseTo(number(line, /rtt:[\d.]+\/([\d.]+)/) / 1000, 6);
      expect(of("sockscope.flow.rtt.min")).toBeCloseTo(number(line, /minrtt:([\d.]+)/) / 1000, 6);
      expect(of("sockscope.flow.cwnd")).toBe(number(line, /cwnd:(\d+)/));
      expect(of("sockscope.flow.count")).toBe(1);
    }
  });

  test("the host group is the sum over all sockets since its first tick", () => {
    const sum = [...scenario.seen.info.matchAll(/bytes_received:(\d+)/g)].reduce(
      (total, [, bytes]) => total + Number(bytes),
      0,
    );
    expect(valueOf(scenario.after.host, "sockscope.flow.io", { "network.io.direction": "receive" })).toBe(sum);
    expect(valueOf(scenario.after.host, "sockscope.flow.io", { "network.io.direction": "receive" })).toBe(2 * 15_000);
  });

  test("the counts by state are those of ss", () => {
    const counted = (state: string): number =>
      scenario.after.socket.observations
        .filter(
          ({ metric, attributes }) =>
            metric === "system.network.connection.count" && attributes["network.connection.state"] === state,
        )
        .reduce((sum, { value }) => sum + value, 0);
    const lines = scenario.seen.states.trim().split("\n").slice(1);
    const of = (name: string): number => lines.filter((line) => line.startsWith(name)).length;
    expect(counted("established")).toBe(of("ESTAB"));
    expect(counted("listen")).toBe(of("LISTEN"));
    expect(counted("syn_sent")).toBe(of("SYN-SENT"));
    expect(of("ESTAB")).toBe(12);
    expect(of("SYN-SENT")).toBe(2);
  });

  test("a full listener shows its queue, its backlog and what it dropped", () => {
    const listener = { "network.local.port": scenario.full };
    expect(valueOf(scenario.after.socket, "sockscope.listener.accept_queue.usage", listener)).toBe(1);
    expect(valueOf(scenario.after.socket, "sockscope.listener.accept_queue.limit", listener)).toBe(0);
    const host = valueOf(scenario.after.host, "sockscope.listener.drops", listener) ?? 0;
    const line = scenario.seen.listeners.split("\n").find((one) => one.includes(`:${scenario.full} `)) ?? "";
    const drops = number(scenario.seen.listeners.slice(scenario.seen.listeners.indexOf(line)), /,d(\d+)\)/);
    expect(drops).toBeGreaterThanOrEqual(2);
    expect(host).toBe(drops);
  });

  test("a UDP port shows its queue and what it dropped", () => {
    const port = { "network.local.port": scenario.udp };
    const text = scenario.seen.udp;
    const drops = number(text.slice(text.indexOf(`:${scenario.udp} `)), /,d(\d+)\)/);
    expect(drops).toBeGreaterThan(0);
    expect(valueOf(scenario.after.socket, "sockscope.udp.drops", port)).toBe(drops);
    expect(
      valueOf(scenario.after.socket, "sockscope.udp.queue.usage", { ...port, "network.io.direction": "receive" }),
    ).toBeGreaterThan(0);
    expect(valueOf(scenario.before, "sockscope.udp.queue.usage", { ...port, "network.io.direction": "receive" })).toBe(
      0,
    );
  });

  test("closed flows are counted at their second absence", () => {
    expect(scenario.gone.map(([point]) => point?.value)).toEqual([0, 10, 10]);
  });
});
