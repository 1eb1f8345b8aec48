import type { AttributeValue, Attributes } from "../model/columns.ts";
import { type GroupAttribute, groupAttributeNames, type Grouping } from "../model/config.ts";
import type { CgroupInfo, ProcessInfo } from "../model/owner.ts";
import { givenCookie, type SocketBatch } from "../model/socket.ts";
import { addressText, isIpv4, local, networkType, peer } from "../netlink/address.ts";

/** What is known beside a socket's own row. */
export type FlowFacts = {
  /** Whether the socket's local port has a listener in its network namespace, now or at the last dump. */
  readonly listening: (batch: SocketBatch, row: number) => boolean;
  /** net.ipv4.ip_local_port_range: where the kernel takes the ports of outgoing connections from. */
  readonly ephemeral: readonly [low: number, high: number];
  /** Who holds the socket; of a connection that nobody has accepted, who listens for it. Undefined: not known. */
  readonly process: (batch: SocketBatch, row: number) => ProcessInfo | undefined;
  readonly cgroup: (batch: SocketBatch, row: number) => CgroupInfo | undefined;
  /** The owner is asked for, and may be known in a moment. */
  readonly ownerPending: (batch: SocketBatch, row: number) => boolean;
  /** The name that the configuration gives to the peer's network. */
  readonly peerNetwork: (batch: SocketBatch, row: number) => string | undefined;
  /** What the socket's network namespace is called; undefined: not known. */
  readonly netns: (batch: SocketBatch, row: number) => string | undefined;
  /** As with `NetnsFacts.isUnmet`. */
  readonly unmet: (batch: SocketBatch, row: number) => boolean;
  /** What the selection says of a socket that a dump shows, or of one that an event tells the end of. */
  readonly admit: (batch: SocketBatch, row: number, origin: "dump" | "event") => "yes" | "no" | "undecided";
};

export type FlowGrouping = {
  /** The key tells the flows of one group from all others. */
  readonly attributes: (batch: SocketBatch, row: number, facts: FlowFacts) => Attributes;
  readonly needsProcess: boolean;
  readonly needsCgroup: boolean;
  readonly needsCongestion: boolean;
};

const role = (batch: SocketBatch, row: number, facts: FlowFacts): "server" | "client" | "unknown" => {
  const port = batch.localPort[row] as number;
  if (facts.listening(batch, row)) return "server";
  return port >= facts.ephemeral[0] && port <= facts.ephemeral[1] ? "client" : "unknown";
};

/** The /24 or /56 that the peer is in. */
const peerPrefix = (batch: SocketBatch, row: number): string => {
  const text = addressText(batch, row, peer);
  if (isIpv4(batch, row, peer)) return `${text.slice(0, text.lastIndexOf("."))}.0/24`;
  const at = row * 8 + peer;
  const bytes = new Uint8Array(Uint32Array.of(batch.addresses[at] as number, batch.addresses[at + 1] as number).buffer);
  const group = (index: number): string =>
    (((bytes[index * 2] as number) << 8) | (index === 3 ? 0 : (bytes[index * 2 + 1] as number))).toString(16);
  const groups = [0, 1, 2, 3].map(group);
  while (groups.at(-1) === "0") groups.pop();
  return `${groups.join(":")}::/56`;
};

type Reader = (batch: SocketBatch, row: number, facts: FlowFacts) => AttributeValue | undefined;

const readers: Readonly<Record<GroupAttribute, Reader>> = {
  "network.transport": () => "tcp",
  "network.type": networkType,
  "network.local.address": (batch, row) => addressText(batch, row, local),
  "network.local.port": (batch, row) => batch.localPort[row],
  "network.peer.address": (batch, row) => addressText(batch, row, peer),
  "network.peer.port": (batch, row) => batch.peerPort[row],
  "sockscope.flow.role": role,
  "sockscope.peer.network": (batch, row, facts) => facts.peerNetwork(batch, row),
  "sockscope.peer.prefix": peerPrefix,
  "sockscope.tcp.congestion_control": (batch, row) =>
    batch.congestionNames[batch.congestion[row] as number] || undefined,
  "sockscope.socket.cookie": (batch, row) => givenCookie(batch.cookie[row] as number),
  "sockscope.netns": (batch, row, facts) => facts.netns(batch, row),
  "process.pid": (batch, row, facts) => facts.process(batch, row)?.pid,
  "process.executable.name": (batch, row, facts) => facts.process(batch, row)?.executable,
  "container.id": (batch, row, facts) => facts.cgroup(batch, row)?.containerId,
  "k8s.pod.uid": (batch, row, facts) => facts.cgroup(batch, row)?.podUid,
  "sockscope.systemd.unit": (batch, row, facts) => facts.cgroup(batch, row)?.unit,
};

type Names = readonly GroupAttribute[];
const always =
  (names: Names): Chosen =>
  () =>
    names;
type Chosen = (batch: SocketBatch, row: number, facts: FlowFacts) => Names;

const owner = ["process.executable.name", "container.id"] as const;
/** A server is its own port, whoever calls it; a client is whom it calls, from whatever port. */
const endpointByRole = {
  server: ["network.transport", "sockscope.flow.role", "network.local.port", ...owner],
  client: ["network.transport", "sockscope.flow.role", "network.peer.address", "network.peer.port", ...owner],
  unknown: ["network.transport", "sockscope.flow.role", ...owner],
} as const satisfies Record<string, Names>;

const container: Names = ["network.transport", "sockscope.flow.role", "container.id"];
const unit: Names = ["network.transport", "sockscope.flow.role", "sockscope.systemd.unit"];

/** The presets; which attributes say something of a flow can depend on the flow. */
const presets: Readonly<Record<Grouping, Chosen>> = {
  socket: always([
    "network.transport",
    "network.type",
    "network.local.address",
    "network.local.port",
    "network.peer.address",
    "network.peer.port",
  ]),
  process: always([
    "network.transport",
    "process.pid",
    "process.executable.name",
    "network.peer.address",
    "network.peer.port",
  ]),
  endpoint: (batch, row, facts) => endpointByRole[role(batch, row, facts)],
  container: (batch, row, facts) => (facts.cgroup(batch, row)?.containerId === undefined ? unit : container),
  host: always(["network.transport"]),
};

const presetNeeds: Readonly<Record<Grouping, Names>> = {
  socket: [],
  process: ["process.pid"],
  endpoint: owner,
  container: ["container.id"],
  host: [],
};

/** Where several network namespaces are read, presets tell their flows apart. */
const withNetns =
  (choose: Chosen): Chosen =>
  (batch, row, facts) => [...choose(batch, row, facts), "sockscope.netns"];

/** The grouping of a preset or of a list of attributes; an attribute that is not known of a flow is left out. */
export const createGrouping = (groupBy: Grouping | Names, byNetns = false): FlowGrouping => {
  const preset = typeof groupBy === "string";
  const chosen = preset ? presets[groupBy] : always(groupBy);
  const choose = preset && byNetns ? withNetns(chosen) : chosen;
  const needs = preset ? presetNeeds[groupBy] : groupBy;
  const uses = (...wanted: Names): boolean => wanted.some((name) => needs.includes(name));
  return {
    attributes: (batch, row, facts) => {
      const values: Record<string, AttributeValue> = {};
      for (const name of choose(batch, row, facts)) {
        const value = readers[name](batch, row, facts);
        if (value !== undefined) values[name] = value;
      }
      return values;
    },
    needsProcess: uses("process.pid", "process.executable.name"),
    needsCgroup: uses("container.id", "k8s.pod.uid", "sockscope.systemd.unit"),
    needsCongestion: uses("sockscope.tcp.congestion_control"),
  };
};

// oxlint-disable-next-line no-control-regex -- what an executable or a unit could be named to pass for another
const control = /[\0-\x1f]/;
const letterOf: Readonly<Record<string, string>> = Object.fromEntries(
  groupAttributeNames.map((name, index) => [name, String.fromCharCode(1 + index)]),
);

/**
 * Equal for the flows of one group alone: each name begins with a letter of its own, and an attribute that is not known
 * of a flow leaves its letter out. Short, since there is a key for each socket where sockets are series.
 */
export const groupKey = (values: Attributes): string => {
  let key = "";
  for (const name in values) {
    const value = String(values[name]);
    key += (letterOf[name] ?? "") + (control.test(value) ? JSON.stringify(value) : value);
  }
  return key;
};
