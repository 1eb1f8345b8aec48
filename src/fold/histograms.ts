import { descriptorOf, type ProducerMetric } from "../metrics/catalogue.ts";
import { type AttributeSet, type HistogramColumn, type MetricColumns, noAttributes } from "../model/columns.ts";
import { pointsOfSlice } from "./series.ts";

/** The bucket that a value falls into; `bounds` are upper bounds, inclusive and ascending. */
export const bucketOf = (bounds: readonly number[], value: number): number => {
  let low = 0;
  let high = bounds.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value <= (bounds[middle] as number)) high = middle;
    else low = middle + 1;
  }
  return low;
};

const grown = (values: Float64Array): Float64Array<ArrayBuffer> => {
  const next = new Float64Array(values.length * 2);
  next.set(values);
  return next;
};

/** Cumulative distributions of one metric: a row is a series, as in a `SeriesTable`, and is present from its `add` on. */
export class HistogramTable {
  readonly #metric: ProducerMetric;
  readonly #bounds: readonly number[];
  readonly #sets: (AttributeSet | undefined)[] = [];
  readonly #free: number[] = [];
  /** Rows that the last collection had a point of. */
  readonly #present = new Set<number>();
  #starts = new Float64Array(16);
  #sums = new Float64Array(16);
  /** `bounds.length + 1` a row. */
  #counts: Float64Array;
  #ending: number[] = [];

  /** `bounds` are in the metric's unit, ascending, without +Inf. */
  constructor(metric: ProducerMetric, bounds: readonly number[]) {
    this.#metric = metric;
    this.#bounds = bounds;
    this.#counts = new Float64Array(16 * (bounds.length + 1));
  }

  /** A new series without a sample; `start` is Unix ms. */
  add(set: AttributeSet, start: number): number {
    const row = this.#free.pop() ?? this.#sets.length;
    if (row >= this.#starts.length) {
      this.#starts = grown(this.#starts);
      this.#sums = grown(this.#sums);
      this.#counts = grown(this.#counts);
    }
    this.#sets[row] = set;
    this.#starts[row] = start;
    return row;
  }

  record(row: number, value: number): void {
    const at = row * (this.#bounds.length + 1) + bucketOf(this.#bounds, value);
    this.#counts[at] = (this.#counts[at] as number) + 1;
    this.#sums[row] = (this.#sums[row] as number) + value;
  }

  /** Ends the series with the next collection. */
  remove(row: number): void {
    this.#ending.push(row);
  }

  /** The metric of this tick, or nothing; yields the number of points after each slice. With `absent`, see `SeriesTable`. */
  *collect(absent = false): Generator<number, MetricColumns[]> {
    const ending = this.#ending;
    this.#ending = [];
    const out = absent ? [...this.#sets.keys()] : ending;
    const gone = out.filter((row) => this.#present.delete(row));
    const live = yield* this.#gather(new Set(out));
    const ended = {
      own: noAttributes,
      sets: gone.map((row) => this.#sets[row] as AttributeSet),
      starts: Float64Array.from(gone, (row) => this.#starts[row] as number),
    };
    for (const row of ending) this.#release(row);
    if (live.sets.length === 0 && gone.length === 0) return [];
    return [
      {
        descriptor: descriptorOf(this.#metric),
        numbers: [],
        histograms: live.sets.length === 0 ? [] : [live],
        ended: gone.length === 0 ? [] : [ended],
      },
    ];
  }

  *#gather(excluded: ReadonlySet<number>): Generator<number, HistogramColumn> {
    const length = this.#sets.length;
    const buckets = this.#bounds.length + 1;
    const sets: AttributeSet[] = [];
    const starts = new Float64Array(length);
    const sums = new Float64Array(length);
    const counts = new Float64Array(length * buckets);
    for (let row = 0; row < length; row++) {
      if (row % pointsOfSlice === pointsOfSlice - 1) yield pointsOfSlice;
      const set = this.#sets[row];
      if (set === undefined || excluded.has(row)) continue;
      const at = sets.push(set) - 1;
      starts[at] = this.#starts[row] as number;
      sums[at] = this.#sums[row] as number;
      counts.set(this.#counts.subarray(row * buckets, (row + 1) * buckets), at * buckets);
      this.#present.add(row);
    }
    const kept = sets.length;
    return {
      own: noAttributes,
      sets,
      starts: starts.subarray(0, kept),
      bounds: this.#bounds,
      counts: counts.subarray(0, kept * buckets),
      sums: sums.subarray(0, kept),
    };
  }

  #release(row: number): void {
    const buckets = this.#bounds.length + 1;
    this.#sets[row] = undefined;
    this.#sums[row] = 0;
    this.#counts.fill(0, row * buckets, (row + 1) * buckets);
    this.#free.push(row);
  }
}
