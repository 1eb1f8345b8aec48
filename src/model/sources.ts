import type { Socket } from "node:net";
import type { AgentError, Outcome, TargetError } from "./outcome.ts";
import type { Source, Target } from "./target.ts";
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
   * Called between two batches: the sockets of this protocol in this network namespace come once more, from the first
   * on. What was counted of those that came before must be forgotten.
   */
  readonly restart: (protocol: SocketProtocol, netns?: number) => void;
};

/** Reads all sockets of one or more network namespaces once, in slices. Throws `SourceError`. */
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

/** The network namespaces whose sockets are read, by the numbers in `SocketBatch.netns`. */
export type NetnsFacts = {
  /** False: the agent's own is the only one. */
  readonly several: boolean;
  /** What a namespace is called, the agent's own too; undefined: it is not known. */
  readonly nameOf: (netns: number) => string | undefined;
  /** It is as old as the agent and no dump has shown it: what its sockets have counted is not known to be new. */
  readonly isUnmet: (netns: number) => boolean;
  /** Those that the dump left out, since they could not be read: none of their sockets is absent. */
  readonly unread: ReadonlySet<number>;
  /** All that there are now, the agent's own first. */
  readonly all: () => readonly number[];
  /** The figures of its sockstat and sockstat6, by line and key; undefined where they could not be read. */
  readonly sockstat: (netns: number) => ReadonlyMap<string, ReadonlyMap<string, number>> | undefined;
};

/** Where the agent's own is the only one, and nobody asks for its name. */
export const noNetnsFacts: NetnsFacts = {
  several: false,
  nameOf: () => undefined,
  isUnmet: () => false,
  unread: new Set(),
  all: () => [],
  sockstat: () => undefined,
};

/** Other network namespaces than the agent's own, as they are found and read. */
export type Namespaces = {
  readonly facts: NetnsFacts;
  /** After a dump has been settled: the namespaces that it has read are met. */
  readonly settled: () => void;
  /** Whether the end of their sockets is heard of. */
  readonly isHeard: () => boolean;
  /** How often one could not be read, ever. */
  readonly errors: () => number;
};

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

/** Where a socket goes. */
export type SocketAddress =
  | (Address & { readonly port: number })
  /** A unix socket. */
  | { readonly path: string };

/**
 * Until when a target may hear of this agent, by the boot clock (ms), which suspension does not stop. It is looked at
 * right before the call that the target hears of, by whatever thread makes it.
 */
export type Permit = {
  readonly until: number;
  /** In us, of all permits of the agent; shared, so that it can be withdrawn. */
  readonly shared: BigInt64Array;
};

export type DialOptions = {
  /** `packet`: SOCK_SEQPACKET; `datagram` and it are of unix sockets. */
  readonly type: "stream" | "datagram" | "packet";
  readonly source: Source;
  /** On the clock of `now`. */
  readonly deadline: number;
  /** The connection is handed over open; otherwise it is closed at once, with FIN. */
  readonly keep: boolean;
  /** undefined: at any time. */
  readonly permit?: Permit | undefined;
};

/** Times are those of the call and of the kernel's answer, on the clock of `now` (ms), whatever the event loop did. */
export type Dialled =
  | {
      readonly kind: "connected";
      readonly startedAt: number;
      readonly at: number;
      /** tcpi_rtt in s, where the kernel says it. */
      readonly rtt: number | undefined;
      /** With `keep`: paused, and nothing is read, so that neither an end nor an error comes, before it is resumed. */
      readonly connection: Socket | undefined;
    }
  /**
   * `code`: an errno name, or that of Node's where it has no thread (`ERR_WORKER_*`). A socket that met itself, since
   * nobody listens, is ECONNREFUSED.
   */
  | { readonly kind: "failed"; readonly startedAt: number; readonly at: number; readonly code: string }
  | { readonly kind: "deadline"; readonly startedAt: number; readonly at: number }
  /** The deadline passed before connect(2) could be called, or the permit ended. */
  | { readonly kind: "late" }
  | { readonly kind: "cancelled" };

/** Connects once. Never rejects; ends by the deadline, or when the signal aborts, and leaves nothing open then. */
export type Dial = (to: SocketAddress, options: DialOptions, signal: AbortSignal) => Promise<Dialled>;

export type Reply = {
  readonly at: number;
  /** Of an echo, what follows its header. */
  readonly bytes: Uint8Array;
  /** TTL or hop limit, where the kernel says it. */
  readonly ttl: number | undefined;
};

export type SendOptions = {
  /** `icmp`: the payload of an echo request. `datagram` and `packet` (SOCK_SEQPACKET) are of unix sockets. */
  readonly type: "udp" | "icmp" | "datagram" | "packet";
  readonly payload: Uint8Array;
  readonly source: Source;
  /** Whether a reply is the one that is waited for. */
  readonly accept: (reply: Reply) => boolean;
  /** On the clock of `now`. */
  readonly deadline: number;
  /** undefined: at any time. */
  readonly permit?: Permit | undefined;
};

export type Sent =
  | { readonly kind: "answered"; readonly sentAt: number; readonly reply: Reply }
  /** `others`: replies that were not accepted. */
  | { readonly kind: "silence"; readonly sentAt: number; readonly at: number; readonly others: number }
  /**
   * `phase`: `exchange` from send(2) on, and of a socket that met itself. `code`: as of `Dialled`; of ICMP errors the
   * kernel's; EOF where the peer of a `packet` socket closed.
   */
  | {
      readonly kind: "failed";
      readonly phase: "connect" | "exchange";
      readonly startedAt: number;
      readonly at: number;
      readonly code: string;
    }
  | { readonly kind: "late" }
  | { readonly kind: "cancelled" };

/**
 * Sends one packet from a connected socket of its own, and waits for the reply to it. Never rejects; ends by the
 * deadline, or when the signal aborts. At most 64 replies or 1 MiB of them are looked at, then it fails with EMSGSIZE.
 */
export type SendPacket = (to: SocketAddress, options: SendOptions, signal: AbortSignal) => Promise<Sent>;

/** The sockets of probes. */
export type ProbeSockets = { readonly dial: Dial; readonly sendPacket: SendPacket };

/** One run against one target. Never rejects, and ends within `target.timeoutMs` or when the signal aborts. */
export type RunProbe = (target: Target, signal: AbortSignal) => Promise<Outcome>;
