import type { Source, Step, Target, TlsOptions } from "../model/target.ts";
import { formatDuration } from "../text/duration.ts";
import { beside } from "./beside.ts";
import { defaults } from "./defaults.ts";
import type { TargetFields, TlsFields } from "./target-schema.ts";

export type Inherited = { readonly intervalMs: number; readonly timeoutMs: number };

/** What the targets inherit. */
export const inheritedOf = (
  probes: { readonly interval?: number | undefined; readonly timeout?: number | undefined } = {},
): Inherited => ({
  intervalMs: probes.interval ?? defaults.probes.intervalMs,
  timeoutMs: probes.timeout ?? defaults.probes.timeoutMs,
});

/** The fields of a target, and the file that they are in. */
export type PlacedFields = { readonly fields: TargetFields; readonly file: string };

/** The options of TLS; files that they name are found beside `file`. */
export const tlsOf = (tls: TlsFields, file: string): TlsOptions => {
  const path = (written: string | undefined): string | undefined =>
    written === undefined ? undefined : beside(file, written);
  return {
    caFile: path(tls.ca_file),
    certFile: path(tls.cert_file),
    keyFile: path(tls.key_file),
    serverName: tls.server_name_override,
    insecure: tls.insecure_skip_verify ?? false,
  };
};

const stepsOf = ({ steps, send, expect }: TargetFields): readonly Step[] => {
  if (steps !== undefined)
    return steps.map((step) => ({ send: step.send, expect: step.expect, starttls: step.starttls ?? false }));
  return send === undefined && expect === undefined ? [] : [{ send, expect, starttls: false }];
};

/**
 * A target with all that it does not say filled in; what it inherits is capped to what bounds it. Files that it names
 * are found beside `file`.
 */
export const targetOf = (fields: TargetFields, inherited: Inherited, file = ""): Target => {
  const { url, destination } = fields.target;
  const intervalMs = fields.interval ?? inherited.intervalMs;
  const timeoutMs = fields.timeout ?? Math.min(inherited.timeoutMs, intervalMs);
  const common = {
    name: fields.name ?? url,
    url,
    intervalMs,
    timeoutMs,
    attempts: fields.attempts ?? defaults.probes.attempts,
    attributes: fields.attributes ?? {},
    ...(fields.election === false ? { everywhere: true as const } : {}),
    ...(fields.compat === undefined ? {} : { compat: fields.compat }),
  };
  const source: Source = { address: fields.source_address, interface: fields.interface };
  const host = { allAddresses: fields.all_addresses ?? false, source };
  const packets = {
    count: fields.count ?? defaults.probes.count,
    packetIntervalMs: fields.packet_interval ?? defaults.probes.packetIntervalMs,
  };
  const message = {
    send: fields.send,
    expect: fields.expect,
    silenceMs: fields.udp_silence ?? Math.min(defaults.probes.silenceMs, timeoutMs),
  };
  const { tls } = fields;
  const stream = { tls: tls === undefined || tls === false ? undefined : tlsOf(tls, file), steps: stepsOf(fields) };
  switch (destination.type) {
    case "tcp":
    case "tcp4":
    case "tcp6":
      return { ...common, ...destination, ...host, ...stream };
    case "udp":
    case "udp4":
    case "udp6":
      return { ...common, ...destination, ...host, ...message, ...packets };
    case "icmp":
    case "icmp4":
    case "icmp6":
      return { ...common, ...destination, ...host, ...packets };
    case "unix":
      return { ...common, ...destination, ...stream };
    case "unixgram":
    case "unixpacket":
      return { ...common, ...destination, ...message };
    default:
      return destination satisfies never;
  }
};

/** What is probed and how, without what only says when and under which name. */
const endpointOf = (target: Target): string => {
  const { name: _name, url: _url, attributes: _attributes, compat: _compat, ...rest } = target;
  const { intervalMs: _intervalMs, timeoutMs: _timeoutMs, attempts: _attempts, ...endpoint } = rest;
  const same = { ...endpoint, silenceMs: 0, count: 0, packetIntervalMs: 0, allAddresses: false };
  return JSON.stringify("host" in same ? { ...same, host: same.host.toLowerCase() } : same, (_key, value: unknown) =>
    value === undefined ? null : value,
  );
};

const mostPairs = 3;

/** A sentence for each two targets that probe the same endpoint in the same way. */
const pairNotes = (targets: readonly Target[]): string[] => {
  const firsts = new Map<string, Target>();
  const notes: string[] = [];
  for (const target of targets) {
    const endpoint = endpointOf(target);
    const first = firsts.get(endpoint);
    if (first === undefined) firsts.set(endpoint, target);
    else notes.push(`${JSON.stringify(first.name)} and ${JSON.stringify(target.name)} probe the same endpoint.`);
  }
  const more = notes.length - mostPairs;
  return more > 0
    ? [
        ...notes.slice(0, mostPairs),
        more === 1 ? "So does 1 more pair of targets." : `So do ${more} more pairs of targets.`,
      ]
    : notes;
};

/** What the user should know of the targets, a sentence each. */
export const targetNotes = (
  written: readonly PlacedFields[],
  targets: readonly Target[],
  { timeoutMs }: Inherited,
): string[] => {
  const capped = targets.filter(
    (target, index) => target.timeoutMs < timeoutMs && written[index]?.fields.timeout === undefined,
  ).length;
  if (capped === 0) return pairNotes(targets);
  const whose = `the interval of ${capped} target${capped === 1 ? "" : "s"}`;
  return [`probes.timeout, ${formatDuration(timeoutMs)}, is capped to ${whose}.`, ...pairNotes(targets)];
};
