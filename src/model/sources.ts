import type { AgentError, Outcome, TargetError } from "./outcome.ts";
import type { Target } from "./target.ts";
import type { SocketBatch, SocketProtocol } from "./socket.ts";

/** What a dump says beside its sockets; the source adds to it. */
export type DumpReport = {
  /** Messages that could not be decoded. */
  skipped: number;
  /** Protocols of which there are no sockets to be had here. */
  readonly lacking: Set<SocketProtocol>;
  /** Dumps that were faulty and were made once more. */
  retries: number;
  /**
   * Called between two batches: the sockets of this protocol come once more, from the first on. What was counted of
   * those that came before must be forgotten.
   */
  readonly restart: (protocol: SocketProtocol) => void;
};

/** Reads all sockets of the agent's network namespace once, in slices. Throws `SourceError`. */
export type ReadSockets = (signal: AbortSignal, report: DumpReport) => AsyncIterable<SocketBatch>;

/** TCP sockets as the kernel frees them, each with its last struct tcp_info. */
export type DestroyEvents = {
  /** Hands at most `most` events over, in batches that are valid during the call; how many there were. Throws `SourceError`. */
  drain(most: number, found: (batch: SocketBatch) => void): number;
  /** Events that the receive buffer has room for. */
  readonly room: number;
  /** Events that had no room in it, ever. */
  lost(): number;
  close(): void;
};

/** Begins to hear of destroyed sockets. Throws `SourceError` where that is not to be had. */
export type SubscribeDestroyEvents = () => DestroyEvents;

/** A report of a dump whose reader keeps nothing that a second try would double. */
export const emptyReport = (): DumpReport => ({
  skipped: 0,
  lacking: new Set(),
  retries: 0,
  restart: () => undefined,
});

/** A way to read sockets that holds what it needs from one dump to the next. */
export type SocketReader = { readonly read: ReadSockets; readonly close: () => void };

/** Makes a reader of these protocols. What it has no sockets of it reports as lacking. */
export type SocketBackend = (protocols: readonly SocketProtocol[]) => SocketReader;

/** Text of a file under /proc; undefined where there is no such file. Throws `SourceError` for other failures. */
export type ReadProcFile = (path: string) => Promise<string | undefined>;

/** Which addresses a lookup asks for; 0 is both families. */
export type Family = 0 | 4 | 6;

export type Address = {
  /** Numeric, with `%zone` where the address has a scope. */
  readonly address: string;
  readonly family: 4 | 6;
};

export type Resolution = {
  /** Of the time that this call took, what it waited for a thread: the agent's own, no part of the name's latency. */
  readonly waitedMs: number;
} & (
  | {
      readonly kind: "found";
      /** At least one, in the order of getaddrinfo(3), without duplicates. */
      readonly addresses: readonly Address[];
    }
  | {
      readonly kind: "down";
      readonly error: Extract<TargetError, `dns_${string}`>;
      /** The EAI name where getaddrinfo(3) gave one. */
      readonly detail: string;
    }
  | { readonly kind: "not_run"; readonly error: AgentError; readonly detail: string }
);

/**
 * Looks a host up as getaddrinfo(3) does; a literal is its own answer. Never rejects, and ends within `timeoutMs`
 * (`dns_timeout`, or `agent_overloaded` where the lookup could not even start) or when the signal aborts (`cancelled`).
 */
export type Resolve = (host: string, family: Family, timeoutMs: number, signal: AbortSignal) => Promise<Resolution>;

/** One run against one target. Never rejects, and ends within `target.timeoutMs` or when the signal aborts. */
export type RunProbe = (target: Target, signal: AbortSignal) => Promise<Outcome>;
