// Runs in the namespace of scale.ts: the C program's dump, ours, `ss`, an idle event loop, and both dumps
// with empty caches alternate.
//   scale.ts PEER GROUP_BY SOCKETS
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { setImmediate, setTimeout } from "node:timers/promises";
import type { Grouping } from "../../../src/model/config.ts";
import { median } from "../../bars.ts";
import { costOf, cpuOf, createCold, createPipeline, dumpByC, requestsOf, result } from "./pipeline.ts";

const [peer = "", groupBy = "endpoint", sockets = "0"] = process.argv.slice(2);
const rounds = 9;
/** As many as walk 250,000 sockets, but for the smallest tables. */
const dumps = Math.min(100, Math.ceil(250_000 / Number(sockets)));
const warmUp = Math.max(20, dumps);

const requests = requestsOf(["tcp", "udp"]);
const caches = createCold();
const { collect } = createPipeline(groupBy as Grouping, requests);

/** CPU of one collection in us, and the longest time in ms that the event loop did not turn. */
const measure = async (count: number, once: () => Promise<unknown>): Promise<{ cpu: number; delay: number }> => {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const cpu = await cpuOf(count, once);
  // The histogram samples on a timer: let it take the last slice's sample.
  await setTimeout(5);
  delay.disable();
  return { cpu, delay: delay.max / 1e6 - 1 };
};

/** Slices of half a millisecond: the delay that they show is the machine's, not ours. */
const idleFor = async (ms: number): Promise<void> => {
  const end = performance.now() + ms;
  while (performance.now() < end) {
    const until = performance.now() + 0.5;
    while (performance.now() < until);
    await setImmediate();
  }
};

const ours: { cpu: number; delay: number }[] = [];
const idle: number[] = [];
const c: number[] = [];
const cold: number[] = [];
const coldC: number[] = [];
const ss: number[] = [];
for (let count = 0; count < warmUp; count++) await collect();
for (let round = 0; round < rounds; round++) {
  const byC = dumpByC(peer, dumps, requests);
  c.push(byC.cpu);
  const begin = performance.now();
  ours.push(await measure(dumps, collect));
  const lasted = performance.now() - begin;
  ss.push(costOf(peer, 1, "ss", "-tinO").cpu);
  idle.push((await measure(1, () => idleFor(lasted))).delay);
  coldC.push(dumpByC(peer, 1, requests, caches.bytes).cpu);
  caches.empty();
  cold.push(await cpuOf(1, collect));
  const mine = await collect();
  if (mine.sockets !== byC.sockets) throw new Error(`the C program saw ${byC.sockets} sockets, ours ${mine.sockets}`);
  if (mine.sockets < Number(sockets)) throw new Error(`${mine.sockets} sockets instead of ${sockets}`);
}
const cpu = ours.map((round) => round.cpu);
const delays = ours.map((round) => round.delay);
result({
  cpu: median(cpu),
  c: median(c),
  ss: median(ss),
  cold: median(cold),
  coldC: median(coldC),
  ratioToC: median(cpu.map((value, round) => value / (c[round] as number))),
  ratioOfSs: median(cpu.map((value, round) => (ss[round] as number) / value)),
  delay: { quietest: Math.min(...delays), median: median(delays), worst: Math.max(...delays), idle: Math.min(...idle) },
});
