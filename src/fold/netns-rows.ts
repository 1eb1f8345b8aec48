import { attributeSet } from "../model/columns.ts";
import type { NetnsFacts } from "../model/sources.ts";
import type { SeriesTable } from "./series.ts";

/** A row for each network namespace, by its name: one that has the name of another that is gone goes on with its row. */
export type NetnsRows = {
  readonly netns: NetnsFacts;
  readonly table: SeriesTable<"namespace">;
  readonly rows: Map<string, number>;
};

/** Adds the rows of new namespaces, which start at `time` (Unix ms), ends those of old ones, and calls `set` with each. */
export const settleNetnsRows = (
  { netns, table, rows }: NetnsRows,
  time: number,
  set: (row: number, netns: number) => void,
): void => {
  const known = new Map(netns.all().map((number) => [netns.nameOf(number) ?? "", number]));
  for (const [name, row] of rows) {
    if (known.has(name)) continue;
    table.remove(row);
    rows.delete(name);
  }
  for (const [name, number] of known) {
    let row = rows.get(name);
    if (row === undefined) {
      row = table.add(attributeSet({ "sockscope.netns": name }), time);
      rows.set(name, row);
    }
    set(row, number);
  }
};
