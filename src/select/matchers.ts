import type { Network } from "../model/address.ts";
import type { PortRange, SelectEntry } from "../model/config.ts";
import type { ConnectionState } from "../model/connection-state.ts";
import type { CgroupInfo, ProcessInfo } from "../model/owner.ts";
import { protocolIndex, type SocketBatch, type SocketProtocol } from "../model/socket.ts";
import { type End, local, peer } from "../netlink/address.ts";
import * as k from "../netlink/constants.ts";
import { type NetworkTable, placeOfAddress } from "../netlink/network-table.ts";
import { createGlob, isGlob } from "../text/glob.ts";
import { no, not, type Truth, truthOf, undecided, yes } from "./truth.ts";

/** Who holds a socket; undefined where it is not known, or not yet. */
export type SelectorOwner = { readonly process: ProcessInfo | undefined; readonly cgroup: CgroupInfo | undefined };

/** The owner of a row. It is asked only where the answer depends on it. */
export type OwnerOf = (batch: SocketBatch, row: number) => SelectorOwner;

/** Where a row comes from: a destroy event has the state CLOSE whatever the socket's was, no inode and no cgroup. */
export type Origin = "dump" | "event";

export type Matcher = (batch: SocketBatch, row: number, owner: OwnerOf, origin: Origin) => Truth;

const numberOfState = {
  established: k.TCP_ESTABLISHED,
  syn_sent: k.TCP_SYN_SENT,
  syn_received: k.TCP_SYN_RECV,
  fin_wait_1: k.TCP_FIN_WAIT1,
  fin_wait_2: k.TCP_FIN_WAIT2,
  time_wait: k.TCP_TIME_WAIT,
  closed: k.TCP_CLOSE,
  close_wait: k.TCP_CLOSE_WAIT,
  last_ack: k.TCP_LAST_ACK,
  listen: k.TCP_LISTEN,
  closing: k.TCP_CLOSING,
} as const satisfies Record<ConnectionState, number>;

/** A bitmap of 1 << TCP_x. */
export const stateBits = (states: readonly ConnectionState[]): number =>
  states.reduce((bits, state) => bits | (1 << numberOfState[state]), 0);

export const matchProtocols = (protocols: readonly SocketProtocol[]): Matcher => {
  const wanted = protocols.reduce((bits, protocol) => bits | (1 << protocolIndex[protocol]), 0);
  return (batch, row) => truthOf(((wanted >> (batch.protocol[row] as number)) & 1) === 1);
};

export const matchStates = (states: readonly ConnectionState[]): Matcher => {
  const wanted = stateBits(states);
  return (batch, row, _owner, origin) => {
    if (batch.protocol[row] === protocolIndex.sctp) return no;
    if (origin === "event") return undecided;
    return truthOf(((wanted >>> ((batch.state[row] as number) & 31)) & 1) === 1);
  };
};

/** What is asked of each end that `side` names; the answers are alternatives. */
type EndMatcher = (batch: SocketBatch, row: number, end: End, origin: Origin) => Truth;

const atEnds = (side: SelectEntry["side"], match: EndMatcher): Matcher => {
  const [first, second] = side === "remote" ? [peer, undefined] : [local, side === "any" ? peer : undefined];
  return (batch, row, _owner, origin) => {
    const family = batch.family[row] as number;
    if (family !== k.AF_INET && family !== k.AF_INET6) return no;
    const truth = match(batch, row, first, origin);
    if (second === undefined || truth === yes) return truth;
    const other = match(batch, row, second, origin);
    return other > truth ? other : truth;
  };
};

/**
 * tcp_disconnect() erases a socket's ends before its event: a connection that was reset by SO_LINGER 0 or was refused
 * has no peer any more, and may have no address of its own. TCP has no other event with zeros but that of a listener.
 */
const isErased = (batch: SocketBatch, row: number, origin: Origin): boolean =>
  origin === "event" && batch.protocol[row] === protocolIndex.tcp;

const isUnspecified = ({ addresses }: SocketBatch, row: number, end: End): boolean => {
  const at = row * 8 + end;
  return addresses[at] === 0 && addresses[at + 1] === 0 && addresses[at + 2] === 0 && addresses[at + 3] === 0;
};

export const matchPorts = (side: SelectEntry["side"], ranges: readonly PortRange[]): Matcher => {
  const bounds = Uint16Array.from(ranges.flatMap(({ from, to }) => [from, to]));
  return atEnds(side, (batch, row, end, origin) => {
    const port = (end === local ? batch.localPort[row] : batch.peerPort[row]) as number;
    if (port === 0 && isErased(batch, row, origin)) return undecided;
    let low = 0;
    let high = bounds.length >> 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((bounds[middle * 2 + 1] as number) < port) low = middle + 1;
      else high = middle;
    }
    return truthOf(low * 2 < bounds.length && (bounds[low * 2] as number) <= port);
  });
};

/** `table` gives the networks as they are now. */
export const matchNetworks = (side: SelectEntry["side"], table: () => NetworkTable): Matcher =>
  atEnds(side, (batch, row, end, origin) =>
    isUnspecified(batch, row, end) && isErased(batch, row, origin)
      ? undecided
      : truthOf(placeOfAddress(table(), batch, row, end) >= 0),
  );

export const negated =
  (match: Matcher): Matcher =>
  (batch, row, owner, origin) =>
    not(match(batch, row, owner, origin));

/** The answer for each owner, kept for as long as the owner is. */
const remembered = <Owner extends object>(holds: (owner: Owner) => boolean): ((owner: Owner) => Truth) => {
  const answers = new WeakMap<Owner, Truth>();
  return (owner) => {
    const known = answers.get(owner);
    if (known !== undefined) return known;
    const truth = truthOf(holds(owner));
    answers.set(owner, truth);
    return truth;
  };
};

const ofProcess = (holds: (process: ProcessInfo) => boolean): Matcher => {
  const truth = remembered(holds);
  return (batch, row, owner) => {
    const { process } = owner(batch, row);
    return process === undefined ? undecided : truth(process);
  };
};

const ofCgroup = (holds: (cgroup: CgroupInfo) => boolean): Matcher => {
  const truth = remembered(holds);
  return (batch, row, owner) => {
    const { cgroup } = owner(batch, row);
    return cgroup === undefined ? undecided : truth(cgroup);
  };
};

type Holds<Owner> = (owner: Owner) => boolean;

const anyOf =
  <Owner>(alternatives: readonly Holds<Owner>[]): Holds<Owner> =>
  (owner) =>
    alternatives.some((holds) => holds(owner));

export const matchPids = (pids: readonly number[]): Matcher => {
  const wanted = new Set(pids);
  return ofProcess(({ pid }) => wanted.has(pid));
};

const baseName = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

const cmd = (written: string): Holds<ProcessInfo> => {
  const fits = isGlob(written) ? createGlob(written) : (name: string) => name === written;
  return ({ executable, argv }) =>
    fits(executable) || fits(baseName(argv[0] ?? "")) || (isGlob(written) && fits(argv.join(" ")));
};

export const matchCmds = (cmds: readonly string[]): Matcher => ofProcess(anyOf(cmds.map(cmd)));

const cgroupPath = (written: string): Holds<CgroupInfo> => {
  if (isGlob(written)) {
    const fits = createGlob(written);
    return ({ path, unit }) => fits(path) || (unit !== undefined && fits(unit));
  }
  if (!written.startsWith("/")) return ({ unit }) => unit === written;
  const above = written.replace(/\/+$/, "");
  return ({ path }) => path === above || path.startsWith(`${above}/`);
};

export const matchCgroups = (cgroups: readonly string[]): Matcher => ofCgroup(anyOf(cgroups.map(cgroupPath)));

/** What docker ps shows of an id. */
const shortId = /^[0-9a-f]{12,63}$/;
const fullId = /^[0-9a-f]{64}$/;

const container = (written: string): Holds<CgroupInfo> => {
  const fits = isGlob(written) ? createGlob(written) : (id: string) => id === written;
  const isShort = shortId.test(written);
  return ({ containerId: id }) =>
    id !== undefined && (fits(id) || (isShort && fullId.test(id) && id.startsWith(written)));
};

/** Whether a cgroup is that of one of the containers. */
export const holdsContainers = (containers: readonly string[]): ((cgroup: CgroupInfo) => boolean) =>
  anyOf(containers.map(container));

export const matchContainers = (containers: readonly string[]): Matcher => ofCgroup(holdsContainers(containers));

/** The networks of `loopback`. */
export const loopbackNetworks: readonly Network[] = [
  { family: 4, words: [127], prefix: 8 },
  { family: 6, words: [0, 0, 0, 0x01000000], prefix: 128 },
];
