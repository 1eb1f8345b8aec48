import type { RetryConfig } from "../model/config.ts";
import {
  parseJsonPartialSuccess,
  parseJsonStatusMessage,
  parsePartialSuccess,
  parseStatusMessage,
} from "./otlp-response.ts";

/** A complete answer, its body cut to what is used of it. */
export type Reply = {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly contentType: string | undefined;
  readonly body: Uint8Array;
  /** The body went on beyond 4 MiB, the most that OTLP/HTTP lets a client take. */
  readonly oversized: boolean;
};

/** What one attempt came to. `status`, of HTTP or the name of one of gRPC, is absent where there was no answer. */
export type Verdict =
  | {
      readonly kind: "delivered";
      readonly status?: number | string;
      readonly rejected: number;
      readonly message: string;
    }
  | {
      readonly kind: "retry";
      readonly status?: number | string;
      readonly reason: string;
      readonly retryAfterMs: number;
    }
  | { readonly kind: "refused"; readonly status?: number | string; readonly reason: string };

/** https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes */
const retryable: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** A server that asks for more must not silence the agent for days. */
export const longestRetryAfterMs = 3_600_000;

/** `Retry-After` in ms from `nowMs` (Unix ms): seconds or an HTTP-date, at most an hour; 0 where it says neither. */
export const parseRetryAfter = (value: string | undefined, nowMs: number): number => {
  if (value === undefined) return 0;
  const ms = /^\s*\d+\s*$/.test(value) ? Number(value) * 1000 : Date.parse(value) - nowMs;
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(ms, 0), longestRetryAfterMs);
};

/** The rules of OTLP/HTTP for an answer: any 2xx is a success, four codes are retried, nothing else is. */
export const judgeReply = ({ status, retryAfter, contentType, body, oversized }: Reply, nowMs: number): Verdict => {
  if (retryable.has(status)) {
    return { kind: "retry", status, reason: `status ${status}`, retryAfterMs: parseRetryAfter(retryAfter, nowMs) };
  }
  if (oversized) return { kind: "refused", status, reason: "an answer of more than 4 MiB" };
  const isJson = contentType?.startsWith("application/json") ?? false;
  if (status >= 200 && status < 300)
    return { kind: "delivered", status, ...(isJson ? parseJsonPartialSuccess(body) : parsePartialSuccess(body)) };
  const isProtobuf = contentType?.startsWith("application/x-protobuf") ?? false;
  const message = isProtobuf ? parseStatusMessage(body) : isJson ? parseJsonStatusMessage(body) : undefined;
  return { kind: "refused", status, reason: message ?? new TextDecoder().decode(body) };
};

const codeOf = (error: unknown): string => {
  if (!(error instanceof Error)) return "unknown error";
  if ("code" in error && typeof error.code === "string") return error.code;
  return error.cause === undefined ? error.name : codeOf(error.cause);
};

/**
 * Of an attempt that failed, as `error.type` of the semantic conventions: a status, a code, or a word for what has
 * neither. It holds nothing that came from outside but a number.
 */
export const errorTypeOf = (verdict: Verdict): string | undefined => {
  if (verdict.kind === "delivered") return verdict.rejected > 0 ? "rejected" : undefined;
  const { status, reason } = verdict;
  // Such an answer is a failure all the same: see judgeReply.
  if (typeof status === "number") return status >= 200 && status < 300 ? "_OTHER" : String(status);
  if (status !== undefined) return status;
  if (reason.startsWith("no answer")) return "timeout";
  return /^[A-Z]\w*/.exec(reason)?.[0] ?? "_OTHER";
};

/** Without an answer the request is retried, unless it could not even be formed. */
export const judgeFailure = (error: unknown): Verdict => {
  const reason = codeOf(error);
  return /^(?:UND_)?ERR_INVALID_/.test(reason)
    ? { kind: "refused", reason }
    : { kind: "retry", reason, retryAfterMs: 0 };
};

/** The pause in ms after so many failures in a row, from 1; `random` is from 0 to 1. */
export const backoffMs = (retry: RetryConfig, failures: number, random: number): number => {
  const interval = Math.min(retry.initialIntervalMs * retry.multiplier ** (failures - 1), retry.maxIntervalMs);
  return interval * (1 + retry.randomizationFactor * (2 * random - 1));
};
