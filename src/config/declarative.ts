import type { ConsoleFormat } from "../model/config.ts";
import type { ConfigFault } from "../model/errors.ts";
import { longestMs } from "../text/duration.ts";
import { destinationKey } from "./cross-checks.ts";
import { defaults } from "./defaults.ts";
import { declare, mapGrpc, mapHttp, type Places } from "./declarative-otlp.ts";
import {
  type Declarative,
  declarative,
  fileOf,
  knownKeys,
  latestMinor,
  otherSignals,
  type Reader,
} from "./declarative-schema.ts";
import type { Declared } from "./declared.ts";
import { readDocument, type Source } from "./document.ts";
import { type Env, substituteAsSpecified } from "./env.ts";
import { variables } from "./environment.ts";
import type { Finding } from "./explain.ts";
import type { Given, Sourced } from "./given.ts";
import { logLevelOf } from "./log-level.ts";
import { parsePairs } from "./pairs.ts";
import { formatPath, type Path } from "./path.ts";
import { proxyOf } from "./proxy.ts";

type ReadValue = <T>(value: T | undefined, path: Path, standard?: T) => Sourced<T> | undefined;
type Attributes = Map<string, Sourced<string | number | boolean>>;

const readersPath: Path = ["meter_provider", "readers"];

/** What the schema has for a key that is absent. */
const standard = { times: { interval: 60_000, timeout: 30_000 }, ...defaults.listen };

const attributesOf = ({ resource = {} }: Declarative, env: Env, origin: Places["originOf"]): Attributes => {
  const attributes: Attributes = new Map();
  const set = (name: string, value: string | number | boolean, path: Path): void =>
    void attributes.set(name, { value, origin: origin(["resource", ...path]) });
  const detectors = resource["detection/development"]?.detectors ?? [];
  const service = env["OTEL_SERVICE_NAME"]?.trim() ?? "";
  for (const [index, detector] of detectors.entries())
    if (Object.hasOwn(detector, "service") && service !== "")
      set("service.name", service, ["detection/development", "detectors", index, "service"]);
  for (const [name, value] of Object.entries(parsePairs(resource.attributes_list ?? "") ?? {}))
    set(name, value, ["attributes_list"]);
  for (const [index, { name, value }] of (resource.attributes ?? []).entries())
    if (value !== undefined) set(name, value, ["attributes", index]);
  return attributes;
};

type Times = Pick<Given, "intervalMs" | "timeoutMs">;
type Periodic = NonNullable<Reader["periodic"]>;

/** Those of the first periodic reader, which all others must have, too. */
const timesOf = (readers: readonly Reader[], read: ReadValue): Times & { readonly findings: readonly Finding[] } => {
  const periodic = readers.flatMap((reader, index) =>
    reader.periodic === undefined ? [] : [{ fields: reader.periodic, path: [...readersPath, index, "periodic"] }],
  );
  const [first, ...others] = periodic;
  if (first === undefined) return { intervalMs: undefined, timeoutMs: undefined, findings: [] };
  const timeOf = (fields: Periodic, key: keyof typeof standard.times): number => fields[key] ?? standard.times[key];
  const findings = others.flatMap(({ fields, path }) =>
    (["interval", "timeout"] as const).flatMap((key): Finding[] => {
      const wanted = timeOf(first.fields, key);
      if (timeOf(fields, key) === wanted) return [];
      const message = `must be ${wanted}, as in ${formatPath(first.path)}: sockscope collects once for all readers`;
      return [{ path: [...path, key], at: "value", message }];
    }),
  );
  const timeout = read(first.fields.timeout, [...first.path, "timeout"], standard.times.timeout);
  return {
    intervalMs: read(first.fields.interval, [...first.path, "interval"], standard.times.interval),
    timeoutMs: timeout && { ...timeout, value: timeout.value === 0 ? longestMs : timeout.value },
    findings,
  };
};

type Exports = Pick<Given, "host" | "port" | "outputFile" | "declared"> & {
  readonly page: boolean;
  readonly console: ConsoleFormat | false;
  readonly findings: readonly Finding[];
};

/** What the readers export to. Of all but OTLP there can be one. */
const exportsOf = (readers: readonly Reader[], read: ReadValue, places: Places): Exports => {
  const findings: Finding[] = [];
  const declared: Declared[] = [];
  const first = new Map<string, Path>();
  const isFirst = (what: string, key: string, path: Path): boolean => {
    const before = first.get(key);
    if (before === undefined) first.set(key, path);
    else findings.push({ path, at: "key", message: `stands beside ${formatPath(before)}: sockscope has one ${what}` });
    return before === undefined;
  };
  const send = (exported: ReturnType<typeof declare>, path: Path): void => {
    findings.push(...exported.findings);
    if (exported.declared === undefined) return;
    const key = destinationKey(exported.declared.fields);
    if (isFirst("destination of this URL and these headers", key, path)) declared.push(exported.declared);
  };
  let console: ConsoleFormat | false = false;
  const print = (format: ConsoleFormat, path: Path): void => {
    if (isFirst("standard output", "stdout", path)) console = format;
  };
  let page: Pick<Given, "host" | "port"> | undefined;
  let outputFile: Given["outputFile"];
  for (const [index, { periodic, pull }] of readers.entries()) {
    const pulled = [...readersPath, index, "pull", "exporter"];
    for (const key of ["prometheus/development", "prometheus"] as const) {
      const fields = pull?.exporter[key];
      const at = [...pulled, key];
      if (fields !== undefined && isFirst("page", "page", at))
        page = {
          host: read(fields.host, [...at, "host"], standard.host),
          port: read(fields.port, [...at, "port"], standard.port),
        };
    }
    if (periodic === undefined) continue;
    const pushed = [...readersPath, index, "periodic", "exporter"];
    const { otlp_http: http, otlp_grpc: grpc, console: table, "otlp_file/development": lines } = periodic.exporter;
    const at = [...pushed, ...Object.keys(periodic.exporter)];
    if (http !== undefined) send(declare(http, mapHttp(http), at, places), at);
    if (grpc !== undefined) send(declare(grpc, mapGrpc(grpc), at, places), at);
    if (table !== undefined) print("table", at);
    if (lines === undefined) continue;
    const path = [...at, "output_stream"];
    const file = fileOf(lines.output_stream);
    if (file === undefined) print("otlp-json", at);
    else if (isFirst("file", "file", path))
      outputFile = { value: file, origin: places.originOf(path), fault: places.faultAt(path) };
  }
  return { host: page?.host, port: page?.port, page: page !== undefined, console, outputFile, declared, findings };
};

/** What the file says and sockscope has no use for; a sentence each. */
const notesOf = (data: Declarative, { file, text }: Source, env: Env): string[] => {
  const notes: string[] = [];
  const say = (names: readonly string[], one: string, several: string): void => {
    if (names.length > 0) notes.push(`${file}: ${names.join(", ")} ${names.length === 1 ? one : several}.`);
  };
  const detectors = (data.resource?.["detection/development"]?.detectors ?? []).flatMap((each) => Object.keys(each));
  const others = detectors.filter((name) => name !== "service" && name !== "host");
  const aside = [
    ...otherSignals.filter((key) => data[key] !== undefined),
    ...(others.length === 0 ? [] : [`resource.detection/development (${others.join(", ")})`]),
  ];
  const why = "left aside: sockscope has metrics only, and its own resource";
  say(aside, `is ${why}`, `are ${why}`);
  const unknown = Object.keys(data).filter((key) => !knownKeys.includes(key));
  say(unknown, "is no key of the schema, and left aside", "are no keys of the schema, and left aside");
  if (Number(data.file_format.split(".")[1]) > latestMinor)
    notes.push(`${file}: file_format is later than 1.${latestMinor}, the version that sockscope knows.`);
  if (data.meter_provider?.exemplar_filter === "always_on")
    notes.push(`${file}: meter_provider.exemplar_filter has no effect: sockscope has no exemplars.`);
  const lowMemory = data.meter_provider?.readers.some(({ periodic: { exporter } = {} }) =>
    [exporter?.otlp_http, exporter?.otlp_grpc].some((otlp) => otlp?.temporality_preference === "low_memory"),
  );
  if (lowMemory === true) notes.push(`${file}: low_memory is taken for delta: counters and histograms are deltas.`);
  const ignored = Object.keys(variables).filter(
    (name) =>
      name.startsWith("OTEL_") &&
      !name.endsWith("CONFIG_FILE") &&
      !(name === "OTEL_SERVICE_NAME" && detectors.includes("service")) &&
      (env[name]?.trim() ?? "") !== "" &&
      !new RegExp(`\\$\\{(?:env:)?${name}\\b`).test(text),
  );
  say(ignored, "is ignored, as this file does not refer to it", "are ignored, as this file does not refer to them");
  return notes;
};

const nothing: Omit<Given, "proxyOf"> = {
  disabled: undefined,
  logLevel: undefined,
  intervalMs: undefined,
  timeoutMs: undefined,
  attributes: new Map(),
  otlp: undefined,
  prometheus: undefined,
  console: undefined,
  declared: [],
  host: undefined,
  port: undefined,
  outputFile: undefined,
  warnings: [],
};

/** Reads a declarative file, which stands in the place of all OTEL_* variables that it does not refer to. */
export const readDeclarative = (
  source: Source,
  env: Env,
): { readonly given: Given; readonly faults: readonly ConfigFault[] } => {
  const empty = 'the file is empty: write file_format: "1.1", and what to export to under meter_provider';
  const reading = readDocument(source, env, () => declarative, empty, substituteAsSpecified);
  const { data } = reading;
  const none = { ...nothing, proxyOf: (url: string, isGrpc: boolean) => proxyOf(url, env, isGrpc) };
  if (data === undefined || !reading.whole) return { given: none, faults: reading.faults() };
  const originOf = (path: Path): string => {
    const { file, line, column, path: key } = reading.place({ path, at: "key", message: "" });
    return `${key} at ${file}:${line}:${column}`;
  };
  const places: Places = {
    originOf,
    faultAt: (path) => (message) => reading.place({ path, at: "value", message }),
  };
  const read: ReadValue = (value, path, fallback) =>
    value === undefined
      ? fallback === undefined
        ? undefined
        : { value: fallback, origin: undefined }
      : { value, origin: originOf(path) };
  const { meter_provider: provider } = data;
  const readers = provider?.readers ?? [];
  const times = timesOf(readers, read);
  const { page, console, findings, declared, ...exports } = exportsOf(readers, read, places);
  const asked = <T>(value: T): Sourced<T> | undefined => provider && { value, origin: originOf(readersPath) };
  const [only] = declared.length === 1 ? declared : [];
  const url = only && (only.fields.metrics_endpoint ?? only.fields.endpoint)?.url;
  const given: Given = {
    ...none,
    ...exports,
    declared,
    url:
      url === undefined
        ? undefined
        : { value: url, origin: only?.origins.get("metrics_endpoint") ?? only?.origins.get("endpoint") },
    disabled: data.disabled === true ? { value: true, origin: originOf(["disabled"]) } : undefined,
    logLevel: read(logLevelOf(data.log_level ?? ""), ["log_level"]),
    intervalMs: times.intervalMs,
    timeoutMs: times.timeoutMs,
    attributes: attributesOf(data, env, originOf),
    otlp: asked(declared.length > 0),
    prometheus: asked(page),
    console: asked(console),
    warnings: notesOf(data, source, env),
  };
  return { given, faults: reading.faults([...times.findings, ...findings]) };
};
