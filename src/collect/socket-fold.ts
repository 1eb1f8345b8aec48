import { createSsExporter, foldSsExporter, type SsExporter } from "../fold/compat/ss-exporter.ts";
import {
  createTelegraf,
  foldTelegraf,
  isShown,
  restartTelegraf,
  type Telegraf,
  type TelegrafOptions,
} from "../fold/compat/telegraf.ts";
import { type Bound, createListeners, createUdpPorts, foldBound } from "../fold/bound.ts";
import { rttOf } from "../fold/flow-columns.ts";
import type { FlowFacts } from "../fold/flow-group.ts";
import { createFlows, type Flows } from "../fold/flow-state.ts";
import { closeBatch, openBatch } from "../fold/flow-values.ts";
import { foldFlow, letWait } from "../fold/flows.ts";
import { addRtt, createRttHistogram } from "../fold/rtt.ts";
import { countSocket, createSocketCounts, restartSocketCounts } from "../fold/socket-counts.ts";
import { countsOfNetns, createNetnsStates } from "../fold/netns-states.ts";
import { countState, createStateCounts, resetStates, type StateCounts } from "../fold/states.ts";
import type { NamedNetworks, SocketsConfig, SsExporterConfig } from "../model/config.ts";
import type { Owners } from "../model/owner.ts";
import { ownNetns, protocolIndex, type SocketBatch, type SocketProtocol, socketProtocols } from "../model/socket.ts";
import type { NetnsFacts } from "../model/sources.ts";
import { isIpv4, local, peer } from "../netlink/address.ts";
import {
  TCP_CLOSE_WAIT,
  TCP_CLOSING,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT1,
  TCP_FIN_WAIT2,
  TCP_LAST_ACK,
  TCP_LISTEN,
} from "../netlink/constants.ts";
import { createNetworkTable, placeOfAddress } from "../netlink/network-table.ts";
import type { OwnerOf, Selector } from "../select/select.ts";

/** The states of a flow, which has reached ESTABLISHED: a refused or unused socket, a listener or a request has not. */
const flowStates =
  (1 << TCP_ESTABLISHED) |
  (1 << TCP_FIN_WAIT1) |
  (1 << TCP_FIN_WAIT2) |
  (1 << TCP_CLOSE_WAIT) |
  (1 << TCP_LAST_ACK) |
  (1 << TCP_CLOSING);

/** What of a listener is told of the connections that it has taken in. */
type Listener = { readonly inode: number; readonly cgroup: number };

/** A port in a network namespace, as one number. */
const placeOf = (batch: SocketBatch, row: number): number =>
  (batch.netns[row] as number) * 65_536 + (batch.localPort[row] as number);

/** Listening ports of this dump and of the last one: a listener may go away before its connections are read. */
const createListening = () => {
  let now = new Map<number, Listener>();
  let before = now;
  return {
    at: (batch: SocketBatch, row: number): Listener | undefined => {
      const place = placeOf(batch, row);
      return now.get(place) ?? before.get(place);
    },
    add: (batch: SocketBatch, row: number): void =>
      void now.set(placeOf(batch, row), { inode: batch.inode[row] as number, cgroup: batch.cgroup[row] as number }),
    nextDump: (): void => {
      before = now;
      now = new Map();
    },
  };
};

type Needs = { readonly process: boolean; readonly cgroup: boolean };

const noOwners: Owners = { process: () => undefined, cgroup: () => undefined };

/** Owners by what a socket's row says, else by its listener. */
const ownerFacts = (
  owners: Owners,
  needs: Needs,
  listening: ReturnType<typeof createListening>,
): Pick<FlowFacts, "process" | "cgroup" | "ownerPending"> => {
  const process: FlowFacts["process"] = (batch, row) => {
    if (!needs.process) return undefined;
    const inode = batch.inode[row] as number;
    if (inode !== 0) return owners.process(inode);
    const listener = listening.at(batch, row);
    return listener && owners.process(listener.inode);
  };
  return {
    process,
    // A socket stays in the cgroup that it was made in, by a launcher or by systemd; its process is where it is.
    cgroup: (batch, row) => {
      if (!needs.cgroup) return undefined;
      const running = process(batch, row)?.cgroup;
      if (running !== undefined) return running;
      const id = batch.cgroup[row] as number;
      if (id !== 0) return owners.cgroup(id);
      const listener = listening.at(batch, row);
      return listener && owners.cgroup(listener.cgroup);
    },
    ownerPending: (batch, row) =>
      (needs.process && batch.inode[row] !== 0 && owners.process(batch.inode[row] as number) === undefined) ||
      (needs.cgroup && batch.cgroup[row] !== 0 && owners.cgroup(batch.cgroup[row] as number) === undefined),
  };
};

/** Other tools' series of sockets. */
export type SocketsCompat = {
  readonly telegraf: Omit<TelegrafOptions, "maxSeries"> | undefined;
  readonly ssExporter: SsExporterConfig | undefined;
};

export type FoldOptions = {
  readonly config: SocketsConfig;
  /** net.ipv4.ip_local_port_range. */
  readonly ephemeral: FlowFacts["ephemeral"];
  /** `wanted`: what the grouping and the selection need of them. */
  readonly owners: (Owners & { readonly wanted: Needs }) | undefined;
  readonly selector: Selector;
  /** `networks` of the configuration. */
  readonly networks: readonly NamedNetworks[];
  readonly compat?: SocketsCompat;
  readonly netns: NetnsFacts;
};

/** The name of the smallest network that the peer is in. */
const createNetworkNames = (named: readonly NamedNetworks[]): FlowFacts["peerNetwork"] => {
  const sorted = named
    .flatMap(({ name, networks }) => networks.map((network) => ({ name, network })))
    .sort((one, other) => other.network.prefix - one.network.prefix);
  const table = createNetworkTable(sorted.map(({ network }) => network));
  return (batch, row) => sorted[placeOfAddress(table, batch, row, peer)]?.name;
};

export type SocketFold = ReturnType<typeof createSocketFold>;

/** Everything that sockets are folded into. */
export const createSocketFold = ({ config, ephemeral, owners, selector, networks, compat, netns }: FoldOptions) => {
  const listening = createListening();
  const { nameOf, isUnmet } = netns;
  const flows = createFlows(config, netns.several);
  const ssExporter: SsExporter | undefined = compat?.ssExporter && createSsExporter(compat.ssExporter, config);
  const telegraf: Telegraf | undefined =
    compat?.telegraf && createTelegraf({ ...compat.telegraf, maxSeries: config.maxGroups });
  /** Those of `sockets.group_by` first. */
  const allFlows: readonly Flows[] = ssExporter === undefined ? [flows] : [flows, ssExporter.flows];
  const needs: Needs = owners?.wanted ?? { process: false, cgroup: false };
  const known = ownerFacts(owners ?? noOwners, needs, listening);
  const ownerOf: OwnerOf = (batch, row) => ({ process: known.process(batch, row), cgroup: known.cgroup(batch, row) });
  const facts: FlowFacts = {
    listening: (batch, row) => listening.at(batch, row) !== undefined,
    ephemeral,
    ...known,
    peerNetwork: createNetworkNames(networks),
    netns: (batch, row) => nameOf(batch.netns[row] as number),
    unmet: (batch, row) => isUnmet(batch.netns[row] as number),
    admit: selector.active ? (batch, row, origin) => selector.decide(batch, row, ownerOf, origin) : () => "yes",
  };
  return {
    flows,
    allFlows,
    ssExporter,
    telegraf,
    needs,
    listening,
    facts,
    listeners: createListeners(config.maxGroups, netns),
    udpPorts: createUdpPorts(config.maxGroups, netns),
    socketCounts: createSocketCounts(config.protocols, netns),
    /** Rows of this dump, by protocol. */
    dumped: new Uint32Array(socketProtocols.length),
    rtt: createRttHistogram(config.rttBounds),
    /** TCP sockets of this dump by state; of several network namespaces, those of each. */
    states: createStateCounts(),
    netnsStates: netns.several ? createNetnsStates(netns, config.timeWait === "dump") : undefined,
  };
};

const countsOf = ({ states, netnsStates }: SocketFold, batch: SocketBatch, at: number): StateCounts =>
  netnsStates === undefined ? states : countsOfNetns(netnsStates, batch.netns[at] as number);

const foldInto = (fold: SocketFold, bound: Bound, batch: SocketBatch, at: number): boolean => {
  const taken = bound.known.sockets.has(batch.cookie[at] as number) || fold.facts.admit(batch, at, "dump") === "yes";
  if (taken) foldBound(bound, batch, at);
  return taken;
};

const isFlow = (batch: SocketBatch, at: number): boolean =>
  batch.full[at] === 1 && ((1 << (batch.state[at] as number)) & flowStates) !== 0;

const foldTcp = (fold: SocketFold, counts: StateCounts, batch: SocketBatch, at: number): void => {
  const state = batch.state[at] as number;
  const ipv4 = isIpv4(batch, at, local);
  const { flows, facts } = fold;
  if (state === TCP_LISTEN) {
    fold.listening.add(batch, at);
    if (foldInto(fold, fold.listeners, batch, at)) countState(counts, state, ipv4);
    return;
  }
  if (!isFlow(batch, at)) {
    if (facts.admit(batch, at, "dump") === "yes") countState(counts, state & 15, ipv4);
    return;
  }
  const folded = foldFlow(flows, batch, at, facts);
  if (folded === "left") return;
  countState(counts, state, ipv4);
  const rtt = rttOf(batch, at);
  if (folded === "added" && !Number.isNaN(rtt))
    addRtt(fold.rtt, ipv4, rtt, flows.lastTime === 0 ? flows.time : flows.lastTime);
  if (fold.ssExporter !== undefined) foldSsExporter(fold.ssExporter, batch, at, facts);
};

/** Sockets that are neither TCP nor UDP: counted, and the queues of unix listeners. */
const foldOther = (fold: SocketFold, batch: SocketBatch, at: number): void => {
  if (fold.facts.admit(batch, at, "dump") !== "yes") return;
  countSocket(fold.socketCounts, batch, at);
  if (batch.protocol[at] === protocolIndex.unix && batch.state[at] === TCP_LISTEN) foldBound(fold.listeners, batch, at);
};

/**
 * The sockets of a protocol come once more. What is known by cookie (flows, bound ports, families) counts once a tick; of
 * the agent's own network namespace, which comes first, nothing need be kept.
 */
export const restartFold = (fold: SocketFold, protocol: SocketProtocol, netns = ownNetns): void => {
  if (netns !== ownNetns) {
    if (protocol === "tcp") fold.netnsStates?.counts.delete(netns);
    return;
  }
  fold.dumped[protocolIndex[protocol]] = 0;
  restartSocketCounts(fold.socketCounts, protocol);
  if (fold.telegraf !== undefined) restartTelegraf(fold.telegraf, protocol);
  if (protocol !== "tcp") return;
  resetStates(fold.states);
  fold.netnsStates?.counts.clear();
  if (fold.flows.waiting !== undefined) letWait(fold.flows);
};

const openAll = ({ allFlows }: SocketFold, batch: SocketBatch): void => {
  for (const flows of allFlows) openBatch(flows, batch);
};

const closeAll = ({ allFlows }: SocketFold, batch: SocketBatch): void => {
  for (const flows of allFlows) closeBatch(flows, batch);
};

/** Adds flows that have waited for their owners, all of them in one batch. */
export const foldWaiting = (fold: SocketFold, batch: SocketBatch): void => {
  openAll(fold, batch);
  for (let at = 0; at < batch.length; at++) foldTcp(fold, countsOf(fold, batch, at), batch, at);
  closeAll(fold, batch);
};

const foldShown = (telegraf: Telegraf, { facts }: SocketFold, batch: SocketBatch): void => {
  for (let at = 0; at < batch.length; at++)
    if (isShown(telegraf, batch, at) && facts.admit(batch, at, "dump") === "yes") foldTelegraf(telegraf, batch, at);
};

/** Adds the sockets of one batch of a dump, which are all of one network namespace. */
export const foldBatch = (fold: SocketFold, batch: SocketBatch): void => {
  const counts = countsOf(fold, batch, 0);
  openAll(fold, batch);
  for (let at = 0; at < batch.length; at++) {
    const protocol = batch.protocol[at] as number;
    fold.dumped[protocol] = (fold.dumped[protocol] as number) + 1;
    if (protocol === protocolIndex.tcp) foldTcp(fold, counts, batch, at);
    else if (protocol !== protocolIndex.udp) foldOther(fold, batch, at);
    // A connected one is no bound port, and is read for another tool's series only.
    else if (batch.state[at] !== TCP_ESTABLISHED) foldInto(fold, fold.udpPorts, batch, at);
  }
  closeAll(fold, batch);
  if (fold.telegraf !== undefined) foldShown(fold.telegraf, fold, batch);
};

/** Adds what the flows of a dump between two ticks have counted; what a tick samples and counts is the tick's. */
export const resyncBatch = (fold: SocketFold, batch: SocketBatch): void => {
  openAll(fold, batch);
  const { flows, ssExporter, facts } = fold;
  for (let at = 0; at < batch.length; at++) {
    if (batch.state[at] === TCP_LISTEN) fold.listening.add(batch, at);
    else if (isFlow(batch, at) && foldFlow(flows, batch, at, facts) !== "left" && ssExporter !== undefined)
      foldFlow(ssExporter.flows, batch, at, facts);
  }
};

/** Asks for the owners of a dump's sockets, so that they are looked for before anything is folded. */
export const askForOwners = ({ facts }: SocketFold, batch: SocketBatch): void => {
  for (let at = 0; at < batch.length; at++) facts.ownerPending(batch, at);
};
