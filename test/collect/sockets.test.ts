import { setTimeout } from "node:timers/promises";
import { allSockets } from "../kit/all-sockets.ts";
import { expect, test, vi } from "vitest";
import type { OwnersPart } from "../../src/collect/owners.ts";
import type { Reading } from "../../src/collect/reading.ts";
import { createSocketsPart } from "../../src/collect/sockets.ts";
import { defaults } from "../../src/config/defaults.ts";
import type { Observation } from "../../src/metrics/observation.ts";
import type { SocketsConfig } from "../../src/model/config.ts";
import { SourceError } from "../../src/model/errors.ts";
import { notGiven, type SocketProtocol } from "../../src/model/socket.ts";
import type { DestroyEvents, ReadSockets, SubscribeDestroyEvents } from "../../src/model/sources.ts";
import {
  TCP_CLOSE,
  TCP_FIN_WAIT2,
  TCP_LISTEN,
  TCP_SYN_RECV,
  TCP_SYN_SENT,
  TCP_TIME_WAIT,
} from "../../src/netlink/constants.ts";
import { tcpInfoFields } from "../../src/netlink/tcp-info.ts";
import { endedOf, pointsOf, valuesOf } from "../kit/points.ts";
import { batchOf, type SocketRow } from "../kit/sockets.ts";

type Options = {
  readonly restart?: SocketProtocol;
  readonly config?: Partial<SocketsConfig>;
  readonly subscribe?: SubscribeDestroyEvents;
  readonly readTcp?: ReadSockets;
  readonly owners?: OwnersPart | undefined;
  readonly now?: () => number;
};

/** With `restart` the first half of each dump is of a dump that was faulty and came once more. */
const createTest = (
  dumps: (readonly SocketRow[] | Error)[],
  lacking: readonly SocketProtocol[] = [],
  { restart, config, subscribe, readTcp, owners, now = () => 0 }: Options = {},
) => {
  const logged: string[] = [];
  const read: ReadSockets = async function* (_signal, report) {
    const dump = dumps.shift() ?? [];
    if (restart !== undefined && !(dump instanceof Error)) {
      yield batchOf(dump.slice(0, dump.length >> 1));
      report.retries++;
      report.restart(restart);
    }
    for (const protocol of lacking) report.lacking.add(protocol);
    if (dump instanceof Error) throw dump;
    // Two batches, as a real dump comes in several.
    yield batchOf(dump.slice(0, 1));
    yield batchOf(dump.slice(1));
  };
  const part = createSocketsPart({
    ...allSockets,
    config: { ...defaults.sockets, maxGroups: 10, seriesTtl: 3, rttBounds: [0.001], ...config },
    read,
    subscribe,
    readTcp,
    owners,
    ephemeral: [32_768, 60_999],
    now,
    log: (level, message) => logged.push(`${level} ${message}`),
  });
  let time = 0;
  const tick = async () => part.collect((time += 1000), AbortSignal.timeout(1000));
  return { tick, logged, close: part.close };
};

const listener: SocketRow = { cookie: 1, state: TCP_LISTEN, local: "0.0.0.0", localPort: 80, wqueue: 128 };
const server: SocketRow = { cookie: 2, localPort: 80, peerPort: 50_000, info: { rtt: 500 } };

test("sockets by state and family, zeros included", async () => {
  const { tick } = createTest([
    [
      listener,
      server,
      { cookie: 3, state: TCP_SYN_RECV, info: false },
      { cookie: 4, family: 6, state: TCP_SYN_SENT },
      { cookie: 5, family: 6, local: "::ffff:10.0.0.1", peer: "::ffff:10.0.0.2" },
    ],
  ]);
  const { observations } = await tick();
  const states = observations.filter(({ metric }) => metric === "system.network.connection.count");
  const counted = Object.fromEntries(
    states.map(({ attributes, value }) => [Object.values(attributes).slice(1).join(" "), value]),
  );
  expect(counted).toEqual({
    "established ipv4": 2,
    "established ipv6": 0,
    "syn_sent ipv4": 0,
    "syn_sent ipv6": 1,
    "syn_received ipv4": 1,
    "syn_received ipv6": 0,
    "fin_wait_1 ipv4": 0,
    "fin_wait_1 ipv6": 0,
    "fin_wait_2 ipv4": 0,
    "fin_wait_2 ipv6": 0,
    "closed ipv4": 0,
    "closed ipv6": 0,
    "close_wait ipv4": 0,
    "close_wait ipv6": 0,
    "last_ack ipv4": 0,
    "last_ack ipv6": 0,
    "listen ipv4": 1,
    "listen ipv6": 0,
    "closing ipv4": 0,
    "closing ipv6": 0,
  });
});

test("only sockets that reached ESTABLISHED and have tcp_info are flows", async () => {
  const { tick } = createTest([
    [
      listener,
      server,
      { cookie: 3, state: TCP_SYN_SENT },
      { cookie: 4, state: TCP_SYN_RECV },
      { cookie: 5, state: TCP_CLOSE },
      { cookie: 6, state: TCP_FIN_WAIT2, info: false },
      { cookie: 7, state: TCP_FIN_WAIT2 },
      { cookie: 8, protocol: "udp", state: TCP_CLOSE, local: "127.0.0.1", localPort: 53 },
    ],
  ]);
  const { columns } = await tick();
  expect(Object.values(valuesOf(columns, "sockscope.flow.count"))).toEqual([1, 1]);
  expect(valuesOf(columns, "sockscope.udp.drops")).toEqual({ "127.0.0.1 53 udp ipv4": 0 });
  expect(columns.find(({ descriptor }) => descriptor.name === "sockscope.tcp.rtt")?.histograms[0]?.counts).toEqual(
    Float64Array.of(1, 0),
  );
});

test("the role stands although the listener went away with the same dump", async () => {
  const { tick } = createTest([[listener], [server]]);
  await tick();
  expect(valuesOf((await tick()).columns, "sockscope.flow.count")).toEqual({ "80 tcp server": 1 });
});

test("a source that fails is said once, its series end once, and they come back with their start", async () => {
  const refused = new SourceError("EPERM");
  const { tick, logged } = createTest([[listener, server], refused, refused, [listener, server]]);
  await tick();
  const failed = await tick();
  expect(pointsOf(failed.columns)).toEqual([]);
  expect(endedOf(failed.columns).length).toBeGreaterThan(5);
  expect(failed.observations.map(({ metric, value }) => [metric, value])).toEqual([
    ["sockscope.agent.capability", 0],
    ["sockscope.agent.source.errors", 1],
    ["sockscope.agent.rows.skipped", 0],
    ["sockscope.agent.dump.retries", 0],
  ]);
  expect((await tick()).columns).toEqual([]);
  const back = await tick();
  expect(pointsOf(back.columns).find(({ metric }) => metric === "sockscope.flow.count")).toMatchObject({
    value: 1,
    start: 1000,
  });
  expect(logged).toEqual([
    "warn sockets cannot be read, the other sources go on: EPERM",
    "info sockets can be read again",
  ]);
});

test("a protocol that is lacking is said once", async () => {
  const { tick, logged } = createTest([], ["udp"]);
  await tick();
  await tick();
  expect(logged).toEqual(["warn there is no way to read udp sockets here; the others are read"]);
});

test("a source without cookies and counters: flows are counted and kept, what it does not know is absent", async () => {
  const nothing = Object.fromEntries(tcpInfoFields.map((field) => [field, undefined]));
  const bound = { ...listener, cookie: -1, wqueue: notGiven, rqueue: 3, drops: Number.NaN };
  const dump = [bound, { ...server, cookie: -2, info: nothing, drops: Number.NaN }];
  const { tick } = createTest([dump, dump, dump]);
  await tick();
  await tick();
  const { columns } = await tick();
  const metrics = Object.fromEntries(pointsOf(columns).map(({ metric, value }) => [metric, value]));
  expect(metrics).toEqual({
    "sockscope.flow.count": 1,
    "sockscope.flow.opened": 0,
    "sockscope.flow.closed": 0,
    "sockscope.flow.queue.usage": 0,
    "sockscope.listener.accept_queue.usage": 3,
  });
});

test("a fault of the agent itself is not taken for one of the source", async () => {
  const { tick } = createTest([new TypeError("bug")]);
  await expect(tick()).rejects.toThrow("bug");
});

const statesOf = ({ observations }: Reading): Record<string, number> =>
  Object.fromEntries(
    observations
      .filter(({ metric, value }) => metric === "system.network.connection.count" && value > 0)
      .map(({ attributes, value }) => [Object.values(attributes).slice(1).join(" "), value]),
  );
const observedOf = ({ observations }: Reading, name: string): number[] =>
  observations.filter(({ metric }) => metric === name).map(({ value }) => value);

test("sockets that come once more count once, and the retry is counted", async () => {
  const { tick } = createTest(
    [
      [listener, server],
      [{ ...listener, rqueue: 3 }, server],
    ],
    [],
    { restart: "tcp" },
  );
  for (const retries of [1, 2]) {
    const reading = await tick();
    expect(statesOf(reading)).toEqual({ "listen ipv4": 1, "established ipv4": 1 });
    expect(observedOf(reading, "sockscope.agent.dump.sockets")).toEqual([2]);
    expect(observedOf(reading, "sockscope.agent.dump.retries")).toEqual([retries]);
    expect(valuesOf(reading.columns, "sockscope.listener.accept_queue.limit")).toEqual({ "0.0.0.0 80 tcp ipv4": 128 });
    expect(valuesOf(reading.columns, "sockscope.flow.count")).toEqual({ "80 tcp server": 1 });
  }
});

test("sockets of other protocols are counted by type and state, and unix listeners are listeners", async () => {
  const unix: SocketRow = { cookie: 10, protocol: "unix", type: 1, name: "/run/app.sock", drops: Number.NaN };
  const { tick, logged } = createTest(
    [
      [
        listener,
        { ...unix, state: TCP_LISTEN, rqueue: 2, wqueue: 5 },
        { ...unix, cookie: 11 },
        { cookie: 12, protocol: "mptcp", info: { bytes_acked: 1000 }, drops: Number.NaN },
        { cookie: 13, protocol: "packet", type: 3, state: 0, drops: 0 },
      ],
    ],
    ["sctp"],
    { config: { protocols: ["tcp", "unix", "mptcp", "packet", "sctp"] } },
  );
  const reading = await tick();
  expect(statesOf(reading)).toEqual({ "listen ipv4": 1 });
  const counted = Object.entries(valuesOf(reading.columns, "sockscope.socket.count")).filter(([, value]) => value > 0);
  expect(Object.fromEntries(counted)).toEqual({
    "listen unix stream": 1,
    "established unix stream": 1,
    "established mptcp": 1,
    "packet raw": 1,
  });
  expect(valuesOf(reading.columns, "sockscope.listener.accept_queue.usage")).toEqual({
    "0.0.0.0 80 tcp ipv4": 0,
    "/run/app.sock unix": 2,
  });
  expect(pointsOf(reading.columns).filter(({ metric }) => metric.startsWith("sockscope.flow."))).toEqual([]);
  expect(valuesOf(reading.columns, "sockscope.udp.drops")).toEqual({});
  expect(logged).toEqual(["warn there is no way to read sctp sockets here; the others are read"]);
});

test("TIME_WAIT sockets are counted by address family where they are dumped, and are no flows", async () => {
  const waiting: SocketRow = { cookie: 9, state: TCP_TIME_WAIT, family: 6, info: false };
  const { tick } = createTest([[server, waiting]], [], { config: { timeWait: "dump" } });
  const reading = await tick();
  expect(statesOf(reading)).toEqual({ "established ipv4": 1, "time_wait ipv6": 1 });
  expect(Object.values(valuesOf(reading.columns, "sockscope.flow.count"))).toEqual([1]);
});

const refuse = (): never => {
  throw new SourceError("EPERM");
};
const capabilityOf = ({ observations }: { readonly observations: readonly Observation[] }): number | undefined =>
  observations.find(
    ({ metric, attributes }) => metric === "sockscope.agent.capability" && Object.values(attributes).includes("events"),
  )?.value;

test.each([
  ["auto", "info"],
  ["on", "warn"],
] as const)(
  "destroy events that are not to be had are said once with events: %s, and flows are read",
  async (mode, level) => {
    const dumps = [
      [listener, server],
      [listener, server],
    ];
    const { tick, logged } = createTest(dumps, [], { config: { events: mode }, subscribe: refuse });
    await tick();
    const reading = await tick();
    expect(valuesOf(reading.columns, "sockscope.flow.count")).toEqual({ "80 tcp server": 1 });
    expect(capabilityOf(reading)).toBe(0);
    expect(logged).toEqual([
      `${level} destroy events are not to be had: EPERM; connections that live between two collections are not counted`,
    ]);
  },
);

test("nobody asks for events that are off, and nothing is said of them", async () => {
  const { tick, logged } = createTest([[server]], [], { config: { events: "off" }, subscribe: refuse });
  expect(capabilityOf(await tick())).toBeUndefined();
  expect(logged).toEqual([]);
});

test("events that fail later are said once, and what they had counted stays", async () => {
  let drained = 0;
  const subscribe = (): DestroyEvents => ({
    drain: () => {
      if (++drained > 2) throw new SourceError("ENODEV");
      return 0;
    },
    room: 300,
    lost: () => 4,
    close: () => undefined,
  });
  const { tick, logged } = createTest([[server], [server], [server]], [], { subscribe });
  const first = await tick();
  expect(capabilityOf(first)).toBe(1);
  const second = await tick();
  expect(capabilityOf(second)).toBe(0);
  expect(second.observations).toContainEqual({ metric: "sockscope.agent.events.lost", value: 4, attributes: {} });
  await tick();
  expect(logged).toEqual([
    "info destroy events are not to be had: ENODEV; connections that live between two collections are not counted",
  ]);
});

/** Sockets whose events are lost when `lose` is called; `dumps` are those that are made for it. */
const createLossy = (
  ticks: (readonly SocketRow[])[],
  dumps: (readonly SocketRow[] | Error)[],
  { owners, config = { groupBy: "host" } }: Options = {},
) => {
  let lost = 0;
  let clock = 0;
  let begun = 0;
  let aborted = 0;
  const subscribe = (): DestroyEvents => ({ drain: () => 0, room: 300, lost: () => lost, close: () => undefined });
  const readTcp: ReadSockets = async function* (signal, report) {
    begun++;
    const dump = dumps.shift() ?? [];
    if (dump instanceof Error) throw dump;
    report.skipped++;
    yield batchOf(dump.slice(0, 1));
    report.restart("tcp");
    yield batchOf(dump);
    if (dumps.length > 0) return;
    // The last one does not end by itself.
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    aborted++;
    signal.throwIfAborted();
  };
  const given = createTest(ticks, [], { subscribe, readTcp, owners, now: () => clock, config });
  return {
    ...given,
    lose: () => void lost++,
    pass: (ms: number) => void (clock += ms),
    begun: () => begun,
    aborted: () => aborted,
  };
};
const flow = (cookie: number, acked: number): SocketRow => ({
  ...server,
  cookie,
  info: { bytes_acked: acked, rtt: 500 },
});
const transmitted = ({ columns }: Reading): number[] =>
  pointsOf(columns)
    .filter(
      ({ metric, attributes }) => metric === "sockscope.flow.io" && Object.values(attributes).includes("transmit"),
    )
    .map(({ value }) => value);
const samplesOf = ({ columns }: Reading): number[] =>
  (columns.find(({ descriptor }) => descriptor.name === "sockscope.tcp.rtt")?.histograms ?? []).flatMap(
    ({ counts }) => [...counts],
  );

test("after a loss of events a dump brings flows up to date, and neither samples nor counts sockets", async () => {
  const { tick, lose, pass, begun, close, logged } = createLossy(
    [[listener, flow(2, 10)], [listener]],
    [[listener, flow(2, 70), flow(3, 5)], [listener, flow(2, 75)], []],
  );
  await tick();
  pass(5000);
  lose();
  await vi.waitFor(() => expect(begun()).toBe(1));
  // The next one is not made before its time.
  lose();
  await setTimeout(200);
  expect(begun()).toBe(1);
  pass(1000);
  lose();
  await vi.waitFor(() => expect(begun()).toBe(2), 3000);
  const reading = await tick();
  expect(transmitted(reading)).toEqual([65 + 5]);
  expect(valuesOf(reading.columns, "sockscope.flow.opened")).toEqual({ tcp: 1 });
  expect(valuesOf(reading.columns, "sockscope.flow.count")).toEqual({ tcp: 2 });
  expect(samplesOf(reading)).toEqual([1, 0]);
  expect(statesOf(reading)).toEqual({ "listen ipv4": 1 });
  expect(observedOf(reading, "sockscope.agent.dump.sockets")).toEqual([1]);
  expect(observedOf(reading, "sockscope.agent.rows.skipped")).toEqual([2]);
  close();
  expect(logged).toEqual([]);
});

test("a tick ends the dump that is under way, and no other is made for what its own has told", async () => {
  const { tick, lose, pass, begun, aborted, close } = createLossy([[flow(2, 10)], [flow(2, 30)]], [[flow(2, 20)]]);
  lose();
  await setTimeout(200);
  // Before the first tick there is nothing to bring up to date.
  expect(begun()).toBe(0);
  await tick();
  pass(5000);
  lose();
  await vi.waitFor(() => expect(begun()).toBe(1));
  lose();
  expect(transmitted(await tick())).toEqual([20]);
  expect(aborted()).toBe(1);
  pass(5000);
  await setTimeout(200);
  expect(begun()).toBe(1);
  close();
});

test("new flows wait in such a dump until their owners have been looked for", async () => {
  const asked = new Set<number>();
  const known = new Set<number>();
  const owners: OwnersPart = {
    wanted: { process: true, cgroup: false },
    process: (inode) => {
      asked.add(inode);
      return known.has(inode) ? { pid: 5, executable: "curl", argv: [], cgroup: undefined } : undefined;
    },
    cgroup: () => undefined,
    refresh: async () => {
      await setTimeout(1);
      for (const inode of asked) known.add(inode);
    },
    observations: () => [],
  };
  const options: Options = { owners, config: { groupBy: ["process.executable.name"] } };
  const { tick, lose, pass, begun, close } = createLossy([[], []], [[{ ...flow(2, 20), inode: 7 }], []], options);
  await tick();
  pass(5000);
  lose();
  await vi.waitFor(() => expect([begun(), known.has(7)]).toEqual([1, true]));
  await setTimeout(20);
  const reading = await tick();
  expect(valuesOf(reading.columns, "sockscope.flow.opened")).toEqual({ curl: 1 });
  expect(transmitted(reading)).toEqual([20]);
  close();
});

test("a dump after a loss that fails is the next tick's to say", async () => {
  const { tick, lose, pass, begun, close, logged } = createLossy(
    [[flow(2, 10)], [flow(2, 30)]],
    [new SourceError("EPERM"), []],
  );
  await tick();
  pass(5000);
  lose();
  await vi.waitFor(() => expect(begun()).toBe(1));
  const reading = await tick();
  expect(transmitted(reading)).toEqual([20]);
  expect(observedOf(reading, "sockscope.agent.source.errors")).toEqual([0]);
  close();
  expect(logged).toEqual([]);
});

test("flows have the metrics that are switched on, and no others", async () => {
  const info = { bytes_acked: 9, rtt: 100, rto: 200_000, busy_time: 1_500_000, rwnd_limited: 250_000, received_ce: 3 };
  const metrics = ["stall", "rto", "ecn"] as const;
  const { tick } = createTest([[], [{ ...server, info }]], [], { config: { metrics, rankBy: "flows" } });
  await tick();
  const { columns } = await tick();
  const own = pointsOf(columns).filter(({ metric }) => metric.startsWith("sockscope.flow."));
  expect(own.map(({ metric, attributes, value }) => [metric, attributes["sockscope.stall.reason"], value])).toEqual(
    expect.arrayContaining([
      ["sockscope.flow.busy.time", undefined, 1.5],
      ["sockscope.flow.stall.time", "receiver_window", 0.25],
      ["sockscope.flow.stall.time", "send_buffer", 0],
      ["sockscope.flow.rto", undefined, 0.2],
      ["sockscope.flow.ecn.segments", undefined, 3],
    ]),
  );
  expect(own.some(({ metric }) => metric === "sockscope.flow.io" || metric === "sockscope.flow.rtt")).toBe(false);
});
