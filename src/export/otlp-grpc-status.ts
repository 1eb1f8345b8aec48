import { parsePartialSuccess, parseRetryDelay } from "./otlp-response.ts";
import { longestRetryAfterMs, type Verdict } from "./otlp-retry.ts";

/** What came back for a call. */
export type GrpcReply = {
  /** Of HTTP; undefined where no header came. */
  readonly httpStatus: number | undefined;
  /** `grpc-status`, `grpc-message` and `grpc-status-details-bin` as they came, from the trailers or the only headers. */
  readonly status: string | undefined;
  readonly message: string | undefined;
  readonly details: string | undefined;
  /** The code of a RST_STREAM that ended the call instead. */
  readonly resetCode: number | undefined;
  /** The message of the reply, uncompressed and cut to what is used of it. */
  readonly body: Uint8Array;
  /** The message went on beyond 4 MiB, the most that a client of OTLP may take. */
  readonly oversized: boolean;
};

/** By their numbers: https://grpc.io/docs/guides/status-codes. */
export const grpcStatuses = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;
export type GrpcStatus = (typeof grpcStatuses)[number];

/** https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-response */
const retryable: ReadonlySet<GrpcStatus> = new Set([
  "CANCELLED",
  "DEADLINE_EXCEEDED",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNAVAILABLE",
  "DATA_LOSS",
]);

/** https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md: of proxies, which know no gRPC. */
const statusOfHttp: Readonly<Record<number, GrpcStatus>> = {
  400: "INTERNAL",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "UNIMPLEMENTED",
  429: "UNAVAILABLE",
  502: "UNAVAILABLE",
  503: "UNAVAILABLE",
  504: "UNAVAILABLE",
};

/** https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors; all others are INTERNAL. */
const statusOfReset: Readonly<Record<number, GrpcStatus>> = {
  7: "UNAVAILABLE",
  8: "CANCELLED",
  11: "RESOURCE_EXHAUSTED",
  12: "PERMISSION_DENIED",
};

/** `grpc-message` is percent-encoded UTF-8. */
const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** The status, and what is said beside it. */
const statusOf = ({ status, message, httpStatus, resetCode }: GrpcReply): { name: GrpcStatus; said: string } => {
  if (status !== undefined)
    return {
      name: (/^\d+$/.test(status) ? grpcStatuses[Number(status)] : undefined) ?? "UNKNOWN",
      said: decoded(message ?? ""),
    };
  if (httpStatus !== undefined && httpStatus !== 200)
    return { name: statusOfHttp[httpStatus] ?? "UNKNOWN", said: `HTTP status ${httpStatus}` };
  if (resetCode !== undefined)
    return { name: statusOfReset[resetCode] ?? "INTERNAL", said: `the stream was reset with code ${resetCode}` };
  return { name: "UNKNOWN", said: "no grpc-status in the answer" };
};

/** The rules of OTLP/gRPC for an answer: OK is a success, six codes are retried, and one more if it says when. */
export const judgeGrpcReply = (reply: GrpcReply): Verdict => {
  const { name: status, said } = statusOf(reply);
  const asked = parseRetryDelay(Buffer.from(reply.details ?? "", "base64"));
  if (retryable.has(status) || (status === "RESOURCE_EXHAUSTED" && asked !== undefined))
    return {
      kind: "retry",
      status,
      reason: `status ${status}`,
      retryAfterMs: Math.min(asked ?? 0, longestRetryAfterMs),
    };
  if (reply.oversized) return { kind: "refused", reason: "an answer of more than 4 MiB" };
  if (status === "OK") return { kind: "delivered", status, ...parsePartialSuccess(reply.body) };
  return { kind: "refused", status, reason: said };
};
