import type { Part } from "./reading.ts";

/** Whether this agent leads its election. */
export const createElectionPart = (leads: () => boolean): Part => ({
  collect: () =>
    Promise.resolve({
      columns: [],
      observations: [{ metric: "sockscope.agent.election.leader", value: leads() ? 1 : 0, attributes: {} }],
    }),
  end: () => Promise.resolve([]),
});
