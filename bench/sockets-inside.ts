// Runs in a network namespace of its own, started by sockets.bench.ts: the part that measures.
import { execFileSync } from "node:child_process";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { setImmediate, setTimeout } from "node:timers/promises";
import { createSocketsPart } from "../src/collect/sockets.ts";
import { defaults } from "../src/config/defaults.ts";
import { loadLibc } from "../src/kernel/libc.ts";
import { createSockDiag } from "../src/kernel/netlink-socket.ts";
import { flowFields } from "../src/fold/flow-columns.ts";
import { dumpsOf } from "../src/netlink/dumps.ts";
import { planTcpInfo } from "../src/netlink/tcp-info.ts";
import type { Grouping } from "../src/model/config.ts";

const [peer = "", groupBy = "endpoint"] = process.argv.slice(2);
const rounds = 9;
const dumps = 10;

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const options = { plan: planTcpInfo(flowFields), congestion: false, program: undefined };
const part = createSocketsPart({
  config: {
    ...defaults.sockets,
    groupBy: groupBy as Grouping,
    maxGroups: 100_000,
    rttBounds: [0.0001, 0.001, 0.01, 0.1],
  },
  read: createSockDiag(loadLibc(), dumpsOf(["tcp", "udp"], options)).read,
  ephemeral: [32768, 60999],
  now: () => performance.now(),
  log: (_level, message) => process.stderr.write(`${message}\n`),
});
const collect = (): Promise<unknown> => part.collect(Date.now(), AbortSignal.timeout(30_000));

/** CPU of one collection in us, all threads, and the longest time in ms that the event loop did not turn. */
const measure = async (once: () => Promise<unknown>): Promise<{ cpu: number; delay: number }> => {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const start = process.cpuUsage();
  for (let count = 0; count < dumps; count++) await once();
  const { user, system } = process.cpuUsage(start);
  // The histogram samples on a timer: let it take the last slice's sample.
  await setTimeout(5);
  delay.disable();
  return { cpu: (user + system) / dumps, delay: delay.max / 1e6 - 1 };
};

/** As long as a collection, in slices of half a millisecond: the delay that it shows is the machine's, not ours. */
const idle = async (): Promise<void> => {
  for (let slice = 0; slice < 60; slice++) {
    const until = performance.now() + 0.5;
    while (performance.now() < until);
    await setImmediate();
  }
};

const ours: { cpu: number; delay: number }[] = [];
const loop: number[] = [];
const peerCpu: number[] = [];
let walked = 0;
for (let count = 0; count < 30; count++) await collect();
for (let round = 0; round < rounds; round++) {
  const [cpu, found] = execFileSync(peer, ["dump", String(dumps)], { encoding: "utf8" })
    .trim()
    .split(" ")
    .map(Number);
  peerCpu.push(cpu as number);
  walked = found as number;
  ours.push(await measure(collect));
  loop.push((await measure(idle)).delay);
}
const delays = ours.map(({ delay }) => delay);
const result = {
  walked,
  peer: median(peerCpu),
  cpu: median(ours.map(({ cpu }) => cpu)),
  ratio: median(ours.map(({ cpu }, round) => cpu / (peerCpu[round] as number))),
  delay: { quietest: Math.min(...delays), median: median(delays), worst: Math.max(...delays), idle: Math.min(...loop) },
};
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(0);
