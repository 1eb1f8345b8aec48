import { z } from "zod";
import { defaults } from "./defaults.ts";
import { familyOfRank } from "../model/config.ts";
import { formatDuration } from "../text/duration.ts";
import type { Environment } from "./environment.ts";
import type { Finding } from "./explain.ts";
import { block } from "./kinds.ts";
import { familiesOf, inheritedOf } from "./normalise.ts";
import { formatPath, type Path } from "./path.ts";
import {
  collection,
  inherited,
  otlp,
  protocols,
  sockets as socketsSchema,
  target,
  type TargetFields,
} from "./schema.ts";
import { selectEntry } from "./select.ts";
import { networkFindings, type PlacedEntry, selectFindings } from "./select-checks.ts";

/** A part of the file as its schema reads it; undefined when it is faulty, which has been said by then. */
const sound = <S extends z.ZodType>(schema: S, value: unknown): z.output<S> | undefined =>
  schema.safeParse(value ?? {}).data;

const mapOf = (value: unknown): Readonly<Record<string, unknown>> =>
  z.record(z.string(), z.unknown()).safeParse(value).data ?? {};

const valueAt = (path: Path, message: string): Finding => ({ path, at: "value", message });

const collectionFindings = (value: unknown, environment: Environment): Finding[] => {
  const { interval, timeout } = sound(collection, value) ?? {};
  const intervalMs = interval ?? environment.intervalMs?.value ?? defaults.collection.intervalMs;
  if (timeout === undefined || timeout <= intervalMs) return [];
  const origin = interval === undefined ? ` (${environment.intervalMs?.variable ?? "the default"})` : "";
  return [valueAt(["collection", "timeout"], `must not be above the interval, ${formatDuration(intervalMs)}${origin}`)];
};

type Inherited = ReturnType<typeof inheritedOf>;

const timeFindings = (fields: TargetFields, shared: Inherited | undefined, path: Path): Finding[] => {
  const { timeout, udp_silence: silence } = fields;
  const intervalMs = fields.interval ?? shared?.intervalMs ?? Infinity;
  const timeoutMs = timeout ?? Math.min(shared?.timeoutMs ?? Infinity, intervalMs);
  const findings: Finding[] = [];
  if (timeout !== undefined && timeout > intervalMs)
    findings.push(
      valueAt([...path, "timeout"], `must not be above the target's interval, ${formatDuration(intervalMs)}`),
    );
  if (silence !== undefined && !fields.target.destination.type.startsWith("udp"))
    findings.push({ path: [...path, "udp_silence"], at: "key", message: "is for udp, udp4 and udp6 targets only" });
  else if (silence !== undefined && silence > timeoutMs)
    findings.push(
      valueAt([...path, "udp_silence"], `must not be above the target's timeout, ${formatDuration(timeoutMs)}`),
    );
  return findings;
};

const targetFindings = (value: unknown): Finding[] => {
  const { targets, interval, timeout } = mapOf(value);
  if (!Array.isArray(targets)) return [];
  const defaultTimes = sound(block(inherited), { interval, timeout });
  // Of faulty defaults nothing can be said, nor of what inherits them.
  const shared = defaultTimes && inheritedOf(defaultTimes);
  const findings: Finding[] = [];
  const named = new Map<string, Path>();
  for (const [index, raw] of targets.entries()) {
    const fields = sound(target, raw);
    if (fields === undefined) continue;
    const path = ["probes", "targets", index];
    const name = fields.name ?? fields.target.url;
    const first = named.get(name);
    if (first === undefined) named.set(name, path);
    else
      findings.push(
        valueAt(
          typeof raw === "string" ? path : [...path, fields.name === undefined ? "target" : "name"],
          `${JSON.stringify(name)} is the name of ${formatPath(first)} too: give each target a name of its own`,
        ),
      );
    findings.push(...timeFindings(fields, shared, path));
  }
  return findings;
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

const otlpFindings = (value: unknown): Finding[] => {
  const findings: Finding[] = [];
  const { endpoint, metrics_endpoint: full } = sound(otlp, value) ?? {};
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
 * Faults that lie between values, each of which is sound by itself.
 * A part with a fault of its own is left out, so that one slip is not reported twice, and all other parts are checked.
 */
export const crossCheck = (file: unknown, environment: Environment): Finding[] => {
  const { collection: times, networks, probes, sockets, export: destinations } = mapOf(file);
  return [
    ...collectionFindings(times, environment),
    ...networkFindings(mapOf(networks)),
    ...targetFindings(probes),
    ...rankFindings(sockets),
    ...socketFindings(sockets),
    ...otlpFindings(mapOf(destinations)["otlp"]),
  ];
};
