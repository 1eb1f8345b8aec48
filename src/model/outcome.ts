/** What a probe run ends with. A failed run is data, never an exception. */

export const phases = ["resolve", "connect", "tls", "exchange"] as const;
export type Phase = (typeof phases)[number];

/**
 * `up`: the target answered. `unanswered`: a UDP probe without an expectation heard nothing, and no ICMP error came.
 * `down`: the target or the way to it failed. `not_run`: the agent itself could not test.
 */
export const outcomes = ["up", "unanswered", "down", "not_run"] as const;
export type OutcomeKind = (typeof outcomes)[number];

/** `error.type` of runs whose outcome is `down`. */
export const targetErrors = [
  "dns_not_found",
  "dns_timeout",
  "dns_error",
  "connect_timeout",
  "read_timeout",
  "connection_refused",
  "connection_reset",
  "host_unreachable",
  "network_unreachable",
  "unexpected_eof",
  "socket_not_found",
  "wrong_socket_type",
  "permission_denied",
  "_OTHER",
] as const;

/** `error.type` of runs whose outcome is `not_run`: the agent's own trouble. */
export const agentErrors = [
  "too_many_files",
  "no_memory",
  "no_buffers",
  "address_in_use",
  "no_local_address",
  "permission_denied",
  "agent_overloaded",
  "cancelled",
] as const;

export type TargetError = (typeof targetErrors)[number];
export type AgentError = (typeof agentErrors)[number];
export type ErrorType = TargetError | AgentError;

/** Seconds of each phase that the run went through to its end. */
export type PhaseSeconds = { readonly [P in Phase]?: number };

type Ran = {
  readonly seconds: number;
  readonly phases: PhaseSeconds;
  /** The address used, or tried last. */ readonly address?: string;
};

export type Outcome =
  | ({ readonly kind: "up" | "unanswered" } & Ran)
  | ({
      readonly kind: "down";
      readonly error: TargetError;
      /** Where it failed. */ readonly phase: Phase;
      /** For people: errno name or one sentence. */ readonly detail: string;
    } & Ran)
  | ({ readonly kind: "not_run"; readonly error: AgentError; readonly detail: string } & Ran);
