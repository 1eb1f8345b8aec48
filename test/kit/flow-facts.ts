import type { FlowFacts } from "../../src/fold/flow-group.ts";

/** A host with a listener on port 80, whose sockets belong to nobody and are all selected. */
export const noOwnerFacts: FlowFacts = {
  listening: (port) => port === 80,
  ephemeral: [32_768, 60_999],
  process: () => undefined,
  cgroup: () => undefined,
  ownerPending: () => false,
  peerNetwork: () => undefined,
  admit: () => "yes",
};
