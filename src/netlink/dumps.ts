import type { SocketProtocol } from "../model/socket.ts";
import { tcpDumps, type TcpDumpOptions, udpDumps, type UdpDumpOptions } from "./inet-diag.ts";
import { dccpDumps, mptcpDumps, rawDumps, sctpDumps } from "./inet-others.ts";
import type { DumpRequest } from "./message.ts";
import { netlinkDumps } from "./netlink-diag.ts";
import { packetDumps } from "./packet-diag.ts";
import { unixDumps, type UnixDumpOptions } from "./unix-diag.ts";
import { vsockDumps } from "./vsock-diag.ts";

export type DumpOptions = TcpDumpOptions & UdpDumpOptions & UnixDumpOptions;

/** The dumps that read a protocol's sockets. */
const dumps: Readonly<Record<SocketProtocol, (options: DumpOptions) => readonly DumpRequest[]>> = {
  tcp: tcpDumps,
  udp: udpDumps,
  raw: rawDumps,
  unix: unixDumps,
  packet: packetDumps,
  sctp: sctpDumps,
  dccp: dccpDumps,
  mptcp: mptcpDumps,
  vsock: vsockDumps,
  netlink: netlinkDumps,
};

/** The dumps of all these protocols, TCP first: its listeners tell which end a flow was opened from. */
export const dumpsOf = (protocols: readonly SocketProtocol[], options: DumpOptions): readonly DumpRequest[] =>
  protocols
    .toSorted((a, b) => Number(b === "tcp") - Number(a === "tcp"))
    .flatMap((protocol) => dumps[protocol](options));

const ENOENT = 2;
const EINVAL = 22;
const EPROTONOSUPPORT = 93;
const EOPNOTSUPP = 95;

/**
 * Whether a dump that ends so says that the kernel has no such sockets. What a protocol or a family without a handler
 * gives is ENOENT, the former by NLMSG_DONE, the latter by NLMSG_ERROR; kernels that do not know the family, or know it
 * without dumps, have other answers. Of TCP and UDP, which every kernel knows, EINVAL is a request that is wrong.
 */
export const isLacking = (protocol: SocketProtocol, errno: number): boolean =>
  errno === ENOENT ||
  (protocol !== "tcp" && protocol !== "udp" && [EINVAL, EPROTONOSUPPORT, EOPNOTSUPP].includes(errno));
