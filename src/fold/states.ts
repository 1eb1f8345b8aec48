import type { ConnectionState } from "../model/connection-state.ts";
import * as k from "../netlink/constants.ts";

/** The states that a dump counts; TIME_WAIT comes from sockstat. */
export const dumpedStates = {
  established: k.TCP_ESTABLISHED,
  syn_sent: k.TCP_SYN_SENT,
  syn_received: k.TCP_SYN_RECV,
  fin_wait_1: k.TCP_FIN_WAIT1,
  fin_wait_2: k.TCP_FIN_WAIT2,
  closed: k.TCP_CLOSE,
  close_wait: k.TCP_CLOSE_WAIT,
  last_ack: k.TCP_LAST_ACK,
  listen: k.TCP_LISTEN,
  closing: k.TCP_CLOSING,
} as const satisfies Partial<Record<ConnectionState, number>>;

export type DumpedState = keyof typeof dumpedStates;

/** TCP sockets of one dump by state and address family. */
export type StateCounts = { readonly ipv4: Uint32Array; readonly ipv6: Uint32Array };

export const createStateCounts = (): StateCounts => ({ ipv4: new Uint32Array(16), ipv6: new Uint32Array(16) });

/** `state` is the kernel's number of it. */
export const countState = (counts: StateCounts, state: number, ipv4: boolean): void => {
  const byFamily = ipv4 ? counts.ipv4 : counts.ipv6;
  byFamily[state] = (byFamily[state] as number) + 1;
};
