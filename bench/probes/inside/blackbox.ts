// Asks blackbox_exporter for CONCURRENCY probes at a time, ROUNDS times; how long each says that it took beyond RTT us,
// and its own CPU a probe.
//   blackbox.ts PORT CONCURRENCY ROUNDS RTT PID
import { readFileSync } from "node:fs";
import { Agent, get } from "node:http";
import { type Accuracy, addressOf, cpuOfProcess, quantile } from "../targets.ts";

const [port, concurrency, rounds, rtt, pid] = process.argv.slice(2).map(Number) as [
  number,
  number,
  number,
  number,
  number,
];
const agent = new Agent({ keepAlive: true, maxSockets: concurrency });

const ask = (index: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const target = `${addressOf(index)}:${port}`;
    get(`http://127.0.0.1:9115/probe?module=tcp&target=${target}`, { agent }, (response) => {
      response
        .setEncoding("utf8")
        .toArray()
        .then((parts) => resolve(parts.join("")), reject);
    }).on("error", reject);
  });

const durations: number[] = [];
const probeAll = async (): Promise<void> => {
  for (const page of await Promise.all(Array.from({ length: concurrency }, (_, index) => ask(index)))) {
    if (!/^probe_success 1$/m.test(page)) throw new Error(`a probe ended with\n${page}`);
    durations.push(Number(/^probe_duration_seconds (.*)$/m.exec(page)?.[1]) * 1e6);
  }
};

for (let round = 0; round < Math.ceil(2000 / concurrency); round++) await probeAll();
durations.length = 0;
const stat = (): number => cpuOfProcess(readFileSync(`/proc/${pid}/stat`, "utf8"));
const before = stat();
for (let round = 0; round < rounds; round++) await probeAll();
const result: Accuracy = {
  p50: quantile(durations, 0.5) - rtt,
  p99: quantile(durations, 0.99) - rtt,
  rtt,
  cpu: (stat() - before) / durations.length,
};
process.stdout.write(JSON.stringify(result));
process.exit();
