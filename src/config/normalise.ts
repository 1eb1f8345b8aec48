import { isIPv4 } from "node:net";
import type { Attributes } from "../model/columns.ts";
import {
  type Config,
  type ConsoleFormat,
  type FileConfig,
  flowFamilies,
  type FlowFamily,
  type OtlpConfig,
  type PrometheusConfig,
  type SocketsConfig,
} from "../model/config.ts";
import type { LogLevel } from "../model/log.ts";
import { beside } from "./beside.ts";
import { compatNotes, compatOf } from "./compat.ts";
import { fillIn } from "./declared.ts";
import { defaults } from "./defaults.ts";
import { electionOf } from "./election.ts";
import { formatDuration } from "../text/duration.ts";
import type { Given, GivenDestination, Sourced } from "./given.ts";
import { formatHostPort } from "./host-port.ts";
import { urlFor } from "./otlp-url.ts";
import type { Destination, File } from "./schema.ts";
import type { TlsOptions } from "../model/target.ts";
import { entryOf } from "./select.ts";
import { inheritedOf, type PlacedFields, targetNotes, targetOf, tlsOf } from "./targets.ts";

/** The configuration, and what the user should know of how it came about, a sentence each. */
export type Parsed = {
  readonly config: Config;
  readonly notes: readonly string[];
  /** Of a log whose level the command line does not name; undefined: the default. */
  readonly logLevel: LogLevel | undefined;
};

/** Which value holds, the file's before the environment's; a note is left where both have one. The environment is the OTEL_* variables, or the declarative file. */
type Choose = <T>(own: T | undefined, given: Sourced<T> | undefined, key: string) => T | undefined;

/** Whether there is an export, as the file or else the environment has it; a note is left where they differ. */
type IsOn = (own: boolean | undefined, given: Sourced<unknown> | undefined, key: string) => boolean;

/** What of it is about a destination. */
type ForDestinations = Pick<Given, "proxyOf"> & GivenDestination;

/** The key goes with its certificate. */
const destinationKeys = [
  "url",
  "headers",
  "protocol",
  "compression",
  "temporality",
  "exportTimeoutMs",
  "caFile",
  "certFile",
] as const satisfies (keyof GivenDestination)[];

const collectionOf = (file: File, environment: Given, choose: Choose, notes: string[]): Config["collection"] => {
  const { interval, timeout } = file.collection ?? {};
  const intervalMs = choose(interval, environment.intervalMs, "collection.interval") ?? defaults.collection.intervalMs;
  const timeoutMs = choose(timeout, environment.timeoutMs, "collection.timeout") ?? defaults.collection.timeoutMs;
  if (timeout === undefined && environment.timeoutMs?.origin !== undefined && timeoutMs > intervalMs)
    notes.push(`${environment.timeoutMs.origin} is capped to the interval, ${formatDuration(intervalMs)}.`);
  return { intervalMs, timeoutMs: Math.min(timeoutMs, intervalMs) };
};

const resourceOf = (file: File, environment: Given, choose: Choose): Attributes => {
  const chosen: Record<string, Attributes[string]> = {};
  for (const [name, { value }] of environment.attributes) chosen[name] = value;
  for (const [name, value] of Object.entries(file.resource?.attributes ?? {}))
    chosen[name] =
      choose<Attributes[string]>(
        value,
        environment.attributes.get(name),
        `resource.attributes[${JSON.stringify(name)}]`,
      ) ?? value;
  return chosen;
};

const defaultFamilies: readonly FlowFamily[] = defaults.sockets.metrics;

/** The default set, with what the switches add and take away. */
export const familiesOf = (
  switches: Readonly<Partial<Record<FlowFamily, boolean | undefined>>> = {},
): readonly FlowFamily[] => flowFamilies.filter((family) => switches[family] ?? defaultFamilies.includes(family));

type SocketsFields = Exclude<File["sockets"], boolean | undefined>;

const namespacesOf = (written: SocketsFields["namespaces"]): SocketsConfig["namespaces"] => {
  if (written === undefined || typeof written === "string") return written ?? defaults.sockets.namespaces;
  const { containers = [], pids = [], names = [] } = written;
  return { containers, pids, names };
};

const socketsOf = (sockets: File["sockets"]): SocketsConfig | "off" => {
  if (sockets === false) return "off";
  const own = sockets === true || sockets === undefined ? {} : sockets;
  const metrics = familiesOf(own.metrics);
  return {
    source: own.source ?? defaults.sockets.source,
    protocols: own.protocols ?? defaults.sockets.protocols,
    timeWait: own.time_wait ?? defaults.sockets.timeWait,
    select: {
      include: own.select?.include?.map(entryOf) ?? defaults.sockets.select.include,
      exclude: own.select?.exclude?.map(entryOf) ?? defaults.sockets.select.exclude,
    },
    groupBy: own.group_by ?? defaults.sockets.groupBy,
    namespaces: namespacesOf(own.namespaces),
    events: own.events ?? defaults.sockets.events,
    maxGroups: own.max_groups ?? defaults.sockets.maxGroups,
    // By bytes, unless nobody counts them.
    rankBy: own.rank_by ?? (metrics.includes("io") ? defaults.sockets.rankBy : "flows"),
    metrics,
    seriesTtl: own.series_ttl ?? defaults.sockets.seriesTtl,
    rttBounds: own.rtt_histogram?.bounds ?? defaults.sockets.rttBounds,
  };
};

const sockstatOf = (host: File["host"]): boolean =>
  typeof host === "boolean" ? host : (host?.sockstat ?? defaults.sockstat);

/** A pair of certificate and key is the file's or the environment's, never one of each. `path`: of the file. */
const otlpTlsOf = (
  fields: Destination["tls"],
  path: string,
  at: string,
  environment: ForDestinations,
  choose: Choose,
): TlsOptions | undefined => {
  const own = fields && tlsOf(fields, path);
  const pair = own?.certFile === undefined ? environment : undefined;
  const given = {
    caFile: choose(own?.caFile, environment.caFile, `${at}.tls.ca_file`),
    certFile: choose(own?.certFile, environment.certFile, `${at}.tls.cert_file`),
    keyFile: own?.keyFile ?? pair?.keyFile?.value,
  };
  if (own === undefined && Object.values(given).every((chosen) => chosen === undefined)) return undefined;
  return { ...given, serverName: own?.serverName, insecure: own?.insecure ?? false };
};

/** `at`: where the destination stands, in the file `path`. */
const otlpOf = (
  own: Destination,
  path: string,
  at: string,
  environment: ForDestinations,
  choose: Choose,
  notes: string[],
): OtlpConfig => {
  const retry = own.retry_on_failure;
  const standard = defaults.otlp;
  const written = own.metrics_endpoint ?? own.endpoint;
  const endpointKey = `${at}.${own.endpoint === undefined ? "metrics_endpoint" : "endpoint"}`;
  const named = choose(written?.url, environment.url, endpointKey);
  const protocol = choose(own.protocol, environment.protocol, `${at}.protocol`) ?? standard.protocol;
  const url = urlFor(protocol, named);
  const { proxy, warning } = environment.proxyOf(url, protocol === "grpc");
  if (warning !== undefined) notes.push(warning);
  return {
    url,
    proxy,
    tls: url.startsWith("https:") ? otlpTlsOf(own.tls, path, at, environment, choose) : undefined,
    protocol,
    compression: choose(own.compression, environment.compression, `${at}.compression`) ?? standard.compression,
    temporality: choose(own.temporality, environment.temporality, `${at}.temporality`) ?? standard.temporality,
    headers: choose(own.headers, environment.headers, `${at}.headers`) ?? {},
    timeoutMs: choose(own.timeout, environment.exportTimeoutMs, `${at}.timeout`) ?? standard.timeoutMs,
    retry: {
      initialIntervalMs: retry?.initial_interval ?? standard.retry.initialIntervalMs,
      multiplier: retry?.multiplier ?? standard.retry.multiplier,
      randomizationFactor: retry?.randomization_factor ?? standard.retry.randomizationFactor,
      maxIntervalMs: retry?.max_interval ?? standard.retry.maxIntervalMs,
      maxElapsedMs: retry?.max_elapsed_time ?? standard.retry.maxElapsedMs,
    },
    queueBytes: (own.sending_queue?.max_mib ?? standard.queueMib) * 1_048_576,
    newestFirst: own.sending_queue?.newest_first ?? standard.newestFirst,
    storage: own.sending_queue?.storage,
  };
};

/**
 * The environment has one set of keys, and fills in what one destination leaves open. Of several it would be a guess
 * which of them it means, and a secret in a header may be none for the others to see.
 */
const destinationsOf = (
  file: File,
  path: string,
  environment: Given,
  choose: Choose,
  isOn: IsOn,
  notes: string[],
): readonly OtlpConfig[] => {
  const { declared, proxyOf } = environment;
  const written = file.export?.otlp;
  if (!isOn(written && true, environment.otlp, "export.otlp")) return [];
  const one = (own: Destination, at: string, given: ForDestinations): OtlpConfig =>
    otlpOf(own, path, at, given, choose, notes);
  if (written === undefined && declared.length > 0)
    return declared.map(({ fields }) => one(fields, "export.otlp", { proxyOf }));
  const own = Array.isArray(written) ? written : [written ?? {}];
  const placed = own.map((fields, index) => ({
    fields,
    at: Array.isArray(written) ? `export.otlp[${index}]` : "export.otlp",
  }));
  if (own.length === 1 && declared.length < 2)
    return placed.map(({ fields, at }) => {
      const [filler] = declared;
      return filler === undefined
        ? one(fields, at, environment)
        : one(fillIn(fields, filler, at, notes), at, { proxyOf });
    });
  const ignored =
    declared.length > 0
      ? [environment.otlp?.origin ?? ""]
      : destinationKeys.flatMap((key) => environment[key]?.origin ?? []);
  const why = own.length > 1 ? "names several destinations, so that it alone counts" : "alone counts";
  if (ignored.length > 0) notes.push(`export.otlp in the file ${why}, without ${ignored.join(", ")}.`);
  return placed.map(({ fields, at }) => one(fields, at, { proxyOf }));
};

/** Where the page listens, instead of where the file and the environment say; without a host on theirs. */
export type PageAddress = { readonly host: string | undefined; readonly port: number };

const prometheusOf = (
  file: File,
  path: string,
  asked: PageAddress | undefined,
  { prometheus: given, host, port }: Given,
  choose: Choose,
  isOn: IsOn,
): PrometheusConfig | undefined => {
  const own = file.export?.prometheus;
  if (!isOn(own && true, given, "export.prometheus") && asked === undefined) return undefined;
  const { basic_auth: basicAuth, tls } = own ?? {};
  const { listen } = defaults;
  const at = "export.prometheus.listen";
  return {
    listen: {
      host: asked?.host ?? choose(own?.listen?.host, host, at) ?? listen.host,
      port: asked?.port ?? choose(own?.listen?.port, port, at) ?? listen.port,
    },
    basicAuth,
    tls: tls && { certFile: beside(path, tls.cert_file), keyFile: beside(path, tls.key_file) },
  };
};

const fileOf = (file: File, name: string, { outputFile }: Given, choose: Choose): FileConfig | undefined => {
  const own = file.export?.file;
  const path = choose(own && beside(name, own.path), outputFile, "export.file.path");
  if (path === undefined) return undefined;
  return {
    path,
    maxBytes: (own?.max_mib ?? defaults.file.maxMib) * 1_048_576,
    maxFiles: own?.max_files ?? defaults.file.maxFiles,
  };
};

const consoleOf = (file: File, { console: given }: Given, choose: Choose, isOn: IsOn): ConsoleFormat | undefined => {
  const own = file.export?.console;
  if (!isOn(own === undefined ? undefined : own !== false, given, "export.console")) return undefined;
  const format = typeof own === "object" ? own.format : undefined;
  const asked = given === undefined || given.value === false ? undefined : { ...given, value: given.value };
  return choose(format, asked, "export.console.format") ?? defaults.console;
};

const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));

/** What is said of a page that other machines can reach. */
const pageNotes = (prometheus: PrometheusConfig | undefined): string[] =>
  prometheus === undefined || prometheus.basicAuth !== undefined || isLoopback(prometheus.listen.host)
    ? []
    : [
        `export.prometheus.listen, ${formatHostPort(prometheus.listen)}, lets other machines read the page without a password: set export.prometheus.basic_auth to ask for one.`,
      ];

/** What is left where nothing is to be done: the file's own checks, and a process that lives. */
const disabledOf = (config: Config): Config => ({
  ...config,
  disabled: true,
  probes: { ...config.probes, targets: [] },
  election: undefined,
  sockets: "off",
  host: { sockstat: false },
  compat: compatOf(),
  export: { otlp: [], prometheus: undefined, file: undefined, console: undefined },
});

/**
 * Fills in what the file leaves open, from the environment and then from the defaults; `targets` are those of all
 * files, files that the file names are found beside `path`, its own, and `listen` is the command line's.
 */
export const normalise = (
  file: File,
  path: string,
  environment: Given,
  targets: readonly PlacedFields[],
  listen?: PageAddress,
): Parsed => {
  const notes = [...environment.warnings];
  const choose: Choose = (own, given, key) => {
    if (own !== undefined && given?.origin !== undefined) notes.push(`${key} in the file wins over ${given.origin}.`);
    return own ?? given?.value;
  };
  const isOn: IsOn = (own, given, key) => {
    const asked = given && given.value !== false;
    if (own !== undefined && asked !== undefined && own !== asked && given?.origin !== undefined)
      notes.push(`${key} in the file wins over ${given.origin}.`);
    return own ?? asked ?? false;
  };
  const { probes } = file;
  const inherited = inheritedOf(probes);
  const sockets = socketsOf(file.sockets);
  const config: Config = {
    disabled: false,
    collection: collectionOf(file, environment, choose, notes),
    resource: { attributes: resourceOf(file, environment, choose) },
    paths: { proc: file.paths?.proc ?? defaults.paths.proc, cgroup: file.paths?.cgroup ?? defaults.paths.cgroup },
    networks: Object.entries(file.networks ?? {}).map(([own, networks]) => ({ name: own, networks })),
    probes: {
      concurrency: probes?.concurrency ?? defaults.probes.concurrency,
      targets: targets.map(({ fields, file: named }) => targetOf(fields, inherited, named)),
    },
    election: electionOf(file.election, path),
    sockets,
    host: { sockstat: sockstatOf(file.host) },
    export: {
      otlp: destinationsOf(file, path, environment, choose, isOn, notes),
      prometheus: prometheusOf(file, path, listen, environment, choose, isOn),
      file: fileOf(file, path, environment, choose),
      console: consoleOf(file, environment, choose, isOn),
    },
    compat: compatOf(file.compat, sockets === "off" ? [] : sockets.protocols),
  };
  const { logLevel, disabled } = environment;
  if (disabled !== undefined)
    return {
      config: disabledOf(config),
      notes: [`${disabled.origin} is true: nothing is read, probed, served or exported.`],
      logLevel: logLevel?.value,
    };
  // Files can have targets that come later.
  if (probes?.targets_file === undefined) notes.push(...compatNotes(config.compat, config.probes.targets));
  notes.push(...pageNotes(config.export.prometheus), ...targetNotes(targets, config.probes.targets, inherited));
  return { config, notes, logLevel: logLevel?.value };
};
