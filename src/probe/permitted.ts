import type { Permit, ProbeSockets } from "../model/sources.ts";

/** These sockets, each opened with the permit that there is at that moment, and none without one. */
export const permittedSockets = (sockets: ProbeSockets, permitNow: () => Permit | undefined): ProbeSockets => ({
  dial: async (to, options, signal) => {
    const permit = permitNow();
    return permit === undefined ? { kind: "late" } : sockets.dial(to, { ...options, permit }, signal);
  },
  sendPacket: async (to, options, signal) => {
    const permit = permitNow();
    return permit === undefined ? { kind: "late" } : sockets.sendPacket(to, { ...options, permit }, signal);
  },
});
