import type { Temporality } from "../model/columns.ts";
import { compressions, type OtlpConfig, type OtlpProtocol, otlpProtocols } from "../model/config.ts";
import { longestMs } from "../text/duration.ts";
import type { Env } from "./env.ts";
import { isFault } from "../text/fault.ts";
import { grpcNameFault, grpcValueFault, headerNameFault, headerValueFault } from "./headers.ts";
import { grpcUrlFault, parseBaseUrl, parseGrpcVariable, parseMetricsUrl } from "./otlp-url.ts";
import { proxyOf } from "./proxy.ts";
import { shortestIntervalMs } from "./target-schema.ts";

/** A value and the variable that it came from. */
export type Sourced<T> = { readonly value: T; readonly variable: string };

/** What the OTEL_* variables ask for. */
export type Environment = {
  readonly intervalMs: Sourced<number> | undefined;
  readonly timeoutMs: Sourced<number> | undefined;
  readonly attributes: ReadonlyMap<string, Sourced<string>>;
  /** The full URL, or what gRPC has of one. */
  readonly url: Sourced<string> | undefined;
  readonly headers: Sourced<OtlpConfig["headers"]> | undefined;
  readonly protocol: Sourced<OtlpConfig["protocol"]> | undefined;
  readonly compression: Sourced<OtlpConfig["compression"]> | undefined;
  readonly exportTimeoutMs: Sourced<number> | undefined;
  /** Files in PEM form. A client's certificate and key come together or not at all. */
  readonly caFile: Sourced<string> | undefined;
  readonly certFile: Sourced<string> | undefined;
  readonly keyFile: Sourced<string> | undefined;
  readonly temporality: Sourced<Temporality> | undefined;
  /** What is on the way to a URL. */
  readonly proxyOf: (url: string, isGrpc: boolean) => ReturnType<typeof proxyOf>;
  /** Variables that were ignored, and why; a sentence each, without values. */
  readonly warnings: readonly string[];
};

const otlp = "OTEL_EXPORTER_OTLP_";

/** Every variable that sockscope reads, with its meaning. */
export const variables = {
  OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "The URL that metrics are sent to, used as it is.",
  OTEL_EXPORTER_OTLP_ENDPOINT:
    "The base URL of the receiver; /v1/metrics is appended, but not for grpc. For grpc both may be `host:port`, too.",
  OTEL_EXPORTER_OTLP_METRICS_INSECURE: "For grpc and `host:port`: `true` for no TLS, which it has otherwise.",
  OTEL_EXPORTER_OTLP_INSECURE: "The same, where the one above is not set.",
  OTEL_EXPORTER_OTLP_METRICS_HEADERS: "Headers of every request, as in `name=value,name2=value2`, percent-encoded.",
  OTEL_EXPORTER_OTLP_HEADERS: "The same, where the one above is not set.",
  OTEL_EXPORTER_OTLP_METRICS_COMPRESSION: "`gzip`, `zstd` or `none`.",
  OTEL_EXPORTER_OTLP_COMPRESSION: "The same, where the one above is not set.",
  OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: "How long a request may take, in ms.",
  OTEL_EXPORTER_OTLP_TIMEOUT: "The same, where the one above is not set.",
  OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE:
    "For https://: a PEM file with the certificates that are trusted, relative to the working directory.",
  OTEL_EXPORTER_OTLP_CERTIFICATE: "The same, where the one above is not set.",
  OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE:
    "For https://: a PEM file with the certificate that is shown to the receiver.",
  OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: "The same, where the one above is not set.",
  OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY: "A PEM file with its private key, without a passphrase.",
  OTEL_EXPORTER_OTLP_CLIENT_KEY: "The same, where the one above is not set.",
  OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: "`http/protobuf`, `http/json` or `grpc`.",
  OTEL_EXPORTER_OTLP_PROTOCOL: "The same, where the one above is not set.",
  OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE:
    "`cumulative`, `delta`, or `lowmemory`, which is taken for `delta`; case does not matter.",
  OTEL_METRIC_EXPORT_INTERVAL: "`collection.interval`, in ms.",
  OTEL_METRIC_EXPORT_TIMEOUT: "`collection.timeout`, in ms; capped to the interval.",
  OTEL_RESOURCE_ATTRIBUTES:
    "Resource attributes, as in `name=value,name2=value2`, percent-encoded; dropped as a whole when malformed.",
  OTEL_SERVICE_NAME: "The resource attribute `service.name`.",
  HTTPS_PROXY:
    "The HTTP proxy to https:// destinations and to all of grpc, as in `http://user:password@host:port`. It and the next two also in lower case.",
  HTTP_PROXY: "The same to other http:// destinations.",
  NO_PROXY:
    "Where no proxy is used beside this machine itself: names with all below them, addresses and networks, as in `internal,10.0.0.0/8`, or `*`.",
} as const;

type Variable = keyof typeof variables;
type ExporterVariable =
  | "ENDPOINT"
  | "HEADERS"
  | "COMPRESSION"
  | "TIMEOUT"
  | "PROTOCOL"
  | "INSECURE"
  | "CERTIFICATE"
  | "CLIENT_CERTIFICATE"
  | "CLIENT_KEY";

const milliseconds =
  (min: number) =>
  (text: string): number | undefined => {
    const ms = /^\d+$/.test(text) ? Number(text) : NaN;
    return ms >= min && ms <= longestMs ? ms : undefined;
  };

const word =
  <const T extends string>(...words: readonly T[]) =>
  (text: string): T | undefined =>
    words.find((known) => known === text);

/** Reads `name=value,name2=value2`, percent-decoded, as W3C baggage has it; undefined when any of it is malformed. */
export const parsePairs = (text: string): Readonly<Record<string, string>> | undefined => {
  const pairs: [string, string][] = [];
  for (const member of text.split(",")) {
    if (member.trim() === "") continue;
    const [, name, value] = /^([^=]+)=(.*)$/s.exec(member) ?? [];
    if (name === undefined || value === undefined) return undefined;
    try {
      pairs.push([decodeURIComponent(name.trim()), decodeURIComponent(value.trim())]);
    } catch {
      return undefined;
    }
  }
  // As a key of an object it would set the prototype.
  if (pairs.some(([name]) => name === "" || name === "__proto__")) return undefined;
  return Object.fromEntries(pairs);
};

const parseHeaders =
  (isGrpc: boolean) =>
  (text: string): OtlpConfig["headers"] | undefined => {
    const pairs = Object.entries(parsePairs(text) ?? {});
    const isSound = ([name, value]: [string, string]): boolean =>
      (headerNameFault(name) ?? headerValueFault(value)) === undefined &&
      (!isGrpc || (grpcNameFault(name) ?? grpcValueFault(value)) === undefined);
    return pairs.length > 0 && pairs.every(isSound) ? Object.fromEntries(pairs) : undefined;
  };

const urlBy =
  (parse: typeof parseBaseUrl) =>
  (text: string): string | undefined => {
    const parsed = parse(text);
    return isFault(parsed) ? undefined : parsed.url;
  };

/**
 * Reads the OTEL_* variables. What cannot be used is ignored with a warning; an empty variable counts as absent. `chosen`:
 * the protocol that the file says, by which some of them mean something else.
 */
export const readEnvironment = (env: Env, chosen?: OtlpProtocol): Environment => {
  const warnings: string[] = [];
  const read = <T>(variable: Variable, parse: (text: string) => T | undefined, allowed: string) => {
    const text = env[variable]?.trim() ?? "";
    if (text === "") return undefined;
    const value = parse(text);
    if (value === undefined) warnings.push(`${variable} is ignored: it must be ${allowed}.`);
    return value === undefined ? undefined : { value, variable };
  };
  /** The variable for metrics, else the one for all signals. */
  const ofExporter = <T>(name: ExporterVariable, parse: (text: string) => T | undefined, allowed: string) =>
    read(`${otlp}METRICS_${name}`, parse, allowed) ?? read(`${otlp}${name}`, parse, allowed);

  const pairs = "percent-encoded pairs, as in name=value,name2=value2";
  const url = "an http:// or https:// URL without user and password";
  const ms = "a whole number of milliseconds, at least";
  const protocol = ofExporter("PROTOCOL", word(...otlpProtocols), "http/protobuf, http/json or grpc");
  const isGrpc = (chosen ?? protocol?.value) === "grpc";
  const insecure = ofExporter("INSECURE", (text) => word("true", "false")(text.toLowerCase()), "true or false");
  const readUrl = (): Sourced<string> | undefined => {
    if (!isGrpc)
      return (
        read(`${otlp}METRICS_ENDPOINT`, urlBy(parseMetricsUrl), url) ??
        read(`${otlp}ENDPOINT`, urlBy(parseBaseUrl), `${url}, to which /v1/metrics is appended`)
      );
    const parse = urlBy((text) => parseGrpcVariable(text, insecure?.value === "true"));
    const given = ofExporter("ENDPOINT", parse, `${url}, or host:port`);
    const written = given && env[given.variable]?.trim();
    if (given !== undefined && written?.includes("://") === true && grpcUrlFault(written) !== undefined)
      warnings.push(`${given.variable}: its path is left out, since gRPC has one of its own.`);
    return given;
  };
  const attributes = new Map<string, Sourced<string>>();
  const listed = read("OTEL_RESOURCE_ATTRIBUTES", parsePairs, pairs);
  for (const [name, value] of Object.entries(listed?.value ?? {}))
    attributes.set(name, { value, variable: "OTEL_RESOURCE_ATTRIBUTES" });
  const service = read("OTEL_SERVICE_NAME", (text) => text, "text");
  if (service !== undefined) attributes.set("service.name", service);
  const file = (name: ExporterVariable) =>
    ofExporter(name, (text) => (text.includes("\0") ? undefined : text), "the name of a file");
  const [certFile, keyFile] = [file("CLIENT_CERTIFICATE"), file("CLIENT_KEY")];
  const alone = certFile === undefined ? keyFile : keyFile === undefined ? certFile : undefined;
  if (alone !== undefined)
    warnings.push(
      `${alone.variable} is ignored: it needs ${otlp}CLIENT_${certFile === undefined ? "CERTIFICATE" : "KEY"}.`,
    );
  const preference = read(
    `${otlp}METRICS_TEMPORALITY_PREFERENCE`,
    (text) => word("cumulative", "delta", "lowmemory")(text.toLowerCase()),
    "cumulative, delta or lowmemory",
  );
  if (preference?.value === "lowmemory")
    warnings.push(`${preference.variable}: lowmemory is taken for delta: counters and histograms are deltas.`);
  return {
    intervalMs: read("OTEL_METRIC_EXPORT_INTERVAL", milliseconds(shortestIntervalMs), `${ms} ${shortestIntervalMs}`),
    timeoutMs: read("OTEL_METRIC_EXPORT_TIMEOUT", milliseconds(1), `${ms} 1`),
    attributes,
    url: readUrl(),
    headers: ofExporter(
      "HEADERS",
      parseHeaders(isGrpc),
      `${pairs}, with names and values that ${isGrpc ? "gRPC" : "HTTP"} allows`,
    ),
    protocol,
    compression: ofExporter("COMPRESSION", word(...compressions), "gzip, zstd or none"),
    temporality: preference && { ...preference, value: preference.value === "cumulative" ? "cumulative" : "delta" },
    exportTimeoutMs: ofExporter("TIMEOUT", milliseconds(1), `${ms} 1`),
    caFile: file("CERTIFICATE"),
    certFile: alone === undefined ? certFile : undefined,
    keyFile: alone === undefined ? keyFile : undefined,
    proxyOf: (destination, byGrpc) => proxyOf(destination, env, byGrpc),
    warnings,
  };
};
