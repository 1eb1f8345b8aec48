// Probes CONCURRENCY targets at a time, ROUNDS times; what the connect phase has beyond the kernel's own RTT of the same
// connection, in us, and CPU a probe.
//   accuracy.ts PORT CONCURRENCY ROUNDS
import { loadLibc } from "../../../src/kernel/libc.ts";
import { createProbeSockets } from "../../../src/kernel/probe-sockets.ts";
import { createResolver } from "../../../src/kernel/resolver.ts";
import { runProbe } from "../../../src/probe/index.ts";
import { type Accuracy, quantile, tcpTarget } from "../targets.ts";

const [port, concurrency, rounds] = process.argv.slice(2).map(Number) as [number, number, number];
const now = (): number => performance.now();
const libc = loadLibc();
const sockets = createProbeSockets({ libc, now });
const resolver = createResolver({ libc });
const deps = { resolve: resolver.resolve, sockets, now };
const signal = new AbortController().signal;
const targets = Array.from({ length: concurrency }, (_, index) => tcpTarget(index, port, 10_000));

const errors: number[] = [];
const rtts: number[] = [];
const probeAll = async (): Promise<void> => {
  for (const outcome of await Promise.all(targets.map((target) => runProbe(target, deps, signal)))) {
    const { connect } = outcome.phases;
    const { tcpRtt } = outcome.facts;
    if (outcome.kind !== "up" || connect === undefined || tcpRtt === undefined)
      throw new Error(`a probe ended with ${JSON.stringify(outcome)}`);
    errors.push((connect - tcpRtt) * 1e6);
    rtts.push(tcpRtt * 1e6);
  }
};

// A first round starts the thread, and the next ones let V8 compile what all later ones run.
for (let round = 0; round < Math.ceil(2000 / concurrency); round++) await probeAll();
errors.length = 0;
rtts.length = 0;
const before = process.cpuUsage();
for (let round = 0; round < rounds; round++) await probeAll();
const { user, system } = process.cpuUsage(before);
const result: Accuracy = {
  p50: quantile(errors, 0.5),
  p99: quantile(errors, 0.99),
  rtt: quantile(rtts, 0.5),
  cpu: (user + system) / errors.length,
};
process.stdout.write(JSON.stringify(result));
process.exit();
