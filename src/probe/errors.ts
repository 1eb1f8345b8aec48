import type { AgentError, Phase, TargetError } from "../model/outcome.ts";

/** What an errno means: `down` is the target's trouble or the way's, `not_run` the agent's own. */
export type Failure =
  | { readonly kind: "down"; readonly error: TargetError }
  | { readonly kind: "not_run"; readonly error: AgentError };

const down = (error: TargetError): Failure => ({ kind: "down", error });
const notRun = (error: AgentError): Failure => ({ kind: "not_run", error });

/** connect(2), send(2), socket(2) and ip(7). */
const ip = {
  ECONNREFUSED: down("connection_refused"),
  ECONNRESET: down("connection_reset"),
  EPIPE: down("connection_reset"),
  ETIMEDOUT: down("connect_timeout"),
  EHOSTUNREACH: down("host_unreachable"),
  EHOSTDOWN: down("host_unreachable"),
  // Also of a host without any route of that family: to its users the target is as far away.
  ENETUNREACH: down("network_unreachable"),
  ENETDOWN: down("network_unreachable"),
  EMFILE: notRun("too_many_files"),
  ENFILE: notRun("too_many_files"),
  ENOBUFS: notRun("no_buffers"),
  ENOMEM: notRun("no_memory"),
  EADDRINUSE: notRun("address_in_use"),
  EADDRNOTAVAIL: notRun("no_local_address"),
  // The interface that packets were to leave from.
  ENODEV: notRun("no_local_address"),
  // NB: a kernel without IPv6 says nothing about the target. No packet could leave, and no local address can exist.
  EAFNOSUPPORT: notRun("no_local_address"),
  // The packet filter and the routing policy of the agent's own host, or its sandbox.
  EACCES: notRun("permission_denied"),
  EPERM: notRun("permission_denied"),
  // A thread that could not open the epoll and eventfd of its loop, or whose heap is full.
  ERR_WORKER_INIT_FAILED: notRun("too_many_files"),
  ERR_WORKER_OUT_OF_MEMORY: notRun("no_memory"),
  // What the end of a SOCK_SEQPACKET connection is told as.
  EOF: down("unexpected_eof"),
  // What this platform has no socket for.
  ENOTSUP: notRun("_OTHER"),
  // More came back than anybody looks at.
  EMSGSIZE: down("unexpected_response"),
};

/** unix(7): the path and who may connect to it belong to the target. */
const unix = {
  ...ip,
  ENOENT: down("socket_not_found"),
  ENOTDIR: down("socket_not_found"),
  EPROTOTYPE: down("wrong_socket_type"),
  // macOS, of a file that is no socket; Linux refuses there.
  ENOTSOCK: down("wrong_socket_type"),
  EACCES: down("permission_denied"),
  EPERM: down("permission_denied"),
  // The listener's backlog is full: nobody accepts, and connect(2) does not wait for that without blocking.
  EAGAIN: down("connection_refused"),
};

const tables = { ip: new Map(Object.entries(ip)), unix: new Map(Object.entries(unix)) };

/** The failure of an errno name. A code that no table has is the target's `_OTHER`. */
export const failureOf = (code: string, table: keyof typeof tables = "ip", phase: Phase = "connect"): Failure => {
  // Once connected, the kernel's own patience with a silent peer has ended.
  if (code === "ETIMEDOUT" && phase !== "connect") return down("read_timeout");
  return tables[table].get(code) ?? down("_OTHER");
};

/** The name of the errno, or Node's code; the class of an error without either. */
export const codeOf = (error: unknown): string => {
  if (!(error instanceof Error)) return "unknown error";
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
};

/**
 * Which of several addresses' failures tells most. First what keeps the agent from knowing, since an address that it
 * could not try may have been up; then what a peer said, silence, what a router said, and what the own host lacks.
 */
const mostTelling: readonly (AgentError | TargetError)[] = [
  "too_many_files",
  "no_memory",
  "no_buffers",
  "address_in_use",
  "connection_refused",
  "connection_reset",
  "connect_timeout",
  "host_unreachable",
  "_OTHER",
  "permission_denied",
  "network_unreachable",
  "no_local_address",
];

/** The failure that tells most, of equals the first; undefined of none. */
export const tellingMost = <F extends Failure>(failures: readonly F[]): F | undefined =>
  failures.toSorted((a, b) => mostTelling.indexOf(a.error) - mostTelling.indexOf(b.error))[0];
