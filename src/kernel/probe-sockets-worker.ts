import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { createBootClock, createPermits } from "./boot-clock.ts";
import { aheadOfMonotonic } from "./clock.ts";
import { loadLibc } from "./libc.ts";
import type { Order } from "./socket-job.ts";
import { runSocketLoop } from "./socket-loop.ts";

/** The thread of the probes' sockets: says once that it is ready, then never returns to its event loop until it ends. */

export type ThreadData = {
  /** Messages are arrays of `Order`; it is read, since no event of it can come. */
  readonly orders: MessagePort;
  readonly event: number;
  /** Set to 1 when it is time to stop. */
  readonly stop: Int32Array;
  /** What the clock of the orders is ahead of CLOCK_MONOTONIC, in ms. */
  readonly ahead: number;
};

const { orders, event, stop, ahead } = workerData as ThreadData;
const libc = loadLibc();
// Its calls take half the time of process.hrtime's.
const difference = ahead - aheadOfMonotonic(() => performance.now());

parentPort?.postMessage("ready");
runSocketLoop({
  libc,
  now: () => performance.now() + difference,
  permits: createPermits(createBootClock(libc)),
  event,
  stopped: () => Atomics.load(stop, 0) === 1,
  takeOrders: () => receiveMessageOnPort(orders)?.message as readonly Order[] | undefined,
  report: (reports) => parentPort?.postMessage(reports),
});
