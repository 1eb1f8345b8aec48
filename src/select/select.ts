import { type Network, parseNetwork } from "../model/address.ts";
import type { SelectConfig, SelectEntry } from "../model/config.ts";
import type { SocketBatch } from "../model/socket.ts";
import { createNetworkTable, type NetworkTable } from "../netlink/network-table.ts";
import {
  loopbackNetworks,
  type Matcher,
  matchCgroups,
  matchCmds,
  matchContainers,
  matchNetworks,
  matchPids,
  matchPorts,
  matchProtocols,
  matchStates,
  negated,
  type Origin,
  type OwnerOf,
} from "./matchers.ts";
import { compileProgram, compileStates } from "./program.ts";
import { no, not, type Truth, yes } from "./truth.ts";

export type { Origin, OwnerOf, SelectorOwner } from "./matchers.ts";

export type Verdict = "yes" | "no" | "undecided";

/** Which sockets are taken: when `include` is empty or one of its entries matches, and none of `exclude` does. */
export type Selector = {
  /** False: every socket is taken, and nothing need be asked. */
  readonly active: boolean;
  /** The verdict can depend on the process that holds a socket, or on a cgroup. */
  readonly needsProcess: boolean;
  readonly needsCgroup: boolean;
  /**
   * One row of a batch. `undecided` where it depends on what is not known: an owner, and of a destroy event the state
   * and the ends that tcp_disconnect() erased.
   */
  readonly decide: (batch: SocketBatch, row: number, owner: OwnerOf, origin: Origin) => Verdict;
  /**
   * The kernel's part of the filter as it is now, for dumps of connections of every inet protocol; undefined where it
   * cannot narrow. It accepts every socket of which `decide` says yes or undecided, and may accept more.
   */
  readonly program: () => Uint8Array | undefined;
  /** A bitmap of 1 << TCP_x to and with a dump's states, of every protocol that has TCP's (all but SCTP). */
  readonly states: () => number;
  /** Names to resolve. */
  readonly hosts: readonly string[];
  /** What a name resolves to from now on, numeric addresses; until then it matches nothing. */
  readonly setHost: (host: string, addresses: readonly string[]) => void;
};

const verdicts = ["no", "undecided", "yes"] as const satisfies readonly Verdict[];

/** Tables of host names that change as the names are resolved. */
const createHosts = (entries: readonly SelectEntry[]) => {
  const addresses = new Map<string, readonly Network[]>(
    entries.flatMap(({ hosts = [] }) => hosts.map((host): [string, readonly Network[]] => [host, []])),
  );
  const tables = new Map<readonly string[], NetworkTable>();
  const addressesOf = (hosts: readonly string[]): Network[] => hosts.flatMap((host) => addresses.get(host) ?? []);
  const empty = createNetworkTable([]);
  return {
    names: [...addresses.keys()],
    addressesOf,
    tableOf: (hosts: readonly string[]) => (): NetworkTable => tables.get(hosts) ?? empty,
    set(host: string, found: readonly string[]): void {
      if (!addresses.has(host)) return;
      // The zone is the agent's own; a socket's address has none.
      const parsed = found.map((address) => parseNetwork(address.replace(/%.*$/s, "")));
      addresses.set(
        host,
        parsed.filter((network) => network !== undefined),
      );
      for (const { hosts } of entries)
        if (hosts?.includes(host) === true) tables.set(hosts, createNetworkTable(addressesOf(hosts)));
    },
  };
};

type Hosts = ReturnType<typeof createHosts>;

/** A matcher for each key; what costs least first, and what asks for an owner last. */
const matchersOf = (entry: SelectEntry, hosts: Hosts): Matcher[] => {
  const { side, portSide = side } = entry;
  const matchers: Matcher[] = [];
  const networks = (held: readonly Network[]): Matcher => {
    const table = createNetworkTable(held);
    return matchNetworks(side, () => table);
  };
  if (entry.protocols !== undefined) matchers.push(matchProtocols(entry.protocols));
  if (entry.states !== undefined) matchers.push(matchStates(entry.states));
  if (entry.ports !== undefined) matchers.push(matchPorts(portSide, entry.ports));
  if (entry.addresses !== undefined) matchers.push(networks(entry.addresses));
  if (entry.networks !== undefined) matchers.push(networks(entry.networks));
  if (entry.hosts !== undefined) matchers.push(matchNetworks(side, hosts.tableOf(entry.hosts)));
  if (entry.loopback !== undefined)
    matchers.push(entry.loopback ? networks(loopbackNetworks) : negated(networks(loopbackNetworks)));
  if (entry.cgroups !== undefined) matchers.push(matchCgroups(entry.cgroups));
  if (entry.containers !== undefined) matchers.push(matchContainers(entry.containers));
  if (entry.pids !== undefined) matchers.push(matchPids(entry.pids));
  if (entry.cmds !== undefined) matchers.push(matchCmds(entry.cmds));
  return matchers;
};

const allOf =
  (matchers: readonly Matcher[]): Matcher =>
  (batch, row, owner, origin) => {
    let truth: Truth = yes;
    for (const match of matchers) {
      const own = match(batch, row, owner, origin);
      if (own < truth) truth = own;
      if (truth === no) break;
    }
    return truth;
  };

const anyOf =
  (matchers: readonly Matcher[]): Matcher =>
  (batch, row, owner, origin) => {
    let truth: Truth = no;
    for (const match of matchers) {
      const own = match(batch, row, owner, origin);
      if (own > truth) truth = own;
      if (truth === yes) break;
    }
    return truth;
  };

export const createSelector = (config: SelectConfig): Selector => {
  const { include, exclude } = config;
  const entries = [...include, ...exclude];
  const hosts = createHosts(entries);
  const included: Matcher =
    include.length === 0 ? () => yes : anyOf(include.map((entry) => allOf(matchersOf(entry, hosts))));
  const excluded = anyOf(exclude.map((entry) => allOf(matchersOf(entry, hosts))));
  const states = compileStates(config);
  let program: { readonly bytes: Uint8Array | undefined } | undefined;
  return {
    active: entries.length > 0,
    needsProcess: entries.some(({ pids, cmds }) => pids !== undefined || cmds !== undefined),
    needsCgroup: entries.some(({ cgroups, containers }) => cgroups !== undefined || containers !== undefined),
    decide(batch, row, owner, origin) {
      const taken = included(batch, row, owner, origin);
      if (taken === no) return "no";
      const kept = not(excluded(batch, row, owner, origin));
      return verdicts[kept < taken ? kept : taken];
    },
    program() {
      program ??= { bytes: compileProgram(config, hosts.addressesOf) };
      return program.bytes;
    },
    states: () => states,
    hosts: hosts.names,
    setHost(host, addresses) {
      hosts.set(host, addresses);
      program = undefined;
    },
  };
};
