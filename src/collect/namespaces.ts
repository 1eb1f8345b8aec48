import type { Observation } from "../metrics/observation.ts";
import type { Namespaces } from "../model/sources.ts";

export type NamespacesPart = Pick<Namespaces, "settled"> & { readonly observations: () => Observation[] };

const observe = (source: "namespaces" | "namespace_events", inForce: boolean): Observation => ({
  metric: "sockscope.agent.capability",
  value: inForce ? 1 : 0,
  attributes: { "sockscope.agent.source": source },
});

/** What the agent says of itself where other network namespaces are asked for; undefined: none can be entered here. */
export const createNamespacesPart = (namespaces: Namespaces | undefined): NamespacesPart =>
  namespaces === undefined
    ? {
        settled: () => undefined,
        observations: () => [observe("namespaces", false), observe("namespace_events", false)],
      }
    : {
        settled: namespaces.settled,
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
      };
