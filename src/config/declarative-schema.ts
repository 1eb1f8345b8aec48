import { z } from "zod";
import { longestMs } from "../text/duration.ts";
import { compressions } from "../model/config.ts";
import { isFault } from "../text/fault.ts";
import { grpcNameFault, grpcValueFault, headerNameFault, headerValueFault } from "./headers.ts";
import { hostFault } from "./host-port.ts";
import { parseGrpcEndpoint, parseMetricsUrl } from "./otlp-url.ts";
import { parsePairs } from "./pairs.ts";
import { block, oneOf, optional, text, whole } from "./kinds.ts";
import { defaults } from "./defaults.ts";
import { logLevelOf } from "./log-level.ts";
import { absolutePath } from "./schema.ts";
import { refusing, shortestIntervalMs } from "./target-schema.ts";

/**
 * OpenTelemetry's declarative configuration, schema 1.0 and 1.1, as far as sockscope goes along with it. The
 * descriptions say what becomes of each key.
 * @see https://github.com/open-telemetry/opentelemetry-configuration
 */

/** A part of the schema that has nothing to become. */
const refused = (remedy: string) =>
  z
    .never({ error: `is not supported by sockscope: ${remedy}` })
    .optional()
    .meta({ description: `Refused: ${remedy}` });

/** A part of the schema that is about something else than metrics, or about nothing that can be told from outside. */
const leftAside = (why: string) =>
  z
    .unknown()
    .optional()
    .meta({ description: `Left aside: ${why}` });

const isMap = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A map with one of these keys. One without a value has the defaults of what it names. */
const choice = <S extends z.ZodRawShape>(shape: S) => {
  const names = Object.keys(shape);
  const error = `must be a map with one key: ${names.join(", ")}`;
  return z.preprocess(
    (value) =>
      isMap(value) ? Object.fromEntries(Object.entries(value).map(([key, held]) => [key, held ?? {}])) : value,
    z
      .strictObject(shape, { error: ({ code }) => (code === "unrecognized_keys" ? names.join(",") : error) })
      .refine((value) => Object.keys(value).length === 1, {
        error,
        // An unknown key has been reported by itself.
        when: ({ issues }) => issues.length === 0,
      }),
  );
};

/** One value, which is what sockscope does anyway. */
const only = <const T extends z.core.util.Literal>(value: T, why: string, description: string) =>
  optional(z.literal(value, { error: `must be ${value}: ${why}` }), description);

const listOf = <T extends z.ZodType>(item: T, what: string) => {
  const error = `must be a list of ${what}`;
  return z.array(item, { error }).min(1, { error });
};

const pem = (description: string) => optional(absolutePath("/etc/otel/client.pem"), description);

const tlsShape = {
  ca_file: pem("`tls.ca_file`"),
  cert_file: pem("`tls.cert_file`"),
  key_file: pem("`tls.key_file`"),
};

type Pair = { readonly cert_file?: string | undefined; readonly key_file?: string | undefined };

const paired = ({ cert_file: cert, key_file: key }: Pair, context: z.RefinementCtx): void => {
  if (cert !== undefined && key === undefined)
    context.addIssue({ code: "custom", path: ["cert_file"], message: "needs key_file, the file with its private key" });
  if (key !== undefined && cert === undefined)
    context.addIssue({ code: "custom", path: ["key_file"], message: "needs cert_file, the file with its certificate" });
};

type HeaderFault = (written: string) => string | undefined;

const grpcName: HeaderFault = (name) => headerNameFault(name) ?? grpcNameFault(name);
const grpcValue: HeaderFault = (value) => headerValueFault(value) ?? grpcValueFault(value);

/** Pairs by name; `fault` says what is wrong with one of them. */
const pairs = (fault: (name: string, value: string) => string | undefined) =>
  refusing((written) => {
    const read = parsePairs(written);
    if (read === undefined) return "must be percent-encoded pairs, as in name=value,name2=value2";
    return Object.entries(read)
      .map(([name, value]) => fault(name, value))
      .find((message) => message !== undefined);
  }, "text, as in name=value,name2=value2");

const aggregation = only(
  "explicit_bucket_histogram",
  "sockscope has no other histograms",
  "Only `explicit_bucket_histogram`",
);

const cumulative = only("cumulative", "what is printed is cumulative", "Only `cumulative`");

/** Requests are cut below this. */
const requestBytes = 4_194_304;

const otlpShape = (nameFault: HeaderFault, valueFault: HeaderFault) => ({
  headers: optional(
    listOf(
      block({ name: refusing(nameFault, "the name of a header"), value: refusing(valueFault).optional() }),
      "maps with name and value",
    ),
    "`headers`: maps with `name` and `value`, before what `headers_list` says of them",
  ),
  headers_list: optional(
    pairs((name, value) => nameFault(name) ?? valueFault(value)),
    "`headers`, percent-encoded",
  ),
  compression: optional(oneOf(compressions), "`compression`. Without it `none`"),
  max_request_size: optional(
    z.int().refine((bytes) => bytes === 0 || bytes >= requestBytes, {
      error: `must be 0 or at least ${requestBytes}: sockscope's requests have up to 4 MiB`,
    }),
    `0 or at least ${requestBytes}: requests have up to 4 MiB in any case`,
  ),
  max_response_size: only(requestBytes, "sockscope has no other bound", `Only ${requestBytes}`),
  timeout: optional(whole(0, longestMs), "`timeout`, in ms; 0 is the longest there is, `168h`. Without it 10000"),
  temporality_preference: optional(
    oneOf(["cumulative", "delta", "low_memory"]),
    "`temporality`; `low_memory` is taken for `delta`. Without it `cumulative`",
  ),
  default_histogram_aggregation: aggregation,
});

const otlpHttp = block({
  endpoint: optional(
    refusing((url) => {
      const parsed = parseMetricsUrl(url);
      return isFault(parsed) ? parsed.fault : undefined;
    }),
    "`metrics_endpoint`. Without it `http://localhost:4318/v1/metrics`",
  ),
  tls: optional(block(tlsShape).superRefine(paired), "`tls`, where the endpoint is an https:// one"),
  ...otlpShape(headerNameFault, headerValueFault),
  encoding: optional(oneOf(["protobuf", "json"]), "`protocol`: `http/protobuf` or `http/json`. Without it the former"),
});

const otlpGrpc = block({
  endpoint: optional(
    refusing((endpoint) => {
      const parsed = parseGrpcEndpoint(endpoint, false);
      return isFault(parsed) ? parsed.fault : parsed.pathFault;
    }),
    "`endpoint`; it may be `host:port`, too, but has no path. Without it `http://localhost:4317`",
  ),
  tls: optional(
    block({
      ...tlsShape,
      insecure: optional(
        z.boolean({ error: "must be true or false" }),
        "Whether an endpoint without a scheme is an `http://` one",
      ),
    }).superRefine(paired),
    "`tls`, where the endpoint is an https:// one",
  ),
  ...otlpShape(grpcName, grpcValue),
});

const stdout = "stdout";
const filePrefix = "file://";

const otlpFile = block({
  output_stream: optional(
    refusing(
      (stream) =>
        stream === stdout || /^file:\/\/\/[^\0]+$/.test(stream)
          ? undefined
          : "must be stdout, or a file as in file:///var/lib/metrics.jsonl",
      "stdout or file:///path",
    ),
    "`export.file.path` where it is `file:///path`, `export.console.format: otlp-json` where it is `stdout` or absent",
  ),
  temporality_preference: cumulative,
  default_histogram_aggregation: aggregation,
});

const consoleExporter = block({ temporality_preference: cumulative, default_histogram_aggregation: aggregation });

const noCardinality = refused("set sockets.max_groups in the file of sockscope");
const noProducers = refused("remove it");
const noLabels = refused("remove it, the resource is in target_info");
const withoutScope = "the page has no scope labels";
const withTarget = "the page has target_info";

const prometheus = block({
  host: optional(
    refusing((host) => hostFault(host), "the name or the address of a host"),
    `The host in \`export.prometheus.listen\`. Without it \`${defaults.listen.host}\``,
  ),
  port: optional(whole(0, 65_535), `The port in it. Without it ${defaults.listen.port}`),
  scope_info_enabled: only(false, withoutScope, `Only \`false\`: ${withoutScope}`),
  without_scope_info: only(true, withoutScope, "The same in schema 1.0: only `true`"),
  "target_info_enabled/development": only(true, withTarget, `Only \`true\`: ${withTarget}`),
  "without_target_info/development": only(false, withTarget, "The same in schema 1.0: only `false`"),
  resource_constant_labels: noLabels,
  with_resource_constant_labels: noLabels,
  translation_strategy: only(
    "underscore_escaping_with_suffixes",
    "the page has no other names",
    "Only `underscore_escaping_with_suffixes`",
  ),
});

const reader = choice({
  periodic: optional(
    block({
      interval: optional(whole(shortestIntervalMs, longestMs), "`collection.interval`, in ms. Without it 60000"),
      timeout: optional(
        whole(0, longestMs),
        "`collection.timeout`, in ms, capped to the interval; 0 is the interval. Without it 30000",
      ),
      "max_export_batch_size/development": refused("remove it, requests are cut by their size"),
      exporter: choice({
        otlp_http: optional(otlpHttp, "A destination of `export.otlp`, and its keys become keys of that"),
        otlp_grpc: optional(otlpGrpc, "The same, with `protocol: grpc` and these differences").meta({
          like: "otlp_http",
        }),
        "otlp_file/development": optional(otlpFile, "`export.file` or `export.console`"),
        console: optional(consoleExporter, "`export.console.format: table`"),
      }),
      producers: noProducers,
      cardinality_limits: noCardinality,
    }),
    "When to collect, and one export. Several must have the same times: sockscope collects once for all",
  ),
  pull: optional(
    block({
      exporter: choice({
        "prometheus/development": optional(prometheus, "`export.prometheus`"),
        prometheus: optional(prometheus, "The same").meta({ like: "prometheus/development" }),
      }),
      producers: noProducers,
      cardinality_limits: noCardinality,
    }),
    "One export, on request",
  ),
});

const attributeTypes = ["string", "bool", "int", "double"] as const;
type AttributeType = (typeof attributeTypes)[number];

const isOfType: Readonly<Record<AttributeType, (value: unknown) => boolean>> = {
  string: (value) => typeof value === "string",
  bool: (value) => typeof value === "boolean",
  int: (value) => Number.isSafeInteger(value),
  double: (value) => typeof value === "number",
};

const attribute = block({
  name: text("the name of an attribute").min(1, { error: "an attribute needs a name" }),
  value: z.union([z.string(), z.number(), z.boolean()], { error: "must be text, a number, true or false" }).optional(),
  type: z.enum(attributeTypes, { error: "must be string, bool, int or double: lists are not supported" }).optional(),
}).superRefine(({ value, type = "string" }, context) => {
  if (value !== undefined && !isOfType[type](value))
    context.addIssue({ code: "custom", path: ["value"], message: `is not of the type ${type}: change one of the two` });
});

const resource = block({
  attributes: optional(
    listOf(attribute, "maps with name and value"),
    "`resource.attributes`: maps with `name`, `value` and `type` (`string`, `bool`, `int` or `double`)",
  ),
  attributes_list: optional(
    pairs(() => undefined),
    "`resource.attributes`, percent-encoded, behind `attributes`",
  ),
  schema_url: refused("remove it"),
  "detection/development": optional(
    block({
      attributes: leftAside("sockscope finds out what it says of itself"),
      detectors: optional(
        z.array(z.record(z.string(), z.unknown()), { error: "must be a list of maps" }),
        "`service` takes `service.name` from `OTEL_SERVICE_NAME`; the others are left aside: `host.name`, `os.type` and `service.instance.id` are always there",
      ),
    }),
    "`resource.attributes`, behind all others",
  ),
});

const severity = refusing(
  (level) => (logLevelOf(level) === undefined ? "must be trace, debug, info, warn, error or fatal" : undefined),
  "a severity",
);

/** Keys of the file that sockscope has no use for, since it has metrics only. */
export const otherSignals = [
  "attribute_limits",
  "logger_provider",
  "propagator",
  "tracer_provider",
  "instrumentation/development",
] as const;

/** Of the versions of the schema that are known, all with the major version 1. */
export const latestMinor = 1;

const shape = {
  file_format: refusing(
    (version) => (/^1\.\d+$/.test(version) ? undefined : 'must be "1.0" or "1.1"'),
    'the version of the schema, "1.1"',
  ).meta({ description: "`1.0` or `1.1`; a later minor version is read with a warning" }),
  disabled: optional(z.boolean({ error: "must be true or false" }), "As `OTEL_SDK_DISABLED`"),
  log_level: optional(severity, "As `OTEL_LOG_LEVEL`, by the names of severities; from the start of the process"),
  resource: optional(resource, "The resource"),
  meter_provider: optional(
    block({
      readers: listOf(reader, "readers"),
      views: refused("choose in the file of sockscope what is measured"),
      exemplar_filter: optional(oneOf(["always_on", "always_off", "trace_based"]), "As `OTEL_METRICS_EXEMPLAR_FILTER`"),
      "meter_configurator/development": refused("choose in the file of sockscope what is measured"),
    }),
    "What is exported; nothing without it",
  ),
  attribute_limits: leftAside("it is about spans and logs"),
  logger_provider: leftAside("sockscope has no logs"),
  propagator: leftAside("sockscope has no context"),
  tracer_provider: leftAside("sockscope has no spans"),
  "instrumentation/development": leftAside("sockscope instruments nothing"),
  distribution: optional(
    z.record(z.string(), z.unknown(), { error: "must be a map" }).superRefine((value, context) => {
      if (Object.hasOwn(value, "sockscope"))
        context.addIssue({
          code: "custom",
          path: ["sockscope"],
          message: "is not read: write it to the file of sockscope, which -c names",
        });
    }),
    "Left aside: it is about other programs",
  ),
};

/** Keys that the schema knows; it allows others. */
export const knownKeys: readonly string[] = Object.keys(shape);

/** The whole file. */
export const declarative = z.preprocess(
  (value) => (isMap(value) ? Object.fromEntries(Object.entries(value).filter(([, held]) => held !== null)) : value),
  z.looseObject(shape, { error: "must be a map of keys" }),
);

export type Declarative = z.output<typeof declarative>;
type MeterProvider = NonNullable<Declarative["meter_provider"]>;
export type Reader = MeterProvider["readers"][number];
export type OtlpHttp = z.output<typeof otlpHttp>;
export type OtlpGrpc = z.output<typeof otlpGrpc>;

/** The path of `file:///path`. */
export const fileOf = (stream: string | undefined): string | undefined =>
  stream === undefined || stream === stdout ? undefined : stream.slice(filePrefix.length);
