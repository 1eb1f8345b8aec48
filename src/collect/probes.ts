import { createConnectionStatus } from "../fold/compat/connection-status.ts";
import { createDatakit } from "../fold/compat/datakit.ts";
import type { TargetSeries } from "../fold/compat/target-series.ts";
import { SeriesTable } from "../fold/series.ts";
import type { OwnAttributes } from "../metrics/catalogue.ts";
import type { Observation, RecordValue } from "../metrics/observation.ts";
import {
  type Attributes,
  attributesKey,
  type AttributeSet,
  attributeSet,
  type MetricColumns,
} from "../model/columns.ts";
import type { CompatConfig } from "../model/config.ts";
import { type Outcome, type OutcomeKind, outcomes } from "../model/outcome.ts";
import type { ProbeType, Target } from "../model/target.ts";
import { countVerdicts, createProbeSeries, failureOf, type ProbeSeries } from "./probe-series.ts";
import { inSlices, type Part } from "./reading.ts";

type Entry = {
  target: Target;
  readonly attributes: Attributes;
  readonly set: AttributeSet;
  /** When the target came, Unix ms. */
  readonly since: number;
  last: OutcomeKind | "pending";
  wanted: boolean;
  /** By address; the series without one under "". */
  readonly series: Map<string, { readonly series: ProbeSeries; wanted: boolean }>;
  /** Its row among what is the target's and not an address's, once there is such. */
  ownRow: number | undefined;
  /** What its name resolved to last. */
  resolved: readonly string[];
};

type Result = { readonly attributes: OwnAttributes<"sockscope.probe.results">; count: number };

export type ProbesPart = Part & {
  /** The targets from now on, at `time` (Unix ms). A series whose attributes stay the same goes on. */
  update(targets: readonly Target[], time: number): void;
  /** A run has ended; `lag` is its start minus its planned start, in s. */
  record(target: Target, outcome: Outcome, lag: number): void;
  /** Which other tools' series there are from the next `update` on. */
  setCompat(compat: ProbesCompat): void;
};

export type ProbesCompat = Pick<CompatConfig, "datakit" | "connectionStatus">;

const compatSeries = {
  datakit: createDatakit,
  connectionStatus: createConnectionStatus,
} as const satisfies Record<keyof ProbesCompat, () => TargetSeries>;
const compatNames = Object.keys(compatSeries) as (keyof ProbesCompat)[];

const noAddress = "";

const transportOf = (type: ProbeType): Attributes => {
  const kind = type.replace(/[46]$/, "");
  if (kind === "icmp") return { "network.protocol.name": "icmp" };
  return { "network.transport": kind.startsWith("unix") ? "unix" : kind };
};

const attributesOf = (target: Target): Attributes => ({
  "sockscope.probe.name": target.name,
  "sockscope.probe.type": target.type,
  ...("path" in target
    ? { "server.address": target.path }
    : { "server.address": target.host, ...("port" in target ? { "server.port": target.port } : {}) }),
  ...transportOf(target.type),
  ...target.attributes,
});

const hasAllAddresses = (target: Target): boolean => "allAddresses" in target && target.allAddresses;

/** Whether these are the same addresses, in whatever order; neither holds one twice. */
const sameAddresses = (one: readonly string[], other: readonly string[]): boolean =>
  one.length === other.length &&
  (one.every((address, at) => address === other[at]) || one.every((address) => other.includes(address)));

/** The results of probe runs as series by target and address, and their totals by type. `clock` gives Unix ms. */
export const createProbesPart = (recordValue: RecordValue, clock: () => number): ProbesPart => {
  const runs = createProbeSeries();
  const own = new SeriesTable<"target">();
  const resolvedAddresses = own.column("sockscope.probe.resolved_addresses", {});
  const addressChanges = own.column("sockscope.probe.address_changes", {});
  const countAttempt = countVerdicts(own, "sockscope.probe.attempts");
  const entries = new Map<string, Entry>();
  const entryOfName = new Map<string, Entry>();
  const results = new Map<string, Result>();
  const compat = new Map<keyof ProbesCompat, TargetSeries>();
  /** Switched off: their series end with the next collection. */
  const leaving = new Map<keyof ProbesCompat, TargetSeries>();

  const seriesAt = (entry: Entry, address: string, start: number): ProbeSeries => {
    let known = entry.series.get(address);
    if (known === undefined) {
      const set =
        address === noAddress ? entry.set : attributeSet({ ...entry.attributes, "network.peer.address": address });
      known = { series: runs.add(set, start), wanted: true };
      entry.series.set(address, known);
    }
    known.wanted = true;
    return known.series;
  };

  const dropSeries = (entry: Entry): void => {
    for (const each of entry.series.values()) each.wanted = false;
  };

  const ownRowOf = (entry: Entry): number => (entry.ownRow ??= own.add(entry.set, entry.since));

  const noteAddresses = (entry: Entry, { facts: { resolved = [] } }: Outcome): void => {
    if (resolved.length > 0) {
      const row = ownRowOf(entry);
      const changes = own.values(addressChanges);
      if (entry.resolved.length === 0) changes[row] = 0;
      else if (!sameAddresses(entry.resolved, resolved)) changes[row] = (changes[row] as number) + 1;
      entry.resolved = resolved;
    }
    if (entry.ownRow === undefined) return;
    own.values(resolvedAddresses)[entry.ownRow] = resolved.length > 0 ? resolved.length : Number.NaN;
  };

  const countAttempts = (entry: Entry, outcome: Outcome): void => {
    const row = ownRowOf(entry);
    for (const verdict of outcome.failedAttempts ?? []) countAttempt(row, verdict);
    countAttempt(row, outcome);
  };

  /** An outcome that is of no address in particular is that of all that are known. */
  const showRun = (entry: Entry, outcome: Outcome): void => {
    const { byAddress = [] } = outcome;
    if (byAddress.length > 0) {
      dropSeries(entry);
      for (const verdict of byAddress) {
        runs.record(seriesAt(entry, verdict.address ?? noAddress, clock()), verdict);
      }
      return;
    }
    const known = [...entry.series.values()].filter(({ wanted }) => wanted);
    if (known.length === 0) return runs.record(seriesAt(entry, noAddress, clock()), outcome);
    for (const { series } of known) runs.record(series, outcome);
  };

  const countResult = (type: ProbeType, outcome: Outcome): void => {
    const error = "error" in outcome ? outcome.error : undefined;
    const key = `${type} ${outcome.kind} ${error}`;
    let result = results.get(key);
    if (result === undefined) {
      const attributes = { "sockscope.probe.type": type, "sockscope.probe.outcome": outcome.kind };
      result = { attributes: error === undefined ? attributes : { ...attributes, "error.type": error }, count: 0 };
      results.set(key, result);
    }
    result.count++;
  };

  const targetObservations = (): Observation[] => {
    const counts = new Map<ProbeType, Map<string, number>>();
    for (const { target, last } of entryOfName.values()) {
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

  /** Only a collection removes: what goes and comes back between two of them has no end. */
  const removeUnwanted = (): void => {
    for (const [key, entry] of entries) {
      for (const [address, { series, wanted }] of entry.series) {
        if (entry.wanted && wanted) continue;
        runs.remove(series);
        entry.series.delete(address);
      }
      if (entry.wanted) continue;
      if (entry.ownRow !== undefined) own.remove(entry.ownRow);
      entries.delete(key);
    }
  };

  function* collectAll(absent: boolean): Generator<number, MetricColumns[]> {
    const columns = [...(yield* runs.collect(absent)), ...(yield* own.collect(absent))];
    for (const series of compat.values()) columns.push(...(yield* series.collect(absent)));
    for (const series of leaving.values()) columns.push(...(yield* series.collect(true)));
    leaving.clear();
    return columns;
  }

  return {
    update(targets, time) {
      for (const entry of entries.values()) entry.wanted = false;
      entryOfName.clear();
      for (const target of targets) {
        const attributes = attributesOf(target);
        const key = attributesKey(attributes);
        const entry: Entry = entries.get(key) ?? {
          target,
          attributes,
          set: attributeSet(attributes),
          since: time,
          last: "pending",
          wanted: true,
          series: new Map(),
          ownRow: undefined,
          resolved: [],
        };
        entry.target = target;
        entry.wanted = true;
        entries.set(key, entry);
        entryOfName.set(target.name, entry);
        if (hasAllAddresses(target)) continue;
        dropSeries(entry);
        seriesAt(entry, noAddress, time);
      }
      for (const series of compat.values()) series.update(targets, time);
    },
    setCompat(wanted) {
      for (const name of compatNames) {
        const [from, to] = wanted[name] ? [leaving, compat] : [compat, leaving];
        const series = from.get(name) ?? (wanted[name] && !to.has(name) ? compatSeries[name]() : undefined);
        if (series === undefined) continue;
        from.delete(name);
        to.set(name, series);
      }
    },
    record(target, outcome, lag) {
      const entry = entryOfName.get(target.name);
      if (entry === undefined) return;
      entry.last = outcome.kind;
      showRun(entry, outcome);
      for (const series of compat.values()) series.record(target, outcome);
      noteAddresses(entry, outcome);
      if (target.attempts > 1) countAttempts(entry, outcome);
      countResult(target.type, outcome);
      recordValue("sockscope.probe.duration", outcome.seconds, {
        "sockscope.probe.type": target.type,
        ...failureOf(outcome),
      });
      recordValue("sockscope.probe.schedule.lag", lag, {});
    },
    async collect() {
      removeUnwanted();
      const columns = await inSlices(collectAll(false));
      const observations: Observation[] = [...results.values()].map(({ attributes, count }) => ({
        metric: "sockscope.probe.results",
        value: count,
        attributes,
      }));
      return { columns, observations: [...observations, ...targetObservations()] };
    },
    end: () => inSlices(collectAll(true)),
  };
};
