import { styleText } from "node:util";
import type { Attributes, AttributeSet, Snapshot } from "../model/columns.ts";
import { type Phase, phases } from "../model/outcome.ts";
import { attributeOf, figuresOf, firstOf, readingsOf, type Source, type Steps, takeAll } from "./figures.ts";
import {
  bracketHost,
  byText,
  joinHostPort,
  millisecondColumn,
  numberColumn,
  type Section,
  textColumn,
  textOf,
} from "./section.ts";
import { absent, type Column } from "./terminal.ts";

const targetUrl = (values: Attributes): string => {
  const type = textOf(values, "sockscope.probe.type");
  const host = textOf(values, "server.address");
  if (type.startsWith("unix")) return `${type}://${host}`;
  return `${type}://${values["server.port"] === undefined ? bracketHost(host) : joinHostPort(host, textOf(values, "server.port"))}`;
};

/** Runs of one target that ended in the same way. */
type Ending = { readonly outcome: string; readonly error: string; readonly phase: string; readonly runs: number };

function* endingsBySet(snapshot: Snapshot): Steps<ReadonlyMap<AttributeSet, readonly Ending[]>> {
  const endings = new Map<AttributeSet, Ending[]>();
  yield* takeAll(readingsOf(snapshot, "sockscope.probe.runs"), (reading) => {
    const ending = {
      outcome: String(attributeOf(reading, "sockscope.probe.outcome")),
      error: String(attributeOf(reading, "error.type") ?? absent),
      phase: String(attributeOf(reading, "sockscope.probe.phase") ?? absent),
      runs: reading.value,
    };
    endings.set(reading.set, [...(endings.get(reading.set) ?? []), ending]);
  });
  return endings;
}

/** The most frequent ending that fits what `up` says now: counters do not tell which run was the last. */
const endingOf = (endings: readonly Ending[], up: number | undefined): Omit<Ending, "runs"> => {
  const fitting = up === undefined ? ["not_run"] : up === 0 ? ["down"] : ["up", "unanswered"];
  const [ending] = endings.filter(({ outcome }) => fitting.includes(outcome)).sort((a, b) => b.runs - a.runs);
  return ending ?? { outcome: up === undefined ? absent : up === 0 ? "down" : "up", error: absent, phase: absent };
};

const paintOutcome = (cell: string): string => {
  const outcome = cell.trim();
  return styleText(outcome === "up" ? "green" : outcome === "down" ? "red" : "yellow", cell, { validateStream: false });
};

const phaseFigure = (phase: Phase) =>
  ["sockscope.probe.phase.latency", { "sockscope.probe.phase": phase }] as const satisfies Source;

const secondsOfDay = 86_400;

type FiguresOf<M> = M extends ReadonlyMap<AttributeSet, infer F> ? F : never;

/** One row a target, or an address of one, by name; where not all are shown, those that are not up come first. */
export function* probesSection(snapshot: Snapshot, color: boolean, mostRows: number): Steps<Section> {
  const endings = yield* endingsBySet(snapshot);
  const series = yield* figuresOf(snapshot, {
    up: ["sockscope.probe.up"],
    runs: ["sockscope.probe.runs"],
    latency: ["sockscope.probe.latency"],
    resolve: phaseFigure("resolve"),
    connect: phaseFigure("connect"),
    tls: phaseFigure("tls"),
    exchange: phaseFigure("exchange"),
    rtt: ["sockscope.probe.tcp.rtt"],
    sent: ["sockscope.probe.packets", { "network.io.direction": "transmit" }],
    lost: ["sockscope.probe.packets.lost"],
    expiry: ["sockscope.probe.tls.certificate.expiry"],
  });
  const rowOf = ([set, { values, figures }]: readonly [AttributeSet, FiguresOf<typeof series>]) => {
    const name = textOf(values, "sockscope.probe.name");
    const url = targetUrl(values);
    const { sent = 0, lost = 0, expiry } = figures;
    return {
      ...figures,
      ...endingOf(endings.get(set) ?? [], figures.up),
      // A target without a name of its own is named by its URL.
      name: name === url ? absent : name,
      url,
      address: textOf(values, "network.peer.address"),
      loss: sent > 0 ? (100 * lost) / sent : undefined,
      days: expiry === undefined ? undefined : expiry / secondsOfDay,
    };
  };
  type Row = ReturnType<typeof rowOf>;
  const byName = (a: Row, b: Row): number =>
    byText(a.name, b.name) || byText(a.url, b.url) || byText(a.address, b.address);
  const hidden = series.size - mostRows;
  const all = series.entries().map(rowOf);
  const rows =
    hidden > 0
      ? yield* firstOf(all, (a, b) => (a.up ?? 0) - (b.up ?? 0) || byName(a, b), mostRows)
      : [...all].sort(byName);
  const outcomes: Column = textColumn("outcome", rows, "outcome");
  return {
    title: "Probes",
    columns: [
      textColumn("name", rows, "name"),
      textColumn("target", rows, "url"),
      textColumn("address", rows, "address"),
      color ? { ...outcomes, paint: paintOutcome } : outcomes,
      textColumn("error", rows, "error"),
      textColumn("failed at", rows, "phase"),
      millisecondColumn("latency", rows, "latency"),
      { ...numberColumn("loss [%]", rows, "loss", 1), optional: true },
      { ...numberColumn("cert [days]", rows, "days", 1), optional: true },
      { ...millisecondColumn("tcp rtt", rows, "rtt"), optional: true },
      ...phases.map((phase) => ({ ...millisecondColumn(phase, rows, phase), optional: true })),
    ],
    more: hidden > 0 ? `... and ${hidden} more targets` : undefined,
  };
}
