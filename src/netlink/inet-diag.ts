import { protocolIndex, type SocketBatch, type SocketProtocol } from "../model/socket.ts";
import {
  ALL_STATES,
  AF_INET,
  AF_INET6,
  EXT_CONG,
  EXT_INFO,
  EXT_SKMEMINFO,
  INET_DIAG_CGROUP_ID,
  INET_DIAG_CONG,
  INET_DIAG_INFO,
  INET_DIAG_REQ_BYTECODE,
  INET_DIAG_SKMEMINFO,
  IPPROTO_UDP,
  SK_MEMINFO_DROPS,
  SOCK_DIAG_BY_FAMILY,
  TCP_CLOSE,
  TCP_ESTABLISHED,
  TCP_LISTEN,
  TCP_TIME_WAIT,
  TCPDIAG_GETSOCK,
} from "./constants.ts";
import {
  bytesOf,
  createRequest,
  type DecodeMessage,
  type DumpRequest,
  headerBytes,
  type ReceiveBuffer,
  u64,
} from "./message.ts";
import { decodeTcpInfo, planTcpInfo, type TcpInfoPlan, tcpInfoStride } from "./tcp-info.ts";

const inetDiagMsgBytes = 72;

/** A compiled filter, INET_DIAG_REQ_BYTECODE; undefined passes every socket. */
export type Bytecode = Uint8Array | undefined;

/** Appends the attribute of the filter to a request. */
const withBytecode = (request: DataView, program: Bytecode): Uint8Array => {
  if (program === undefined) return bytesOf(request);
  const whole = new Uint8Array(request.byteLength + 4 + program.length);
  whole.set(bytesOf(request));
  const view = new DataView(whole.buffer);
  view.setUint32(0, whole.length, true);
  view.setUint16(request.byteLength, 4 + program.length, true);
  view.setUint16(request.byteLength + 2, INET_DIAG_REQ_BYTECODE, true);
  whole.set(program, request.byteLength + 4);
  return whole;
};

/**
 * Dump of all TCP sockets of both families in one walk (TCPDIAG_GETSOCK).
 *
 *     struct inet_diag_req { __u8 idiag_family, idiag_src_len, idiag_dst_len, idiag_ext;
 *                            struct inet_diag_sockid id; __u32 idiag_states; __u32 idiag_dbs; };   linux/inet_diag.h
 *
 * `states` is a bitmap of 1 << TCP_x, `ext` of the attributes wanted.
 */
export const encodeTcpDump = (seq: number, states: number, ext: number, program?: Bytecode): Uint8Array => {
  const view = createRequest(TCPDIAG_GETSOCK, seq, 60);
  view.setUint8(headerBytes + 3, ext);
  view.setUint32(headerBytes + 52, states, true);
  return withBytecode(view, program);
};

/**
 * Dump of the sockets of one family and protocol (SOCK_DIAG_BY_FAMILY).
 *
 *     struct inet_diag_req_v2 { __u8 sdiag_family, sdiag_protocol, idiag_ext, pad; __u32 idiag_states;
 *                               struct inet_diag_sockid id; };   linux/inet_diag.h
 */
export const encodeInetDump = (
  seq: number,
  family: number,
  protocol: number,
  states: number,
  ext: number,
  program?: Bytecode,
): Uint8Array => {
  const view = createRequest(SOCK_DIAG_BY_FAMILY, seq, 56);
  view.setUint8(headerBytes, family);
  view.setUint8(headerBytes + 1, protocol);
  view.setUint8(headerBytes + 2, ext);
  view.setUint32(headerBytes + 4, states, true);
  return withBytecode(view, program);
};

const swap16 = (value: number): number => ((value & 0xff) << 8) | (value >> 8);

/** The number of a name in `congestionNames`, read from its bytes; a name that is met for the first time is added. */
const congestionOf = (buffer: ReceiveBuffer, at: number, length: number, names: string[]): number => {
  for (let index = 1; index < names.length; index++) {
    const name = names[index] as string;
    let same = name.length < length && buffer.bytes[at + name.length] === 0;
    for (let char = 0; same && char < name.length; char++) same = buffer.bytes[at + char] === name.charCodeAt(char);
    if (same) return index;
  }
  if (names.length > 255) return 0;
  let name = "";
  for (let char = at; char < at + length && buffer.bytes[char] !== 0; char++)
    name += String.fromCharCode(buffer.bytes[char] as number);
  return name === "" ? 0 : names.push(name) - 1;
};

/**
 * Where the attributes of full sockets stand, in words from the start of a message of this many bytes, with the words
 * that they begin with. The kernel sends them in one order, so that a walk through the attributes finds what the last
 * one found, for all but a few messages. `bytes` is -1 where nothing is known.
 */
type Layout = { bytes: number; info: number; infoHead: number; cgroup: number };

const cgroupHead = (INET_DIAG_CGROUP_ID << 16) | 12;

const decodeAttributes = (
  buffer: ReceiveBuffer,
  start: number,
  end: number,
  plan: TcpInfoPlan,
  batch: SocketBatch,
  row: number,
  layout: Layout,
): void => {
  const { halves, words } = buffer;
  const message = (start - inetDiagMsgBytes) >> 2;
  let known = 0;
  let others = 0;
  let at = start;
  while (at + 4 <= end) {
    const length = halves[at >> 1] as number;
    const type = (halves[(at >> 1) + 1] as number) & 0x3fff;
    if (length < 4 || at + length > end) return;
    const word = at >> 2;
    if (type === INET_DIAG_INFO) {
      decodeTcpInfo(plan, buffer.bytes, words, at + 4, length - 4, batch.info, row * tcpInfoStride);
      batch.full[row] = 1;
      layout.info = word - message;
      layout.infoHead = words[word] as number;
      known++;
    } else if (type === INET_DIAG_SKMEMINFO && length - 4 >= (SK_MEMINFO_DROPS + 1) * 4) {
      batch.drops[row] = words[word + 1 + SK_MEMINFO_DROPS] as number;
      others++;
    } else if (type === INET_DIAG_CGROUP_ID && length >= 12) {
      batch.cgroup[row] = u64(words, word + 1);
      layout.cgroup = word - message;
      known++;
    } else if (type === INET_DIAG_CONG) {
      batch.congestion[row] = congestionOf(buffer, at + 4, length - 4, batch.congestionNames);
      others++;
    }
    at += (length + 3) & ~3;
  }
  layout.bytes = known === 2 && others === 0 ? end - start : -1;
};

/**
 * Reads one inet_diag_msg into the batch's next row.
 *
 *     struct inet_diag_msg { __u8 idiag_family, idiag_state, idiag_timer, idiag_retrans; struct inet_diag_sockid id;
 *                            __u32 idiag_expires, idiag_rqueue, idiag_wqueue, idiag_uid, idiag_inode; };
 *     struct inet_diag_sockid { __be16 sport, dport; __be32 src[4], dst[4]; __u32 if, cookie[2]; };
 *
 * Of a protocol without INFO every socket is full.
 */
export const createInetDecoder = (protocol: SocketProtocol, plan: TcpInfoPlan, hasInfo: boolean): DecodeMessage => {
  const number = protocolIndex[protocol];
  const fullWithoutInfo = hasInfo ? 0 : 1;
  const layout: Layout = { bytes: -1, info: 0, infoHead: 0, cgroup: 0 };
  return (buffer, at, end, batch) => {
    if (end - at < inetDiagMsgBytes) return false;
    const row = batch.length++;
    const word = at >> 2;
    const { words, bytes, halves } = buffer;
    batch.protocol[row] = number;
    batch.family[row] = bytes[at] as number;
    batch.type[row] = 0;
    batch.state[row] = bytes[at + 1] as number;
    batch.localPort[row] = swap16(halves[(at >> 1) + 2] as number);
    batch.peerPort[row] = swap16(halves[(at >> 1) + 3] as number);
    const { addresses } = batch;
    addresses[row * 8] = words[word + 2] as number;
    addresses[row * 8 + 4] = words[word + 6] as number;
    // Of an IPv4 address the other words mean nothing.
    if (bytes[at] !== AF_INET) {
      for (let index = 1; index < 4; index++) {
        addresses[row * 8 + index] = words[word + 2 + index] as number;
        addresses[row * 8 + 4 + index] = words[word + 6 + index] as number;
      }
    }
    batch.ifindex[row] = words[word + 10] as number;
    batch.cookie[row] = u64(words, word + 11);
    batch.rqueue[row] = words[word + 14] as number;
    batch.wqueue[row] = words[word + 15] as number;
    batch.uid[row] = words[word + 16] as number;
    batch.inode[row] = words[word + 17] as number;
    batch.congestion[row] = 0;
    batch.name[row] = undefined;
    const info = word + layout.info;
    const cgroup = word + layout.cgroup;
    if (
      end - at - inetDiagMsgBytes === layout.bytes &&
      words[info] === layout.infoHead &&
      words[cgroup] === cgroupHead
    ) {
      batch.full[row] = 1;
      batch.drops[row] = Number.NaN;
      batch.cgroup[row] = u64(words, cgroup + 1);
      const length = (layout.infoHead & 0xffff) - 4;
      decodeTcpInfo(plan, bytes, words, (info + 1) << 2, length, batch.info, row * tcpInfoStride);
      return true;
    }
    batch.cgroup[row] = 0;
    batch.drops[row] = Number.NaN;
    batch.full[row] = fullWithoutInfo;
    decodeAttributes(buffer, at + inetDiagMsgBytes, end, plan, batch, row, layout);
    // What was decoded has overwritten all of the plan's fields, and no other field is ever written.
    if (!hasInfo || batch.full[row] === 0) {
      batch.info.fill(Number.NaN, row * tcpInfoStride, (row + 1) * tcpInfoStride);
    }
    return true;
  };
};

/** Of a protocol that gives no struct tcp_info, or none that is asked for. */
export const noInfo: TcpInfoPlan = planTcpInfo([]);

/** What a dump of TCP asks for. */
export type TcpDumpOptions = {
  readonly plan: TcpInfoPlan;
  /** Names of congestion control algorithms too. */
  readonly congestion: boolean;
  /** For all but the listeners; asked for at each dump. */
  readonly program?: (() => Bytecode) | undefined;
  /** A bitmap of 1 << TCP_x: connections in other states are left out; by default none. */
  readonly states?: number;
  /** TIME_WAIT entries too: they hold no information, and cost a message each. */
  readonly timeWait: boolean;
};

const listening = 1 << TCP_LISTEN;
/**
 * Listeners come by a dump of their own, which walks a table of its own, so that a filter of connections leaves them
 * alone.
 */
const connected = 0xfff & ~listening;
/** A connected UDP socket is no bound port. */
const unconnectedUdp = 1 << TCP_CLOSE;

/** Listeners first, then connections. */
export const tcpDumps = ({
  plan,
  congestion,
  program,
  timeWait,
  states: wanted = ALL_STATES,
}: TcpDumpOptions): readonly DumpRequest[] => {
  const decode = createInetDecoder("tcp", plan, true);
  const states = (timeWait ? connected : connected & ~(1 << TCP_TIME_WAIT)) & wanted;
  // Of memory only a listener's drops are told; asking for all sockets' would make a dump a twelfth dearer.
  return [
    { protocol: "tcp", encode: (seq) => encodeTcpDump(seq, listening, EXT_INFO | EXT_SKMEMINFO), decode },
    {
      protocol: "tcp",
      encode: (seq) => encodeTcpDump(seq, states, congestion ? EXT_INFO | EXT_CONG : EXT_INFO, program?.()),
      decode,
    },
  ];
};

/** What a dump of UDP asks for. */
export type UdpDumpOptions = {
  /** Connected sockets too. */
  readonly connectedUdp?: boolean;
};

/** Bound UDP ports of IPv4, then of IPv6. */
export const udpDumps = ({ connectedUdp = false }: UdpDumpOptions = {}): readonly DumpRequest[] => {
  const states = unconnectedUdp | (connectedUdp ? 1 << TCP_ESTABLISHED : 0);
  return [AF_INET, AF_INET6].map((family) => ({
    protocol: "udp",
    encode: (seq) => encodeInetDump(seq, family, IPPROTO_UDP, states, EXT_SKMEMINFO),
    decode: createInetDecoder("udp", noInfo, false),
  }));
};
