import { contains, mappedWord, type Network } from "../model/address.ts";
import type { SelectConfig, SelectEntry } from "../model/config.ts";
import { assemble, type Filter, leavesOf } from "../netlink/bytecode.ts";
import { loopbackNetworks, stateBits } from "./matchers.ts";

/** Beyond this many conditions a filter costs the kernel more than the sockets that it spares: they are decided here. */
export const mostLeaves = 30;

const ends = { any: ["local", "peer"], local: ["local"], remote: ["peer"] } as const;

const any = (of: readonly Filter[]): Filter => ({ kind: "any", of });
const all = (of: readonly Filter[]): Filter => ({ kind: "all", of });
const none = (of: Filter): Filter => ({ kind: "not", of });

const everyIpv4: Network = { family: 4, words: [0], prefix: 0 };
const mapped: Network = { family: 6, words: [0, 0, mappedWord, 0], prefix: 96 };

const networkFilter = (end: "local" | "peer", network: Network): Filter => {
  const condition: Filter = { kind: "network", end, network };
  // IPv4-mapped addresses are IPv4, to which the kernel's IPv6 conditions pay no heed.
  return contains(network, mapped) ? all([condition, none({ kind: "network", end, network: everyIpv4 })]) : condition;
};

const networksFilter = (side: SelectEntry["side"], networks: readonly Network[]): Filter =>
  any(ends[side].flatMap((end) => networks.map((network) => networkFilter(end, network))));

const byKernel = ["ports", "addresses", "networks", "hosts", "loopback"] as const;
const inProgram: ReadonlySet<string> = new Set([...byKernel, "side", "portSide"]);

/** Addresses of hosts as they are now. */
export type AddressesOf = (hosts: readonly string[]) => readonly Network[];

/** A filter for each key that the kernel can decide, all of which must be true. */
const conjunctsOf = (entry: SelectEntry, of: AddressesOf): Filter[] => {
  const { side, portSide = side, ports, addresses, networks, hosts, loopback } = entry;
  const filters: Filter[] = [];
  if (ports !== undefined)
    filters.push(
      any(ends[portSide].flatMap((end) => ports.map((range): Filter => ({ kind: "ports", end, ...range })))),
    );
  if (addresses !== undefined) filters.push(networksFilter(side, addresses));
  if (networks !== undefined) filters.push(networksFilter(side, networks));
  if (hosts !== undefined) filters.push(networksFilter(side, of(hosts)));
  if (loopback !== undefined) {
    const isLoopback = networksFilter(side, loopbackNetworks);
    filters.push(loopback ? isLoopback : none(isLoopback));
  }
  return filters;
};

const keysOf = (entry: SelectEntry): (keyof SelectEntry)[] =>
  (Object.keys(entry) as (keyof SelectEntry)[]).filter((key) => entry[key] !== undefined);

/** The kernel decides the entry as a whole, so that what it excludes can be left out there. */
const isWhole = (entry: SelectEntry): boolean => keysOf(entry).every((key) => inProgram.has(key));

/** What must be true for a socket to be taken: one of these, each a list of which all must be. Undefined: anything may. */
type Alternatives = readonly (readonly Filter[])[] | undefined;

/** Leaves out the longest condition, which takes in more sockets and never fewer. */
const widen = (
  include: Alternatives,
  exclude: readonly Filter[],
): { include: Alternatives; exclude: readonly Filter[] } => {
  const longest = [...(include ?? []).flat(), ...exclude].reduce((a, b) => (leavesOf(b) > leavesOf(a) ? b : a));
  const without = (filters: readonly Filter[]): Filter[] => filters.filter((filter) => filter !== longest);
  const narrowed = include?.map(without);
  return {
    include: narrowed?.some((filters) => filters.length === 0) === true ? undefined : narrowed,
    exclude: without(exclude),
  };
};

/**
 * A program that accepts every socket that the configuration takes, and as few others as its conditions on ports and
 * addresses can tell; undefined where they tell nothing. `most` bounds the conditions.
 */
export const compileProgram = (
  { include, exclude }: SelectConfig,
  of: AddressesOf,
  most = mostLeaves,
): Uint8Array | undefined => {
  const conjuncts = include.map((entry) => conjunctsOf(entry, of));
  let parts: { include: Alternatives; exclude: readonly Filter[] } = {
    include: include.length === 0 || conjuncts.some((filters) => filters.length === 0) ? undefined : conjuncts,
    exclude: exclude.filter(isWhole).map((entry) => none(all(conjunctsOf(entry, of)))),
  };
  const partsOf = (): Filter[] => [
    ...(parts.include === undefined ? [] : [any(parts.include.map((filters) => all(filters)))]),
    ...parts.exclude,
  ];
  while (leavesOf(all(partsOf())) > most) parts = widen(parts.include, parts.exclude);
  const filters = partsOf();
  return filters.length === 0 ? undefined : assemble(all(filters));
};

/** More bits than there are states. */
const everyState = 0xffff;

/** The states that a taken socket can have, a bitmap of 1 << TCP_x. SCTP numbers its states otherwise. */
export const compileStates = ({ include, exclude }: SelectConfig): number => {
  const wanted = include.map(({ states }) => (states === undefined ? everyState : stateBits(states)));
  const unwanted = exclude
    .filter((entry) => keysOf(entry).every((key) => key === "states" || key === "side"))
    .map(({ states }) => stateBits(states ?? []));
  const taken = include.length === 0 ? everyState : wanted.reduce((bits, more) => bits | more, 0);
  return taken & ~unwanted.reduce((bits, more) => bits | more, 0);
};
