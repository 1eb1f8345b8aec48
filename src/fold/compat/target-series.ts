import type { SeriesKind } from "../../metrics/catalogue.ts";
import { type Attributes, attributesKey, attributeSet, type MetricColumns } from "../../model/columns.ts";
import type { Outcome } from "../../model/outcome.ts";
import type { Target } from "../../model/target.ts";
import { SeriesTable } from "../series.ts";

/** Series of probe targets under another tool's labels. */
export type TargetSeries = {
  /** The targets from now on, at `time` (Unix ms). A series whose labels stay the same goes on. */
  readonly update: (targets: readonly Target[], time: number) => void;
  readonly record: (target: Target, outcome: Outcome) => void;
  /** The tick's metrics; with `absent` all series end. */
  readonly collect: (absent?: boolean) => Generator<number, MetricColumns[]>;
};

type Series = { readonly row: number; wanted: boolean };

/**
 * `attributesOf` is undefined for a target that the tool has no series of; targets of the same labels share one, which
 * says what the last run said. `recordAt` puts a run's values into a row.
 */
export const createTargetSeries = <S extends SeriesKind>(
  attributesOf: (target: Target) => Attributes | undefined,
  columns: (table: SeriesTable<S>) => (row: number, target: Target, outcome: Outcome) => void,
): TargetSeries => {
  const table = new SeriesTable<S>();
  const recordAt = columns(table);
  const seriesOfKey = new Map<string, Series>();
  const seriesOfName = new Map<string, Series>();

  return {
    update(targets, time) {
      for (const series of seriesOfKey.values()) series.wanted = false;
      seriesOfName.clear();
      for (const target of targets) {
        const attributes = attributesOf(target);
        if (attributes === undefined) continue;
        const key = attributesKey(attributes);
        const series = seriesOfKey.get(key) ?? { row: table.add(attributeSet(attributes), time), wanted: true };
        series.wanted = true;
        seriesOfKey.set(key, series);
        seriesOfName.set(target.name, series);
      }
    },
    record(target, outcome) {
      const series = seriesOfName.get(target.name);
      if (series !== undefined) recordAt(series.row, target, outcome);
    },
    *collect(absent = false) {
      // Only a collection removes: what goes and comes back between two of them has no end.
      for (const [key, { row, wanted }] of seriesOfKey) {
        if (wanted) continue;
        table.remove(row);
        seriesOfKey.delete(key);
      }
      return yield* table.collect(absent);
    },
  };
};
