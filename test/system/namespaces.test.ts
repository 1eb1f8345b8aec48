import { spawnSync } from "node:child_process";
import { beforeAll, describe, expect, test } from "vitest";
import { cleanEnvironment } from "../kit/agent.ts";
import { isRoot } from "../kit/net-namespace.ts";
import type { Point } from "../kit/points.ts";

type Tick = { readonly points: readonly Point[]; readonly observed: Readonly<Record<string, number>> };
type Ticks = { readonly endpoint: Tick; readonly socket: Tick };
type Sums = { readonly transmit: number; readonly receive: number; readonly opened: number; readonly closed: number };

type Scenario = {
  /** Links of the agent's own namespace and of those without a name. */
  readonly own: string;
  readonly unnamed: readonly string[];
  readonly first: Ticks;
  readonly sent: Ticks;
  readonly short: Ticks;
  readonly sums: Sums;
  readonly selection: Tick;
  readonly metLate: Ticks;
  readonly heard: { readonly before: Sums; readonly after: Sums };
  readonly churn: {
    readonly met: number;
    readonly ids: { readonly before: number; readonly after: number };
    readonly after: Ticks;
  };
  readonly last: Ticks;
  readonly idsAtEnd: number;
  readonly logged: readonly string[];
};

const named = 45;
const unnamed = 5;

/** Namespaces with names in a /run of their own, and such as have a process only; their files are the script's arguments. */
const setUp = `
  mount -t tmpfs none /run
  ip link set lo up
  for i in $(seq 0 ${named - 1}); do ip netns add n$i; set -- "$@" /run/netns/n$i; done
  for i in $(seq ${unnamed}); do unshare --net sleep 300 & set -- "$@" /proc/$!/ns/net; done
  until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
  sleep 0.1
  exec "$0" "$@"`;

/** In namespaces whose first process the command is, so that nothing else of the machine is in sight. */
const run = (script: string, ...args: readonly string[]) =>
  spawnSync(
    "unshare",
    ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-ec", script, ...args],
    { encoding: "utf8", timeout: 60_000, maxBuffer: 64 * 1024 * 1024, env: cleanEnvironment() },
  );
const pathOf = (script: string): string => new URL(script, import.meta.url).pathname;
const inodeOf = (link: string): string => link.replace(/\D/g, "");

const canUnshare = isRoot && run("ip netns list && command -v python3").status === 0;

describe.skipIf(!canUnshare)("sockets of 50 network namespaces", () => {
  let seen = {} as Scenario;
  let netns: readonly string[] = [];
  beforeAll(() => {
    const child = run(setUp, process.execPath, pathOf("namespaces-scenario.ts"));
    expect(child.stderr).toBe("");
    seen = JSON.parse(child.stdout) as Scenario;
    netns = [...Array.from({ length: named }, (_, index) => `n${index}`), ...seen.unnamed.map(inodeOf)];
  }, 90_000);

  /** Values by network namespace, of the points that a filter takes. */
  const byNetns = ({ points }: Tick, metric: string, taken: Point["attributes"] = {}): Record<string, number[]> => {
    const found: Record<string, number[]> = {};
    for (const { metric: name, attributes, value } of points) {
      const fits = Object.entries(taken).every(([key, wanted]) => attributes[key] === wanted);
      if (name === metric && fits) (found[String(attributes["sockscope.netns"])] ??= []).push(value);
    }
    return found;
  };
  const each = <T>(valueOf: (index: number) => T): Record<string, T> =>
    Object.fromEntries(netns.map((name, index) => [name, valueOf(index)]));
  const transmit = { "network.io.direction": "transmit" } as const;
  const receive = { "network.io.direction": "receive" } as const;
  const client = { "sockscope.flow.role": "client", "network.peer.port": 8080 } as const;
  const server = { "sockscope.flow.role": "server", "network.local.port": 8080 } as const;

  test("what each connection has sent is counted in its own namespace, to the byte", () => {
    const io = "sockscope.flow.io";
    expect(byNetns(seen.sent.endpoint, io, { ...client, ...transmit })).toEqual(each((index) => [1000 + index]));
    expect(byNetns(seen.sent.endpoint, io, { ...server, ...receive })).toEqual(each((index) => [1000 + index]));
    expect(byNetns(seen.sent.endpoint, "sockscope.flow.count", client)).toEqual(each(() => [1]));
  });

  test("connections that no dump has shown are counted there, too", () => {
    const io = "sockscope.flow.io";
    // A client counts its SYN and its FIN, a server its FIN; each counts the other's FIN as received.
    // Of a client that no dump has shown the process is not known.
    const sentBy = (index: number): number[] => [1000 + index, 20 * (100 + index + 2)];
    const receivedBy = (index: number): number => 1000 + index + 20 * (100 + index + 1);
    expect(byNetns(seen.short.endpoint, io, { ...client, ...transmit })).toEqual(each(sentBy));
    expect(byNetns(seen.short.endpoint, io, { ...server, ...receive })).toEqual(each((index) => [receivedBy(index)]));
    expect(byNetns(seen.short.endpoint, "sockscope.flow.opened", server)).toEqual(each(() => [20]));
    expect(byNetns(seen.short.endpoint, "sockscope.flow.closed", client)).toEqual(each(() => [0, 20]));
    expect(seen.sums).toMatchObject({ opened: 2000, closed: 2000 });
  });

  test("a connection of two namespaces with equal addresses and ports is two series", () => {
    const ends = { "network.local.port": 40_000, "network.peer.port": 8080 } as const;
    expect(byNetns(seen.sent.socket, "sockscope.flow.count", ends)).toEqual(each(() => [1]));
    expect(byNetns(seen.sent.socket, "sockscope.flow.io", { ...ends, ...transmit })).toEqual(
      each((index) => [1001 + index]),
    );
  });

  test("listeners, UDP ports, states and sockstat are those of each namespace", () => {
    const port = { "network.local.port": 8080 } as const;
    expect(byNetns(seen.first.endpoint, "sockscope.listener.accept_queue.limit", port)).toEqual(each(() => [8]));
    expect(byNetns(seen.first.endpoint, "sockscope.udp.drops", { "network.local.port": 9000 })).toEqual(
      each(() => [0]),
    );
    const state = (name: string) => ({ "network.connection.state": name, "network.type": "ipv4" }) as const;
    const count = "system.network.connection.count";
    const own = inodeOf(seen.own);
    expect(byNetns(seen.first.endpoint, count, state("established"))).toEqual({ ...each(() => [2]), [own]: [0] });
    expect(byNetns(seen.first.endpoint, count, state("listen"))).toEqual({ ...each(() => [1]), [own]: [0] });
    const inUse = { "network.transport": "tcp", "network.type": "ipv4" } as const;
    expect(byNetns(seen.first.endpoint, "sockscope.sockstat.in_use", inUse)).toEqual({
      ...each(() => [3]),
      [own]: [0],
    });
    expect(byNetns(seen.short.endpoint, "sockscope.sockstat.time_wait")).toEqual({ ...each(() => [20]), [own]: [0] });
    const waiting = { "network.connection.state": "time_wait" } as const;
    expect(byNetns(seen.short.endpoint, count, waiting)).toEqual({ ...each(() => [20]), [own]: [0] });
  });

  test("their owners are known as everywhere", () => {
    const { points } = seen.sent.endpoint;
    const flows = points.filter(({ metric }) => metric === "sockscope.flow.count");
    expect(flows).toHaveLength(100);
    expect(new Set(flows.map(({ attributes }) => attributes["process.executable.name"]))).toHaveLength(1);
    expect(flows[0]?.attributes["process.executable.name"]).toMatch(/^python3/);
  });

  test("of a selection those are read that it names, and the agent's own", () => {
    const found = Object.keys(byNetns(seen.selection, "system.network.connection.count"));
    expect(found.sort()).toEqual([seen.own, seen.unnamed[0] ?? ""].map(inodeOf).concat("n3").sort());
  });

  test("in a namespace that is met later, connections count from their birth", () => {
    const late = (metric: string, attributes: Point["attributes"]) =>
      byNetns(seen.metLate.endpoint, metric, attributes)["late"];
    expect(late("sockscope.flow.io", { ...client, ...transmit })).toEqual([1001]);
    expect(late("sockscope.flow.io", { ...server, ...receive })).toEqual([1000]);
    expect(late("sockscope.flow.opened", client)).toEqual([1]);
  });

  test("what a namespace tells that is not known yet is counted, with or without its name", () => {
    const { before, after } = seen.heard;
    expect(after.transmit - before.transmit).toBe(20 * (102 + 1) + 1);
    expect(after.opened - before.opened).toBe(42);
    expect(after.closed - before.closed).toBe(40);
  });

  test("of 1,000 namespaces that came and went none is held", () => {
    const { met, ids } = seen.churn;
    expect(met).toBeGreaterThan(5);
    expect(ids).toEqual({ before: named + unnamed + 2, after: named + unnamed + 2 });
    expect(seen.churn.after.endpoint.observed["sockscope.agent.namespaces"]).toBe(named + unnamed + 3);
  });

  test("namespaces that go while they are read end with their series", () => {
    expect(seen.idsAtEnd).toBe(unnamed);
    const left = [...seen.unnamed, seen.own].map(inodeOf).sort();
    expect(new Set(seen.last.socket.points.map(({ attributes }) => attributes["sockscope.netns"]))).toEqual(
      new Set(left),
    );
    expect(Object.keys(byNetns(seen.last.endpoint, "sockscope.flow.count"))).toEqual([]);
  });

  test("nothing was to be said", () => {
    expect(seen.logged).toEqual([]);
    expect(seen.last.endpoint.observed).toMatchObject({
      "sockscope.agent.capability namespaces": 1,
      "sockscope.agent.capability namespace_events": 1,
      "sockscope.agent.events.lost": 0,
      "sockscope.agent.source.errors namespaces": 0,
    });
  });
});

describe.skipIf(!canUnshare)("without a capability", () => {
  type Without = {
    readonly listeners: readonly Point["attributes"][];
    readonly capabilities: Readonly<Record<string, number>>;
    readonly logged: readonly string[];
  };
  const without = (capability: string): Without => {
    const setUpOne = `
      ip link set lo up
      unshare --net sleep 300 &
      until [ "$(readlink /proc/$!/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
      exec setpriv --bounding-set=-${capability} --inh-caps=-${capability} "$0" "$@"`;
    const child = run(setUpOne, process.execPath, pathOf("namespaces-without.ts"));
    expect(child.stderr).toBe("");
    return JSON.parse(child.stdout) as Without;
  };

  test("without CAP_SYS_ADMIN the agent's own namespace is read, as if it were asked for alone", () => {
    const { listeners, capabilities, logged } = without("sys_admin");
    expect(listeners).toEqual([
      {
        "network.transport": "tcp",
        "network.type": "ipv4",
        "network.local.address": "127.0.0.1",
        "network.local.port": 8080,
      },
    ]);
    expect(capabilities).toMatchObject({ sockets: 1, events: 1, namespaces: 0, namespace_events: 0 });
    expect(logged).toEqual([
      "warn of the network namespaces the agent's own alone is read: it takes CAP_SYS_ADMIN to enter others (EPERM)",
    ]);
  });

  test.each(["net_broadcast", "net_admin"])("without CAP_%s they are read, and their events do not come", (missing) => {
    const { listeners, capabilities, logged } = without(missing);
    expect(listeners).toHaveLength(1);
    expect(listeners[0]).toHaveProperty(["sockscope.netns"]);
    expect(capabilities).toMatchObject({ sockets: 1, events: 1, namespaces: 1, namespace_events: 0 });
    expect(logged).toEqual([
      expect.stringMatching(/^warn the end of sockets is not heard of in (other|all) network namespaces: .*EPERM/),
    ]);
  });
});
