import { codeOf } from "../model/errors.ts";
import { Socket } from "node:net";
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import type { Dial, Dialled, SendPacket, Sent } from "../model/sources.ts";
import { createBootClock, createPermits } from "./boot-clock.ts";
import { aheadOfMonotonic } from "./clock.ts";
import { type Libc, loadLibc } from "./libc.ts";
import { createNodeSockets, type OpenProbeSockets } from "./node-sockets.ts";
import type { ThreadData } from "./probe-sockets-worker.ts";
import { bindSocketCalls, type SocketCalls } from "./socket-calls.ts";
import type { Order, Report } from "./socket-job.ts";

export type ProbeSocketsOptions = {
  /** Undefined where the C library cannot be called. */
  readonly libc: Libc | undefined;
  /** Monotonic ms, the clock of deadlines and times. */
  readonly now: () => number;
  /** What the thread runs. */
  readonly script: URL;
};

/** A job of which somebody waits for the end. */
type Waiting = {
  readonly order: Order;
  readonly heard: (report: Report) => void;
  readonly cancel: () => void;
};

type Cancelled = { readonly kind: "cancelled" };

type Thread = {
  readonly worker: Worker;
  readonly port: MessagePort;
  /** An eventfd(2). */
  readonly event: number;
  readonly stop: Int32Array;
  readonly gone: Promise<void>;
  /** Settled when it takes orders, or is gone. */
  readonly started: PromiseWithResolvers<void>;
  ready: boolean;
  /** The code of the error that it died of. */
  fault: string;
};

const extension = import.meta.url.slice(import.meta.url.lastIndexOf("."));
const workerScript = new URL(`./probe-sockets-worker${extension}`, import.meta.url);

/** No argument and no variable of the agent concerns a thread. Type stripping, from source, takes 16 MB of heap. */
const workerOptions = {
  execArgv: [],
  env: {},
  trackUnmanagedFds: false,
  // The young generation is small, since collecting it keeps the thread from looking at the clock.
  resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 2 },
};

/** Orders of a message: taking them takes the time of a connection, and those in flight wait for it. */
const ordersOfMessage = 16;

/** A socket of Node's that reads nothing, and so hears of no end and no error, before its owner resumes it. */
const adopt = (fd: number): Socket => {
  // NB: pause() would be too late, and too little: Node reads from the start, and would emit a peer's reset as an
  // error before anybody listens. `pauseOnCreate` is that of net.Server, which hands it to this constructor.
  const options = { fd, readable: true, writable: true, pauseOnCreate: true };
  return new Socket(options);
};

/** A thread that blocks in epoll_wait(2) and takes the times: what keeps the event loop is no part of them. */
const createThreadSockets = (calls: SocketCalls, { now, script }: ProbeSocketsOptions): OpenProbeSockets => {
  const waiting = new Map<number, Waiting>();
  let orders: Order[] = [];
  let lastId = 0;
  let thread: Thread | undefined;
  let closed = false;

  const wake = ({ event, stop }: Thread, stopping: boolean): void => {
    if (stopping) Atomics.store(stop, 0, 1);
    calls.setEvent(event);
  };

  // NB: Node's exit joins every thread, and nothing but its event interrupts one inside epoll_wait.
  const onProcessExit = (): void => {
    if (thread !== undefined) wake(thread, true);
  };

  const forget = (id: number): void => {
    waiting.delete(id);
    // The thread by itself does not hold the process; a job does, as one of Node's own sockets would.
    if (waiting.size === 0 && !closed) thread?.worker.unref();
  };

  const failAll = (code: string): void => {
    const at = now();
    orders = [];
    for (const [id, { heard }] of waiting) heard({ id, kind: "failed", phase: "connect", startedAt: at, at, code });
  };

  const hear = (report: Report): void => {
    const job = waiting.get(report.id);
    if (job !== undefined) job.heard(report);
    // The job was cancelled when its connection was on the way.
    else if (report.kind === "connected" && report.fd !== undefined) calls.close(report.fd);
  };

  /** `again`: it takes the place of one that could not start. */
  const start = (again: boolean): void => {
    const event = calls.createEvent();
    const { port1: port, port2 } = new MessageChannel();
    const stop = new Int32Array(new SharedArrayBuffer(4));
    const workerData: ThreadData = { orders: port2, event, stop, ahead: aheadOfMonotonic(now) };
    let worker: Worker;
    try {
      worker = new Worker(script, { ...workerOptions, workerData, transferList: [port2] });
    } catch (error) {
      port.close();
      calls.close(event);
      throw error;
    }
    const exit = Promise.withResolvers<void>();
    const started: Thread = {
      worker,
      port,
      event,
      stop,
      gone: exit.promise,
      started: Promise.withResolvers(),
      ready: false,
      fault: "ERR_WORKER_EXITED",
    };
    worker.on("error", (error) => (started.fault = codeOf(error)));
    worker.on("message", (message: "ready" | readonly Report[]) => {
      if (message === "ready") {
        started.ready = true;
        started.started.resolve();
      } else for (const report of message) hear(report);
    });
    worker.on("exit", () => {
      port.close();
      calls.close(event);
      thread = undefined;
      process.off("exit", onProcessExit);
      if (!closed) replace(started, again);
      started.started.resolve();
      exit.resolve();
    });
    process.on("exit", onProcessExit);
    thread = started;
  };

  /** One that could not start has done nothing of its orders: another one may. */
  const replace = ({ ready, fault }: Thread, again: boolean): void => {
    if (ready || again) return failAll(fault);
    orders = [...waiting.values()].map(({ order }) => order);
    if (orders.length > 0) send(true);
  };

  const send = (again: boolean): void => {
    // A thread that is gone has closed what it had.
    if (thread === undefined) orders = orders.filter((order) => order.do !== "close");
    if (orders.length === 0) return;
    try {
      if (thread === undefined) start(again);
    } catch (error) {
      return failAll(codeOf(error));
    }
    if (thread === undefined) return;
    for (let from = 0; from < orders.length; from += ordersOfMessage) {
      thread.port.postMessage(orders.slice(from, from + ordersOfMessage));
    }
    orders = [];
    wake(thread, false);
    // Only now: listening for messages makes a new thread hold the process.
    if (waiting.size === 0) thread.worker.unref();
    else thread.worker.ref();
  };

  const give = (order: Order): void => {
    // All orders of this turn together.
    if (orders.push(order) === 1) queueMicrotask(() => send(false));
  };

  /** Waits for the report that `conclude` makes a result of, or for the signal. */
  const submit = <T>(
    order: Exclude<Order, { do: "close" }>,
    signal: AbortSignal,
    conclude: (report: Report) => T | undefined,
  ): Promise<T | Cancelled> => {
    const { id } = order;
    return new Promise((resolve) => {
      if (closed || signal.aborted) return resolve({ kind: "cancelled" });
      const end = (result: T | Cancelled): void => {
        signal.removeEventListener("abort", abort);
        forget(id);
        resolve(result);
      };
      const cancel = (): void => end({ kind: "cancelled" });
      const abort = (): void => {
        cancel();
        give({ do: "close", id });
      };
      const heard = (report: Report): void => {
        const result = conclude(report);
        if (result === undefined) return;
        end(result);
        if (report.kind === "reply") give({ do: "close", id });
      };
      signal.addEventListener("abort", abort);
      waiting.set(id, { order, heard, cancel });
      return give(order);
    });
  };

  const connectionOf = ({ startedAt, at, rtt, fd }: Extract<Report, { kind: "connected" }>): Dialled => {
    try {
      return { kind: "connected", startedAt, at, rtt, connection: fd === undefined ? undefined : adopt(fd) };
    } catch (error) {
      if (fd !== undefined) calls.close(fd);
      return { kind: "failed", startedAt, at, code: codeOf(error) };
    }
  };

  const dial: Dial = (to, { type, source, deadline, keep, permit }, signal) =>
    submit<Dialled>({ do: "dial", id: ++lastId, to, type, source, deadline, keep, permit }, signal, (report) => {
      switch (report.kind) {
        case "connected":
          return connectionOf(report);
        case "failed":
          return { kind: "failed", startedAt: report.startedAt, at: report.at, code: report.code };
        case "deadline":
          return { kind: "deadline", startedAt: report.startedAt, at: report.at };
        case "late":
          return { kind: "late" };
        default:
          return undefined;
      }
    });

  const sendPacket: SendPacket = (to, { type, payload, source, deadline, accept, permit }, signal) => {
    let others = 0;
    return submit<Sent>({ do: "send", id: ++lastId, to, type, payload, source, deadline, permit }, signal, (report) => {
      switch (report.kind) {
        case "reply":
          if (accept(report.reply)) return { kind: "answered", sentAt: report.sentAt, reply: report.reply };
          others++;
          return undefined;
        case "silence":
          return { kind: "silence", sentAt: report.sentAt, at: report.at, others };
        case "failed":
          return {
            kind: "failed",
            phase: report.phase,
            startedAt: report.startedAt,
            at: report.at,
            code: report.code,
          };
        case "late":
          return { kind: "late" };
        default:
          return undefined;
      }
    });
  };

  return {
    dial,
    sendPacket,
    ready: async () => {
      try {
        if (thread === undefined && !closed) start(false);
      } catch {
        return;
      }
      // As in `send`: only now.
      if (waiting.size === 0) thread?.worker.unref();
      await thread?.started.promise;
    },
    stats: () => ({ by: "thread", running: waiting.size }),
    close: async () => {
      closed = true;
      orders = [];
      for (const { cancel } of waiting.values()) cancel();
      if (thread === undefined) return;
      thread.worker.ref();
      wake(thread, true);
      await thread.gone;
    },
  };
};

const callableLibc = (): Libc | undefined => {
  try {
    return loadLibc();
  } catch {
    return undefined;
  }
};

const callsOf = (libc: Libc | undefined): SocketCalls | undefined => {
  try {
    return libc === undefined ? undefined : bindSocketCalls(libc);
  } catch {
    return undefined;
  }
};

/**
 * The sockets of probes: by libc's calls on a thread of their own, which is started by the first job, so that times are
 * those of the kernel; by Node's where there is no libc to call, and on other systems than Linux.
 */
export const createProbeSockets = (options: Partial<ProbeSocketsOptions> = {}): OpenProbeSockets => {
  const complete = { libc: callableLibc(), now: () => performance.now(), script: workerScript, ...options };
  const calls = callsOf(complete.libc);
  return calls === undefined
    ? createNodeSockets(complete.now, createPermits(createBootClock(complete.libc)))
    : createThreadSockets(calls, complete);
};
