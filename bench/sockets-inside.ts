// Runs in a network namespace of its own, started by sockets.bench.ts: the part that measures.
import { execFileSync } from "node:child_process";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import { createSocketsPart } from "../src/collect/sockets.ts";
import { loadLibc } from "../src/kernel/libc.ts";
import { createSockDiag } from "../src/kernel/netlink-socket.ts";
import type { Grouping } from "../src/model/config.ts";

const [peer = "", sockets = "20000", rounds = "7"] = process.argv.slice(2);
const dumps = 10;

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

const createPipeline = (groupBy: Grouping) => {
  const diag = createSockDiag(loadLibc(), ["tcp", "udp"]);
  const part = createSocketsPart({
    config: {
      protocols: ["tcp", "udp"],
      groupBy,
      maxGroups: 100_000,
      seriesTtl: 10,
      rttBounds: [0.0001, 0.001, 0.01, 0.1],
    },
    read: diag.read,
    ephemeral: [32768, 60999],
    now: () => performance.now(),
    log: (_level, message) => process.stderr.write(`${message}\n`),
  });
  return () => part.collect(Date.now(), AbortSignal.timeout(30_000));
};

/** CPU of one collection in us, all threads, and the longest time in ms that the event loop did not turn. */
const measure = async (collect: () => Promise<unknown>): Promise<{ cpu: number; delay: number }> => {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const start = process.cpuUsage();
  for (let count = 0; count < dumps; count++) await collect();
  const { user, system } = process.cpuUsage(start);
  // The histogram samples on a timer: let it take the last slice's sample.
  await setTimeout(5);
  delay.disable();
  return { cpu: (user + system) / dumps, delay: delay.max / 1e6 - 1 };
};

const report: Record<string, { cpu: number[]; delay: number[] }> = {};
const peerCpu: number[] = [];
let walked = 0;
const pipelines = { endpoint: createPipeline("endpoint"), socket: createPipeline("socket") };
for (const [name, collect] of Object.entries(pipelines)) {
  report[name] = { cpu: [], delay: [] };
  for (let count = 0; count < 30; count++) await collect();
}
for (let round = 0; round < Number(rounds); round++) {
  const [cpu = "", found = ""] = execFileSync(peer, ["dump", String(dumps)], { encoding: "utf8" })
    .trim()
    .split(" ");
  peerCpu.push(Number(cpu));
  walked = Number(found);
  for (const [name, collect] of Object.entries(pipelines)) {
    const { cpu: ours, delay } = await measure(collect);
    report[name]?.cpu.push(ours);
    report[name]?.delay.push(delay);
  }
}
const result = {
  sockets: Number(sockets),
  walked,
  peer: median(peerCpu),
  ours: Object.fromEntries(
    Object.entries(report).map(([name, { cpu, delay }]) => [
      name,
      {
        cpu: median(cpu),
        ratio: median(cpu.map((value, round) => value / (peerCpu[round] as number))),
        delay: median(delay),
        quietDelay: Math.min(...delay),
        worstDelay: Math.max(...delay),
      },
    ]),
  ),
};
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(0);
