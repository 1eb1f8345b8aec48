import type { OtlpProtocol } from "../model/config.ts";
import type { Fault } from "../text/fault.ts";
import { defaults } from "./defaults.ts";

const suffix = "/v1/metrics";

/** The URL that requests go to, as it is written. */
export const parseMetricsUrl = (text: string): { readonly url: string } | Fault => {
  const url = URL.parse(text);
  if (url === null || !/^https?:\/\//i.test(text.trim()))
    return { fault: "must be an http:// or https:// URL, as in http://localhost:4318" };
  if (url.username !== "" || url.password !== "")
    return { fault: "must not hold a user or a password: send them as a header, in export.otlp.headers" };
  url.hash = "";
  return { url: url.href };
};

/** The URL that requests go to, from the base URL of a receiver. */
export const parseBaseUrl = (text: string): { readonly url: string } | Fault => {
  const parsed = parseMetricsUrl(text);
  if ("fault" in parsed) return parsed;
  if (/[?#]/.test(text)) return { fault: `must be a base URL without ? and #: ${suffix} is appended to it` };
  const base = parsed.url.replace(/\/+$/, "");
  if (base.endsWith(suffix))
    return { fault: `must be the base URL: ${suffix} is appended to it (metrics_endpoint is used as it is)` };
  return { url: base + suffix };
};

/** The base URL that `parseBaseUrl` turns into this URL, if there is one. */
export const baseOf = (url: string): string | undefined => {
  if (!url.endsWith(suffix)) return undefined;
  const base = url.slice(0, -suffix.length);
  const parsed = parseBaseUrl(base);
  return "url" in parsed && parsed.url === url ? base : undefined;
};

/** Scheme, host and port of an endpoint that one of the above has read: gRPC has a path of its own. */
const originOf = (url: string): string => new URL(url).origin;

/** What is wrong for gRPC with a URL as it is written. */
export const grpcUrlFault = (url: string): string | undefined => {
  const { pathname, search } = new URL(url);
  return pathname === "/" && search === ""
    ? undefined
    : `must end with the port for grpc, which has a path of its own, as in ${defaults.otlp.grpcEndpoint}`;
};

/** Where requests of a protocol go, by the URL that is written or by default. */
export const urlFor = (protocol: OtlpProtocol, written: string | undefined): string => {
  if (protocol === "grpc") return written === undefined ? defaults.otlp.grpcEndpoint : originOf(written);
  return written ?? defaults.otlp.endpoint + suffix;
};

/**
 * Scheme, host and port as OpenTelemetry's own configuration has them for gRPC, and what is wrong with what it has behind
 * them: `host:port` means TLS unless it is said to be insecure.
 */
export const parseGrpcEndpoint = (
  text: string,
  isInsecure: boolean,
): { readonly url: string; readonly pathFault: string | undefined } | Fault => {
  const isBare = /^[^/?#@]+:\d+$/.test(text);
  const parsed = parseMetricsUrl(isBare ? `${isInsecure ? "http" : "https"}://${text}` : text);
  return "fault" in parsed ? parsed : { url: originOf(parsed.url), pathFault: grpcUrlFault(parsed.url) };
};
