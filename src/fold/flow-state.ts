import type { Grouping } from "../model/config.ts";
import { flowCounters, flowGauges } from "./flow-columns.ts";
import { SeriesTable } from "./series.ts";

/** Counters that are kept a flow. */
export const counters = flowCounters.length;

export type FlowOptions = {
  readonly groupBy: Grouping;
  /** Groups that have series of their own. */
  readonly maxGroups: number;
  /** Ticks that a group outlives its last flow. */
  readonly seriesTtl: number;
};

/** Everything that is kept of flows from one tick to the next. Slots are flows, rows are groups. */
export type Flows = ReturnType<typeof createFlows>;

export const createFlows = (options: FlowOptions) => {
  const table = new SeriesTable<"group">();
  const perSocket = options.groupBy === "socket";
  return {
    options,
    perSocket,
    table,
    columns: {
      count: table.column("sockscope.flow.count", {}),
      opened: perSocket ? -1 : table.column("sockscope.flow.opened", {}),
      closed: perSocket ? -1 : table.column("sockscope.flow.closed", {}),
      counters: flowCounters.map(({ column }) => column(table)),
    },
    gauges: flowGauges.flatMap(({ fold, column, onlyInGroups }, sample) =>
      perSocket && onlyInGroups === true ? [] : [{ fold, sample, column: column(table), samples: new Uint32Array(16) }],
    ),
    sample: new Float64Array(flowGauges.length),
    /** The arrays of the counter and the gauge columns, as of the table's `generation`. */
    hot: { generation: -1, counters: [] as Float64Array[], gauges: [] as Float64Array[] },
    tick: 0,
    /** Unix ms of this tick and of the last complete dump before it; 0 before the first. */
    time: 0,
    lastTime: 0,
    slotOfCookie: new Map<number, number>(),
    freeSlots: [] as number[],
    slots: 0,
    cookies: new Float64Array(64),
    rows: new Int32Array(64),
    seen: new Uint32Array(64),
    /** Of the slot before, counted from 1: the slot that came next when it was last seen; at 0 the first one's. */
    successors: new Int32Array(65),
    previous: -1,
    last: new Float64Array(64 * counters),
    rowOfKey: new Map<string, number>(),
    groups: new Map<number, { readonly key: string; live: number; emptySince: number; slot: number }>(),
  };
};

/** Twice the room for slots. */
export const growSlots = (flows: Flows): void => {
  const grow = <A extends Float64Array | Int32Array | Uint32Array>(old: A, make: (length: number) => A): A => {
    const grown = make(old.length * 2);
    grown.set(old);
    return grown;
  };
  flows.cookies = grow(flows.cookies, (length) => new Float64Array(length));
  flows.rows = grow(flows.rows, (length) => new Int32Array(length));
  flows.seen = grow(flows.seen, (length) => new Uint32Array(length));
  flows.last = grow(flows.last, (length) => new Float64Array(length));
  flows.successors = grow(flows.successors, (length) => new Int32Array(length));
};
