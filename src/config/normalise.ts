import { isIPv4 } from "node:net";
import type { z } from "zod";
import type { Attributes } from "../model/columns.ts";
import {
  type Config,
  type ConsoleFormat,
  type FileConfig,
  flowFamilies,
  type FlowFamily,
  type OtlpConfig,
  type PrometheusConfig,
  type SelectEntry,
  type SocketsConfig,
} from "../model/config.ts";
import { beside } from "./beside.ts";
import { defaults } from "./defaults.ts";
import { formatDuration } from "../text/duration.ts";
import type { Environment, Sourced } from "./environment.ts";
import { formatHostPort } from "./host-port.ts";
import type { File, otlp, sockets } from "./schema.ts";
import type { TlsOptions } from "../model/target.ts";
import type { SelectFields } from "./select.ts";
import { inheritedOf, type PlacedFields, targetNotes, targetOf, tlsOf } from "./targets.ts";

/** The configuration, and what the user should know of how it came about, a sentence each. */
export type Parsed = { readonly config: Config; readonly notes: readonly string[] };

/** Which value holds, the file's before the environment's; a note is left where both have one. */
type Choose = <T>(own: T | undefined, given: Sourced<T> | undefined, key: string) => T | undefined;

/** What of the environment is about a destination. */
type ForDestinations = Pick<Environment, "proxyOf"> &
  Partial<
    Pick<
      Environment,
      | "url"
      | "headers"
      | "protocol"
      | "compression"
      | "temporality"
      | "exportTimeoutMs"
      | "caFile"
      | "certFile"
      | "keyFile"
    >
  >;

const collectionOf = (file: File, environment: Environment, choose: Choose, notes: string[]): Config["collection"] => {
  const { interval, timeout } = file.collection ?? {};
  const intervalMs = choose(interval, environment.intervalMs, "collection.interval") ?? defaults.collection.intervalMs;
  const timeoutMs = choose(timeout, environment.timeoutMs, "collection.timeout") ?? defaults.collection.timeoutMs;
  if (timeout === undefined && environment.timeoutMs !== undefined && timeoutMs > intervalMs)
    notes.push(`${environment.timeoutMs.variable} is capped to the interval, ${formatDuration(intervalMs)}.`);
  return { intervalMs, timeoutMs: Math.min(timeoutMs, intervalMs) };
};

const resourceOf = (file: File, environment: Environment, choose: Choose): Attributes => {
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

type SocketsFields = z.output<typeof sockets>;

const entryOf = (fields: SelectFields): SelectEntry => ({ ...fields, side: fields.side ?? "any" });

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

type Destination = z.output<typeof otlp>;

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
  const url =
    choose(written?.url, environment.url, `${at}.${own.endpoint === undefined ? "metrics_endpoint" : "endpoint"}`) ??
    `${standard.endpoint}/v1/metrics`;
  const { proxy, warning } = environment.proxyOf(url);
  if (warning !== undefined) notes.push(warning);
  return {
    url,
    proxy,
    tls: url.startsWith("https:") ? otlpTlsOf(own.tls, path, at, environment, choose) : undefined,
    protocol: choose(own.protocol, environment.protocol, `${at}.protocol`) ?? standard.protocol,
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
  environment: Environment,
  choose: Choose,
  notes: string[],
): readonly OtlpConfig[] => {
  const written = file.export?.otlp;
  if (written === undefined)
    return environment.url === undefined ? [] : [otlpOf({}, path, "export.otlp", environment, choose, notes)];
  if (!Array.isArray(written)) return [otlpOf(written, path, "export.otlp", environment, choose, notes)];
  if (written.length === 1)
    return written.map((only) => otlpOf(only, path, "export.otlp[0]", environment, choose, notes));
  const { proxyOf, url, headers, protocol, compression, temporality, exportTimeoutMs, caFile, certFile } = environment;
  const ignored = [url, headers, protocol, compression, temporality, exportTimeoutMs, caFile, certFile].flatMap(
    (given) => (given ? [given.variable] : []),
  );
  if (ignored.length > 0)
    notes.push(
      `export.otlp in the file names several destinations, so that it alone counts, without ${ignored.join(", ")}.`,
    );
  return written.map((own, index) => otlpOf(own, path, `export.otlp[${index}]`, { proxyOf }, choose, notes));
};

const prometheusOf = (file: File, path: string): PrometheusConfig | undefined => {
  const own = file.export?.prometheus;
  if (own === undefined) return undefined;
  const { listen = defaults.listen, basic_auth: basicAuth, tls } = own;
  return {
    listen,
    basicAuth,
    tls: tls && { certFile: beside(path, tls.cert_file), keyFile: beside(path, tls.key_file) },
  };
};

const fileOf = (file: File, name: string): FileConfig | undefined => {
  const own = file.export?.file;
  return (
    own && {
      path: beside(name, own.path),
      maxBytes: (own.max_mib ?? defaults.file.maxMib) * 1_048_576,
      maxFiles: own.max_files ?? defaults.file.maxFiles,
    }
  );
};

const consoleOf = (file: File): ConsoleFormat | undefined => {
  const own = file.export?.console;
  if (own === undefined || own === false) return undefined;
  return (own === true ? undefined : own.format) ?? defaults.console;
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

/**
 * Fills in what the file leaves open, from the environment and then from the defaults; `targets` are those of all
 * files, and files that the file names are found beside `path`, its own.
 */
export const normalise = (
  file: File,
  path: string,
  environment: Environment,
  targets: readonly PlacedFields[],
): Parsed => {
  const notes = [...environment.warnings];
  const choose: Choose = (own, given, key) => {
    if (own !== undefined && given !== undefined) notes.push(`${key} in the file wins over ${given.variable}.`);
    return own ?? given?.value;
  };
  const { probes } = file;
  const inherited = inheritedOf(probes);
  const config: Config = {
    collection: collectionOf(file, environment, choose, notes),
    resource: { attributes: resourceOf(file, environment, choose) },
    paths: { proc: file.paths?.proc ?? defaults.paths.proc, cgroup: file.paths?.cgroup ?? defaults.paths.cgroup },
    networks: Object.entries(file.networks ?? {}).map(([own, networks]) => ({ name: own, networks })),
    probes: {
      concurrency: probes?.concurrency ?? defaults.probes.concurrency,
      targets: targets.map(({ fields, file: named }) => targetOf(fields, inherited, named)),
    },
    sockets: socketsOf(file.sockets),
    host: { sockstat: sockstatOf(file.host) },
    export: {
      otlp: destinationsOf(file, path, environment, choose, notes),
      prometheus: prometheusOf(file, path),
      file: fileOf(file, path),
      console: consoleOf(file),
    },
  };
  notes.push(...pageNotes(config.export.prometheus), ...targetNotes(targets, config.probes.targets, inherited));
  return { config, notes };
};
