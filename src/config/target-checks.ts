import { isIP } from "node:net";
import type { z } from "zod";
import type { Attributes } from "../model/columns.ts";
import type { ProbeType } from "../model/target.ts";
import { formatDuration } from "../text/duration.ts";
import { defaults } from "./defaults.ts";
import type { Finding } from "./explain.ts";
import { block } from "./kinds.ts";
import { formatPath, type Path } from "./path.ts";
import { mapOf, sound } from "./sound.ts";
import type { End, EndKey } from "./target.ts";
import { endOfRaw, target, type TargetFields, targetShape } from "./target-schema.ts";
import type { Inherited } from "./targets.ts";

/** A target as it is written, text or a read, and where. */
export type Written = {
  readonly path: Path;
  readonly raw: unknown;
  /** Of the group that lists it, in Prometheus' form. */
  readonly labels?: Attributes | undefined;
};

/** The targets of a file; `file` is undefined for those of the configuration itself. */
export type TargetList = { readonly file: string | undefined; readonly targets: readonly Written[] };

type Key = keyof typeof targetShape;
type Kind = "tcp" | "udp" | "icmp" | "unix" | "unixgram" | "unixpacket";

const kindOf: Readonly<Record<ProbeType, Kind>> = {
  tcp: "tcp",
  tcp4: "tcp",
  tcp6: "tcp",
  udp: "udp",
  udp4: "udp",
  udp6: "udp",
  icmp: "icmp",
  icmp4: "icmp",
  icmp6: "icmp",
  unix: "unix",
  unixgram: "unixgram",
  unixpacket: "unixpacket",
};

const streams: readonly Kind[] = ["tcp", "unix"];

/** The kinds that an option is for, of the options that are not for all of them. */
const optionKinds: readonly (readonly [Key, readonly Kind[]])[] = [
  ["tls", streams],
  ["send", ["tcp", "udp", "unix", "unixgram", "unixpacket"]],
  ["expect", ["tcp", "udp", "unix", "unixgram", "unixpacket"]],
  ["steps", streams],
  ["udp_silence", ["udp", "unixgram", "unixpacket"]],
  ["count", ["udp", "icmp"]],
  ["packet_interval", ["udp", "icmp"]],
  ["all_addresses", ["tcp", "udp", "icmp"]],
  ["source_address", ["tcp", "udp", "icmp"]],
  ["interface", ["tcp", "udp", "icmp"]],
];

const listed = (words: readonly string[]): string => words.join(", ").replace(/, ([^,]*)$/, " and $1");

const soundKeys = block(targetShape);
type Options = Omit<z.output<typeof soundKeys>, EndKey | "target">;

/** A target, read key by key where it has a fault: a fault of one key leaves the checks of the others in force. */
type Checked = {
  readonly path: Path;
  /** undefined when it has a fault. */
  readonly fields: TargetFields | undefined;
  readonly end: End | undefined;
  /** Keys that its kind does not have. */
  readonly foreign: readonly (readonly [Key, readonly Kind[]])[];
  /** The keys without a fault of their own. */
  readonly options: Options;
  has(key: Key): boolean;
};

const readKeys = ({ path, raw, labels }: Written): Checked => {
  const map: Readonly<Record<string, unknown>> = typeof raw === "string" ? { target: raw } : mapOf(raw);
  const has = (key: string): boolean => (map[key] ?? undefined) !== undefined;
  const read = sound(target, raw);
  const end = read?.target ?? endOfRaw(map);
  const kind = end && kindOf[end.destination.type];
  const foreign = optionKinds.filter(([key, kinds]) => kind !== undefined && has(key) && !kinds.includes(kind));
  const isForeign = (key: string): boolean => foreign.some(([other]) => other === key);
  const options = (): Options => {
    const held = Object.entries(targetShape).filter(
      ([key, schema]) => has(key) && !isForeign(key) && schema.safeParse(map[key]).success,
    );
    return sound(soundKeys, Object.fromEntries(held.map(([key]) => [key, map[key]]))) ?? {};
  };
  return {
    path,
    fields: labels === undefined ? read : read && { ...read, attributes: labels },
    end,
    foreign,
    options: read !== undefined && foreign.length === 0 ? read : options(),
    has,
  };
};

const keyAt = ({ path }: Checked, key: Key, message: string, ...deeper: Path): Finding => ({
  path: [...path, key, ...deeper],
  at: "key",
  message,
});

const valueAt = ({ path }: Checked, key: Key, message: string, ...deeper: Path): Finding => ({
  path: [...path, key, ...deeper],
  at: "value",
  message,
});

const kindFindings = (item: Checked): Finding[] =>
  item.foreign.map(([key, kinds]) => {
    const instead = key === "steps" && item.end?.destination.type.startsWith("icmp") !== true;
    return keyAt(item, key, `is for ${listed(kinds)} targets only: ${instead ? "use send and expect" : "remove it"}`);
  });

const timeFindings = (item: Checked, shared: Inherited | undefined): Finding[] => {
  const { interval, timeout, udp_silence: silence, count, packet_interval: pause } = item.options;
  const intervalMs = item.has("interval") ? (interval ?? Infinity) : (shared?.intervalMs ?? Infinity);
  const inheritedMs = item.has("timeout") ? Infinity : (shared?.timeoutMs ?? Infinity);
  const timeoutMs = timeout ?? Math.min(inheritedMs, intervalMs);
  const findings: Finding[] = [];
  if (timeout !== undefined && timeout > intervalMs)
    findings.push(valueAt(item, "timeout", `must not be above the target's interval, ${formatDuration(intervalMs)}`));
  if (silence !== undefined && silence > timeoutMs)
    findings.push(valueAt(item, "udp_silence", `must not be above the target's timeout, ${formatDuration(timeoutMs)}`));
  const [packets, everyMs] = [count ?? defaults.probes.count, pause ?? defaults.probes.packetIntervalMs];
  const sendingMs = (packets - 1) * everyMs;
  const own = (item.has("count") && count === undefined) || (item.has("packet_interval") && pause === undefined);
  if (!own && sendingMs >= timeoutMs)
    findings.push(
      valueAt(
        item,
        count === undefined ? "packet_interval" : "count",
        `${packets} packets, one every ${formatDuration(everyMs)}, take ${formatDuration(sendingMs)}, and the target's timeout is ${formatDuration(timeoutMs)}: lower count or packet_interval, or raise timeout`,
      ),
    );
  return findings;
};

const stepFindings = (item: Checked): Finding[] => {
  const findings: Finding[] = [];
  const { tls } = item.options;
  if (tls !== undefined && tls !== false) {
    const [cert, key] = [tls.cert_file !== undefined, tls.key_file !== undefined];
    if (cert && !key) findings.push(keyAt(item, "tls", "needs key_file, the file with its private key", "cert_file"));
    if (key && !cert) findings.push(keyAt(item, "tls", "needs cert_file, the file with its certificate", "key_file"));
  }
  const type = item.end?.destination.type;
  // Such a socket answers to a message; an empty one would be the end of a unixpacket connection.
  if ((type === "unixgram" || type === "unixpacket") && item.has("expect") && !item.has("send"))
    findings.push(keyAt(item, "expect", "needs send, a message that is answered"));
  if (item.options.steps === undefined) return findings;
  for (const key of ["send", "expect"] as const)
    if (item.has(key)) findings.push(keyAt(item, key, "stands beside steps: write it as a step"));
  const handshakes = item.options.steps.flatMap(({ starttls }, index) => (starttls === true ? [index] : []));
  for (const [at, index] of handshakes.entries()) {
    if (at > 0) findings.push(keyAt(item, "steps", "is in an earlier step too: remove one", index, "starttls"));
    else if (!item.has("tls") || tls === false)
      findings.push(keyAt(item, "steps", "needs the target's tls: add tls: {}", index, "starttls"));
  }
  return findings;
};

const sourceFindings = (item: Checked): Finding[] => {
  const address = item.options.source_address;
  const destination = item.end?.destination;
  if (address === undefined || destination === undefined || !("host" in destination)) return [];
  const family = isIP(address);
  const wanted = Number(/[46]$/.exec(destination.type)?.[0] ?? isIP(destination.host));
  if (wanted === 0 || wanted === family) return [];
  return [valueAt(item, "source_address", `must be an IPv${wanted} address, as the target's is`)];
};

/** Where a target's name is written. */
const nameAt = ({ path, raw }: Written, item: Checked): Path => {
  if (typeof raw === "string") return path;
  if (item.has("name")) return [...path, "name"];
  return item.has("target") ? [...path, "target"] : path;
};

/** What is wrong with a list, the files of other lists that have a name of it first, and its targets without a fault. */
export type CheckedList = {
  readonly findings: readonly Finding[];
  readonly rivals: readonly string[];
  readonly fields: readonly TargetFields[];
};

/**
 * Finds faults that lie between the values of a target, and between targets, by list; the names must differ over all of them.
 * Without `shared`, the times that targets inherit, nothing is said of what inherits them.
 */
export const checkTargets = <L extends TargetList>(
  lists: readonly L[],
  shared: Inherited | undefined,
): (L & CheckedList)[] => {
  const named = new Map<string, { readonly path: Path; readonly list: TargetList }>();
  const nameFindings = (written: Written, item: Checked, list: TargetList, rivals: string[]): Finding[] => {
    const { path, labels } = written;
    const name = item.has("name") ? item.options.name : item.end?.url;
    if (name === undefined) return [];
    const first = named.get(name);
    if (first === undefined) {
      named.set(name, { path, list });
      return [];
    }
    if (first.list.file !== undefined) rivals.push(first.list.file);
    const where = first.list === list ? "" : ` of ${first.list.file ?? "the configuration"}`;
    const remedy = labels === undefined ? "give each target a name of its own" : "list it once";
    const message = `${JSON.stringify(name)} is the name of ${formatPath(first.path)}${where} too: ${remedy}`;
    return [{ path: nameAt(written, item), at: "value", message }];
  };
  return lists.map((list) => {
    const rivals: string[] = [];
    const fields: TargetFields[] = [];
    const findings = list.targets.flatMap((written) => {
      const item = readKeys(written);
      if (item.fields !== undefined) fields.push(item.fields);
      return [
        ...nameFindings(written, item, list, rivals),
        ...kindFindings(item),
        ...timeFindings(item, shared),
        ...stepFindings(item),
        ...sourceFindings(item),
      ];
    });
    return { ...list, findings, rivals, fields };
  });
};
