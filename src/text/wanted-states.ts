import type { SocketProtocol } from "../model/socket.ts";
import { TCP_CLOSE, TCP_ESTABLISHED, TCP_TIME_WAIT } from "../netlink/constants.ts";

/**
 * The states that a text source gives sockets of, as 1 << TCP_x: those that the dumps of sock_diag ask for. TIME_WAIT is
 * counted by sockstat, and a connected UDP socket is no bound port, and read only where it is asked for.
 */
export const wantedStates = (protocol: SocketProtocol, connectedUdp = false): number => {
  if (protocol === "tcp") return 0xfff & ~(1 << TCP_TIME_WAIT);
  return protocol === "udp" ? (1 << TCP_CLOSE) | (connectedUdp ? 1 << TCP_ESTABLISHED : 0) : 0xffff;
};
