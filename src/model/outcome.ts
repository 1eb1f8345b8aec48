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
  "tls_handshake_failed",
  "tls_certificate_expired",
  "tls_certificate_invalid",
  "tls_hostname_mismatch",
  "unexpected_response",
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
  "_OTHER",
] as const;

export type TargetError = (typeof targetErrors)[number];
export type AgentError = (typeof agentErrors)[number];
export type ErrorType = TargetError | AgentError;

/** Seconds of each phase that the run went through to its end. */
export type PhaseSeconds = { readonly [P in Phase]?: number };

/** What a run found out beside its times; absent where it did not. */
export type Facts = {
  /** Addresses that the name resolved to, in the order of getaddrinfo(3); of a literal there are none. */
  readonly resolved?: readonly string[];
  /** The kernel's own RTT of the connection in s (tcpi_rtt). */
  readonly tcpRtt?: number;
  /** Seconds until the first certificate of the chain expires; negative where one has. */
  readonly certificateExpiry?: number;
  readonly packets?: {
    readonly sent: number;
    /** Round-trip times in s, one for each packet that was answered, in the order of sending. */
    readonly rtts: readonly number[];
  };
  /** Hops that the last answer had left (TTL, hop limit). */
  readonly ttl?: number;
};

type Ran = {
  /** The sum of the phases, and of the time in the phase that failed. */
  readonly seconds: number;
  readonly phases: PhaseSeconds;
  readonly facts: Facts;
  /** The address used, or tried last. */ readonly address?: string;
};

export type Verdict =
  | ({ readonly kind: "up" | "unanswered" } & Ran)
  | ({
      readonly kind: "down";
      readonly error: TargetError;
      /** Where it failed. */ readonly phase: Phase;
      /** For people: errno name or one sentence. */ readonly detail: string;
    } & Ran)
  | ({ readonly kind: "not_run"; readonly error: AgentError; readonly detail: string } & Ran);

/** What a run ended with. */
export type Outcome = Verdict & {
  /** Attempts that failed before the one that this is the outcome of, in their order. */
  readonly failedAttempts?: readonly Verdict[];
  /** Of a target with `allAddresses`: the outcome for each address. The run's own is the worst of them. */
  readonly byAddress?: readonly Verdict[];
};
