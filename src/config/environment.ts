import { compressions, type OtlpProtocol, otlpProtocols } from "../model/config.ts";
import type { LogLevel } from "../model/log.ts";
import { longestMs } from "../text/duration.ts";
import { type Fault, isFault } from "../text/fault.ts";
import { parseEntities } from "./entities.ts";
import type { Env } from "./env.ts";
import type { Given, GivenDestination, Sourced } from "./given.ts";
import { grpcNameFault, grpcValueFault, headerNameFault, headerValueFault } from "./headers.ts";
import { hostFault } from "./host-port.ts";
import { logLevelOf } from "./log-level.ts";
import { parseBaseUrl, parseGrpcEndpoint, parseMetricsUrl } from "./otlp-url.ts";
import { parsePairs } from "./pairs.ts";
import { proxyOf } from "./proxy.ts";
import { shortestIntervalMs } from "./target-schema.ts";

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
  OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: "How long a request may take, in ms; 0 is the longest there is, `168h`.",
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
  OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION:
    "`explicit_bucket_histogram`, which is what sockscope has; `base2_exponential_bucket_histogram` is ignored with a warning.",
  OTEL_METRICS_EXPORTER:
    "Which of `export` there are, where the file does not say so: `otlp`, `prometheus`, `console` (a table), `otlp/stdout` (OTLP JSON lines), a list of them, or `none`. Without it `otlp` where an endpoint is set. `otlp` without an endpoint sends to http://localhost:4318, by grpc to http://localhost:4317.",
  OTEL_EXPORTER_PROMETHEUS_HOST: "The host in `export.prometheus.listen`, where there is a page.",
  OTEL_EXPORTER_PROMETHEUS_PORT: "The port in it.",
  OTEL_METRIC_EXPORT_INTERVAL: "`collection.interval`, in ms.",
  OTEL_METRIC_EXPORT_TIMEOUT: "`collection.timeout`, in ms; capped to the interval. 0 is the interval.",
  OTEL_METRICS_EXEMPLAR_FILTER:
    "`always_off` or `trace_based`, which are the same here: sockscope has no spans, and no exemplars. `always_on` has no effect, which the log says.",
  OTEL_RESOURCE_ATTRIBUTES:
    "Resource attributes, as in `name=value,name2=value2`, percent-encoded; dropped as a whole when malformed.",
  OTEL_SERVICE_NAME: "The resource attribute `service.name`, before what the one above says of it.",
  OTEL_ENTITIES:
    "Entities, as in `host{host.id=7}[host.name=a]@URL;service{service.name=b}`. Their attributes become resource attributes, behind those of the two above; what is malformed is left out.",
  OTEL_SDK_DISABLED:
    "`true`: sockscope runs until it is stopped, and reads, probes, serves and exports nothing; faults of the file are still found.",
  OTEL_LOG_LEVEL: "What `--log-level` is without that option: `debug`, `info`, `warn` or `error`.",
  OTEL_CONFIG_FILE:
    "A declarative configuration of OpenTelemetry, as below, in place of all other variables that start with `OTEL_`.",
  OTEL_EXPERIMENTAL_CONFIG_FILE: "The old name of the one above, where that is not set.",
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

const whole =
  (min: number, max: number) =>
  (text: string): number | undefined => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    return value >= min && value <= max ? value : undefined;
  };

/** 0 is no limit, for which the longest time stands that there is. */
const timeout = (text: string): number | undefined => {
  const ms = whole(0, longestMs)(text);
  return ms === 0 ? longestMs : ms;
};

/** Case does not matter in any of the specification's words. */
const word =
  <const T extends string>(...words: readonly T[]) =>
  (text: string): T | undefined =>
    words.find((known) => known === text.toLowerCase());

const exporters = ["otlp", "prometheus", "console", "otlp/stdout", "none"] as const;
type Exporter = (typeof exporters)[number];

type Exporters = { readonly named: ReadonlySet<Exporter>; readonly unknown: boolean };

/** undefined where nothing of the list is known. */
const parseExporters = (text: string): Exporters | undefined => {
  const items = text.split(",").filter((item) => item.trim() !== "");
  const known = items.flatMap((item) => word(...exporters)(item.trim()) ?? []);
  const named = new Set(known.filter((name) => name !== "none"));
  const vain = named.size > 0 && known.includes("none");
  return known.length === 0 ? undefined : { named, unknown: vain || known.length < items.length };
};

const parseHeaders =
  (isGrpc: boolean) =>
  (text: string): Readonly<Record<string, string>> | undefined => {
    const pairs = Object.entries(parsePairs(text) ?? {});
    const isSound = ([name, value]: [string, string]): boolean =>
      (headerNameFault(name) ?? headerValueFault(value)) === undefined &&
      (!isGrpc || (grpcNameFault(name) ?? grpcValueFault(value)) === undefined);
    return pairs.length > 0 && pairs.every(isSound) ? Object.fromEntries(pairs) : undefined;
  };

const unlessFault = <T extends object>(parsed: T | Fault): T | undefined => (isFault(parsed) ? undefined : parsed);

const urlBy =
  (parse: typeof parseBaseUrl) =>
  (text: string): string | undefined =>
    unlessFault(parse(text))?.url;

/** An IPv6 address may stand in brackets. */
const hostOf = (text: string): string | undefined => {
  const host = /^\[(.*)\]$/.exec(text)?.[1] ?? text;
  return hostFault(host) === undefined ? host : undefined;
};

/** Reads a variable, else leaves a warning; an empty one counts as absent. */
type Read = <T>(variable: Variable, parse: (text: string) => T | undefined, allowed: string) => Sourced<T> | undefined;

const pairs = "percent-encoded pairs, as in name=value,name2=value2";
const ms = "a whole number of milliseconds";
const unlimited = `${ms}, or 0 for no limit`;

/** `chosen`: the protocol that the file says, by which some of the variables mean something else. */
const readDestination = (read: Read, warnings: string[], chosen: OtlpProtocol | undefined): GivenDestination => {
  /** The variable for metrics, else the one for all signals. */
  const either = <T>(name: ExporterVariable, parse: (text: string) => T | undefined, allowed: string) =>
    read(`${otlp}METRICS_${name}`, parse, allowed) ?? read(`${otlp}${name}`, parse, allowed);
  const url = "an http:// or https:// URL without user and password";
  const protocol = either("PROTOCOL", word(...otlpProtocols), "http/protobuf, http/json or grpc");
  const isGrpc = (chosen ?? protocol?.value) === "grpc";
  const insecure = either("INSECURE", word("true", "false"), "true or false");
  const readUrl = (): GivenDestination["url"] => {
    if (!isGrpc)
      return (
        read(`${otlp}METRICS_ENDPOINT`, urlBy(parseMetricsUrl), url) ??
        read(`${otlp}ENDPOINT`, urlBy(parseBaseUrl), `${url}, to which /v1/metrics is appended`)
      );
    const parse = (text: string) => unlessFault(parseGrpcEndpoint(text, insecure?.value === "true"));
    const given = either("ENDPOINT", parse, `${url}, or host:port`);
    if (given?.value.pathFault !== undefined)
      warnings.push(`${given.origin}: its path is left out, since gRPC has one of its own.`);
    return given && { ...given, value: given.value.url };
  };
  const file = (name: ExporterVariable) =>
    either(name, (text) => (text.includes("\0") ? undefined : text), "the name of a file");
  const [certFile, keyFile] = [file("CLIENT_CERTIFICATE"), file("CLIENT_KEY")];
  const alone = certFile === undefined ? keyFile : keyFile === undefined ? certFile : undefined;
  if (alone !== undefined)
    warnings.push(
      `${alone.origin} is ignored: it needs ${otlp}CLIENT_${certFile === undefined ? "CERTIFICATE" : "KEY"}.`,
    );
  const preference = read(
    `${otlp}METRICS_TEMPORALITY_PREFERENCE`,
    word("cumulative", "delta", "lowmemory"),
    "cumulative, delta or lowmemory",
  );
  if (preference?.value === "lowmemory")
    warnings.push(`${preference.origin}: lowmemory is taken for delta: counters and histograms are deltas.`);
  return {
    url: readUrl(),
    headers: either(
      "HEADERS",
      parseHeaders(isGrpc),
      `${pairs}, with names and values that ${isGrpc ? "gRPC" : "HTTP"} allows`,
    ),
    protocol,
    compression: either("COMPRESSION", word(...compressions), "gzip, zstd or none"),
    temporality: preference && { ...preference, value: preference.value === "cumulative" ? "cumulative" : "delta" },
    exportTimeoutMs: either("TIMEOUT", timeout, unlimited),
    caFile: file("CERTIFICATE"),
    certFile: alone === undefined ? certFile : undefined,
    keyFile: alone === undefined ? keyFile : undefined,
  };
};

/** Which exports there are to be. */
const readExports = (
  read: Read,
  warnings: string[],
  { url }: GivenDestination,
): Pick<Given, "otlp" | "prometheus" | "console"> => {
  const allowed = "otlp, prometheus, console, otlp/stdout, a list of them, or none";
  const given = read("OTEL_METRICS_EXPORTER", parseExporters, allowed);
  if (given === undefined) return { otlp: url && { ...url, value: true }, prometheus: undefined, console: undefined };
  const { named, unknown } = given.value;
  if (unknown) warnings.push(`${given.origin} is ignored in part: it must be ${allowed}.`);
  const both = named.has("console") && named.has("otlp/stdout");
  if (both) warnings.push(`${given.origin}: of console and otlp/stdout only the former is printed.`);
  const format = named.has("console") ? "table" : named.has("otlp/stdout") ? "otlp-json" : false;
  return {
    otlp: { ...given, value: named.has("otlp") },
    prometheus: { ...given, value: named.has("prometheus") },
    console: { ...given, value: format },
  };
};

const readAttributes = (read: Read, warnings: string[]): Given["attributes"] => {
  const attributes = new Map<string, Sourced<string>>();
  const entities = read("OTEL_ENTITIES", parseEntities, "entities");
  if (entities?.value.malformed === true)
    warnings.push(
      "OTEL_ENTITIES is ignored in part: an entity is written type{key=value}[key=value], percent-encoded.",
    );
  if (entities?.value.repeated === true)
    warnings.push("OTEL_ENTITIES has an entity or an attribute twice: the last one counts.");
  for (const [name, value] of entities?.value.attributes ?? [])
    attributes.set(name, { value, origin: "OTEL_ENTITIES" });
  const listed = read("OTEL_RESOURCE_ATTRIBUTES", parsePairs, pairs);
  for (const [name, value] of Object.entries(listed?.value ?? {}))
    attributes.set(name, { value, origin: "OTEL_RESOURCE_ATTRIBUTES" });
  const service = read("OTEL_SERVICE_NAME", (text) => text, "text");
  if (service !== undefined) attributes.set("service.name", service);
  return attributes;
};

/** Says of what has no effect that it has none. */
const readVain = (read: Read, warnings: string[]): void => {
  const filter = read(
    "OTEL_METRICS_EXEMPLAR_FILTER",
    word("always_on", "always_off", "trace_based"),
    "always_on, always_off or trace_based",
  );
  if (filter?.value === "always_on") warnings.push(`${filter.origin} has no effect: sockscope has no exemplars.`);
  read(
    `${otlp}METRICS_DEFAULT_HISTOGRAM_AGGREGATION`,
    word("explicit_bucket_histogram"),
    "explicit_bucket_histogram, which is what sockscope has",
  );
};

/** The declarative file, which counts instead of all other OTEL_* variables. */
export const declarativeFile = (env: Env): Sourced<string> | undefined => {
  const named = (["OTEL_CONFIG_FILE", "OTEL_EXPERIMENTAL_CONFIG_FILE"] as const satisfies Variable[]).find(
    (name) => (env[name]?.trim() ?? "") !== "",
  );
  return named && { value: env[named]?.trim() ?? "", origin: named };
};

/** The level of a log that no file says anything of. */
export const logLevelIn = (env: Env): LogLevel | undefined =>
  declarativeFile(env) === undefined ? readEnvironment(env).logLevel?.value : undefined;

/**
 * Reads the OTEL_* variables. What cannot be used is ignored with a warning; an empty variable counts as absent. `chosen`:
 * the protocol that the file says, if it does.
 */
export const readEnvironment = (env: Env, chosen?: OtlpProtocol): Given => {
  const warnings: string[] = [];
  const read: Read = (variable, parse, allowed) => {
    const text = env[variable]?.trim() ?? "";
    if (text === "") return undefined;
    const value = parse(text);
    if (value === undefined) warnings.push(`${variable} is ignored: it must be ${allowed}.`);
    return value === undefined ? undefined : { value, origin: variable };
  };
  const disabled = read("OTEL_SDK_DISABLED", word("true", "false"), "true or false");
  const logLevel = read("OTEL_LOG_LEVEL", logLevelOf, "debug, info, warn or error");
  const intervalMs = read(
    "OTEL_METRIC_EXPORT_INTERVAL",
    whole(shortestIntervalMs, longestMs),
    `${ms}, at least ${shortestIntervalMs}`,
  );
  const timeoutMs = read("OTEL_METRIC_EXPORT_TIMEOUT", timeout, unlimited);
  readVain(read, warnings);
  const destination = readDestination(read, warnings, chosen);
  const exports = readExports(read, warnings, destination);
  return {
    ...destination,
    ...exports,
    disabled: disabled?.value === "true" ? { ...disabled, value: true } : undefined,
    logLevel,
    intervalMs,
    timeoutMs,
    attributes: readAttributes(read, warnings),
    host: read("OTEL_EXPORTER_PROMETHEUS_HOST", hostOf, "the name or the address of a host"),
    port: read("OTEL_EXPORTER_PROMETHEUS_PORT", whole(0, 65_535), "a whole number from 0 to 65535"),
    declared: [],
    outputFile: undefined,
    proxyOf: (url, isGrpc) => proxyOf(url, env, isGrpc),
    warnings,
  };
};
