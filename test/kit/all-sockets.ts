import { noNetnsFacts } from "../../src/model/sources.ts";
import { createSelector } from "../../src/select/select.ts";

/** Of the parts that select and name sockets, those that take all of one namespace and name none. */
export const allSockets = {
  selector: createSelector({ include: [], exclude: [] }),
  networks: [],
  netns: noNetnsFacts,
  namespaces: undefined,
  hostNames: undefined,
} as const;
