import { codeOf } from "../model/errors.ts";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { Resolve } from "../model/sources.ts";
import { type Answer, bindGetAddrInfo } from "./getaddrinfo.ts";
import { type Libc, loadLibc } from "./libc.ts";
import {
  createLibuvEngine,
  type Engine,
  type Finish,
  type LibuvStats,
  type Lookup,
  shareLookups,
  startFailure,
  verdictOf,
} from "./lookup.ts";
import type { Question } from "./resolver-worker.ts";

export type ResolverOptions = {
  /** Lookups at a time, each with a thread of its own. */
  readonly maxThreads: number;
  /** A thread ends after this long without work, except the last one. */
  readonly idleMs: number;
  /** What a thread runs. */
  readonly script: URL;
  /** Undefined where the C library cannot be called. */
  readonly libc: Libc | undefined;
};

export type ThreadStats = {
  readonly by: "threads";
  /** Threads now, those that are starting included. */
  readonly threads: number;
  /** Lookups that run now, whether or not somebody still waits for them. */
  readonly running: number;
  /** Lookups that wait for a thread. */
  readonly queued: number;
};

export type Resolver = {
  readonly resolve: Resolve;
  stats(): ThreadStats | LibuvStats;
  /** Cancels what is waiting, and ends the idle threads; a thread in a lookup ends after it. */
  close(): Promise<void>;
};

type Thread = {
  readonly worker: Worker;
  ready: boolean;
  lookup: Lookup | undefined;
  retirement: NodeJS.Timeout | undefined;
  /** The code of the error that it died of. */
  fault: string;
};

const extension = import.meta.url.slice(import.meta.url.lastIndexOf("."));
const workerScript = new URL(`./resolver-worker${extension}`, import.meta.url);

/** No argument and no variable of the agent concerns a thread. Type stripping, from source, takes 16 MB of heap. */
const workerOptions = {
  execArgv: [],
  env: {},
  trackUnmanagedFds: false,
  resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 1 },
};

/** Starting is work for a processor: more starts at a time than processors would only delay each other. */
const maxStarting = availableParallelism();

/** What a start takes. Most lookups take less, so that waiting for the thread of another one is the shorter way. */
const patienceMs = 20;

/** Long, because koffi loses some 30 KB with every thread that ends, and because names are asked for time and again. */
const defaultIdleMs = 300_000;

/** Of the threads, what names that were slow the last time may take: those that hang leave room for the others. */
const slowShare = 0.75;

/** Threads, each in one getaddrinfo(3) at a time; none of them holds the process. */
const createThreadEngine = (
  { maxThreads, idleMs, script }: ResolverOptions,
  libc: Libc,
  finish: Finish,
): Engine<ThreadStats> => {
  const threads = new Set<Thread>();
  const idle: Thread[] = [];
  const queue = { quick: new Set<Lookup>(), slow: new Set<Lookup>() };
  const queueOf = ({ slow }: Lookup): Set<Lookup> => (slow ? queue.slow : queue.quick);
  let growth: NodeJS.Timeout | undefined;
  let closed = false;
  const count = (predicate: (thread: Thread) => boolean): number => [...threads].filter(predicate).length;
  const running = (): number => count((thread) => thread.lookup !== undefined);

  // NB: Node's exit joins every thread, and nothing interrupts one inside getaddrinfo(3), which goes on for half a
  // minute where name servers are dead. _exit(2) waits for nothing; by this event Node has nothing left to do.
  const exitWithoutJoin = libc.func("void _exit(int status)");
  const onProcessExit = (code: number): void => {
    if (running() === 0) return;
    // Those behind this one, an application's say, would not get their turn.
    const listeners = process.listeners("exit");
    for (const behind of listeners.slice(listeners.indexOf(onProcessExit) + 1)) behind.call(process, code);
    exitWithoutJoin(Number(process.exitCode ?? code));
  };
  process.on("exit", onProcessExit);

  const forget = (thread: Thread): boolean => {
    clearTimeout(thread.retirement);
    if (idle.includes(thread)) idle.splice(idle.indexOf(thread), 1);
    const known = threads.delete(thread);
    if (closed && threads.size === 0) process.off("exit", onProcessExit);
    return known;
  };

  const dismiss = async (thread: Thread): Promise<void> => {
    forget(thread);
    await thread.worker.terminate();
  };

  const hand = (thread: Thread, lookup: Lookup): void => {
    clearTimeout(thread.retirement);
    queueOf(lookup).delete(lookup);
    thread.lookup = lookup;
    lookup.startedAt = performance.now();
    const question: Question = { host: lookup.host, family: lookup.family };
    thread.worker.postMessage(question);
  };

  const rest = (thread: Thread): void => {
    thread.ready = true;
    thread.lookup = undefined;
    if (closed) return void dismiss(thread);
    idle.push(thread);
    // The last one stays: the first probe after a pause would wait for the next to start.
    thread.retirement = setTimeout(() => threads.size > 1 && void dismiss(thread), idleMs).unref();
    return fill();
  };

  const giveUp = (code: string): void => {
    for (const lookup of [...queue.quick, ...queue.slow]) finish(lookup, startFailure(code));
    queue.quick.clear();
    queue.slow.clear();
  };

  const ended = (thread: Thread): void => {
    if (!forget(thread)) return;
    const detail = `the resolver thread died: ${thread.fault}`;
    if (thread.lookup !== undefined) finish(thread.lookup, { kind: "down", error: "dns_error", detail });
    // NB: where one could not start, the next would not either.
    if (thread.ready) fill();
    else if (threads.size === 0) giveUp(thread.fault);
  };

  const start = (): void => {
    const worker = new Worker(script, workerOptions);
    const thread: Thread = { worker, ready: false, lookup: undefined, retirement: undefined, fault: "it exited" };
    threads.add(thread);
    worker.on("error", (error) => (thread.fault = codeOf(error)));
    worker.on("exit", () => ended(thread));
    worker.on("message", (message: "ready" | Answer) => {
      if (message !== "ready" && thread.lookup !== undefined) finish(thread.lookup, verdictOf(message));
      rest(thread);
    });
    // Last, since a listener for messages makes the worker hold the process again.
    worker.unref();
  };

  /** The lookups that may have the next threads, in their order. */
  const waiting = (): Lookup[] => {
    const room = Math.ceil(maxThreads * slowShare) - count((thread) => thread.lookup?.slow === true);
    return [...queue.quick, ...[...queue.slow].slice(0, Math.max(0, room))];
  };

  const fill = (): void => {
    for (const lookup of waiting()) {
      const thread = idle.pop();
      if (thread === undefined) break;
      hand(thread, lookup);
    }
    clearTimeout(growth);
    const [first] = waiting();
    if (first === undefined) return;
    const restMs = first.askedAt + patienceMs - performance.now();
    if (threads.size === 0 || restMs <= 0) grow();
    else growth = setTimeout(grow, restMs).unref();
  };

  const grow = (): void => {
    const starting = count((thread) => !thread.ready);
    const wanted = Math.min(waiting().length, maxStarting) - starting;
    try {
      for (let more = Math.min(wanted, maxThreads - threads.size); more > 0; more--) start();
    } catch (error) {
      if (threads.size === 0) giveUp(codeOf(error));
    }
  };

  return {
    submit: (lookup) => {
      queueOf(lookup).add(lookup);
      fill();
    },
    withdraw: (lookup) => void queueOf(lookup).delete(lookup),
    stats: () => ({
      by: "threads",
      threads: threads.size,
      running: running(),
      queued: queue.quick.size + queue.slow.size,
    }),
    close: async () => {
      closed = true;
      clearTimeout(growth);
      // NB: not those in a lookup: terminate() would hold the process until getaddrinfo(3) returns.
      await Promise.all([...threads].filter((thread) => thread.lookup === undefined).map(dismiss));
    },
  };
};

const callableLibc = (): Libc | undefined => {
  try {
    const libc = loadLibc();
    bindGetAddrInfo(libc);
    return libc;
  } catch {
    return undefined;
  }
};

/**
 * Resolves names by getaddrinfo(3) and so by everything that the system is configured with (hosts file, nsswitch,
 * search domains, gai.conf), on threads of its own, which are started on demand: neither file access nor another
 * name waits for a slow one.
 */
export const createResolver = (options: Partial<ResolverOptions> = {}): Resolver => {
  const complete = { maxThreads: 64, idleMs: defaultIdleMs, script: workerScript, libc: callableLibc(), ...options };
  const { libc } = complete;
  return libc === undefined
    ? shareLookups(createLibuvEngine)
    : shareLookups((finish) => createThreadEngine(complete, libc, finish));
};
