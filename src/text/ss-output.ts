import { protocolIndex, resetRow, type SocketBatch, type SocketProtocol } from "../model/socket.ts";
import {
  AF_INET6,
  AF_NETLINK,
  AF_PACKET,
  AF_UNIX,
  AF_VSOCK,
  SOCK_DGRAM,
  SOCK_RAW,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  TCP_CLOSE,
  TCP_ESTABLISHED,
} from "../netlink/constants.ts";
import { tcpInfoIndex, tcpInfoStride } from "../netlink/tcp-info.ts";
import { writeAddress } from "./ip-words.ts";
import { readSsInfo, type SsFormat } from "./ss-info.ts";
import type { SsRecord } from "./ss-records.ts";
import { setSubstituteCookie, textCookie } from "./substitute-cookie.ts";

/** How the text of `ss -n -a -e -m -i` of one protocol is read. */
export type SsReading = {
  readonly protocol: SocketProtocol;
  /** Bitmap of 1 << TCP_x: the states whose sockets are wanted. */
  readonly states: number;
  readonly format: SsFormat;
  /**
   * True where `-m` was asked for, which the kernel answers for every socket but requests and TIME_WAIT: one without it
   * was not read by sock_diag, but by ss from the files in /proc/net.
   */
  readonly memory: boolean;
};

/** What became of a socket. `unwanted`: its state was not asked for. `from_proc`: see `SsReading.memory`. */
export type SsVerdict = "row" | "unwanted" | "skipped" | "from_proc";

const stateNames: Readonly<Record<string, number>> = {
  UNKNOWN: 0,
  ESTAB: 1,
  "SYN-SENT": 2,
  "SYN-RECV": 3,
  "FIN-WAIT-1": 4,
  "FIN-WAIT-2": 5,
  "TIME-WAIT": 6,
  UNCONN: 7,
  "CLOSE-WAIT": 8,
  "LAST-ACK": 9,
  LISTEN: 10,
  CLOSING: 11,
};

/** Of an SCTP association (enum sctp_state in linux/sctp.h). */
const associationStates: Readonly<Record<string, number>> = {
  CLOSED: 0,
  COOKIE_WAIT: 1,
  COOKIE_ECHOED: 2,
  ESTAB: 3,
  SHUTDOWN_PENDING: 4,
  SHUTDOWN_SENT: 5,
  SHUTDOWN_RECEIVED: 6,
  ACK_SENT: 7,
};

/** The column Netid, which is there where one run can show several. */
const netids: Readonly<Record<string, readonly [protocol: SocketProtocol, family: number, type: number]>> = {
  tcp: ["tcp", 0, 0],
  udp: ["udp", 0, 0],
  raw: ["raw", 0, 0],
  sctp: ["sctp", 0, 0],
  dccp: ["dccp", 0, 0],
  mptcp: ["mptcp", 0, 0],
  u_str: ["unix", AF_UNIX, SOCK_STREAM],
  u_dgr: ["unix", AF_UNIX, SOCK_DGRAM],
  u_seq: ["unix", AF_UNIX, SOCK_SEQPACKET],
  p_raw: ["packet", AF_PACKET, SOCK_RAW],
  p_dgr: ["packet", AF_PACKET, SOCK_DGRAM],
  nl: ["netlink", AF_NETLINK, 0],
  v_str: ["vsock", AF_VSOCK, SOCK_STREAM],
  v_dgr: ["vsock", AF_VSOCK, SOCK_DGRAM],
};

/** Of a row without the column. */
const familyOf: Readonly<Partial<Record<SocketProtocol, number>>> = {
  unix: AF_UNIX,
  packet: AF_PACKET,
  netlink: AF_NETLINK,
  vsock: AF_VSOCK,
};

/** The columns up to the addresses, which some versions print without a space between them. */
const start = new RegExp(
  `^\\s*(?:(${Object.keys(netids).join("|")}|icmp6?|\\?\\?\\?)\\s*)?(\`- )?` +
    `(?:(${[...Object.keys(stateNames), "UNDEF", ...Object.keys(associationStates)].join("|")})\\s*)?(-?\\d{1,10})\\s+(-?\\d{1,10})(?:\\s+|$)`,
);

/** Without brackets, and without the zone or the device that the socket is bound to. */
const bare = (host: string): string => {
  const zone = host.indexOf("%");
  const address = zone < 0 ? host : host.slice(0, zone);
  if (!address.startsWith("[")) return address;
  if (address.endsWith("]")) return address.slice(1, -1);
  return host.endsWith("]") ? address.slice(1) : "";
};

/** `address:port`; the port 0 for `*`. */
type End = { readonly host: string; readonly port: number };

const port = /^(?:\*|0|[1-9]\d{0,9})$/;

const endOf = (text: string): End | undefined => {
  const colon = text.lastIndexOf(":");
  const digits = text.slice(colon + 1);
  if (colon < 1 || !port.test(digits)) return undefined;
  const host = bare(text.slice(0, colon));
  return { host, port: digits === "*" ? 0 : Number(digits) };
};

/** Writes both addresses and gives the socket's family; 0 where one is no address, or they are of two families. */
const writeEnds = (local: End, peer: End, wildcard: number, batch: SocketBatch, row: number): number => {
  const write = (host: string, at: number): number =>
    host === "*" ? -1 : writeAddress(host, batch.addresses, row * 8 + at);
  const families = [local.port <= 65_535 ? write(local.host, 0) : 0, peer.port <= 65_535 ? write(peer.host, 4) : 0];
  const [here = 0, there = 0] = families;
  if (here === 0 || there === 0) return 0;
  if (here < 0 && there < 0) return wildcard;
  return here < 0 || there < 0 || here === there ? Math.max(here, there) : 0;
};

/** Both ends in one word, as versions print them that leave the column no space: where there is one way to part them. */
const parted = (text: string, batch: SocketBatch, row: number): readonly [End, End] | undefined => {
  let found: readonly [End, End] | undefined;
  if (text.length > 128) return undefined;
  for (let at = text.indexOf(":") + 2; at > 1 && at < text.length; at++) {
    const local = endOf(text.slice(0, at));
    const peer = local && endOf(text.slice(at));
    if (local === undefined || peer === undefined || writeEnds(local, peer, AF_INET6, batch, row) === 0) continue;
    if (found !== undefined) return undefined;
    found = [local, peer];
  }
  return found;
};

const wordAt = (text: string, from: number): readonly [word: string, end: number] => {
  let begin = from;
  while (text.charCodeAt(begin) === 32) begin++;
  const space = text.indexOf(" ", begin);
  const end = space < 0 ? text.length : space;
  return [text.slice(begin, end), end];
};

/** Sets addresses and ports from the text after the queues; gives what follows them, or undefined. */
const readInetEnds = (text: string, wildcard: number, batch: SocketBatch, row: number): string | undefined => {
  const [first, afterFirst] = wordAt(text, 0);
  const [second, afterSecond] = wordAt(text, afterFirst);
  const apart = [endOf(first), endOf(second)] as const;
  const isApart = apart[0] && apart[1] && writeEnds(apart[0], apart[1], wildcard, batch, row) !== 0;
  const [local, peer] = isApart ? apart : (parted(first, batch, row) ?? []);
  if (local === undefined || peer === undefined) return undefined;
  batch.family[row] = writeEnds(local, peer, wildcard, batch, row);
  if (local.host === "*") batch.addresses.fill(0, row * 8, row * 8 + 4);
  if (peer.host === "*") batch.addresses.fill(0, row * 8 + 4, row * 8 + 8);
  batch.localPort[row] = local.port;
  batch.peerPort[row] = peer.port;
  return text.slice(isApart ? afterSecond : afterFirst);
};

/** What can stand after the columns of a unix socket. */
const unixDetails = /^(?:(?:skmem|mem|users|uid|ino|peers):|[<-]-[>-]$)/;
const digits = /^\d{1,10}$/;

type Columns = { readonly name: string; readonly inode: number; readonly peerInode: number };

/** Name and inodes from `NAME INODE PEER INODE`. The peer's name is `*` in all but the oldest versions. */
const unixColumns = (text: string, words: readonly RegExpExecArray[]): Columns | undefined => {
  const last = words.length - 1;
  const peerInode = Number(digits.exec(words[last]?.[0] ?? "")?.[0] ?? Number.NaN);
  if (last < 3 || !(peerInode <= 0xffffffff)) return undefined;
  let at = last - 2;
  if (words[last - 1]?.[0] !== "*") while (at > 0 && !digits.test(words[at]?.[0] ?? "")) at--;
  const inode = Number(digits.exec(words[at]?.[0] ?? "")?.[0] ?? Number.NaN);
  if (at < 1 || !(inode <= 0xffffffff)) return undefined;
  return { name: text.slice(words[0]?.index, (words[at]?.index ?? 0) - 1), inode, peerInode };
};

/**
 * Sets name and inodes of a unix socket, and gives the details behind them. The name can hold anything, spaces, numbers
 * and words of the details too: these start at the last `skmem:(`, or without one at the first word that can start them.
 */
const readUnixEnds = (text: string, batch: SocketBatch, row: number): string | undefined => {
  const words = [...text.matchAll(/\S+/g)];
  const memoryAt = words.findLastIndex(([word]) => word.startsWith("skmem:("));
  const detailsAt = words.findIndex(([word], index) => index >= 4 && unixDetails.test(word));
  for (const end of [memoryAt, detailsAt, words.length]) {
    const columns = end < 0 ? undefined : unixColumns(text, words.slice(0, end));
    if (columns === undefined) continue;
    batch.inode[row] = columns.inode;
    batch.addresses[row * 8 + 4] = columns.peerInode;
    batch.name[row] = columns.name.trimEnd() === "*" ? undefined : columns.name;
    return text.slice(words[end]?.index ?? text.length);
  }
  return undefined;
};

const ETH_P_ALL = 3;

/** `*` or `[2048]` in front of a packet socket's device. */
const packetProtocol = (local: string): number =>
  local.startsWith("*:") ? ETH_P_ALL : Number(/^\[(\d{1,5})\]:/.exec(local)?.[1] ?? 0);

/** Reads what packet, netlink and vsock sockets have for addresses; gives what follows them. */
const readOtherEnds = (text: string, batch: SocketBatch, row: number): string | undefined => {
  const [local, afterLocal] = wordAt(text, 0);
  const [peer, afterPeer] = wordAt(text, afterLocal);
  if (!local.includes(":") || peer === "") return undefined;
  if (batch.protocol[row] === protocolIndex.packet) batch.localPort[row] = packetProtocol(local);
  // Other numbers are no ports: they have more bits, or name a protocol or a device.
  batch.cookie[row] = textCookie(`${batch.protocol[row]} ${local} ${peer}`);
  return text.slice(afterPeer);
};

/** The details that `-e` prints, with `:` or in old versions `=` after their names. */
const readDetails = (text: string, batch: SocketBatch, row: number): void => {
  // The path of a cgroup can hold spaces, and then anything.
  const cgroup = text.indexOf(" cgroup:");
  for (const word of (cgroup < 0 ? text : text.slice(0, cgroup)).split(" ")) {
    const number = /^(?:ino|uid)[:=](\d{1,10})$/.exec(word)?.[1];
    if (number !== undefined) batch[word.startsWith("ino") ? "inode" : "uid"][row] = Number(number);
    else if (/^sk[:=][\da-f]{1,16}$/.test(word)) {
      const cookie = Number.parseInt(word.slice(3), 16);
      // Kernels before 4.1 gave their pointer, of which a number cannot hold all bits.
      if (cookie > 0 && cookie < Number.MAX_SAFE_INTEGER) batch.cookie[row] = cookie;
    }
  }
};

/** Up to the end of the last one: what stands before it can be the path of a cgroup. */
const memory = /^.*\b(?:sk)?mem:\([^()]{0,200}?(?:,d(\d+))?\)/s;

/** No version prints the memory of vsock sockets, and iproute2 7.1 loses that of netlink sockets. */
const plain: ReadonlySet<SocketProtocol> = new Set(["vsock", "netlink"]);

const congestionIndex = (name: string, names: string[]): number => {
  const known = names.indexOf(name);
  if (known >= 0) return known;
  return names.length > 255 ? 0 : names.push(name) - 1;
};

/**
 * Appends one socket as the batch's next row, which needs room for it. Never throws: a text that is no socket of this
 * protocol is `skipped`, and leaves the batch as it was. `ifindex` and `cgroup` are not given, since ss prints names.
 */
export const readSsRecord = (record: SsRecord, reading: SsReading, batch: SocketBatch): SsVerdict => {
  const { line, info } = record;
  const row = batch.length;
  const match = start.exec(line);
  if (match === null) return "skipped";
  const [head, netid, branch, stateName, rqueue, wqueue] = match;
  const [protocol, family, type] = (netid === undefined ? undefined : netids[netid]) ?? [
    reading.protocol,
    familyOf[reading.protocol] ?? 0,
    0,
  ];
  if (protocol !== reading.protocol) return "skipped";
  const connectionless = protocol !== "tcp" && protocol !== "sctp" && protocol !== "dccp" && protocol !== "mptcp";
  const state =
    stateName === undefined
      ? connectionless
        ? TCP_CLOSE
        : TCP_ESTABLISHED
      : ((branch === undefined ? stateNames : associationStates)[stateName] ?? 0);
  if ((reading.states & (1 << state)) === 0) return "unwanted";

  resetRow(batch, row);
  batch.protocol[row] = protocolIndex[protocol];
  batch.family[row] = family;
  batch.type[row] = type;
  batch.state[row] = state;
  batch.rqueue[row] = Number(rqueue) >>> 0;
  batch.wqueue[row] = Number(wqueue) >>> 0;
  const ends = line.slice(head.length);
  const rest =
    protocol === "unix"
      ? readUnixEnds(ends, batch, row)
      : family === 0
        ? readInetEnds(ends, reading.format.wildcard, batch, row)
        : readOtherEnds(ends, batch, row);
  if (rest === undefined) return "skipped";
  if (protocol !== "unix") readDetails(rest, batch, row);

  const timeWait = rest.includes("timer:(timewait");
  const text = info === "" ? rest : `${rest} ${info}`;
  const memoryPart = memory.exec(text);
  const withoutMemory = timeWait || stateName === "SYN-RECV" || stateName === "TIME-WAIT" || plain.has(protocol);
  if (reading.memory && memoryPart === null && !withoutMemory) return "from_proc";
  if (memoryPart?.[1] !== undefined) batch.drops[row] = Number(memoryPart[1]);
  if (protocol === "tcp") {
    const informed = memoryPart === null ? (info === "" ? rest : info) : text.slice(memoryPart[0].length);
    const congestion =
      timeWait || stateName === "TIME-WAIT"
        ? undefined
        : readSsInfo(informed, reading.format, batch.info, row * tcpInfoStride);
    batch.full[row] = congestion === undefined ? 0 : 1;
    if (congestion !== undefined) {
      batch.info[row * tcpInfoStride + tcpInfoIndex.state] = state;
      if (congestion !== "") batch.congestion[row] = congestionIndex(congestion, batch.congestionNames);
      // Of a listener they would be the queue and the backlog, and the backlog is not printed among them.
      if (stateName === "LISTEN") batch.info[row * tcpInfoStride + tcpInfoIndex.sacked] = Number.NaN;
    }
  }
  if (batch.cookie[row] === 0) setSubstituteCookie(batch, row);
  batch.length++;
  return "row";
};

/** A record whose queue columns run into each other, with the space between them; see `SsRecords.sendColumn`. */
export const withSendColumn = ({ line, info }: SsRecord, column: number): SsRecord => ({
  line: `${line.slice(0, column)} ${line.slice(column)}`,
  info,
});
