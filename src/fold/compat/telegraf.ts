import { type Attributes, attributeSet, type MetricColumns } from "../../model/columns.ts";
import type { TelegrafConfig, TelegrafProtocol } from "../../model/config.ts";
import { formatAddress } from "../../model/address.ts";
import { notGiven, protocolIndex, type SocketBatch, type SocketProtocol, socketProtocols } from "../../model/socket.ts";
import { addressText, type End, isIpv4, local, peer } from "../../netlink/address.ts";
import {
  AF_INET,
  TCP_CLOSE_WAIT,
  TCP_CLOSING,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT1,
  TCP_FIN_WAIT2,
  TCP_LAST_ACK,
  TCP_SYN_SENT,
} from "../../netlink/constants.ts";
import { sctpStates } from "../../netlink/inet-others.ts";
import { type TcpInfoField, tcpInfoIndex } from "../../netlink/tcp-info.ts";
import { pointsOfSlice, SeriesTable } from "../series.ts";

export type TelegrafOptions = TelegrafConfig & {
  readonly maxSeries: number;
  /** This machine's name, Telegraf's tag `host`. */
  readonly host: string;
  /** The name of a network device by its number. */
  readonly deviceName: (ifindex: number) => string;
};

/** The words of ss. */
const stateWords: Readonly<Record<number, string>> = {
  [TCP_ESTABLISHED]: "ESTAB",
  [TCP_SYN_SENT]: "SYN-SENT",
  [TCP_FIN_WAIT1]: "FIN-WAIT-1",
  [TCP_FIN_WAIT2]: "FIN-WAIT-2",
  [TCP_CLOSE_WAIT]: "CLOSE-WAIT",
  [TCP_LAST_ACK]: "LAST-ACK",
  [TCP_CLOSING]: "CLOSING",
};

const associationWords: Readonly<Record<number, string>> = {
  [sctpStates.cookie_wait]: "COOKIE_WAIT",
  [sctpStates.cookie_echoed]: "COOKIE_ECHOED",
  [sctpStates.established]: "ESTAB",
  [sctpStates.shutdown_pending]: "SHUTDOWN_PENDING",
  [sctpStates.shutdown_sent]: "SHUTDOWN_SENT",
  [sctpStates.shutdown_received]: "SHUTDOWN_RECEIVED",
  [sctpStates.shutdown_ack_sent]: "ACK_SENT",
};

const bitsOf = (words: Readonly<Record<number, string>>): number =>
  Object.keys(words).reduce((bits, state) => bits | (1 << Number(state)), 0);

const begun = bitsOf(stateWords);
const connected = 1 << TCP_ESTABLISHED;

/** States, as 1 << state, of the sockets that ss shows without -a. */
const shownStates: Readonly<Record<TelegrafProtocol, number>> = {
  tcp: begun,
  dccp: begun,
  unix: begun,
  sctp: bitsOf(associationWords),
  udp: connected,
  raw: connected,
  packet: -1,
};

const infoFields = [
  "bytes_acked",
  "bytes_received",
  "segs_out",
  "segs_in",
  "data_segs_out",
  "data_segs_in",
] as const satisfies readonly TcpInfoField[];

/** The fields of struct tcp_info that the series of TCP are made of. */
export const telegrafFields = ({ protocols }: TelegrafConfig): readonly TcpInfoField[] =>
  protocols.includes("tcp") ? infoFields : [];

const ETH_P_ALL = 3;

const numberOrStar = (number: number): string => (number === 0 ? "*" : String(number));

/** An address as ss prints it with -n. Whether a socket is IPv6 only is not known: its wildcard is `*` in any case. */
const addressOf = (batch: SocketBatch, at: number, end: End): string => {
  if (batch.family[at] === AF_INET) return addressText(batch, at, end);
  const word = at * 8 + end;
  if (isIpv4(batch, at, end)) return `[::ffff:${addressText(batch, at, end)}]`;
  const words = batch.addresses.subarray(word, word + 4);
  return words.every((part) => part === 0) ? "*" : `[${formatAddress(words)}]`;
};

type Ends = readonly [localAddress: string, localPort: string, remoteAddress: string, remotePort: string];

const endsOf = (batch: SocketBatch, at: number, deviceName: TelegrafOptions["deviceName"]): Ends => {
  const ifindex = batch.ifindex[at] as number;
  const localPort = batch.localPort[at] as number;
  if (batch.protocol[at] === protocolIndex.unix)
    return [
      batch.name[at] ?? "*",
      String(batch.inode[at]),
      "*",
      numberOrStar(batch.addresses[at * 8 + peer] as number),
    ];
  if (batch.protocol[at] === protocolIndex.packet)
    return [localPort === ETH_P_ALL ? "*" : `[${localPort}]`, ifindex === 0 ? "*" : deviceName(ifindex), "*", "*"];
  const device = ifindex === 0 ? "" : `%${deviceName(ifindex)}`;
  const remotePort = numberOrStar(batch.peerPort[at] as number);
  return [`${addressOf(batch, at, local)}${device}`, numberOrStar(localPort), addressOf(batch, at, peer), remotePort];
};

const stateOf = (protocol: SocketProtocol | undefined, state: number): string | undefined => {
  if (protocol === "sctp") return associationWords[state];
  return protocol === "tcp" || protocol === "dccp" ? stateWords[state] : undefined;
};

const tagsOf = ({ host, deviceName }: Telegraf, batch: SocketBatch, at: number): Attributes => {
  const protocol = socketProtocols[batch.protocol[at] as number];
  const [localAddress, localPort, remoteAddress, remotePort] = endsOf(batch, at, deviceName);
  const state = stateOf(protocol, batch.state[at] as number);
  return {
    proto: protocol ?? "",
    local_addr: localAddress,
    local_port: localPort,
    remote_addr: remoteAddress,
    remote_port: remotePort,
    ...(state === undefined ? {} : { state }),
    host,
  };
};

const low = 0xffff;

/** Equal for sockets of the same tags; quicker than these. It begins with the protocol. */
const keyOf = (batch: SocketBatch, at: number): string => {
  const { addresses } = batch;
  const word = at * 8;
  const protocol = batch.protocol[at] as number;
  const [one, other] = [addresses[word] as number, addresses[word + peer] as number];
  const device = batch.ifindex[at] as number;
  const key = String.fromCharCode(
    protocol,
    ((batch.family[at] as number) << 8) | (batch.state[at] as number),
    batch.localPort[at] as number,
    batch.peerPort[at] as number,
    device & low,
    device >>> 16,
    one & low,
    one >>> 16,
    other & low,
    other >>> 16,
  );
  // Of an IPv4 address the other words mean nothing.
  if (batch.family[at] === AF_INET) return key;
  if (protocol === protocolIndex.unix) return `${key}${batch.inode[at]}`;
  let rest = "";
  for (const end of [local, peer])
    for (let index = 1; index < 4; index++) {
      const part = addresses[word + end + index] as number;
      rest += String.fromCharCode(part & low, part >>> 16);
    }
  return key + rest;
};

/** Series of Telegraf's input `socketstat`: a row for all sockets of the same tags. */
export type Telegraf = ReturnType<typeof createTelegraf>;

export const createTelegraf = ({ protocols, maxSeries, host, deviceName }: TelegrafOptions) => {
  const table = new SeriesTable<"telegraf">();
  const shown = new Int32Array(socketProtocols.length);
  for (const protocol of protocols) shown[protocolIndex[protocol]] = shownStates[protocol];
  return {
    maxSeries,
    host,
    deviceName,
    table,
    /** By protocol, 0 for those that are not wanted. */
    shown,
    queues: [
      { column: table.column("socketstat_recv_q", {}), of: "rqueue" },
      { column: table.column("socketstat_send_q", {}), of: "wqueue" },
    ] as const,
    info: infoFields.map((field) => ({ column: table.column(`socketstat_${field}`, {}), index: tcpInfoIndex[field] })),
    tick: 0,
    rowOfKey: new Map<string, number>(),
    /** -1: all have had room so far. */
    overflowRow: -1,
    /** By row: the last tick that showed it, and the cookie of the first socket in it. */
    seen: [] as number[],
    first: [] as number[],
    /** Cookies of further sockets in rows of this tick, and of those in the overflow. */
    others: new Set<number>(),
    inOverflow: new Set<number>(),
  };
};

export const beginTelegraf = (telegraf: Telegraf): void => {
  telegraf.tick++;
  telegraf.others.clear();
  telegraf.inOverflow.clear();
};

/** The sockets of a protocol come once more; those in the overflow are known by their cookies. */
export const restartTelegraf = ({ rowOfKey, seen, others }: Telegraf, protocol: SocketProtocol): void => {
  others.clear();
  for (const [key, row] of rowOfKey) if (key.charCodeAt(0) === protocolIndex[protocol]) seen[row] = 0;
};

const rowOf = (telegraf: Telegraf, batch: SocketBatch, at: number): number => {
  const { rowOfKey, table, maxSeries } = telegraf;
  const key = keyOf(batch, at);
  const known = rowOfKey.get(key);
  if (known !== undefined) return known;
  if (rowOfKey.size < maxSeries) {
    const row = table.add(attributeSet(tagsOf(telegraf, batch, at)), 0);
    rowOfKey.set(key, row);
    return row;
  }
  if (telegraf.overflowRow < 0) telegraf.overflowRow = table.add(attributeSet({ "otel.metric.overflow": true }), 0);
  return telegraf.overflowRow;
};

/** Whether ss shows the socket, of a protocol that is wanted. */
export const isShown = ({ shown }: Telegraf, batch: SocketBatch, at: number): boolean =>
  (((shown[batch.protocol[at] as number] as number) >> (batch.state[at] as number)) & 1) === 1;

/** Whether the socket is the first of its row in this tick; undefined: it has been added before, as a dump can show one twice. */
const isFirstOf = (telegraf: Telegraf, row: number, cookie: number): boolean | undefined => {
  const { seen, first, tick, overflowRow, inOverflow } = telegraf;
  const others = row === overflowRow ? inOverflow : telegraf.others;
  const isFirst = seen[row] !== tick;
  if (!isFirst && (first[row] === cookie || others.has(cookie))) return undefined;
  if (!isFirst || row === overflowRow) others.add(cookie);
  if (isFirst) first[row] = cookie;
  seen[row] = tick;
  return isFirst;
};

/** Adds a socket that is shown. */
export const foldTelegraf = (telegraf: Telegraf, batch: SocketBatch, at: number): void => {
  const { table, queues, info } = telegraf;
  const row = rowOf(telegraf, batch, at);
  const isFirst = isFirstOf(telegraf, row, batch.cookie[at] as number);
  if (isFirst === undefined) return;
  const put = (column: number, value: number): void => {
    const values = table.values(column);
    const sum = isFirst ? Number.NaN : (values[row] as number);
    values[row] = Number.isNaN(sum) ? value : Number.isNaN(value) ? sum : sum + value;
  };
  for (const { column, of } of queues) {
    const value = batch[of][at] as number;
    put(column, value === notGiven ? Number.NaN : value);
  }
  for (const { column, index } of info) put(column, batch.info[at * batch.infoStride + index] as number);
};

/** After a complete dump: ends what it did not show. Yields the number of series after each slice. */
export function* settleTelegraf(telegraf: Telegraf): Generator<number> {
  const { rowOfKey, seen, tick, table } = telegraf;
  let handled = 0;
  for (const [key, row] of rowOfKey) {
    if (++handled % pointsOfSlice === 0) yield pointsOfSlice;
    if (seen[row] === tick) continue;
    table.remove(row);
    rowOfKey.delete(key);
  }
  if (telegraf.overflowRow < 0 || telegraf.inOverflow.size > 0) return;
  table.remove(telegraf.overflowRow);
  telegraf.overflowRow = -1;
}

export const collectTelegraf = ({ table }: Telegraf, absent: boolean): Generator<number, MetricColumns[]> =>
  table.collect(absent);

/** Series of their own, and sockets in the overflow series. */
export const countTelegraf = ({
  rowOfKey,
  inOverflow,
}: Telegraf): { readonly own: number; readonly overflowed: number } => ({
  own: rowOfKey.size,
  overflowed: inOverflow.size,
});
