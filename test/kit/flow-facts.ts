import { closeBatch, openBatch } from "../../src/fold/flow-values.ts";
import { foldFlow } from "../../src/fold/flows.ts";
import type { Flows } from "../../src/fold/flow-state.ts";
import type { SocketBatch } from "../../src/model/socket.ts";
import type { FlowFacts } from "../../src/fold/flow-group.ts";

/** A host with a listener on port 80, whose sockets belong to nobody and are all selected. */
export const noOwnerFacts: FlowFacts = {
  listening: (batch, row) => batch.localPort[row] === 80,
  ephemeral: [32_768, 60_999],
  process: () => undefined,
  cgroup: () => undefined,
  ownerPending: () => false,
  peerNetwork: () => undefined,
  netns: () => undefined,
  unmet: () => false,
  admit: () => "yes",
};

/** A batch of flows, as a dump gives it. */
export const foldFlows = (flows: Flows, batch: SocketBatch, facts: FlowFacts = noOwnerFacts): void => {
  openBatch(flows, batch);
  for (let at = 0; at < batch.length; at++) foldFlow(flows, batch, at, facts);
  closeBatch(flows, batch);
};
