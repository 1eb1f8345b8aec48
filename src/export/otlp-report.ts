import type { Log } from "../model/log.ts";
import type { Verdict } from "./otlp-retry.ts";

type Failed = Extract<Verdict, { kind: "retry" }>;
type Refused = Extract<Verdict, { kind: "refused" }>;
type Delivered = Extract<Verdict, { kind: "delivered" }>;

/** Deliveries without complaint after which the same complaint is news again. */
const calm = 10;

export const countRequests = (count: number): string => `${count} ${count === 1 ? "request" : "requests"}`;

const longestQuote = 200;

/** Of what a destination is; `host` is its name. */
type Destination = { readonly host: string; readonly isTls: boolean; readonly isGrpc?: boolean };

/** A server that does not speak HTTP/1.1, or HTTP/2, on this port closes the connection or answers with something else. */
const isNoHttp = (reason: string): boolean =>
  reason.startsWith("HPE_") ||
  /^(?:HTTPParserError|UND_ERR_SOCKET|ECONNRESET|EPIPE|ERR_CONNECTION_LOST|ERR_HTTP2_(?:SESSION_)?ERROR)$/.test(reason);

const schemeRemedy = (
  { status, reason }: Failed | Refused,
  { isTls, isGrpc = false }: Destination,
): string | undefined => {
  if (reason.startsWith("ERR_PROXY")) return undefined;
  const port = `of a collector's ports the one for ${isGrpc ? "gRPC is 4317" : "HTTP is 4318"}`;
  if (reason === "ERR_NO_HTTP2") return `it speaks no gRPC there: ${port}`;
  if (isTls) {
    if (/^(?:EPROTO|ERR_SSL_(?:WRONG_VERSION|PACKET_LENGTH|HTTP_REQUEST))/.test(reason))
      return "if this port speaks plain HTTP, write http:// in export.otlp.endpoint";
    if (reason.includes("_ALERT_"))
      return "it refuses the handshake: if it wants a certificate, name one in export.otlp.tls.cert_file";
    if (/CERT|SELF_SIGNED|UNABLE_TO_/.test(reason))
      return "check the destination's certificate; export.otlp.tls.ca_file names a file of the authorities to trust";
  } else if (status === 400 ? /HTTPS (?:server|port)/i.test(reason) : status === undefined && isNoHttp(reason)) {
    return `for a TLS port write https:// in export.otlp.endpoint; ${port}`;
  }
  return undefined;
};

const grpcRemedy = ({ kind, status, reason }: Failed | Refused): string | undefined => {
  if (status === "UNAUTHENTICATED" || status === "PERMISSION_DENIED") return "check export.otlp.headers";
  if (status === "UNIMPLEMENTED")
    return "check export.otlp.compression, and that the port of export.otlp.endpoint is one of OTLP/gRPC for metrics";
  if (kind === "retry" && (status === "UNAVAILABLE" || status === "RESOURCE_EXHAUSTED"))
    return "it is overloaded: a collector answers so when its memory_limiter or a queue is full";
  if (status === "RESOURCE_EXHAUSTED" && /larger than max/.test(reason))
    return "raise the destination's limit of the message size to 4 MiB";
  return reason === "ERR_INVALID_FORMAT" ? "they were stored as JSON, which gRPC does not carry" : undefined;
};

const statusRemedy = (failure: Failed | Refused): string | undefined => {
  const { status = 0, reason } = failure;
  if (typeof status === "string" || reason === "ERR_INVALID_FORMAT") return grpcRemedy(failure);
  if (status === 407) return "check user and password in HTTP_PROXY";
  if (status === 401 || status === 403) return "check export.otlp.headers";
  if (status === 404 || status === 405) return "check the path of export.otlp.endpoint";
  if (status === 413 || (status === 400 && /too large/i.test(reason)))
    return "raise the destination's limit of the request size to 4 MiB";
  if (status === 415) return "check export.otlp.protocol, http/protobuf or http/json, and export.otlp.compression";
  if (status >= 300 && status < 400)
    return "redirects are not followed: write the final address in export.otlp.endpoint";
  if (status === 429 || status === 503)
    return "it is overloaded: a collector answers so when its memory_limiter or a queue is full";
  return /^(?:UND_)?ERR_INVALID_/.test(reason) ? "check export.otlp.headers" : undefined;
};

const reachRemedy = ({ reason }: Failed | Refused): string | undefined => {
  if (reason === "ERR_PROXY status 407") return "check user and password in HTTPS_PROXY";
  if (reason.startsWith("ERR_PROXY"))
    return "check the proxy of HTTPS_PROXY or HTTP_PROXY, or name the host in NO_PROXY";
  if (reason.startsWith("ERR_TLS_FILES")) return "check the files of export.otlp.tls";
  if (reason === "ECONNREFUSED") return "check that it runs and listens there";
  if (reason === "ENOTFOUND" || reason === "EAI_AGAIN") return "check the host of export.otlp.endpoint";
  if (/^(?:EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT)$/.test(reason))
    return "check the network up to there, and the host of export.otlp.endpoint";
  return reason.startsWith("no answer") ? "if it is only slow, raise export.otlp.timeout" : undefined;
};

/**
 * The log lines of a destination, each said once until it changes. They name host and port, never the rest of the URL
 * or a header: what the destination says is quoted without the header values, in at most 200 printable characters.
 */
export class DeliveryReport {
  readonly #log: Log;
  readonly #destination: string;
  readonly #about: Destination;
  readonly #secrets: readonly string[];
  #isDown = false;
  /** Points that the queue had dropped when the last request was delivered. */
  #lost = 0;
  /** It has taken a request: what fails from now on is no matter of the scheme or the port. */
  #isProven = false;
  readonly #said = new Map<"refusal" | "rejection" | "warning", string>();
  #calm = 0;

  constructor(log: Log, about: Destination, secrets: readonly string[]) {
    this.#log = log;
    this.#destination = `the OTLP destination ${about.host}`;
    this.#about = about;
    // "Bearer x" may come back as "x". The longest go first, so that none is left in part.
    this.#secrets = secrets
      .flatMap((value) => [value, ...value.split(/\s+/)])
      .filter(({ length }) => length > 3)
      .sort((a, b) => b.length - a.length);
  }

  failed(failure: Failed): void {
    if (this.#isDown) return;
    this.#isDown = true;
    const what =
      failure.status === undefined
        ? `cannot reach ${this.#destination} (${failure.reason})`
        : `${this.#destination} answers with ${failure.reason}`;
    this.#log("warn", `${what}: requests are queued and retried${this.#remedy(failure)}`);
  }

  refused(refusal: Refused): void {
    const { status, reason } = refusal;
    const said = this.#quote(reason);
    const what = status === undefined ? said : `status ${status}${said === "" ? "" : `, "${said}"`}`;
    this.#complain(
      "refusal",
      String(status),
      `${this.#destination} refuses requests (${what}): their points are dropped${this.#remedy(refusal)}`,
    );
  }

  /** `waited` requests were in the queue when this one was delivered; `lost` points it has dropped so far. */
  delivered({ rejected, message }: Delivered, waited: number, lost = 0): void {
    this.#isProven = true;
    if (this.#isDown) {
      this.#isDown = false;
      const meanwhile = lost > this.#lost ? `, ${lost - this.#lost} points were dropped meanwhile` : "";
      this.#log("info", `${this.#destination} is back: ${countRequests(waited)} waited${meanwhile}`);
    }
    this.#lost = lost;
    const said = this.#quote(message);
    if (rejected > 0) this.#complain("rejection", "", `${this.#destination} rejected ${rejected} points: "${said}"`);
    else if (said !== "") this.#complain("warning", "", `${this.#destination} warns: "${said}"`);
    else if (++this.#calm === calm) this.#said.clear();
  }

  #complain(about: "refusal" | "rejection" | "warning", what: string, line: string): void {
    this.#calm = 0;
    if (this.#said.get(about) === what) return;
    this.#said.set(about, what);
    this.#log("warn", line);
  }

  #remedy(failure: Failed | Refused): string {
    const remedy =
      (this.#isProven ? undefined : schemeRemedy(failure, this.#about)) ??
      statusRemedy(failure) ??
      reachRemedy(failure);
    return remedy === undefined ? "" : `; ${remedy}`;
  }

  #quote(text: string): string {
    let quoted = text;
    for (const secret of this.#secrets) quoted = quoted.replaceAll(secret, "[redacted]");
    return quoted
      .replace(/[\p{C}\p{Z}]+/gu, " ")
      .trim()
      .slice(0, longestQuote)
      .toWellFormed();
  }
}
