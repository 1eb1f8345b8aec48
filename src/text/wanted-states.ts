import type { SocketProtocol } from "../model/socket.ts";
import { TCP_CLOSE, TCP_TIME_WAIT } from "../netlink/constants.ts";

/**
 * The states that a text source gives sockets of, as 1 << TCP_x: those that the dumps of sock_diag ask for. TIME_WAIT is
 * counted by sockstat, and a connected UDP socket is no bound port.
 */
export const wantedStates = (protocol: SocketProtocol): number => {
  if (protocol === "tcp") return 0xfff & ~(1 << TCP_TIME_WAIT);
  return protocol === "udp" ? 1 << TCP_CLOSE : 0xffff;
};
