import { parentPort } from "node:worker_threads";

/** A thread that dies as soon as it runs. */
parentPort?.postMessage("ready");
setTimeout(() => {
  throw Object.assign(new Error("out of memory"), { code: "ERR_WORKER_OUT_OF_MEMORY" });
}, 20);
