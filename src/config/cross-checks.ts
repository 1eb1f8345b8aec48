import { compat, compatOf } from "./compat.ts";
import { fillIn } from "./declared.ts";
import { defaults } from "./defaults.ts";
import { familyOfRank, type OtlpProtocol } from "../model/config.ts";
import { formatDuration } from "../text/duration.ts";
import type { Finding } from "./explain.ts";
import { electionFindings } from "./election-checks.ts";
import type { Given } from "./given.ts";
import { grpcNameFault, grpcValueFault } from "./headers.ts";
import { familiesOf } from "./normalise.ts";
import { baseOf, grpcUrlFault, urlFor } from "./otlp-url.ts";
import type { Path } from "./path.ts";
import { mapOf, sound } from "./sound.ts";
import { collection, type Destination, otlp, protocols, sockets as socketsSchema } from "./schema.ts";
import { selectEntry } from "./select.ts";
import { networkFindings, type PlacedEntry, selectFindings } from "./select-checks.ts";

const valueAt = (path: Path, message: string): Finding => ({ path, at: "value", message });

const collectionFindings = (value: unknown, environment: Given): Finding[] => {
  const { interval, timeout } = sound(collection, value) ?? {};
  const intervalMs = interval ?? environment.intervalMs?.value ?? defaults.collection.intervalMs;
  if (timeout === undefined || timeout <= intervalMs) return [];
  const origin = interval === undefined ? ` (${environment.intervalMs?.origin ?? "the default"})` : "";
  return [valueAt(["collection", "timeout"], `must not be above the interval, ${formatDuration(intervalMs)}${origin}`)];
};

/** A ranking needs the metrics that it reads. */
const rankFindings = (value: unknown): Finding[] => {
  const { rank_by: rank, metrics } = sound(socketsSchema, value) ?? {};
  const family = rank && familyOfRank[rank];
  if (family === undefined || familiesOf(metrics).includes(family)) return [];
  return [valueAt(["sockets", "rank_by"], `needs metrics.${family}, which is off: leave it on, or rank by flows`)];
};

const namespacesFindings = (value: unknown): Finding[] => {
  const { namespaces, source } = sound(socketsSchema, value) ?? {};
  if (namespaces === undefined || namespaces === "own" || source === undefined) return [];
  if (source === "auto" || source === "netlink") return [];
  const message = `needs netlink, and source is ${source}: leave source out, or write own`;
  return [valueAt(["sockets", "namespaces"], message)];
};

const socketFindings = (value: unknown): Finding[] => {
  const { protocols: named, select } = mapOf(value);
  const read = named === undefined || named === null ? defaults.sockets.protocols : sound(protocols, named);
  if (read === undefined) return [];
  const placed = (key: "include" | "exclude"): PlacedEntry[] => {
    const entries = mapOf(select)[key];
    return (Array.isArray(entries) ? (entries as unknown[]) : []).flatMap((entry, index) => {
      const fields = sound(selectEntry, entry);
      return fields === undefined ? [] : [{ path: ["sockets", "select", key, index], fields }];
    });
  };
  return selectFindings(placed("include"), placed("exclude"), read);
};

/** The series of sockets need the sockets. */
const compatFindings = (value: unknown, sockets: unknown): Finding[] => {
  const items = sound(compat, value);
  const { protocols: named } = mapOf(sockets);
  const all = named === undefined || named === null ? defaults.sockets.protocols : sound(protocols, named);
  if (items === undefined || all === undefined) return [];
  const off = sockets === false || sockets === "off";
  const read = off ? [] : all;
  return items.flatMap((item, index) => {
    const { telegraf, ssExporter } = compatOf([item], read);
    const at = (message: string, ...deeper: Path): Finding[] => [valueAt(["compat", index, ...deeper], message)];
    if (telegraf === undefined && ssExporter === undefined) return [];
    if (off) return at("needs sockets, which are off: leave them on, or remove it");
    if (ssExporter !== undefined && !read.includes("tcp"))
      return at("needs tcp among sockets.protocols: add it, or remove this");
    if (telegraf?.protocols.length === 0) return at("needs a protocol that it knows among sockets.protocols");
    const missing = telegraf?.protocols.findIndex((protocol) => !read.includes(protocol)) ?? -1;
    if (missing < 0) return [];
    return at("is not read: add it to sockets.protocols", "telegraf", "protocols", missing);
  });
};

/** `environment` is undefined for one of several destinations, which it says nothing of. */
const otlpTlsFindings = (
  { endpoint, metrics_endpoint: full, tls }: Destination,
  environment: Given | undefined,
  path: Path,
): Finding[] => {
  if (tls === undefined) return [];
  const findings: Finding[] = [];
  const keyAt = (message: string, ...keys: readonly string[]): void =>
    void findings.push({ path: [...path, "tls", ...keys], at: "key", message });
  const [cert, key] = [tls.cert_file !== undefined, tls.key_file !== undefined];
  if (cert && !key) keyAt("needs key_file, the file with its private key", "cert_file");
  if (key && !cert) keyAt("needs cert_file, the file with its certificate", "key_file");
  const written = full ?? endpoint;
  const url = written?.url ?? environment?.url?.value ?? defaults.otlp.endpoint;
  const origin = written === undefined ? ` (${environment?.url?.origin ?? "the default"})` : "";
  if (!url.startsWith("https:"))
    keyAt(`is for https:// only, and the endpoint is an http:// one${origin}: write https://, or remove tls`);
  return findings;
};

const protocolOf = ({ protocol }: Destination, environment: Given | undefined): OtlpProtocol =>
  protocol ?? environment?.protocol?.value ?? defaults.otlp.protocol;

/** What HTTP takes and gRPC does not. Of what the declarative file fills in, its place is said. */
const grpcFindings = (own: Destination, environment: Given | undefined, path: Path): Finding[] => {
  const [filler, ...more] = environment?.declared ?? [];
  const declared = more.length === 0 ? filler : undefined;
  const read = declared === undefined ? own : fillIn(own, declared, "", []);
  if (protocolOf(read, environment) !== "grpc") return [];
  const { endpoint, metrics_endpoint: full, headers = {} } = read;
  const url = full === undefined ? endpoint && baseOf(endpoint.url) : full.url;
  const findings: Finding[] = [];
  const find = (fault: string | undefined, at: Finding["at"], key: keyof Destination, ...below: Path): void => {
    if (fault === undefined) return;
    const origin = own[key] === undefined ? declared?.origins.get(key) : undefined;
    const finding: Finding = { path: [...path, key, ...below], at, message: fault };
    findings.push(origin === undefined ? finding : { ...finding, at: "value", message: `${fault} (${origin})` });
  };
  find(url && grpcUrlFault(url), "value", full === undefined ? "endpoint" : "metrics_endpoint");
  for (const [name, held] of Object.entries(headers)) {
    find(grpcNameFault(name), "key", "headers", name);
    find(grpcValueFault(held), "value", "headers", name);
  }
  return findings;
};

const otlpFindings = (value: unknown, path: Path, environment: Given | undefined): Finding[] => {
  const read = sound(otlp, value);
  const findings =
    read === undefined ? [] : [...otlpTlsFindings(read, environment, path), ...grpcFindings(read, environment, path)];
  const { endpoint, metrics_endpoint: full } = read ?? {};
  if (endpoint !== undefined && full !== undefined)
    findings.push({
      path: [...path, "metrics_endpoint"],
      at: "key",
      message: "stands beside endpoint: set one of the two",
    });
  const names = new Set<string>();
  for (const name of Object.keys(mapOf(mapOf(value)["headers"]))) {
    if (names.has(name.toLowerCase()))
      findings.push({
        path: [...path, "headers", name],
        at: "key",
        message: "is in the map twice: case does not matter in the name of a header",
      });
    names.add(name.toLowerCase());
  }
  return findings;
};

/** Equal for destinations that every metric would reach twice. Headers may tell tenants apart. */
export const destinationKey = (read: Destination): string => {
  const { endpoint, metrics_endpoint: full, headers = {} } = read;
  const named = Object.entries(headers).map(([name, held]) => JSON.stringify([name.toLowerCase(), held]));
  return JSON.stringify([urlFor(protocolOf(read, undefined), (full ?? endpoint)?.url), named.sort()]);
};

const destinationFindings = (value: unknown, environment: Given): Finding[] => {
  const path: Path = ["export", "otlp"];
  if (!Array.isArray(value)) return otlpFindings(value, path, environment);
  const only = value.length === 1 ? environment : undefined;
  const first = new Map<string, number>();
  return (value as unknown[]).flatMap((item, index) => {
    const findings = otlpFindings(item, [...path, index], only);
    const destination = sound(otlp, item);
    if (destination === undefined) return findings;
    const key = destinationKey(destination);
    const twin = first.get(key);
    if (twin === undefined) {
      first.set(key, index);
      return findings;
    }
    const at = destination.metrics_endpoint === undefined ? "endpoint" : "metrics_endpoint";
    const message = `is that of export.otlp[${twin}], with the same headers: every metric would arrive twice`;
    return [...findings, valueAt([...path, index, at], message)];
  });
};

/**
 * Faults that lie between values, each of which is sound by itself; those of targets are in target-checks.ts.
 * A part with a fault of its own is left out, so that one slip is not reported twice, and all other parts are checked.
 */
export const crossCheck = (file: unknown, environment: Given): Finding[] => {
  const { collection: times, networks, election, sockets, export: destinations, compat: tools } = mapOf(file);
  return [
    ...collectionFindings(times, environment),
    ...networkFindings(mapOf(networks)),
    ...electionFindings(election),
    ...rankFindings(sockets),
    ...namespacesFindings(sockets),
    ...socketFindings(sockets),
    ...destinationFindings(mapOf(destinations)["otlp"], environment),
    ...compatFindings(tools, sockets),
  ];
};
