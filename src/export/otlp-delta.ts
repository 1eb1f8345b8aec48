import type { AttributeSet, HistogramColumn, MetricColumns, NumberColumn, Snapshot } from "../model/columns.ts";
import { pointsPerSlice } from "./otlp-protobuf.ts";

/** Points between two looks at what is left of a slice. */
const pointsPerSpan = 1000;

type Column = NumberColumn | HistogramColumn;

/** What is subtracted: `width` cells a row, row after row. */
type Cells = { readonly cells: Float64Array; readonly width: number };

/** The last point that was given of a series which the last column did not have. */
type Away = { readonly start: number; readonly time: number; readonly cells: readonly Float64Array[] };

/** A column as it was given last, which the next one is compared with. Its arrays are the snapshot's own. */
type Given = {
  readonly column: Column;
  /** Unix ms. */
  readonly time: number;
  /** Holds a series for as long as its attribute set lives, which is as long as it may come back. */
  readonly away: WeakMap<AttributeSet, Away>;
};

/** Where the series of a column stood in the one before it. */
type Places = {
  readonly before: readonly AttributeSet[];
  /** -1: nowhere. */
  readonly rows: Int32Array;
  /** Rows of the one before that are in the column no longer. */
  readonly gone: readonly number[];
};

const isHistogram = (column: Column): column is HistogramColumn => "bounds" in column;

/** Those of the first are monotonic: values, or bucket counts, which come before the sums. */
const cellsOf = (column: Column): readonly Cells[] =>
  isHistogram(column)
    ? [
        { cells: column.counts, width: column.bounds.length + 1 },
        { cells: column.sums, width: 1 },
      ]
    : [{ cells: column.values, width: 1 }];

const boundsOf = (column: Column): readonly number[] => (isHistogram(column) ? column.bounds : []);

const areEqual = (one: readonly number[], other: readonly number[]): boolean =>
  one === other || (one.length === other.length && one.every((bound, index) => bound === other[index]));

/** The deltas of one column, filled in span by span. */
class ColumnDeltas {
  readonly #column: Column;
  readonly #given: Given | undefined;
  readonly #rows: Int32Array;
  readonly #cells: readonly Cells[];
  readonly #givenCells: readonly Float64Array[];
  readonly #starts: Float64Array;
  readonly #deltas: readonly Float64Array[];
  #length = 0;
  /** Those of the rows so far, from the first one on that is left out. */
  #sets: AttributeSet[] | undefined;

  constructor(column: Column, given: Given | undefined, rows: Int32Array) {
    this.#column = column;
    this.#given = given;
    this.#rows = rows;
    this.#cells = cellsOf(column);
    this.#givenCells = given === undefined ? [] : cellsOf(given.column).map(({ cells }) => cells);
    this.#starts = new Float64Array(column.sets.length);
    this.#deltas = this.#cells.map(({ cells }) => new Float64Array(cells.length));
  }

  add(from: number, to: number): void {
    const { sets, starts } = this.#column;
    const given = this.#given;
    for (let index = from; index < to; index++) {
      const set = sets[index] as AttributeSet;
      const start = starts[index] as number;
      const row = this.#rows[index] as number;
      if (given !== undefined && row >= 0)
        this.#addRow(index, start, given.time, given.column.starts[row] as number, this.#givenCells, row);
      else {
        const away = given?.away.get(set);
        if (away === undefined) this.#addRow(index, start, start, Number.NaN, [], 0);
        else this.#addRow(index, start, away.time, away.start, away.cells, 0);
        given?.away.delete(set);
      }
    }
  }

  finish(): Column | undefined {
    const length = this.#length;
    if (length === 0) return undefined;
    const { own } = this.#column;
    const common = { own, sets: this.#sets ?? this.#column.sets, starts: this.#starts.subarray(0, length) };
    const [first, second] = this.#cells.map(({ width }, part) =>
      (this.#deltas[part] as Float64Array).subarray(0, length * width),
    ) as [Float64Array, Float64Array];
    return isHistogram(this.#column)
      ? { ...common, bounds: this.#column.bounds, counts: first, sums: second }
      : { ...common, values: first };
  }

  /** `since`, `startBefore` and `before` are of the point that was given before; without one that start is NaN. */
  #addRow(
    index: number,
    start: number,
    since: number,
    startBefore: number,
    before: readonly Float64Array[],
    row: number,
  ): void {
    const goesOn = start === startBefore && this.#isAtLeast(index, before[0], row);
    // Nobody knows since when it has counted, and so neither what of it is new: the next point is told from this one.
    if (!goesOn && start === 0) {
      this.#sets ??= this.#column.sets.slice(0, index);
      return;
    }
    const at = this.#length++;
    this.#sets?.push(this.#column.sets[index] as AttributeSet);
    // Intervals of a stream must not overlap, also where a restart was seen after the point before had been given.
    this.#starts[at] = goesOn ? since : Math.max(start, since);
    for (let part = 0; part < this.#cells.length; part++) {
      const { cells, width } = this.#cells[part] as Cells;
      const deltas = this.#deltas[part] as Float64Array;
      const less = before[part];
      for (let cell = 0; cell < width; cell++) {
        const base = goesOn && less !== undefined ? (less[row * width + cell] as number) : 0;
        deltas[at * width + cell] = (cells[index * width + cell] as number) - base;
      }
    }
  }

  /** A counter that has fallen has begun anew, whatever its start says: a monotonic sum has no negative delta. */
  #isAtLeast(index: number, before: Float64Array | undefined, row: number): boolean {
    const { cells, width } = this.#cells[0] as Cells;
    if (before === undefined) return false;
    for (let cell = 0; cell < width; cell++)
      if ((cells[index * width + cell] as number) < (before[row * width + cell] as number)) return false;
    return true;
  }
}

/**
 * The deltas of one reader's snapshots: counters and histograms since the snapshot that it was given before, while
 * up-down counters and gauges stay as they are. What is kept between two snapshots is the columns of the one before.
 * Series are told apart by metric, own attributes and attribute set, the latter two by identity.
 *
 * Start times as in https://opentelemetry.io/docs/specs/otel/metrics/data-model/#temporality: that of a point is the
 * time of the one before, and of the first one the start of the series.
 */
export class Deltas {
  readonly #given = new WeakMap<AttributeSet, Map<string, Given>>();
  /** Of the snapshot at work, by the attribute sets of its columns, which most columns of a table share. */
  readonly #places = new Map<readonly AttributeSet[], Places>();
  readonly #indexes = new Map<readonly AttributeSet[], ReadonlyMap<AttributeSet, number>>();
  #room = pointsPerSlice;

  /** Yields where a slice is done. Snapshots must come one after another, in the order of their times. */
  *of(snapshot: Snapshot): Generator<undefined, Snapshot> {
    const metrics: MetricColumns[] = [];
    for (const metric of snapshot.metrics) {
      const { kind } = metric.descriptor;
      if (kind === "gauge" || kind === "updowncounter") metrics.push(metric);
      else {
        const numbers = yield* this.#columnsOf(metric, metric.numbers, snapshot.time);
        const histograms = yield* this.#columnsOf(metric, metric.histograms, snapshot.time);
        // That no value was recorded says that the last one no longer holds. A delta holds for its interval only, and an
        // interval without increments is an interval without a point, so that nothing has to follow the last one.
        if (numbers.length + histograms.length > 0) metrics.push({ ...metric, numbers, histograms, ended: [] });
      }
    }
    this.#places.clear();
    this.#indexes.clear();
    return { ...snapshot, metrics, temporality: "delta" };
  }

  *#columnsOf<C extends Column>(
    { descriptor: { name } }: MetricColumns,
    columns: readonly C[],
    time: number,
  ): Generator<undefined, C[]> {
    const deltas: C[] = [];
    for (const column of columns) {
      const ofOwn = this.#given.get(column.own) ?? new Map<string, Given>();
      this.#given.set(column.own, ofOwn);
      const last = ofOwn.get(name);
      const given = last !== undefined && areEqual(boundsOf(last.column), boundsOf(column)) ? last : undefined;
      const delta = yield* this.#columnOf(column, given);
      ofOwn.set(name, { column, time, away: given?.away ?? new WeakMap() });
      if (delta !== undefined) deltas.push(delta as C);
    }
    return deltas;
  }

  *#columnOf(column: Column, given: Given | undefined): Generator<undefined, Column | undefined> {
    const { length } = column.sets;
    const { rows, gone } = yield* this.#placesOf(column.sets, given?.column.sets ?? []);
    if (given !== undefined) yield* this.#putAway(given, gone);
    const deltas = new ColumnDeltas(column, given, rows);
    for (let from = 0; from < length; from += pointsPerSpan) {
      const to = Math.min(from + pointsPerSpan, length);
      deltas.add(from, to);
      if (this.#isSliceDone(to - from)) yield undefined;
    }
    return deltas.finish();
  }

  *#putAway({ column, time, away }: Given, gone: readonly number[]): Generator<undefined, void> {
    const parts = cellsOf(column);
    for (const row of gone) {
      const cells = parts.map((part) => part.cells.slice(row * part.width, (row + 1) * part.width));
      away.set(column.sets[row] as AttributeSet, { start: column.starts[row] as number, time, cells });
      if (this.#isSliceDone(1)) yield undefined;
    }
  }

  /** Series keep their order, so that most of them are found where the one before was. */
  *#placesOf(sets: readonly AttributeSet[], before: readonly AttributeSet[]): Generator<undefined, Places> {
    const known = this.#places.get(sets);
    if (known?.before === before) return known;
    const rows = new Int32Array(sets.length);
    const isThere = new Uint8Array(before.length);
    let found = 0;
    let next = 0;
    for (let index = 0; index < sets.length; index++) {
      const set = sets[index] as AttributeSet;
      const row = before[next] === set ? next : ((yield* this.#indexOf(before)).get(set) ?? -1);
      rows[index] = row;
      if (row >= 0) {
        isThere[row] = 1;
        found++;
        next = row + 1;
      }
      if (this.#isSliceDone(1)) yield undefined;
    }
    const gone: number[] = [];
    if (found < before.length) for (let row = 0; row < before.length; row++) if (isThere[row] === 0) gone.push(row);
    const places = { before, rows, gone };
    this.#places.set(sets, places);
    return places;
  }

  *#indexOf(sets: readonly AttributeSet[]): Generator<undefined, ReadonlyMap<AttributeSet, number>> {
    const known = this.#indexes.get(sets);
    if (known !== undefined) return known;
    const index = new Map<AttributeSet, number>();
    for (const [row, set] of sets.entries()) {
      index.set(set, row);
      if (this.#isSliceDone(1)) yield undefined;
    }
    this.#indexes.set(sets, index);
    return index;
  }

  #isSliceDone(points: number): boolean {
    this.#room -= points;
    if (this.#room > 0) return false;
    this.#room = pointsPerSlice;
    return true;
  }
}
