// Run by sockets.test.ts in a network namespace of its own: known sockets, as sockscope and as ss see them.
import { allSockets } from "../kit/all-sockets.ts";
import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { performance } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import { createSocketsPart } from "../../src/collect/sockets.ts";
import { defaults } from "../../src/config/defaults.ts";
import { loadLibc } from "../../src/kernel/libc.ts";
import { createSockDiag } from "../../src/kernel/netlink-socket.ts";
import { flowFields } from "../../src/fold/flow-columns.ts";
import { dumpsOf } from "../../src/netlink/dumps.ts";
import { planTcpInfo } from "../../src/netlink/tcp-info.ts";
import { openFlow, startEcho } from "../kit/loopback.ts";
import { endedOf, pointsOf } from "../kit/points.ts";
import { bindUdpRaw, listenRaw } from "../kit/raw-socket.ts";

const ss = (...args: readonly string[]): string => execFileSync("ss", args, { encoding: "utf8" });

const options = {
  plan: planTcpInfo(flowFields(defaults.sockets.metrics)),
  congestion: false,
  program: undefined,
  timeWait: false,
};

const createPart = (groupBy: "socket" | "endpoint" | "host") => {
  const part = createSocketsPart({
    ...allSockets,
    config: { ...defaults.sockets, groupBy, maxGroups: 1000, seriesTtl: 1, rttBounds: [0.001, 1] },
    read: createSockDiag(loadLibc(), dumpsOf(["tcp", "udp"], options)).read,
    subscribe: undefined,
    readTcp: undefined,
    owners: undefined,
    ephemeral: [32_768, 60_999],
    now: () => performance.now(),
    log: (level, message) => process.stderr.write(`${level} ${message}\n`),
  });
  return async () => {
    const { columns, observations } = await part.collect(Date.now(), AbortSignal.timeout(5000));
    return { points: pointsOf(columns), ended: endedOf(columns), observations };
  };
};

const ticks = { socket: createPart("socket"), host: createPart("host") };
await ticks.host();
await using echo = await startEcho();
const flows = await Promise.all([1, 2, 3, 4, 5].map((index) => openFlow(echo.port, index * 1000)));

// A listener that accepts nothing: with backlog 0 one connection waits, and further SYNs are dropped.
using full = listenRaw([127, 0, 0, 1]);
const waiting = connect(full.port, "127.0.0.1").on("error", () => undefined);
await once(waiting, "connect");
const dropped = [1, 2].map(() => connect(full.port, "127.0.0.1").on("error", () => undefined));
await setTimeout(300);

using silent = bindUdpRaw();
const before = await ticks.socket();
const sender = createSocket("udp4");
await Promise.all(
  Array.from(
    { length: 500 },
    () => new Promise<void>((resolve) => sender.send(Buffer.alloc(1000), silent.port, "127.0.0.1", () => resolve())),
  ),
);

const after = { socket: await ticks.socket(), host: await ticks.host() };
const seen = {
  info: ss("-tinO", "state", "established"),
  states: ss("-tan"),
  listeners: ss("-tlnm"),
  udp: ss("-uanm"),
};
for (const flow of flows) await flow.close();
await setTimeout(100);
const gone: unknown[] = [];
for (let tick = 0; tick < 3; tick++)
  gone.push((await ticks.host()).points.filter(({ metric }) => metric === "sockscope.flow.closed"));

process.stdout.write(
  JSON.stringify({
    echo: echo.port,
    full: full.port,
    udp: silent.port,
    locals: flows.map(({ localPort }) => localPort),
    before,
    after,
    seen,
    gone,
  }),
);
for (const socket of [waiting, ...dropped]) socket.destroy();
sender.close();
process.exit(0);
