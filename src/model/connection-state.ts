/** The states of `network.connection.state` in the semantic conventions' spelling. */
export const connectionStates = [
  "established",
  "syn_sent",
  "syn_received",
  "fin_wait_1",
  "fin_wait_2",
  "time_wait",
  "closed",
  "close_wait",
  "last_ack",
  "listen",
  "closing",
] as const;
export type ConnectionState = (typeof connectionStates)[number];
