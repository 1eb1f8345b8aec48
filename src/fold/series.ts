import {
  descriptorOf,
  type OwnAttributes,
  type ProducerMetric,
  type ProducerMetricOf,
  type SeriesKind,
} from "../metrics/catalogue.ts";
import {
  attributeSet,
  type AttributeSet,
  type EndedColumn,
  type MetricColumns,
  type NumberColumn,
} from "../model/columns.ts";

/** Points that are handled between two yields, so that whoever drives a collection can keep its slices below 10,000. */
export const pointsOfSlice = 2_000;

type Column = {
  readonly own: AttributeSet;
  /** One value a row; NaN: absent. */
  values: Float64Array;
  /** 1 where the last collection had a point. */
  present: Uint8Array;
};

type Rows = {
  readonly index: readonly number[];
  readonly sets: readonly AttributeSet[];
  readonly starts: Float64Array;
};

/** Adds to a row of a column's values; the first value of an absent one is its sum. */
export const addTo = (values: Float64Array, row: number, value: number): void => {
  const sum = values[row] as number;
  values[row] = Number.isNaN(sum) ? value : sum + value;
};

/**
 * Series of one kind: a row is a series, a column is a metric with its own attributes. Each collection makes immutable
 * columns of what is present, and ends what was present at the last collection and no longer is.
 */
export class SeriesTable<S extends SeriesKind> {
  readonly #columns: Column[] = [];
  readonly #metrics = new Map<ProducerMetric, number[]>();
  readonly #columnOf = new Map<string, number>();
  readonly #sets: (AttributeSet | undefined)[] = [];
  readonly #free: number[] = [];
  #starts = new Float64Array(16);
  #ending: number[] = [];
  /** Those of the last collection, as long as they are the same. */
  #rows: Rows | undefined;
  /** Changes whenever arrays that `values` gave are no longer the table's. */
  generation = 0;

  /** Number of the column of a metric with its own attributes; made on first use, all absent. */
  column<M extends ProducerMetricOf<S>>(metric: M, own: OwnAttributes<M>): number {
    const key = `${metric} ${JSON.stringify(own)}`;
    let column = this.#columnOf.get(key);
    if (column === undefined) {
      const capacity = this.#starts.length;
      column = this.#columns.length;
      this.#columns.push({
        own: attributeSet(own),
        values: new Float64Array(capacity).fill(Number.NaN),
        present: new Uint8Array(capacity),
      });
      this.#columnOf.set(key, column);
      this.#metrics.set(metric, [...(this.#metrics.get(metric) ?? []), column]);
    }
    return column;
  }

  /** The values of a column by row. Valid until the next `add`, which may move them. */
  values(column: number): Float64Array {
    return (this.#columns[column] as Column).values;
  }

  /** A new series, all absent; `start` is Unix ms, 0 where it is not known. */
  add(set: AttributeSet, start: number): number {
    const row = this.#free.pop() ?? this.#sets.length;
    if (row >= this.#starts.length) this.#grow();
    this.#sets[row] = set;
    this.#starts[row] = start;
    this.#rows = undefined;
    return row;
  }

  /** The series counts from 0 again from `start` on. */
  restart(row: number, start: number): void {
    this.#starts[row] = start;
    this.#rows = undefined;
  }

  /** Ends the series with the next collection. */
  remove(row: number): void {
    this.#ending.push(row);
  }

  #grow(): void {
    this.generation++;
    const capacity = this.#starts.length * 2;
    const starts = new Float64Array(capacity);
    starts.set(this.#starts);
    this.#starts = starts;
    for (const column of this.#columns) {
      const values = new Float64Array(capacity).fill(Number.NaN);
      values.set(column.values);
      column.values = values;
      const present = new Uint8Array(capacity);
      present.set(column.present);
      column.present = present;
    }
  }

  /**
   * The metrics of this tick; yields the number of points after each slice. With `absent` nothing was read in this
   * tick: what was present is ended, and comes back with its old start when it is read again.
   */
  *collect(absent = false): Generator<number, MetricColumns[]> {
    const ending = this.#ending;
    this.#ending = [];
    const out = absent ? [...this.#sets.keys()] : ending;
    if (out.length > 0) this.#rows = undefined;
    const rows = this.#rows ?? (yield* this.#rowsBut(new Set(out)));
    this.#rows = absent ? undefined : rows;
    const metrics: MetricColumns[] = [];
    for (const [metric, columns] of this.#metrics) {
      const numbers: NumberColumn[] = [];
      const ended: EndedColumn[] = [];
      for (const number of columns) {
        const column = this.#columns[number] as Column;
        const gone = out.filter((row) => column.present[row] === 1);
        for (const row of gone) column.present[row] = 0;
        const live = yield* this.#gather(column, rows, gone);
        if (live.sets.length > 0) numbers.push(live);
        if (gone.length > 0) ended.push(this.#endedColumn(column, gone));
      }
      if (numbers.length > 0 || ended.length > 0) {
        metrics.push({ descriptor: descriptorOf(metric), numbers, histograms: [], ended });
      }
    }
    for (const row of ending) this.#release(row);
    return metrics;
  }

  *#rowsBut(excluded: ReadonlySet<number>): Generator<number, Rows> {
    const index: number[] = [];
    const sets: AttributeSet[] = [];
    const starts = new Float64Array(this.#sets.length);
    for (const [row, set] of this.#sets.entries()) {
      if (row % pointsOfSlice === pointsOfSlice - 1) yield pointsOfSlice;
      if (set === undefined || excluded.has(row)) continue;
      starts[index.length] = this.#starts[row] as number;
      index.push(row);
      sets.push(set);
    }
    return { index, sets, starts: starts.subarray(0, index.length) };
  }

  /** The column's present values; rows that became absent go to `gone`. While all rows are present, their arrays are shared. */
  *#gather(column: Column, rows: Rows, gone: number[]): Generator<number, NumberColumn> {
    const length = rows.index.length;
    const values = new Float64Array(length);
    let sets: AttributeSet[] | undefined;
    let starts = rows.starts;
    let kept = 0;
    for (let from = 0; from < length; from += pointsOfSlice) {
      const to = Math.min(from + pointsOfSlice, length);
      for (let at = from; at < to; at++) {
        const row = rows.index[at] as number;
        const value = column.values[row] as number;
        if (Number.isNaN(value)) {
          if (sets === undefined) {
            sets = rows.sets.slice(0, at);
            starts = rows.starts.slice();
          }
          if (column.present[row] === 1) gone.push(row);
          column.present[row] = 0;
          continue;
        }
        if (sets !== undefined) {
          sets.push(rows.sets[at] as AttributeSet);
          starts[kept] = rows.starts[at] as number;
        }
        values[kept++] = value;
        column.present[row] = 1;
      }
      yield to - from;
    }
    if (sets === undefined) return { own: column.own, sets: rows.sets, starts, values };
    return { own: column.own, sets, starts: starts.subarray(0, kept), values: values.subarray(0, kept) };
  }

  #endedColumn(column: Column, rows: readonly number[]): EndedColumn {
    return {
      own: column.own,
      sets: rows.map((row) => this.#sets[row] as AttributeSet),
      starts: Float64Array.from(rows, (row) => this.#starts[row] as number),
    };
  }

  #release(row: number): void {
    this.#sets[row] = undefined;
    for (const column of this.#columns) column.values[row] = Number.NaN;
    this.#free.push(row);
  }
}
