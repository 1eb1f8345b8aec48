import { expect, test } from "vitest";
import { createSocketsPart } from "../../src/collect/sockets.ts";
import { defaults } from "../../src/config/defaults.ts";
import { SourceError } from "../../src/model/errors.ts";
import type { SocketProtocol } from "../../src/model/socket.ts";
import type { ReadSockets } from "../../src/model/sources.ts";
import { TCP_CLOSE, TCP_FIN_WAIT2, TCP_LISTEN, TCP_SYN_RECV, TCP_SYN_SENT } from "../../src/netlink/constants.ts";
import { endedOf, pointsOf, valuesOf } from "../kit/points.ts";
import { batchOf, type SocketRow } from "../kit/sockets.ts";

const createTest = (dumps: (readonly SocketRow[] | Error)[], lacking: readonly SocketProtocol[] = []) => {
  const logged: string[] = [];
  const read: ReadSockets = async function* (_signal, report) {
    const dump = dumps.shift() ?? [];
    for (const protocol of lacking) report.lacking.add(protocol);
    if (dump instanceof Error) throw dump;
    // Two batches, as a real dump comes in several.
    yield batchOf(dump.slice(0, 1));
    yield batchOf(dump.slice(1));
  };
  const part = createSocketsPart({
    config: { ...defaults.sockets, maxGroups: 10, seriesTtl: 3, rttBounds: [0.001] },
    read,
    ephemeral: [32_768, 60_999],
    now: () => 0,
    log: (level, message) => logged.push(`${level} ${message}`),
  });
  let time = 0;
  const tick = async () => part.collect((time += 1000), AbortSignal.timeout(1000));
  return { tick, logged };
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

test("a protocol that the kernel lacks is said once", async () => {
  const { tick, logged } = createTest([], ["udp"]);
  await tick();
  await tick();
  expect(logged).toEqual(["warn this kernel gives no udp sockets by sock_diag; the others are read"]);
});

test("a fault of the agent itself is not taken for one of the source", async () => {
  const { tick } = createTest([new TypeError("bug")]);
  await expect(tick()).rejects.toThrow("bug");
});
