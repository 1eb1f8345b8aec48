// Runs in a namespace with sockets: a tick of the agent with one series a socket and metric, from the kernel to a
// receiver on loopback, and `ss -tinO`, which prints the same sockets, alternate.
//   headline.ts PEER SOCKETS
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createTelemetry } from "../../../src/export/otel.ts";
import { createOtlpDestination } from "../../../src/export/otlp-transport.ts";
import { keepHeapSmall } from "../../../src/heap.ts";
import type { Log } from "../../../src/model/log.ts";
import { median } from "../../bars.ts";
import { costOf, cpuOf, createPipeline, requestsOf, result } from "../../sockets/inside/pipeline.ts";
import { destinationOf, resource } from "../load.ts";

const [peer = "", sockets = "0"] = process.argv.slice(2);
const rounds = 7;

keepHeapSmall();
const log: Log = (_level, message) => void process.stderr.write(`${message}\n`);
const sink = spawn(process.execPath, [new URL("sink.ts", import.meta.url).pathname], {
  stdio: ["pipe", "pipe", "inherit"],
});
const [said] = (await once(sink.stdout, "data")) as [Buffer];
const destination = createOtlpDestination(destinationOf(said.toString().trim(), "none"), { log, userAgent: "bench" });
const { collect } = createPipeline("socket", requestsOf(["tcp", "udp"]));
let points = 0;
const telemetry = createTelemetry({
  resource,
  version: "0.1.0",
  intervalMs: 3_600_000,
  timeoutMs: 60_000,
  collect: async () => {
    const { columns, sockets: count } = await collect();
    if (count < Number(sockets)) throw new Error(`${count} of ${sockets} sockets were read`);
    points = columns.flatMap(({ numbers }) => numbers).reduce((sum, { sets }) => sum + sets.length, 0);
    return { time: Date.now(), columns, observations: [] };
  },
  consume: (snapshot) => destination.export(snapshot),
  log,
});
const tick = async (): Promise<void> => {
  await telemetry.collectNow();
  await destination.flush(AbortSignal.timeout(60_000));
};
for (let count = 0; count < 5; count++) await tick();
const ours: number[] = [];
const ss: number[] = [];
for (let round = 0; round < rounds; round++) {
  ours.push(await cpuOf(3, tick));
  ss.push(costOf(peer, 1, "ss", "-tinO").cpu);
}
sink.stdin.end();
result({ points, ours: median(ours), ss: median(ss) });
