// Schedules UP targets that answer and HOLES that never do, each once a second, for SECONDS; latency and lag of those
// that answer, in us.
//   holes.ts PORT UP HOLES SECONDS
import { setTimeout } from "node:timers/promises";
import { loadLibc } from "../../../src/kernel/libc.ts";
import { createProbeSockets } from "../../../src/kernel/probe-sockets.ts";
import { createResolver } from "../../../src/kernel/resolver.ts";
import { runProbe } from "../../../src/probe/index.ts";
import { createSchedule } from "../../../src/probe/schedule.ts";
import { type Beside, holeTarget, quantile, tcpTarget } from "../targets.ts";

const [port, up, holes, seconds] = process.argv.slice(2).map(Number) as [number, number, number, number];
const now = (): number => performance.now();
const libc = loadLibc();
const sockets = createProbeSockets({ libc, now });
const resolver = createResolver({ libc });
const deps = { resolve: resolver.resolve, sockets, now };

const latencies: number[] = [];
const lags: number[] = [];
const holeOutcomes = new Set<string>();
let counts = false;
const schedule = createSchedule({
  concurrency: 512,
  now,
  run: (target, signal) => runProbe(target, deps, signal),
  onResult: (target, outcome, lag) => {
    if (!counts) return;
    if (target.name.startsWith("hole")) {
      holeOutcomes.add("error" in outcome ? outcome.error : outcome.kind);
      return;
    }
    if (outcome.kind !== "up") throw new Error(`${target.name} ended with ${JSON.stringify(outcome)}`);
    latencies.push(outcome.seconds * 1e6);
    lags.push(lag * 1e6);
  },
});
schedule.update([
  ...Array.from({ length: up }, (_, index) => tcpTarget(index, port, 1000)),
  ...Array.from({ length: holes }, (_, index) => holeTarget(index, port, 1000)),
]);
await setTimeout(3000);
counts = true;
await setTimeout(seconds * 1000);
counts = false;
const result: Beside = {
  runs: latencies.length,
  latency: [quantile(latencies, 0.5), quantile(latencies, 0.99)],
  lag: [quantile(lags, 0.5), quantile(lags, 0.99)],
  holes: [...holeOutcomes],
};
process.stdout.write(JSON.stringify(result));
process.exit();
