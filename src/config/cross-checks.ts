import type { z } from "zod";
import { defaults } from "./defaults.ts";
import { familyOfRank } from "../model/config.ts";
import { formatDuration } from "../text/duration.ts";
import type { Environment } from "./environment.ts";
import type { Finding } from "./explain.ts";
import { familiesOf } from "./normalise.ts";
import type { Path } from "./path.ts";
import { mapOf, sound } from "./sound.ts";
import { collection, otlp, protocols, sockets as socketsSchema } from "./schema.ts";
import { selectEntry } from "./select.ts";
import { networkFindings, type PlacedEntry, selectFindings } from "./select-checks.ts";

const valueAt = (path: Path, message: string): Finding => ({ path, at: "value", message });

const collectionFindings = (value: unknown, environment: Environment): Finding[] => {
  const { interval, timeout } = sound(collection, value) ?? {};
  const intervalMs = interval ?? environment.intervalMs?.value ?? defaults.collection.intervalMs;
  if (timeout === undefined || timeout <= intervalMs) return [];
  const origin = interval === undefined ? ` (${environment.intervalMs?.variable ?? "the default"})` : "";
  return [valueAt(["collection", "timeout"], `must not be above the interval, ${formatDuration(intervalMs)}${origin}`)];
};

/** A ranking needs the metrics that it reads. */
const rankFindings = (value: unknown): Finding[] => {
  const { rank_by: rank, metrics } = sound(socketsSchema, value) ?? {};
  const family = rank && familyOfRank[rank];
  if (family === undefined || familiesOf(metrics).includes(family)) return [];
  return [valueAt(["sockets", "rank_by"], `needs metrics.${family}, which is off: leave it on, or rank by flows`)];
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

const otlpTlsFindings = (
  { endpoint, metrics_endpoint: full, tls }: z.output<typeof otlp>,
  environment: Environment,
): Finding[] => {
  if (tls === undefined) return [];
  const findings: Finding[] = [];
  const keyAt = (message: string, ...keys: readonly string[]): void =>
    void findings.push({ path: ["export", "otlp", "tls", ...keys], at: "key", message });
  const [cert, key] = [tls.cert_file !== undefined, tls.key_file !== undefined];
  if (cert && !key) keyAt("needs key_file, the file with its private key", "cert_file");
  if (key && !cert) keyAt("needs cert_file, the file with its certificate", "key_file");
  const written = full ?? endpoint;
  const url = written?.url ?? environment.url?.value ?? defaults.otlp.endpoint;
  const origin = written === undefined ? ` (${environment.url?.variable ?? "the default"})` : "";
  if (!url.startsWith("https:"))
    keyAt(`is for https:// only, and the endpoint is an http:// one${origin}: write https://, or remove tls`);
  return findings;
};

const otlpFindings = (value: unknown, environment: Environment): Finding[] => {
  const read = sound(otlp, value);
  const findings = read === undefined ? [] : otlpTlsFindings(read, environment);
  const { endpoint, metrics_endpoint: full } = read ?? {};
  if (endpoint !== undefined && full !== undefined)
    findings.push({
      path: ["export", "otlp", "metrics_endpoint"],
      at: "key",
      message: "stands beside endpoint: set one of the two",
    });
  const names = new Set<string>();
  for (const name of Object.keys(mapOf(mapOf(value)["headers"]))) {
    if (names.has(name.toLowerCase()))
      findings.push({
        path: ["export", "otlp", "headers", name],
        at: "key",
        message: "is in the map twice: case does not matter in the name of a header",
      });
    names.add(name.toLowerCase());
  }
  return findings;
};

/**
 * Faults that lie between values, each of which is sound by itself; those of targets are in target-checks.ts.
 * A part with a fault of its own is left out, so that one slip is not reported twice, and all other parts are checked.
 */
export const crossCheck = (file: unknown, environment: Environment): Finding[] => {
  const { collection: times, networks, sockets, export: destinations } = mapOf(file);
  return [
    ...collectionFindings(times, environment),
    ...networkFindings(mapOf(networks)),
    ...rankFindings(sockets),
    ...socketFindings(sockets),
    ...otlpFindings(mapOf(destinations)["otlp"], environment),
  ];
};
