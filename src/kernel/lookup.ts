import { promises as dns } from "node:dns";
import { isIP } from "node:net";
import type { AgentError } from "../model/outcome.ts";
import type { Family, Resolution, Resolve } from "../model/sources.ts";
import type { Answer } from "./getaddrinfo.ts";

type WithoutWait<R> = R extends unknown ? Omit<R, "waitedMs"> : never;
export type Verdict = WithoutWait<Resolution>;

/** One getaddrinfo(3) call and everybody who waits for it. */
export type Lookup = {
  readonly host: string;
  readonly family: Family;
  /** It was slow the last time. */
  readonly slow: boolean;
  readonly callers: Set<(verdict: Verdict) => void>;
  /** By performance.now(), as is `startedAt`. */
  readonly askedAt: number;
  /** Undefined while it waits for a thread. */
  startedAt: number | undefined;
};

export type Finish = (lookup: Lookup, verdict: Verdict) => void;

/** What carries lookups out: sets `startedAt` and reports each to `Finish`, even when its last caller has gone. */
export type Engine<Stats> = {
  submit(lookup: Lookup): void;
  /** Takes a lookup that has not started out of the queue. */
  withdraw(lookup: Lookup): void;
  stats(): Stats;
  close(): Promise<void>;
};

/** A lookup that takes this long is slow; most take a hundredth of it. */
const slowMs = 1000;
/** More names than this are not remembered. */
const maxSlow = 10_000;

const shortages: Readonly<Record<string, AgentError>> = {
  EMFILE: "too_many_files",
  ENFILE: "too_many_files",
  ENOBUFS: "no_buffers",
  ENOMEM: "no_memory",
  EAI_MEMORY: "no_memory",
  // What a Worker lacks when it cannot open the epoll and eventfd of its loop, and when its heap is full.
  ERR_WORKER_INIT_FAILED: "too_many_files",
  ERR_WORKER_OUT_OF_MEMORY: "no_memory",
};

/** EAI_ADDRFAMILY is the EAI_NODATA of one family. */
const absences: ReadonlySet<string> = new Set(["EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY"]);

const notRun = (error: AgentError, detail: string): Verdict => ({ kind: "not_run", error, detail });
const cancelled = notRun("cancelled", "the run was cancelled");
const overloaded = notRun("agent_overloaded", "every resolver thread was busy until the timeout");
const late: Verdict = { kind: "down", error: "dns_timeout", detail: "the name was not resolved within the timeout" };

/** A thread that could not start: the agent's trouble, by the code of the error. */
export const startFailure = (code: string): Verdict =>
  notRun(shortages[code] ?? "agent_overloaded", `a resolver thread could not start: ${code}`);

/** What an answer of getaddrinfo(3) means for a probe. The detail is the EAI name, with errno's where that decided. */
export const verdictOf = (answer: Answer): Verdict => {
  if ("addresses" in answer) return { kind: "found", addresses: answer.addresses };
  const { failed, errno } = answer;
  // errno first: glibc that may open no more files cannot read its own configuration, and says EAI_NONAME.
  const shortage = shortages[errno ?? failed] ?? shortages[failed];
  const told = errno !== undefined && (shortage !== undefined || failed === "EAI_SYSTEM");
  const detail = told ? `${failed} ${errno}` : failed;
  if (shortage !== undefined) return notRun(shortage, detail);
  return { kind: "down", error: absences.has(failed) ? "dns_not_found" : "dns_error", detail };
};

const literalVerdict = (address: string, wanted: Family): Verdict => {
  const family = isIP(address) === 6 ? 6 : 4;
  if (wanted !== 0 && wanted !== family) return { kind: "down", error: "dns_not_found", detail: "EAI_ADDRFAMILY" };
  return { kind: "found", addresses: [{ address, family }] };
};

const immediately = (verdict: Verdict): Promise<Resolution> => Promise.resolve({ ...verdict, waitedMs: 0 });

/**
 * `Resolve` on an engine: literals are answered here, and all who ask for the same name and family while it is being
 * looked up share that lookup, so that a slow name holds one thread however often it is probed.
 */
export const shareLookups = <Stats>(
  createEngine: (finish: Finish) => Engine<Stats>,
): { readonly resolve: Resolve; stats(): Stats; close(): Promise<void> } => {
  const lookups = new Map<string, Lookup>();
  const slow = new Set<string>();
  const keyOf = ({ host, family }: Pick<Lookup, "host" | "family">): string => `${family} ${host}`;
  let closed = false;

  const remember = (lookup: Lookup): void => {
    if (lookup.startedAt === undefined) return;
    if (performance.now() - lookup.startedAt < slowMs) slow.delete(keyOf(lookup));
    else if (slow.size < maxSlow) slow.add(keyOf(lookup));
  };

  const finish: Finish = (lookup, verdict) => {
    lookups.delete(keyOf(lookup));
    remember(lookup);
    for (const settle of lookup.callers) settle(verdict);
  };
  const engine = createEngine(finish);

  const join = (lookup: Lookup, timeoutMs: number, signal: AbortSignal): Promise<Resolution> =>
    new Promise((resolve) => {
      const joinedAt = performance.now();
      const settle = (verdict: Verdict): void => {
        if (!lookup.callers.delete(settle)) return;
        clearTimeout(timer);
        signal.removeEventListener("abort", cancel);
        if (lookup.callers.size === 0 && lookup.startedAt === undefined) {
          lookups.delete(keyOf(lookup));
          engine.withdraw(lookup);
        }
        resolve({ ...verdict, waitedMs: Math.max(0, (lookup.startedAt ?? performance.now()) - joinedAt) });
      };
      const cancel = (): void => settle(cancelled);
      const expire = (): void => settle(lookup.startedAt === undefined ? overloaded : late);
      // After a stall of the loop timers come first: an answer that had arrived in time comes before setImmediate.
      const timer = setTimeout(() => setImmediate(expire), timeoutMs);
      signal.addEventListener("abort", cancel);
      lookup.callers.add(settle);
    });

  const resolve: Resolve = (host, family, timeoutMs, signal) => {
    if (closed || signal.aborted) return immediately(cancelled);
    if (isIP(host) !== 0) return immediately(literalVerdict(host, family));
    const running = lookups.get(keyOf({ host, family }));
    const lookup: Lookup = running ?? {
      host,
      family,
      slow: slow.has(keyOf({ host, family })),
      callers: new Set(),
      askedAt: performance.now(),
      startedAt: undefined,
    };
    const resolution = join(lookup, timeoutMs, signal);
    if (running === undefined) {
      lookups.set(keyOf(lookup), lookup);
      engine.submit(lookup);
    }
    return resolution;
  };

  const close = async (): Promise<void> => {
    closed = true;
    for (const lookup of lookups.values()) for (const settle of lookup.callers) settle(cancelled);
    await engine.close();
  };

  return { resolve, stats: () => engine.stats(), close };
};

export type LibuvStats = { readonly by: "libuv"; readonly running: number };

const askNode = async ({ host, family }: Lookup): Promise<Answer> => {
  try {
    const found = await dns.lookup(host, { all: true, family, order: "verbatim" });
    return { addresses: found.map(({ address, family: own }) => ({ address, family: own === 6 ? 6 : 4 })) };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "EAI_FAIL";
    return { failed: code === "ENOTFOUND" ? "EAI_NONAME" : code, errno: undefined };
  }
};

/** Node's own lookup, where the C library cannot be called: shares four threads with file access. */
export const createLibuvEngine = (finish: Finish): Engine<LibuvStats> => {
  let running = 0;
  const submit = async (lookup: Lookup): Promise<void> => {
    lookup.startedAt = performance.now();
    running++;
    const answer = await askNode(lookup);
    running--;
    finish(lookup, verdictOf(answer));
  };
  return {
    submit: (lookup) => void submit(lookup),
    withdraw: () => {},
    stats: () => ({ by: "libuv", running }),
    close: async () => {},
  };
};
