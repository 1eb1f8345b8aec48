import { styleText } from "node:util";
import type { Attributes, AttributeSet, Snapshot } from "../model/columns.ts";
import { attributeOf, figuresOf, readingsOf } from "./figures.ts";
import { byText, joinHostPort, millisecondColumn, textColumn, textOf, type Section } from "./section.ts";
import { absent, type Column } from "./terminal.ts";

const targetUrl = (values: Attributes): string => {
  const type = textOf(values, "sockscope.probe.type");
  const host = textOf(values, "server.address");
  return `${type}://${type === "unix" ? host : joinHostPort(host, textOf(values, "server.port"))}`;
};

/** Runs of one target that ended in the same way. */
type Ending = { readonly outcome: string; readonly error: string; readonly runs: number };

const endingsBySet = (snapshot: Snapshot): ReadonlyMap<AttributeSet, readonly Ending[]> => {
  const endings = new Map<AttributeSet, Ending[]>();
  for (const reading of readingsOf(snapshot, "sockscope.probe.runs")) {
    const ending = {
      outcome: String(attributeOf(reading, "sockscope.probe.outcome")),
      error: String(attributeOf(reading, "error.type") ?? absent),
      runs: reading.value,
    };
    endings.set(reading.set, [...(endings.get(reading.set) ?? []), ending]);
  }
  return endings;
};

/** The most frequent ending that fits what `up` says now: counters do not tell which run was the last. */
const endingOf = (endings: readonly Ending[], up: number | undefined): Omit<Ending, "runs"> => {
  const fitting = up === undefined ? ["not_run"] : up === 0 ? ["down"] : ["up", "unanswered"];
  const [ending] = endings.filter(({ outcome }) => fitting.includes(outcome)).sort((a, b) => b.runs - a.runs);
  return ending ?? { outcome: up === undefined ? absent : up === 0 ? "down" : "up", error: absent };
};

const paintOutcome = (cell: string): string => {
  const outcome = cell.trim();
  return styleText(outcome === "up" ? "green" : outcome === "down" ? "red" : "yellow", cell, { validateStream: false });
};

/** One row a target, by name. */
export const probesSection = (snapshot: Snapshot, color: boolean): Section => {
  const endings = endingsBySet(snapshot);
  const series = figuresOf(snapshot, {
    up: ["sockscope.probe.up"],
    runs: ["sockscope.probe.runs"],
    latency: ["sockscope.probe.latency"],
    resolve: ["sockscope.probe.phase.latency", { "sockscope.probe.phase": "resolve" }],
    connect: ["sockscope.probe.phase.latency", { "sockscope.probe.phase": "connect" }],
  });
  const rows = [...series]
    .map(([set, { values, figures }]) => {
      const name = textOf(values, "sockscope.probe.name");
      const url = targetUrl(values);
      // A target without a name of its own is named by its URL.
      return { ...figures, ...endingOf(endings.get(set) ?? [], figures.up), name: name === url ? absent : name, url };
    })
    .sort((a, b) => byText(a.name, b.name) || byText(a.url, b.url));
  const outcomes: Column = textColumn("outcome", rows, "outcome");
  return {
    title: "Probes",
    columns: [
      textColumn("name", rows, "name"),
      textColumn("target", rows, "url"),
      color ? { ...outcomes, paint: paintOutcome } : outcomes,
      textColumn("error", rows, "error"),
      millisecondColumn("latency", rows, "latency"),
      { ...millisecondColumn("resolve", rows, "resolve"), optional: true },
      { ...millisecondColumn("connect", rows, "connect"), optional: true },
    ],
  };
};
