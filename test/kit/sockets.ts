import {
  createSocketBatch,
  protocolIndex,
  resetRow,
  type SocketBatch,
  type SocketProtocol,
} from "../../src/model/socket.ts";
import { AF_INET, AF_INET6, TCP_ESTABLISHED } from "../../src/netlink/constants.ts";
import { type TcpInfoField, tcpInfoFields, tcpInfoIndex, tcpInfoStride } from "../../src/netlink/tcp-info.ts";

/** A socket as a test writes it; what is left out has the value of an idle IPv4 loopback connection. */
export type SocketRow = {
  readonly cookie: number;
  readonly family?: 4 | 6;
  readonly protocol?: SocketProtocol;
  /** SOCK_x. */
  readonly type?: number;
  readonly state?: number;
  /** Of a unix socket. */
  readonly name?: string;
  readonly local?: string;
  readonly localPort?: number;
  readonly peer?: string;
  readonly peerPort?: number;
  readonly rqueue?: number;
  readonly wqueue?: number;
  readonly drops?: number;
  readonly uid?: number;
  readonly inode?: number;
  readonly cgroup?: number;
  /** Name of the congestion control algorithm. */
  readonly congestion?: string;
  /** False: a socket without struct tcp_info. Fields that are left out are 0; `undefined` ones are absent. */
  readonly info?: false | Partial<Record<TcpInfoField, number | undefined>>;
};

const ipv4Bytes = (text: string): number[] => text.split(".").map(Number);

const ipv6Bytes = (text: string): number[] => {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(text)?.[1];
  if (mapped !== undefined) return [...Array<number>(10).fill(0), 255, 255, ...ipv4Bytes(mapped)];
  const [head = "", tail = ""] = text.split("::");
  const groups = (part: string): number[] =>
    part === "" ? [] : part.split(":").map((group) => Number.parseInt(group, 16));
  const before = groups(head);
  const after = groups(tail);
  const all = text.includes("::")
    ? [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after]
    : before;
  return all.flatMap((group) => [group >> 8, group & 255]);
};

/** The 16 address bytes of an inet_diag_sockid. */
export const addressBytes = (text: string, family: 4 | 6): Uint8Array => {
  const bytes = new Uint8Array(16);
  bytes.set(family === 4 ? ipv4Bytes(text) : ipv6Bytes(text));
  return bytes;
};

/** A batch as the netlink reader would give it. */
export const batchOf = (rows: readonly SocketRow[]): SocketBatch => {
  const batch = createSocketBatch(Math.max(1, rows.length), tcpInfoStride);
  const addresses = new Uint8Array(batch.addresses.buffer);
  batch.length = rows.length;
  for (const [at, row] of rows.entries()) {
    const family = row.family ?? 4;
    resetRow(batch, at);
    const wildcard = family === 4 ? "127.0.0.1" : "::1";
    batch.family[at] = family === 4 ? AF_INET : AF_INET6;
    batch.protocol[at] = protocolIndex[row.protocol ?? "tcp"];
    batch.type[at] = row.type ?? 0;
    batch.name[at] = row.name;
    batch.state[at] = row.state ?? TCP_ESTABLISHED;
    batch.localPort[at] = row.localPort ?? 40_000;
    batch.peerPort[at] = row.peerPort ?? 443;
    addresses.set(addressBytes(row.local ?? wildcard, family), at * 32);
    addresses.set(addressBytes(row.peer ?? wildcard, family), at * 32 + 16);
    batch.cookie[at] = row.cookie;
    batch.rqueue[at] = row.rqueue ?? 0;
    batch.wqueue[at] = row.wqueue ?? 0;
    batch.drops[at] = row.drops ?? 0;
    batch.uid[at] = row.uid ?? 0;
    batch.inode[at] = row.inode ?? 0;
    batch.cgroup[at] = row.cgroup ?? 0;
    if (row.congestion !== undefined) batch.congestion[at] = batch.congestionNames.push(row.congestion) - 1;
    batch.full[at] = row.info === false ? 0 : 1;
    for (const field of tcpInfoFields) {
      const given =
        row.info === false || row.info === undefined ? 0 : field in row.info ? (row.info[field] ?? Number.NaN) : 0;
      batch.info[at * tcpInfoStride + tcpInfoIndex[field]] = given;
    }
  }
  return batch;
};
