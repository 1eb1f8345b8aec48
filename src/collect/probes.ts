import type { OwnAttributes } from "../metrics/catalogue.ts";
import type { Observation, RecordValue } from "../metrics/observation.ts";
import { type Attributes, attributeSet } from "../model/columns.ts";
import { type Outcome, type OutcomeKind, outcomes, phases } from "../model/outcome.ts";
import type { ProbeType, Target } from "../model/target.ts";
import { SeriesTable } from "../fold/series.ts";
import { inSlices, type Part } from "./reading.ts";

type Row = { readonly row: number; target: Target; last: OutcomeKind | "pending"; wanted: boolean };

type Result = { readonly attributes: OwnAttributes<"sockscope.probe.results">; count: number };

export type ProbesPart = Part & {
  /** The targets from now on, at `time` (Unix ms). A series whose attributes stay the same goes on. */
  update(targets: readonly Target[], time: number): void;
  /** A run has ended; `lag` is its start minus its planned start, in s. */
  record(target: Target, outcome: Outcome, lag: number): void;
};

const transportOf = (type: ProbeType): string => type.replace(/[46]$/, "");

const attributesOf = (target: Target): Attributes => ({
  "sockscope.probe.name": target.name,
  "sockscope.probe.type": target.type,
  ...("path" in target
    ? { "server.address": target.path }
    : { "server.address": target.host, "server.port": target.port }),
  "network.transport": transportOf(target.type),
  ...target.attributes,
});

const failureOf = (outcome: Outcome): { "error.type"?: Extract<Outcome, { error: unknown }>["error"] } =>
  "error" in outcome ? { "error.type": outcome.error } : {};

/** The results of probe runs as series by target, and their totals by type. */
export const createProbesPart = (recordValue: RecordValue): ProbesPart => {
  const table = new SeriesTable<"target">();
  const up = table.column("sockscope.probe.up", {});
  const latency = table.column("sockscope.probe.latency", {});
  const phaseColumns = phases.map((phase) => ({
    phase,
    column: table.column("sockscope.probe.phase.latency", { "sockscope.probe.phase": phase }),
  }));
  const rows = new Map<string, Row>();
  const rowOfName = new Map<string, Row>();
  const results = new Map<string, Result>();

  const countRun = (row: number, outcome: Outcome): void => {
    const own = { "sockscope.probe.outcome": outcome.kind, ...failureOf(outcome) };
    const runs = table.values(table.column("sockscope.probe.runs", own));
    const before = runs[row] as number;
    runs[row] = Number.isNaN(before) ? 1 : before + 1;
  };

  const countResult = (type: ProbeType, outcome: Outcome): void => {
    const attributes = { "sockscope.probe.type": type, "sockscope.probe.outcome": outcome.kind, ...failureOf(outcome) };
    const key = JSON.stringify(attributes);
    const result = results.get(key) ?? { attributes, count: 0 };
    result.count++;
    results.set(key, result);
  };

  const show = (row: number, outcome: Outcome): void => {
    const answered = outcome.kind === "up";
    table.values(up)[row] = outcome.kind === "not_run" ? Number.NaN : outcome.kind === "down" ? 0 : 1;
    table.values(latency)[row] = answered ? outcome.seconds : Number.NaN;
    for (const { phase, column } of phaseColumns) {
      table.values(column)[row] = answered ? (outcome.phases[phase] ?? Number.NaN) : Number.NaN;
    }
  };

  const targetObservations = (): Observation[] => {
    const counts = new Map<ProbeType, Map<string, number>>();
    for (const { target, last } of rowOfName.values()) {
      const byOutcome = counts.get(target.type) ?? new Map<string, number>();
      byOutcome.set(last, (byOutcome.get(last) ?? 0) + 1);
      counts.set(target.type, byOutcome);
    }
    return [...counts].flatMap(([type, byOutcome]) =>
      ([...outcomes, "pending"] as const).map((outcome): Observation => ({
        metric: "sockscope.probe.targets",
        value: byOutcome.get(outcome) ?? 0,
        attributes: { "sockscope.probe.type": type, "sockscope.probe.outcome": outcome },
      })),
    );
  };

  const removeUnwanted = (): void => {
    for (const [key, { row, wanted }] of rows) {
      if (wanted) continue;
      table.remove(row);
      rows.delete(key);
    }
  };

  return {
    update(targets, time) {
      for (const row of rows.values()) row.wanted = false;
      rowOfName.clear();
      for (const target of targets) {
        const attributes = attributesOf(target);
        const key = JSON.stringify(attributes);
        const row: Row = rows.get(key) ?? {
          row: table.add(attributeSet(attributes), time),
          target,
          last: "pending",
          wanted: true,
        };
        row.target = target;
        row.wanted = true;
        rows.set(key, row);
        rowOfName.set(target.name, row);
      }
    },
    record(target, outcome, lag) {
      const row = rowOfName.get(target.name);
      if (row === undefined) return;
      row.last = outcome.kind;
      show(row.row, outcome);
      countRun(row.row, outcome);
      countResult(target.type, outcome);
      recordValue("sockscope.probe.duration", outcome.seconds, {
        "sockscope.probe.type": target.type,
        ...failureOf(outcome),
      });
      recordValue("sockscope.probe.schedule.lag", lag, {});
    },
    async collect() {
      removeUnwanted();
      const columns = await inSlices(table.collect());
      const observations: Observation[] = [...results.values()].map(({ attributes, count }) => ({
        metric: "sockscope.probe.results",
        value: count,
        attributes,
      }));
      return { columns, observations: [...observations, ...targetObservations()] };
    },
    end: () => inSlices(table.collect(true)),
  };
};
