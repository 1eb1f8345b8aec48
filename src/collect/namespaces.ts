import { settleNetnsRows } from "../fold/netns-rows.ts";
import { SeriesTable } from "../fold/series.ts";
import type { Observation } from "../metrics/observation.ts";
import type { MetricColumns } from "../model/columns.ts";
import type { Namespaces, NetnsFacts } from "../model/sources.ts";
import { netnsRows } from "./host.ts";
import { inSlices } from "./reading.ts";

export type NamespacesPart = {
  /** After a dump that was complete, at `time` (Unix ms). */
  readonly settled: (time: number) => void;
  readonly observations: () => Observation[];
  /** `absent` after a dump that failed. */
  readonly columns: (absent: boolean) => Promise<MetricColumns[]>;
};

const observe = (source: "namespaces" | "namespace_events", inForce: boolean): Observation => ({
  metric: "sockscope.agent.capability",
  value: inForce ? 1 : 0,
  attributes: { "sockscope.agent.source": source },
});

/** The figures of sockstat that are of a network namespace, of each of them. */
const createNetnsSockstat = (netns: NetnsFacts) => {
  const table = new SeriesTable<"namespace">();
  const states = { netns, table, rows: new Map<string, number>() };
  const columns = netnsRows.map(({ line, key, metric, attributes }) => ({
    line,
    key,
    column: table.column(metric as "sockscope.sockstat.in_use", attributes as { "network.type": "ipv4" }),
  }));
  return {
    settle: (time: number): void =>
      settleNetnsRows(states, time, (row, number) => {
        const figures = netns.sockstat(number);
        for (const { line, key, column } of columns)
          table.values(column)[row] = figures?.get(line)?.get(key) ?? Number.NaN;
      }),
    collect: (absent: boolean) => inSlices(table.collect(absent)),
  };
};

/**
 * What the agent says of network namespaces as such where others than its own are asked for: of the agent, and where
 * `sockstat` is wanted, of each namespace. Undefined namespaces: none can be entered here.
 */
export const createNamespacesPart = (namespaces: Namespaces | undefined, sockstat: boolean): NamespacesPart => {
  if (namespaces === undefined)
    return {
      settled: () => undefined,
      observations: () => [observe("namespaces", false), observe("namespace_events", false)],
      columns: () => Promise.resolve([]),
    };
  const figures = sockstat ? createNetnsSockstat(namespaces.facts) : undefined;
  return {
    settled: (time) => {
      namespaces.settled();
      figures?.settle(time);
    },
    observations: () => [
      observe("namespaces", true),
      observe("namespace_events", namespaces.isHeard()),
      { metric: "sockscope.agent.namespaces", value: namespaces.facts.all().length, attributes: {} },
      {
        metric: "sockscope.agent.source.errors",
        value: namespaces.errors(),
        attributes: { "sockscope.agent.source": "namespaces" },
      },
    ],
    columns: async (absent) => (await figures?.collect(absent)) ?? [],
  };
};
