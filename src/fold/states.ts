import type { ConnectionState } from "../model/connection-state.ts";
import * as k from "../netlink/constants.ts";

/** The states that a dump always counts. */
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

/** With TIME_WAIT, which comes from sockstat unless the configuration has it dumped. */
export const allStates = { ...dumpedStates, time_wait: k.TCP_TIME_WAIT } as const satisfies Record<
  ConnectionState,
  number
>;

/** TCP sockets of one dump by state and address family. */
export type StateCounts = { readonly ipv4: Uint32Array; readonly ipv6: Uint32Array };

export const createStateCounts = (): StateCounts => ({ ipv4: new Uint32Array(16), ipv6: new Uint32Array(16) });

/** `state` is the kernel's number of it. */
export const countState = (counts: StateCounts, state: number, ipv4: boolean): void => {
  const byFamily = ipv4 ? counts.ipv4 : counts.ipv6;
  byFamily[state] = (byFamily[state] as number) + 1;
};

export const resetStates = (counts: StateCounts): void => {
  counts.ipv4.fill(0);
  counts.ipv6.fill(0);
};
