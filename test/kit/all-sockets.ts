import { createSelector } from "../../src/select/select.ts";

/** Of the parts that select and name sockets, those that take all of them and name none. */
export const allSockets = {
  selector: createSelector({ include: [], exclude: [] }),
  networks: [],
  hostNames: undefined,
} as const;
