import { parentPort } from "node:worker_threads";
import { loadLibc } from "../../src/kernel/libc.ts";
import type { Question } from "../../src/kernel/resolver-worker.ts";

/**
 * In the place of a resolver thread, without a name server. The host says what to do: `sleep-500` blocks that many
 * milliseconds, as getaddrinfo(3) would, and `die` ends the thread. The address counts the thread's lookups.
 */
const poll = loadLibc().func("int poll(void *fds, uint64_t count, int timeout)");
let lookups = 0;

parentPort?.on("message", ({ host, family }: Question) => {
  lookups++;
  if (host === "die") process.exit(1);
  const [, milliseconds] = /^sleep-(\d+)/.exec(host) ?? [];
  poll(null, 0, Number(milliseconds ?? 0));
  const address = family === 6 ? `::${lookups}` : `127.0.0.${lookups}`;
  parentPort?.postMessage({ addresses: [{ address, family: family === 6 ? 6 : 4 }] });
});
parentPort?.postMessage("ready");
