import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./agent.ts";

export type DocumentedMetric = {
  readonly instrument: string;
  readonly unit: string;
  readonly value: string;
  /** The attributes that its section names. */
  readonly own: readonly string[];
  /** What a series is one of, as the section on series has it; undefined where the metric has no series attributes. */
  readonly series: string | undefined;
  /** The names of its samples in Prometheus. */
  readonly prometheus: readonly string[];
};

const named = (text: string): string[] => [...text.matchAll(/`([a-z_.]+)`/g)].map(([, name = ""]) => name);

const metricOf = (section: string): DocumentedMetric | undefined => {
  const [, instrument, unit = "", value] =
    /^- (.+?), (?:unit `(.+?)`|without a unit), (int|double)/m.exec(section) ?? [];
  if (instrument === undefined || value === undefined) return undefined;
  const attributes = /^- Attributes: (.*)$/m.exec(section)?.[1] ?? "";
  return {
    instrument,
    unit,
    value,
    own: named(attributes),
    series: /\[([^\]]+)\]\(#series\)/.exec(attributes)?.[1],
    prometheus: named(/^- Prometheus: (.*)$/m.exec(section)?.[1] ?? ""),
  };
};

/** docs/METRICS.md as a reader understands it. */
export const readMetricsDoc = () => {
  const text = readFileSync(join(root, "docs/METRICS.md"), "utf8");
  const metrics = new Map<string, DocumentedMetric>();
  for (const section of text.split(/^### /m).slice(1)) {
    const metric = metricOf(section);
    if (metric !== undefined) metrics.set(section.slice(0, section.indexOf("\n")).trim(), metric);
  }
  const row = (cell: string): string[] =>
    named(
      text
        .split("\n")
        .find((line) => line.startsWith(`| ${cell} |`))
        ?.slice(cell.length + 4) ?? "",
    );
  return {
    metrics: metrics as ReadonlyMap<string, DocumentedMetric>,
    /** Attributes of a series: of a kind, or of a group by `sockets.group_by`. */
    seriesAttributes: (series: string, groupBy: string): string[] =>
      series === "group of flows" ? row(`\`${groupBy}\``) : row(series),
  };
};
