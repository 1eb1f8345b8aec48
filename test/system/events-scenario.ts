// Run by events.test.ts in a network namespace of its own: connections whose bytes are known, most of which no dump
// ever shows, as parts with and without destroy events count them.
import { allSockets } from "../kit/all-sockets.ts";
import { once } from "node:events";
import { basename } from "node:path";
import { connect, createServer, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import { createOwners, type OwnersPart } from "../../src/collect/owners.ts";
import { createSocketsPart } from "../../src/collect/sockets.ts";
import { defaults } from "../../src/config/defaults.ts";
import { flowFields } from "../../src/fold/flow-columns.ts";
import { createCgroups } from "../../src/kernel/cgroups.ts";
import { subscribeDestroyEvents } from "../../src/kernel/destroy-events.ts";
import { loadLibc } from "../../src/kernel/libc.ts";
import { createProcesses } from "../../src/kernel/processes.ts";
import { createSockDiag } from "../../src/kernel/netlink-socket.ts";
import type { SocketsConfig } from "../../src/model/config.ts";
import { dumpsOf } from "../../src/netlink/dumps.ts";
import { createInetDecoder } from "../../src/netlink/inet-diag.ts";
import { planTcpInfo } from "../../src/netlink/tcp-info.ts";
import { createSelector } from "../../src/select/select.ts";
import { closedPort } from "../kit/loopback.ts";
import { connectRaw } from "../kit/raw-connection.ts";
import { createReceiver, direction } from "../kit/receiver.ts";

const libc = loadLibc();
const plan = planTcpInfo(flowFields(defaults.sockets.metrics));
const options = { plan, congestion: false, program: undefined, timeWait: false };
const logged: string[] = [];
type WatchOptions = { readonly bufferBytes?: number; readonly resync?: false; readonly owners?: OwnersPart };

const log = (level: string, message: string): void => void logged.push(`${level} ${message}`);

/** Owners by process, as a selection by command needs them. */
const ownersByProcess = (): OwnersPart =>
  createOwners({
    cgroups: createCgroups({ root: "/sys/fs/cgroup", log }),
    // What it says of other users' processes depends on the machine.
    processes: createProcesses({ proc: "/proc", log: () => undefined }),
    wanted: { process: true, cgroup: false },
  });

const createWatch = (config: Partial<SocketsConfig>, { bufferBytes, resync, owners }: WatchOptions = {}) => {
  const part = createSocketsPart({
    ...allSockets,
    selector: createSelector(config.select ?? defaults.sockets.select),
    config: { ...defaults.sockets, protocols: ["tcp"], seriesTtl: 1, ...config },
    read: createSockDiag(libc, dumpsOf(["tcp"], options)).read,
    readTcp: resync === false ? undefined : createSockDiag(libc, dumpsOf(["tcp"], options)).read,
    subscribe: () =>
      subscribeDestroyEvents(
        libc,
        createInetDecoder("tcp", plan, true),
        bufferBytes === undefined ? {} : { bufferBytes },
      ),
    owners,
    ephemeral: [32_768, 60_999],
    now: () => performance.now(),
    log,
  });
  const receiver = createReceiver();
  let observed: Record<string, number> = {};
  return {
    tick: async (): Promise<void> => {
      const { columns, observations } = await part.collect(Date.now(), AbortSignal.timeout(10_000));
      receiver.receive(columns);
      observed = Object.fromEntries(
        observations.map(({ metric, attributes, value }) => [[metric, ...Object.values(attributes)].join(" "), value]),
      );
    },
    counted: () => ({
      transmit: receiver.sum("sockscope.flow.io", direction("transmit")),
      receive: receiver.sum("sockscope.flow.io", direction("receive")),
      opened: receiver.sum("sockscope.flow.opened"),
      closed: receiver.sum("sockscope.flow.closed"),
      count: receiver.now("sockscope.flow.count"),
      most: receiver.most(),
      events: Object.fromEntries(
        ["merged", "counted", "erased", "undecided", "ignored"].map((outcome) => [
          outcome,
          observed[`sockscope.agent.events ${outcome}`],
        ]),
      ),
      lost: observed["sockscope.agent.events.lost"],
      capability: observed["sockscope.agent.capability events"],
    }),
  };
};

/** In a namespace of its own every port is free. */
const firstPort = { from: 8080, to: 8080 };

const watches = {
  endpoint: createWatch({ groupBy: "endpoint" }),
  socket: createWatch({ groupBy: "socket" }),
  process: createWatch({ groupBy: "process" }),
  container: createWatch({ groupBy: "container" }),
  host: createWatch({ groupBy: "host" }),
  list: createWatch({ groupBy: ["network.local.port", "network.peer.port"] }),
  /** Room for two groups of dozens. */
  tight: createWatch({ groupBy: ["network.local.port", "network.peer.port"], maxGroups: 2 }),
  dumpsOnly: createWatch({ groupBy: "host", events: "off" }),
  /** Room for a few events only. */
  deaf: createWatch({ groupBy: "host" }, { bufferBytes: 1 }),
  deafBySocket: createWatch({ groupBy: "socket" }, { bufferBytes: 1 }),
  deafest: createWatch({ groupBy: "host" }, { bufferBytes: 1, resync: false }),
  /** Whose sockets are this process's: an event tells that of no client. */
  selected: createWatch(
    { groupBy: "host", select: { include: [{ cmds: [basename(process.execPath)], side: "any" }], exclude: [] } },
    { owners: ownersByProcess() },
  ),
  /** Those of the first server alone, at both ends. */
  ports: createWatch({ groupBy: "host", select: { include: [{ ports: [firstPort], side: "any" }], exclude: [] } }),
};
const tickAll = async (): Promise<void> => {
  for (const watch of Object.values(watches)) await watch.tick();
};

/** A server that answers each connection with `answer` bytes and closes after the client. */
const serve = async (host: string, answer: number, port = 0) => {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    socket.on("data", () => undefined).on("end", () => socket.end());
    if (answer > 0) socket.write(Buffer.alloc(answer));
  });
  server.listen(port, host, 1024);
  await once(server, "listening");
  const address = server.address();
  return { port: address !== null && typeof address === "object" ? address.port : 0, server, sockets };
};

/** A connection that sends `bytes`, has `answer` bytes back, and is closed by the client. */
const exchange = async (host: string, port: number, bytes: number, answer: number): Promise<void> => {
  const socket = connect(port, host);
  let received = 0;
  const answered = new Promise<void>((resolve) => {
    socket.on("data", (chunk) => {
      received += chunk.length;
      if (received >= answer) resolve();
    });
  });
  await once(socket, "connect");
  socket.write(Buffer.alloc(bytes));
  await answered;
  socket.end();
  await once(socket, "close");
};

const settle = (): Promise<void> => setTimeout(150);

await tickAll();
const servers = await Promise.all([serve("127.0.0.1", 40, firstPort.from), serve("127.0.0.1", 50), serve("::", 60)]);
const silent = await serve("127.0.0.1", 0);
await tickAll();
const countAll = () => Object.fromEntries(Object.entries(watches).map(([name, watch]) => [name, watch.counted()]));
const before = countAll();

// 300 short connections, of which 100 come by IPv4 to a dual-stack listener: no dump shows any of them.
for (let round = 0; round < 10; round++) {
  await Promise.all(
    servers.flatMap(({ port }, index) =>
      Array.from({ length: 10 }, () => exchange("127.0.0.1", port, 100 + index, 40 + 10 * index)),
    ),
  );
}
await settle();
await tickAll();
const short = countAll();

// 5 connections that a dump has shown are reset after they have sent more: what they sent last is erased.
const resets = Array.from({ length: 5 }, () => connectRaw(silent.port));
for (const connection of resets) connection.send(1000);
await settle();
await tickAll();
for (const connection of resets) connection.send(100);
for (const connection of resets) connection.reset();
await settle();
await tickAll();
const reset = countAll();

// 7 connections that nobody takes.
const closed = await closedPort();
for (let count = 0; count < 7; count++) {
  try {
    connectRaw(closed);
  } catch {
    // Refused.
  }
}
await settle();
await tickAll();
const refused = countAll();

// One socket connected twice: its counters start anew under the same cookie.
const twice = connectRaw(silent.port);
twice.send(500);
await settle();
await tickAll();
twice.disconnect();
await settle();
twice.connectTo(servers[1].port);
twice.send(30);
await settle();
await tickAll();
twice.close();
await settle();
await tickAll();
const reconnected = countAll();

// More events than the deaf watch has room for: its loop stands still meanwhile, since this one does.
const many = Array.from({ length: 400 }, () => connectRaw(silent.port));
await settle();
await tickAll();
for (const connection of many) connection.send(10);
await settle();
await tickAll();
for (const connection of many) connection.close();
await settle();
for (let tick = 0; tick < 4; tick++) await tickAll();
const overflown = countAll();

// Connections that have sent since the last tick are there when events are lost, and gone by the next tick: their own
// events are lost, too, since others come first.
const kept = Array.from({ length: 20 }, () => connectRaw(silent.port));
const filling = Array.from({ length: 60 }, () => connectRaw(silent.port));
await settle();
await tickAll();
const loud = countAll();
const late = Array.from({ length: 5 }, () => connectRaw(silent.port));
for (const connection of [...kept, ...late]) connection.send(1000);
await settle();
for (const connection of filling.splice(0, 30)) connection.close();
await setTimeout(2000);
for (const connection of [...filling, ...kept, ...late]) connection.close();
await settle();
for (let tick = 0; tick < 4; tick++) await tickAll();
const resynced = countAll();

process.stdout.write(
  JSON.stringify({ before, short, reset, refused, reconnected, overflown, loud, resynced, logged }),
  () => process.exit(0),
);
