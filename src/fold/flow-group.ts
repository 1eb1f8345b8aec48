import type { Attributes } from "../model/columns.ts";
import type { Grouping } from "../model/config.ts";
import type { SocketBatch } from "../model/socket.ts";
import { addressText, local, networkType, peer } from "../netlink/address.ts";

/** What tells which end opened a connection. */
export type RoleFacts = {
  /** Local ports with a listener, now or at the last dump. */
  readonly listening: (port: number) => boolean;
  /** net.ipv4.ip_local_port_range: where the kernel takes the ports of outgoing connections from. */
  readonly ephemeral: readonly [low: number, high: number];
};

export type FlowGrouping = {
  /** Equal for the flows of one group. */
  readonly key: (batch: SocketBatch, row: number, facts: RoleFacts) => string;
  readonly attributes: (batch: SocketBatch, row: number, facts: RoleFacts) => Attributes;
};

const role = (batch: SocketBatch, row: number, facts: RoleFacts): "server" | "client" | "unknown" => {
  const port = batch.localPort[row] as number;
  if (facts.listening(port)) return "server";
  return port >= facts.ephemeral[0] && port <= facts.ephemeral[1] ? "client" : "unknown";
};

const socket: FlowGrouping = {
  key: (batch, row) =>
    `${addressText(batch, row, local)} ${batch.localPort[row]} ${addressText(batch, row, peer)} ${batch.peerPort[row]}`,
  attributes: (batch, row) => ({
    "network.transport": "tcp",
    "network.type": networkType(batch, row),
    "network.local.address": addressText(batch, row, local),
    "network.local.port": batch.localPort[row] as number,
    "network.peer.address": addressText(batch, row, peer),
    "network.peer.port": batch.peerPort[row] as number,
  }),
};

const endpoint: FlowGrouping = {
  key: (batch, row, facts) => {
    const kind = role(batch, row, facts);
    if (kind === "server") return `${kind} ${batch.localPort[row]}`;
    return kind === "client" ? `${kind} ${addressText(batch, row, peer)} ${batch.peerPort[row]}` : kind;
  },
  attributes: (batch, row, facts) => {
    const kind = role(batch, row, facts);
    const common = { "network.transport": "tcp", "sockscope.flow.role": kind };
    if (kind === "server") return { ...common, "network.local.port": batch.localPort[row] as number };
    if (kind === "unknown") return common;
    return {
      ...common,
      "network.peer.address": addressText(batch, row, peer),
      "network.peer.port": batch.peerPort[row] as number,
    };
  },
};

const host: FlowGrouping = { key: () => "", attributes: () => ({ "network.transport": "tcp" }) };

export const flowGroupings: Readonly<Record<Grouping, FlowGrouping>> = { socket, endpoint, host };
