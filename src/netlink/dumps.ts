import type { SocketProtocol } from "../model/socket.ts";
import { tcpDumps, type TcpDumpOptions, udpDumps } from "./inet-diag.ts";
import type { DumpRequest } from "./message.ts";

export type DumpOptions = TcpDumpOptions;

/** The dumps that read a protocol's sockets. */
const dumps: Readonly<Partial<Record<SocketProtocol, (options: DumpOptions) => readonly DumpRequest[]>>> = {
  tcp: tcpDumps,
  udp: ({ program }) => udpDumps(program),
};

/** The dumps of all these protocols, TCP first: its listeners tell which end a flow was opened from. */
export const dumpsOf = (protocols: readonly SocketProtocol[], options: DumpOptions): readonly DumpRequest[] =>
  protocols
    .toSorted((a, b) => Number(b === "tcp") - Number(a === "tcp"))
    .flatMap((protocol) => dumps[protocol]?.(options) ?? []);
