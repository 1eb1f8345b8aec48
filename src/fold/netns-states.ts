import type { MetricColumns } from "../model/columns.ts";
import type { NetnsFacts } from "../model/sources.ts";
import { type NetnsRows, settleNetnsRows } from "./netns-rows.ts";
import { SeriesTable } from "./series.ts";
import { allStates, createStateCounts, dumpedStates, type StateCounts } from "./states.ts";

/** TCP sockets by state in each of several network namespaces, which can end: a row is a namespace, by its name. */
export type NetnsStates = NetnsRows & ReturnType<typeof createNetnsStates>;

const metric = "system.network.connection.count";
const types = ["ipv4", "ipv6"] as const;
type State = keyof typeof allStates;

const statesOf = (timeWaitDumped: boolean): State[] =>
  Object.keys(timeWaitDumped ? allStates : dumpedStates).filter((name): name is State => name in allStates);

export const createNetnsStates = (netns: NetnsFacts, timeWaitDumped: boolean) => {
  const table = new SeriesTable<"namespace">();
  const own = (state: State) => ({ "network.transport": "tcp", "network.connection.state": state }) as const;
  return {
    netns,
    table,
    columns: statesOf(timeWaitDumped).flatMap((state) =>
      types.map((type) => ({
        type,
        state: allStates[state],
        column: table.column(metric, { ...own(state), "network.type": type }),
      })),
    ),
    /** From sockstat, which does not tell of which type they are. */
    timeWait: timeWaitDumped ? undefined : table.column(metric, own("time_wait")),
    /** Of this dump, by the namespace's number. */
    counts: new Map<number, StateCounts>(),
    rows: new Map<string, number>(),
  };
};

/** Starts a dump. */
export const beginNetnsStates = ({ counts }: NetnsStates): void => counts.clear();

/** What the sockets of a namespace are counted into. */
export const countsOfNetns = ({ counts }: NetnsStates, netns: number): StateCounts => {
  let own = counts.get(netns);
  if (own === undefined) {
    own = createStateCounts();
    counts.set(netns, own);
  }
  return own;
};

/** After a complete dump: what a namespace without sockets has is 0, one that could not be read has nothing. */
export const settleNetnsStates = (states: NetnsStates, time: number): void => {
  const { table, columns, timeWait, netns } = states;
  settleNetnsRows(states, time, (row, number) => {
    const counts = netns.unread.has(number) ? undefined : countsOfNetns(states, number);
    for (const { type, state, column } of columns) table.values(column)[row] = counts?.[type][state] ?? Number.NaN;
    if (timeWait !== undefined)
      table.values(timeWait)[row] = netns.sockstat(number)?.get("TCP")?.get("tw") ?? Number.NaN;
  });
};

export const collectNetnsStates = ({ table }: NetnsStates, absent: boolean): Generator<number, MetricColumns[]> =>
  table.collect(absent);
