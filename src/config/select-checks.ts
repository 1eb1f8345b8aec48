import { contains, formatNetwork, type Network, overlap, parseNetwork } from "../model/address.ts";
import type { SelectEntry } from "../model/config.ts";
import type { SocketProtocol } from "../model/socket.ts";
import { isFault } from "../text/fault.ts";
import type { Finding } from "./explain.ts";
import { formatPath, type Path } from "./path.ts";
import { endKeys, entryOf, parseCidr, type SelectFields } from "./select.ts";

const loopbacks = [parseNetwork("127.0.0.0", 8), parseNetwork("::1")].filter((network) => network !== undefined);

const withoutAddress: ReadonlySet<SocketProtocol> = new Set(["unix", "packet", "vsock", "netlink"]);

const listed = (words: readonly string[]): string => words.join(", ").replace(/, ([^,]*)$/, " and $1");

const disjoint = (some: readonly Network[], others: readonly Network[]): boolean =>
  !some.some((network) => others.some((other) => overlap(network, other)));

const within = (some: readonly Network[], others: readonly Network[]): boolean =>
  some.every((network) => others.some((other) => contains(other, network)));

/** Why a key of the entry keeps it from matching any socket, by key. */
const contradictions = (entry: SelectFields, read: readonly SocketProtocol[]): [keyof SelectFields, string][] => {
  const { protocols, states, addresses, networks, loopback } = entry;
  const found: [keyof SelectFields, string][] = [];
  const add = (key: keyof SelectFields, why: string): void => void found.push([key, `cannot match: ${why}`]);
  if (protocols !== undefined && !protocols.some((protocol) => read.includes(protocol)))
    add("protocols", `sockets.protocols reads ${listed(read)} only`);
  else if (protocols?.every((protocol) => withoutAddress.has(protocol)) === true)
    for (const key of endKeys)
      if (entry[key] !== undefined && key !== "loopback") add(key, `${listed(protocols)} sockets have none`);
  if (states?.every((state) => state === "time_wait") === true)
    add("states", "sockets in time_wait are not read, only counted as a whole");
  else if (
    states !== undefined &&
    (protocols ?? read).every((protocol) => protocol === "udp") &&
    !states.some((state) => state === "established" || state === "closed")
  )
    add("states", "udp sockets are established or closed");
  for (const [key, held] of [
    ["addresses", addresses],
    ["networks", networks],
  ] as const) {
    if (held === undefined) continue;
    if (loopback === false && within(held, loopbacks)) add(key, "loopback: false leaves these out");
    // With either side one end can satisfy the one and the other end the other.
    if (entry.side !== "local" && entry.side !== "remote") continue;
    if (loopback === true && disjoint(held, loopbacks)) add(key, "none of them is loopback");
    if (key === "networks" && addresses !== undefined && disjoint(held, addresses))
      add(key, "none of them holds one of the addresses");
  }
  return found;
};

const matchKeys = [...endKeys, "protocols", "states", "pids", "cmds", "cgroups", "containers"] as const;

const isWithin = (outer: SelectEntry, inner: SelectEntry, key: (typeof matchKeys)[number]): boolean => {
  switch (key) {
    case "ports":
      return (
        inner.ports?.every(({ from, to }) => outer.ports?.some((range) => range.from <= from && to <= range.to)) ===
        true
      );
    case "addresses":
    case "networks":
      return inner[key] !== undefined && within(inner[key], outer[key] ?? []);
    case "loopback":
      return inner.loopback === outer.loopback;
    default: {
      const values = new Set<unknown>(outer[key]);
      return inner[key]?.every((value) => values.has(value)) === true;
    }
  }
};

const sideOf = ({ side, portSide = side }: SelectEntry, key: (typeof endKeys)[number]): SelectEntry["side"] =>
  key === "ports" ? portSide : side;

/** Every socket that `inner` matches is one that `outer` matches, as far as their keys tell it one by one. */
const covers = (outer: SelectFields, inner: SelectFields): boolean => {
  const [wide, narrow] = [entryOf(outer), entryOf(inner)];
  const keys = matchKeys.filter((key) => outer[key] !== undefined);
  const sided = endKeys.filter((key) => outer[key] !== undefined);
  // loopback: false is about every end that side names, the other keys about one of them.
  const sameSides = sided.every((key) => {
    const side = sideOf(wide, key);
    return side === sideOf(narrow, key) || (side === "any" && outer.loopback !== false);
  });
  return sameSides && keys.every((key) => isWithin(wide, narrow, key));
};

/** An entry that has no fault of its own, and where it stands. */
export type PlacedEntry = { readonly path: Path; readonly fields: SelectFields };

const entryFindings = ({ path, fields }: PlacedEntry, read: readonly SocketProtocol[]): Finding[] => {
  const findings = contradictions(fields, read).map(([key, message]): Finding => ({
    path: [...path, key],
    at: "value",
    message,
  }));
  if (fields.side !== undefined && endKeys.every((key) => fields[key] === undefined))
    findings.push({ path: [...path, "side"], at: "key", message: `is for ${listed(endKeys)}, none of which is here` });
  if (fields.port_side !== undefined && fields.ports === undefined)
    findings.push({ path: [...path, "port_side"], at: "key", message: "is for ports, which are not here" });
  return findings;
};

/** Faults of `sockets.select` that lie between keys and entries; `read` is what `sockets.protocols` names. */
export const selectFindings = (
  include: readonly PlacedEntry[],
  exclude: readonly PlacedEntry[],
  read: readonly SocketProtocol[],
): Finding[] => [
  ...[...include, ...exclude].flatMap((entry) => entryFindings(entry, read)),
  ...include.flatMap(({ path, fields }): Finding[] => {
    const cover = exclude.find((entry) => covers(entry.fields, fields));
    if (cover === undefined) return [];
    const message = `cannot match: ${formatPath(cover.path)} leaves out all that it takes`;
    return [{ path, at: "value", message }];
  }),
];

/** A network has one name. */
export const networkFindings = (networks: Readonly<Record<string, unknown>>): Finding[] => {
  const findings: Finding[] = [];
  const named = new Map<string, string>();
  for (const [name, list] of Object.entries(networks))
    for (const [index, written] of (Array.isArray(list) ? (list as unknown[]) : []).entries()) {
      const network = typeof written === "string" ? parseCidr(written) : undefined;
      if (network === undefined || isFault(network)) continue;
      const key = formatNetwork(network);
      const other = named.get(key);
      named.set(key, name);
      if (other !== undefined && other !== name)
        findings.push({
          path: ["networks", name, index],
          at: "value",
          message: `${key} is in ${formatPath(["networks", other])} too: a network has one name`,
        });
    }
  return findings;
};
