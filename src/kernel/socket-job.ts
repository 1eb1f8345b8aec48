import type { Dialled, DialOptions, Reply, SendOptions, Sent, SocketAddress } from "../model/sources.ts";
import type { Dated } from "./deadlines.ts";
import type { Permits } from "./boot-clock.ts";
import type { Receiver } from "./packet-receive.ts";
import type { SocketCalls } from "./socket-calls.ts";
import type { EncodeAddress } from "./socket-name.ts";

/** What the thread of the probes' sockets is told, and what it answers. */
export type Order =
  | ({ readonly do: "dial"; readonly id: number; readonly to: SocketAddress } & DialOptions)
  | ({ readonly do: "send"; readonly id: number; readonly to: SocketAddress } & Omit<SendOptions, "accept">)
  /** Nobody waits for the job any more. */
  | { readonly do: "close"; readonly id: number };

export type DialOrder = Extract<Order, { do: "dial" }>;
export type SendOrder = Extract<Order, { do: "send" }>;

/** How a job ends. A connection is a descriptor, which belongs to whoever gets the report. */
export type End =
  | (Omit<Extract<Dialled, { kind: "connected" }>, "connection"> & { readonly fd: number | undefined })
  | Exclude<Dialled, { kind: "connected" | "failed" | "cancelled" }>
  | Extract<Sent, { kind: "failed" }>
  | Omit<Extract<Sent, { kind: "silence" }>, "others">;

/** A `reply` may be followed by others, and by the end. */
export type Report = { readonly id: number } & (
  | End
  | { readonly kind: "reply"; readonly sentAt: number; readonly reply: Reply }
);

/** A job with a socket. */
export type Job = Dated & {
  readonly id: number;
  /** -1: none, or no more. */
  fd: number;
  /** What its failure is told with. */
  startedAt: number;
  phase: "connect" | "exchange";
  /** Called when the socket is closed or handed over. */
  closed: () => void;
  /** Called with epoll's events; `at` is when they were known. */
  ready: (events: number, at: number) => void;
  /** Called once the deadline has passed, and nothing else has happened. */
  expired: (at: number) => void;
};

/** What jobs work with. */
export type Workshop = {
  readonly calls: SocketCalls;
  readonly encode: EncodeAddress;
  readonly receiver: Receiver;
  readonly now: () => number;
  readonly permits: Permits;
  /** From now on the job hears of these events of its socket. */
  readonly watch: (job: Job, events: number) => void;
  readonly reply: (job: Job, sentAt: number, reply: Reply) => void;
  /** Ends the job and closes its socket, unless it is handed over. */
  readonly end: (job: Job, how: End) => void;
  readonly fail: (job: Job, code: string, at: number) => void;
};
