// Runs in the namespace of memory.ts: its memory without sockets, then, after the bench has opened them, with them.
//   memory.ts PEER GROUP_BY SOCKETS
import { setTimeout } from "node:timers/promises";
import { encodeRequests } from "../../../src/export/otlp-protobuf.ts";
import { keepHeapSmall } from "../../../src/heap.ts";
import type { Grouping } from "../../../src/model/config.ts";
import { createPipeline, peakMemory, requestsOf, result } from "./pipeline.ts";

// As the agent's main.ts does.
keepHeapSmall();

const [, groupBy = "endpoint", sockets = "0"] = process.argv.slice(2);
const collections = 20;
const { collect } = createPipeline(groupBy as Grouping, requestsOf(["tcp", "udp"]));

/** Sets of attributes keep what the encoder made of them, which is state, too. What it yields is the export queue's. */
const tick = async (): Promise<number> => {
  const { columns, sockets: count } = await collect();
  const scope = { name: "sockscope", version: "0" };
  for (const _ of encodeRequests({ time: Date.now(), resource: {}, scope, metrics: columns }, { maxBytes: 2 ** 22 }));
  return count;
};

const resident = async (atLeast: number): Promise<{ before: number; after: number }> => {
  for (let count = 0; count < collections; count++)
    if ((await tick()) < atLeast) throw new Error(`fewer sockets than ${atLeast}`);
  const before = process.memoryUsage.rss();
  // Array buffers are freed by another thread, and the heap shrinks in steps: until nothing more comes of it.
  let after = before;
  for (let still = 0, count = 0; still < 3 && count < 30; count++) {
    gc?.();
    await setTimeout(100);
    const now = process.memoryUsage.rss();
    still = now > after - 2 ** 20 ? still + 1 : 0;
    after = Math.min(after, now);
  }
  return { before, after };
};

const empty = await resident(0);
process.stdout.write("ready\n");
await process.stdin.resume().toArray();
const full = await resident(Number(sockets));
result({ empty, full, peak: peakMemory() });
