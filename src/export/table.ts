import { styleText } from "node:util";
import type { MetricName } from "../metrics/catalogue.ts";
import type { Snapshot } from "../model/columns.ts";
import { attributeOf, inOneGo, readingsOf, type Steps } from "./figures.ts";
import { byteColumns, byText, countColumn, textColumn, type Section } from "./section.ts";
import { probesSection } from "./table-probes.ts";
import { connectionsSection, flowsSection, listenersSection, socketsSection, udpSection } from "./table-sockets.ts";
import { alignColumns, fit, printable } from "./terminal.ts";

type HostFigure = "ipv4" | "ipv6" | "orphan" | "timeWait" | "allocated" | "memory";

const hostSources: readonly (readonly [figure: HostFigure, metric: MetricName, type?: string])[] = [
  ["ipv4", "sockscope.sockstat.in_use", "ipv4"],
  ["ipv6", "sockscope.sockstat.in_use", "ipv6"],
  ["orphan", "sockscope.sockstat.orphan"],
  ["timeWait", "sockscope.sockstat.time_wait"],
  ["allocated", "sockscope.sockstat.allocated"],
  ["memory", "sockscope.sockstat.memory.usage"],
];

const hostSection = (snapshot: Snapshot): Section => {
  const protocols = new Map<string, { protocol: string } & { [F in HostFigure]?: number }>();
  for (const [figure, metric, type] of hostSources) {
    for (const reading of readingsOf(snapshot, metric)) {
      if (type !== undefined && attributeOf(reading, "network.type") !== type) continue;
      const protocol = String(
        attributeOf(reading, "network.transport") ?? attributeOf(reading, "network.protocol.name"),
      );
      const row = protocols.get(protocol) ?? { protocol };
      row[figure] = (row[figure] ?? 0) + reading.value;
      protocols.set(protocol, row);
    }
  }
  const rows = [...protocols.values()].sort((a, b) => byText(a.protocol, b.protocol));
  const [used] = readingsOf(snapshot, "sockscope.sockstat.used");
  return {
    title: "Host",
    columns: [
      textColumn("protocol", rows, "protocol"),
      countColumn("ipv4 in use", rows, "ipv4"),
      countColumn("ipv6 in use", rows, "ipv6"),
      countColumn("orphan", rows, "orphan"),
      countColumn("time wait", rows, "timeWait"),
      countColumn("allocated", rows, "allocated"),
      ...byteColumns([["memory", "memory"]], rows),
    ],
    more: used === undefined ? undefined : `sockets of all families: ${used.value}`,
  };
};

/** What the agent could not look at: its section is missing for that reason, and not for want of sockets. */
const unreadable = (snapshot: Snapshot): string[] => {
  const sources = [...readingsOf(snapshot, "sockscope.agent.capability")]
    .filter(({ value }) => value === 0)
    .map((reading) => String(attributeOf(reading, "sockscope.agent.source")));
  return sources.length === 0 ? [] : [`Not readable here, the log says why: ${sources.sort().join(", ")}`];
};

export type TableOptions = {
  readonly width: number;
  readonly color: boolean;
  /** Targets that are shown; all of them by default. */
  readonly mostTargets?: number;
};

/** Renders a tick for a person at a terminal: one section a subject, one row a thing, units in the headers. */
export function* tableSteps(snapshot: Snapshot, { width, color, mostTargets = Infinity }: TableOptions): Steps<string> {
  const sections = [
    yield* probesSection(snapshot, color, mostTargets),
    connectionsSection(snapshot),
    yield* flowsSection(snapshot),
    yield* listenersSection(snapshot),
    yield* udpSection(snapshot),
    yield* socketsSection(snapshot),
    hostSection(snapshot),
  ].filter(({ columns }) => columns.some(({ cells }) => cells.length > 0));
  const blocks = sections.map(({ title, columns, more }) => {
    const heading = color ? styleText("bold", title, { validateStream: false }) : title;
    return [heading, ...alignColumns(columns, width), ...(more === undefined ? [] : [more])].join("\n");
  });
  const notes = [...unreadable(snapshot), ...(blocks.length === 0 ? ["No probe ran, and nothing was read."] : [])];
  return [...blocks, ...notes.map((note) => fit(printable(note), width, 0))].map((block) => `${block}\n`).join("\n");
}

/** The same in one go. */
export const renderTable = (snapshot: Snapshot, options: TableOptions): string =>
  inOneGo(tableSteps(snapshot, options));
