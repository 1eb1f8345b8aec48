import { isIP } from "node:net";
import { z } from "zod";
import { contains, formatNetwork, type Network, parseNetwork, withoutHostBits } from "../model/address.ts";
import { type PortRange, type SelectEntry, sides } from "../model/config.ts";
import { type ConnectionState, connectionStates } from "../model/connection-state.ts";
import { socketProtocols } from "../model/socket.ts";
import { type Fault, isFault } from "../text/fault.ts";
import { unknownWord } from "../text/nearest.ts";
import { hostFault } from "./host-port.ts";
import { block, onOff, oneOf, optional, parsed, text, whole } from "./kinds.ts";

const portGrammar = "must be a port from 1 to 65535, or a range such as 8000-9000";
const portPattern = /^\d{1,5}(?:-\d{1,5})?$/;

/** Reads `443` and `8000-9000`. */
export const parsePorts = (written: string): PortRange | Fault => {
  if (!portPattern.test(written)) return { fault: portGrammar };
  const [first = "", last = first] = written.split("-");
  const [from, to] = [Number(first), Number(last)];
  if (Math.min(from, to) < 1 || Math.max(from, to) > 65_535) return { fault: portGrammar };
  return from <= to ? { from, to } : { fault: `the range is reversed: write ${to}-${from}` };
};

/** The same ports in ascending order; ranges that overlap or touch are one. */
export const mergePorts = (ranges: readonly PortRange[]): PortRange[] => {
  const merged: PortRange[] = [];
  for (const { from, to } of ranges.toSorted((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last === undefined || from > last.to + 1) merged.push({ from, to });
    else merged[merged.length - 1] = { from: last.from, to: Math.max(last.to, to) };
  }
  return merged;
};

/** Reads `10.0.0.1` and `2001:db8::1`. */
export const parseIp = (written: string): Network | Fault => {
  if (written.includes("/")) return { fault: "is a network: put it under networks" };
  if (written.includes("%")) return { fault: "must be an IP address without a zone" };
  return parseNetwork(written) ?? { fault: "must be an IP address, as in 10.0.0.1 or 2001:db8::1" };
};

const networkGrammar = "must be a network, as in 10.0.0.0/8 or 2001:db8::/32";

/** Reads `10.0.0.0/8` and `2001:db8::/32`; bits behind the prefix are a fault, as one of the two is not what was meant. */
export const parseCidr = (written: string): Network | Fault => {
  const [, address = "", bits] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(written) ?? [];
  if (parseNetwork(address) === undefined) return { fault: networkGrammar };
  if (bits === undefined)
    return {
      fault: `the prefix is missing: write ${address}/${address.includes(":") ? 128 : 32}, or a shorter prefix`,
    };
  const network = parseNetwork(address, Number(bits));
  if (network === undefined)
    return { fault: `the prefix must be a whole number from 0 to ${address.includes(":") ? 128 : 32}` };
  const clean = withoutHostBits(network);
  return clean.words.every((word, at) => word === network.words[at])
    ? clean
    : { fault: `has bits behind its prefix: write ${formatNetwork(clean)} for the network, or a longer prefix` };
};

/** The same addresses; a network within another one goes. */
export const mergeNetworks = (networks: readonly Network[]): Network[] => {
  const kept: Network[] = [];
  for (const network of networks.toSorted((a, b) => a.prefix - b.prefix))
    if (!kept.some((outer) => contains(outer, network))) kept.push(network);
  return networks.filter((network) => kept.includes(network));
};

const stateAliases: Readonly<Record<string, ConnectionState>> = {
  estab: "established",
  syn_recv: "syn_received",
  fin_wait1: "fin_wait_1",
  fin_wait2: "fin_wait_2",
  close: "closed",
  unconn: "closed",
  listening: "listen",
};

/** Reads the names of `network.connection.state`, and the spellings of the kernel (TCP_SYN_RECV) and of ss (syn-recv). */
export const parseState = (written: string): ConnectionState | Fault => {
  const plain = written.toLowerCase().replaceAll("-", "_").replace(/^tcp_/, "");
  const name = Object.hasOwn(stateAliases, plain) ? stateAliases[plain] : plain;
  return connectionStates.find((known) => known === name) ?? { fault: unknownWord("state", written, connectionStates) };
};

const parseHost = (written: string): string | Fault => {
  if (written === "") return { fault: "must not be empty" };
  if (isIP(written) !== 0) return { fault: "is an address: put it under addresses" };
  if (written.includes("/") && !isFault(parseCidr(written))) return { fault: "is a network: put it under networks" };
  const fault = hostFault(written);
  return fault === undefined ? written.toLowerCase() : { fault };
};

const filled = (what: string) =>
  parsed<string>((written) => (written === "" ? { fault: "must not be empty" } : written), undefined, text(what));

const listOf = <T extends z.ZodType>(item: T, what: string, remedy = `: with it the entry matches nothing`) =>
  z
    .array(item, { error: `must be a list of ${what}` })
    .min(1, { error: `is an empty list${remedy}; name ${what}, or leave the key out` });

const distinct = <T>(values: readonly T[]): T[] => [...new Set(values)];

const cidr = parsed(parseCidr, /^[\d.:A-Fa-f]+\/\d{1,3}$/, text("a network, as in 10.0.0.0/8"));

const port = z.int({ error: portGrammar }).min(1, { error: portGrammar }).max(65_535, { error: portGrammar });

const ports = listOf(
  z.union([port.transform((number): PortRange => ({ from: number, to: number })), parsed(parsePorts, portPattern)], {
    error: portGrammar,
  }),
  "ports",
).transform(mergePorts);

/** The keys that `side` is about. */
export const endKeys = ["ports", "addresses", "networks", "hosts", "loopback"] as const;

/** An entry of `sockets.select.include` and `.exclude`. */
export const selectEntry = block({
  protocols: optional(
    listOf(oneOf(socketProtocols), "protocols").transform(distinct),
    `Any of ${socketProtocols.join(", ")}.`,
  ),
  states: optional(
    listOf(parsed(parseState), "states").transform(distinct),
    `Any of ${connectionStates.join(", ")}; the spellings of the kernel (TCP_SYN_RECV) and of ss (syn-recv) do too. SCTP has states of its own, which match none.`,
  ),
  ports: optional(ports, 'Single ports and ranges, as in [443, "8000-9000"]; those that overlap are joined.'),
  addresses: optional(
    listOf(parsed(parseIp, /^[\d.:A-Fa-f]+$/, text("an IP address")), "addresses").transform(mergeNetworks),
    "IPv4 and IPv6 addresses; an IPv4-mapped one is IPv4.",
  ),
  networks: optional(
    listOf(cidr, "networks").transform(mergeNetworks),
    "IPv4 and IPv6 networks, as in 10.0.0.0/8; bits behind the prefix are refused. IPv4-mapped addresses are IPv4: ::/0 does not hold them.",
  ),
  hosts: optional(
    listOf(parsed(parseHost, undefined, text("the name of a host")), "hosts").transform(distinct),
    "Names of hosts, which stand for their addresses of both families. They are looked up in the background and again every 60s, as the C library does not tell how long an answer holds; a name that does not resolve matches nothing, or what it last stood for.",
  ),
  pids: optional(
    listOf(whole(1, 4_194_304), "process ids").transform(distinct),
    "Ids of processes that hold the socket.",
  ),
  cmds: optional(
    listOf(filled("the name of a program, or a pattern"), "commands").transform(distinct),
    "Name of the executable, or base name of argv[0]; with a * (any text) or ? (any character) a pattern that one of them or the whole command line has to fit.",
  ),
  cgroups: optional(
    listOf(filled("a path, a unit or a pattern"), "cgroups").transform(distinct),
    "A path such as /system.slice, for that cgroup and all below it, or a systemd unit such as nginx.service; * and ? as in cmds.",
  ),
  containers: optional(
    listOf(filled("the id or name of a container, or a pattern"), "containers").transform(distinct),
    "Ids of containers, at least their first 12 digits, or the names that their manager gives; * and ? as in cmds.",
  ),
  loopback: optional(onOff(), "true: an address is in 127.0.0.0/8 or is ::1; false: none is."),
  side: optional(
    oneOf(sides),
    "Whose port and address ports, addresses, networks, hosts and loopback are about: the socket's own (local), the other end's (remote), or either's (any).",
    "any",
  ),
  port_side: optional(
    oneOf(sides),
    "The same of ports alone, as for what comes from one network to a port of either end. By default side.",
  ),
}).refine((entry) => Object.keys(entry).length > 0, {
  error: "must hold a key: without one it would match every socket",
  when: ({ issues }) => issues.length === 0,
});

export type SelectFields = z.output<typeof selectEntry>;

/** An entry with what it does not say filled in. */
export const entryOf = ({ port_side: portSide, side = "any", ...fields }: SelectFields): SelectEntry => ({
  ...fields,
  side,
  ...(portSide === undefined ? {} : { portSide }),
});

const netnsName = parsed<string>(
  (written) =>
    written === "" || written === "." || written === ".." || /[/\0]/.test(written)
      ? { fault: "must be a name in /run/netns, as ip netns list shows it" }
      : written,
  undefined,
  text("the name of a network namespace"),
);

/** The map of `sockets.namespaces`. */
export const netnsSelection = block({
  containers: optional(
    listOf(filled("the id or name of a container, or a pattern"), "containers", "").transform(distinct),
    "Namespaces of containers, as in select: ids, at least their first 12 digits, or names; * is any text, ? any character.",
  ),
  pids: optional(listOf(whole(1, 4_194_304), "process ids", "").transform(distinct), "Namespaces of processes."),
  names: optional(
    listOf(netnsName, "names", "").transform(distinct),
    "Namespaces by their names in /run/netns, as ip netns list shows them. One that is not there yet is read as soon as it is.",
  ),
}).refine((selection) => Object.keys(selection).length > 0, {
  error: "must name containers, pids or names; write own for the agent's own namespace alone",
  when: ({ issues }) => issues.length === 0,
});

const entries = z.array(selectEntry, { error: "must be a list of maps of keys" });

/** `sockets.select`. */
export const select = block({
  include: optional(entries, "Which sockets are taken; an empty list takes all."),
  exclude: optional(entries, "Which of them are left out all the same."),
});

/** `networks`. */
export const namedNetworks = z.record(
  z.string().refine((name) => name !== "", { error: "a network needs a name" }),
  listOf(cidr, "networks", "").transform(mergeNetworks),
  { error: "must be a map of names to lists of networks" },
);
