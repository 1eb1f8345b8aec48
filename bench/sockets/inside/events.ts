// Runs in the namespace of events.ts: connections at full speed, first while events alone are read, then while dumps run.
//   events.ts PEER CONNECTIONS BYTES
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout } from "node:timers/promises";
import { createReceiver, direction } from "../../../test/kit/receiver.ts";
import { createPipeline, requestsOf, result } from "./pipeline.ts";

const [peer = "", connections = "0", bytes = "0"] = process.argv.slice(2);
const count = Number(connections);
/** Ticks while the connections come and go, ms apart. */
const tickMs = 200;

const { collect, close } = createPipeline("host", requestsOf(["tcp"]), { events: "on" });
const receiver = createReceiver();
let outcomes: Record<string, number> = {};
const tick = async (): Promise<void> => {
  const { columns, observations } = await collect();
  receiver.receive(columns);
  outcomes = Object.fromEntries(
    observations
      .filter(({ metric }) => metric.startsWith("sockscope.agent.events"))
      .map(({ metric, attributes, value }) => [Object.values(attributes)[0] ?? metric, value]),
  );
};

/** Starts the C program that hears of the same events; what it counted until it is told to stop. */
const listen = async () => {
  const child = spawn(peer, ["destroyed"], { stdio: ["pipe", "pipe", "inherit"] });
  await once(child.stdout, "readable");
  return async (): Promise<{ transmit: number; receive: number; opened: number }> => {
    const said = child.stdout.setEncoding("utf8").toArray();
    child.stdin.end();
    const [, sums = ""] = (await said).join("").split("\n");
    const [transmit = 0, receive = 0, opened = 0] = sums.split(" ").map(Number);
    return { transmit, receive, opened };
  };
};

const churn = async (): Promise<void> => {
  const child = spawn(peer, ["churn", connections, bytes], { stdio: ["ignore", "ignore", "inherit"] });
  const [code] = (await once(child, "close")) as [number];
  if (code !== 0) throw new Error(`the connections ended with ${code}`);
};

const totals = () => ({
  transmit: receiver.sum("sockscope.flow.io", direction("transmit")),
  receive: receiver.sum("sockscope.flow.io", direction("receive")),
  opened: receiver.sum("sockscope.flow.opened"),
});

const tickUntil = async (over: AbortSignal): Promise<number> => {
  let ticks = 0;
  while (!over.aborted) {
    await tick();
    ticks++;
    await setTimeout(tickMs);
  }
  return ticks;
};

/** Counts one churn; `missed` is how far that is from what the C program counted, over bytes and flows. */
const round = async (dumps: boolean) => {
  await tick();
  const before = totals();
  const heard = await listen();
  const start = process.cpuUsage();
  const over = new AbortController();
  const churning = churn().finally(() => over.abort());
  const ticks = dumps ? await tickUntil(over.signal) : 0;
  await churning;
  // Within two turns of the drain's timer everything has been read.
  await setTimeout(100);
  const { user, system } = process.cpuUsage(start);
  const expected = await heard();
  if (expected.opened < 2 * count) throw new Error(`the C program heard of ${expected.opened} sockets only`);
  await tick();
  const after = totals();
  const missed = (["transmit", "receive", "opened"] as const).reduce(
    (sum, key) => sum + Math.abs(after[key] - before[key] - expected[key]),
    0,
  );
  return { cpu: (user + system) / (2 * count), missed, ticks };
};

await round(false);
const alone = await round(false);
const dumping = await round(true);
close();
result({ alone, dumping, lost: outcomes["sockscope.agent.events.lost"] });
