import { familyOfRank, type FlowFamily, type GroupAttribute, type Grouping, type RankBy } from "../model/config.ts";
import type { SocketBatch } from "../model/socket.ts";
import { tcpInfoIndex, type TcpInfoField } from "../netlink/tcp-info.ts";
import {
  countersOf,
  type FlowCounter,
  type FlowGauge,
  type FlowSeries,
  type GaugeFold,
  gaugesOf,
} from "./flow-columns.ts";
import { createGrouping, type FlowGrouping } from "./flow-group.ts";
import { SeriesTable } from "./series.ts";

export type FlowOptions = {
  readonly groupBy: Grouping | readonly GroupAttribute[];
  /** Groups that have series of their own. */
  readonly maxGroups: number;
  /** What decides which those are. */
  readonly rankBy: RankBy;
  /** Ticks that a group outlives its last flow. */
  readonly seriesTtl: number;
  readonly metrics: readonly FlowFamily[];
};

/** A group in the overflow has no row of its own; a promoted one gets it with its next flow, which knows its attributes. */
export const noRow = -1;
export const promised = -2;

export type Group = {
  readonly key: string;
  /** Of the table, `noRow` or `promised`. */
  row: number;
  /** Flows in it now. */
  live: number;
  /** Tick since which there are none. */
  emptySince: number;
  /** By socket: the slot of the flow that has the series; -1: none. */
  slot: number;
  /** What the group is ranked by: of this tick, and with ever less of the ticks before. */
  activity: number;
  score: number;
  /** Tick in which it got its row, or the promise of one. */
  since: number;
};

export const createGroup = (key: string): Group => ({
  key,
  row: noRow,
  live: 0,
  emptySince: 0,
  slot: -1,
  activity: 0,
  score: 0,
  since: 0,
});

/** No grouping makes it. */
export const overflowKey = "overflow";

/** Destroy events by what they brought. */
export const eventOutcomes = ["merged", "counted", "erased", "undecided", "ignored"] as const;
export type EventOutcome = (typeof eventOutcomes)[number];

/** Everything that is kept of flows from one tick to the next. Slots are flows, rows are series. */
export type Flows = ReturnType<typeof createFlows>;

const fieldIndex = (field: TcpInfoField): number => tcpInfoIndex[field];

/** Whether a dump has shown the flow since the last export. */
export const isUnexported = (flows: Flows, slot: number): boolean => (flows.seen[slot] as number) > flows.settledDump;

/** Guard of a gauge that has none. */
export const noGuard = -1;

const isQueue = ({ from }: FlowGauge): boolean => from === "wqueue" || from === "rqueue";
const orderOfFold: Readonly<Record<GaugeFold, number>> = { sum: 0, mean: 0, min: 1, max: 2 };

/**
 * Gauges in the order in which they are folded: those that are added up, the least, the greatest, and the queues. Each
 * row has two numbers a gauge in `folded`: what it comes to, and of how many samples.
 */
const createGauges = (all: readonly FlowGauge[], table: SeriesTable<FlowSeries>) => {
  const fields = all.filter((gauge) => !isQueue(gauge)).sort((a, b) => orderOfFold[a.fold] - orderOfFold[b.fold]);
  const rows = [...fields, ...all.filter(isQueue)];
  const until = (order: number): number => fields.filter(({ fold }) => orderOfFold[fold] <= order).length;
  return {
    count: rows.length,
    columns: rows.map(({ column }) => column(table)),
    added: until(0),
    least: until(1),
    greatest: fields.length,
    /** 1: the socket's queue of that direction is asked for. */
    queues: fields.length < rows.length,
    source: Uint16Array.from(fields, ({ from }) => (from === "wqueue" || from === "rqueue" ? 0 : fieldIndex(from))),
    /** A field that must be 0 (`unlimited`) or must not be (`sampled`). */
    guard: Int16Array.from(fields, ({ only }) =>
      only === undefined ? noGuard : fieldIndex(only === "unlimited" ? "delivery_rate_app_limited" : "rtt"),
    ),
    guardIsZero: Uint8Array.from(fields, ({ only }) => (only === "unlimited" ? 1 : 0)),
    from: Float64Array.from(fields, ({ least }) => least),
    before: Float64Array.from(fields, ({ limit }) => limit),
    isMean: Uint8Array.from(rows, ({ fold }) => (fold === "mean" ? 1 : 0)),
    scale: Float64Array.from(rows, ({ scale }) => scale),
    folded: new Float64Array(2 * rows.length * 16),
  };
};

const indexesOf = (rows: readonly FlowCounter[], never: boolean): number[] =>
  rows.flatMap(({ wraps }, index) => ((wraps === 0) === never ? [index] : []));

const createCounters = (rows: readonly FlowCounter[], rankBy: RankBy, table: SeriesTable<FlowSeries>) => {
  return {
    count: rows.length,
    columns: rows.map(({ column }) => column(table)),
    field: Uint16Array.from(rows, ({ field }) => fieldIndex(field)),
    wraps: Float64Array.from(rows, ({ wraps }) => wraps),
    scale: Float64Array.from(rows, ({ scale }) => scale),
    /**
     * Counters that tell whether the socket was reset under the same cookie (connect(AF_UNSPEC)): two that never wrap,
     * and one that does, since an idle connection has no bytes that could fall.
     */
    restarts: Uint16Array.from([...indexesOf(rows, true).slice(0, 2), ...indexesOf(rows, false).slice(0, 1)]),
    /** 1: part of what groups are ranked by. */
    ranked: Uint8Array.from(rows, ({ family }) => (family === familyOfRank[rankBy] ? 1 : 0)),
  };
};

/** What tells groups apart, and what is said of them. */
export type FlowShape = {
  readonly grouping: FlowGrouping;
  readonly counters: readonly FlowCounter[];
  readonly gauges: readonly FlowGauge[];
};

/** The shape that `sockets.group_by` and `sockets.metrics` ask for. */
const shapeOf = ({ groupBy, metrics }: FlowOptions, byNetns: boolean): FlowShape => ({
  grouping: createGrouping(groupBy, byNetns),
  counters: countersOf(metrics),
  gauges: gaugesOf(metrics, groupBy === "socket"),
});

export const createFlows = (options: FlowOptions, byNetns = false, shape = shapeOf(options, byNetns)) => {
  const table = new SeriesTable<FlowSeries>();
  const perSocket = options.groupBy === "socket";
  const columns = {
    count: table.column("sockscope.flow.count", {}),
    opened: perSocket ? -1 : table.column("sockscope.flow.opened", {}),
    closed: perSocket ? -1 : table.column("sockscope.flow.closed", {}),
  };
  const counters = createCounters(shape.counters, options.rankBy, table);
  return {
    options,
    perSocket,
    grouping: shape.grouping,
    table,
    columns,
    counters,
    gauges: createGauges(shape.gauges, table),
    /** The arrays of the counters' columns, as of the table's `generation`. */
    hot: { generation: -1, counters: [] as Float64Array[] },
    /** Rows that the flows of this batch were added to; `noRow` where none was. */
    rowOfBatch: new Int32Array(64),
    tick: 0,
    /** Number of this dump: each tick has one, and there are some in between. */
    dump: 0,
    /** The last complete dump of a tick: what was counted since has not been exported. */
    settledDump: 0,
    /** The tick that settles what happens now: this one, and between two ticks the next. */
    nextSettle: 1,
    /** Unix ms of this tick and of the last complete dump before it; 0 before the first. */
    time: 0,
    lastTime: 0,
    /** Destroy events come: a flow that a dump does not show any more may still have counted on. */
    hasEvents: false,
    /** Sockets come without their cookies, so that no event can be told from a flow that a dump has shown. */
    substituted: false,
    events: { merged: 0, counted: 0, erased: 0, undecided: 0, ignored: 0 } as Record<EventOutcome, number>,
    /** Cookies destroyed since this dump began, which it may show all the same; undefined between dumps. */
    destroyed: undefined as Set<number> | undefined,

    slotOfCookie: new Map<number, number>(),
    freeSlots: [] as number[],
    slots: 0,
    /** NaN: a free slot. */
    cookies: new Float64Array(64).fill(Number.NaN),
    rows: new Int32Array(64),
    groupOf: [] as (Group | undefined)[],
    /** The last dump that showed the flow. */
    seen: new Uint32Array(64),
    /** Local port and peer port: other ones under the same cookie are another connection. */
    ports: new Uint32Array(64),
    /** Number of the network namespace. */
    netns: new Uint32Array(64),
    /** 1: counted as open. 0: closed after two absences, kept for the destroy event that is still to come. */
    live: new Uint8Array(64),
    /** Dumps in which an owner that is not known yet is still asked for. */
    recheck: new Uint8Array(64),
    /** Of the slot before, counted from 1: the slot that came next when it was last seen; at 0 the first one's. */
    successors: new Int32Array(65),
    previous: -1,
    last: new Float64Array(64 * Math.max(1, counters.count)),
    /** Slots that are kept for their event, the oldest first, with their cookies. */
    awaiting: [] as { readonly slot: number; readonly cookie: number }[],

    groups: new Map<string, Group>(),
    /** What has no group of its own. Its `live` counts all flows without a row of their own. */
    overflow: createGroup(overflowKey),
    /** Rows of groups of their own: held, promised and leaving. */
    ownRows: 0,
    /** Of those, the promised ones, after the ranking of a tick. */
    promises: 0,
    /** Rows of groups that lost them in the last tick: exported once more, then ended. */
    leaving: [] as number[],
    /** Tick since which there are groups without a row; 0: there are none. */
    rankedSince: 0,
    /** Groups without a row and without a live flow, since the last tick. */
    transient: 0,
    /** Cookies that no decision was made about in the first dump: how far they had come then is not known. */
    undecidedAtStart: new Set<number>(),
    /** New flows whose owner is being looked for; folded once that is over. Undefined: nothing waits. */
    waiting: undefined as SocketBatch[] | undefined,
  };
};

const grow = <A extends Float64Array | Int32Array | Uint32Array | Uint8Array>(
  old: ArrayLike<number> & { readonly length: number },
  make: (length: number) => A,
): A => {
  const grown = make(old.length * 2);
  grown.set(old);
  return grown;
};

/** Twice the room for slots. */
export const growSlots = (flows: Flows): void => {
  flows.cookies = grow(flows.cookies, (length) => new Float64Array(length).fill(Number.NaN));
  flows.rows = grow(flows.rows, (length) => new Int32Array(length));
  flows.seen = grow(flows.seen, (length) => new Uint32Array(length));
  flows.ports = grow(flows.ports, (length) => new Uint32Array(length));
  flows.netns = grow(flows.netns, (length) => new Uint32Array(length));
  flows.live = grow(flows.live, (length) => new Uint8Array(length));
  flows.recheck = grow(flows.recheck, (length) => new Uint8Array(length));
  flows.last = grow(flows.last, (length) => new Float64Array(length));
  flows.successors = grow(flows.successors, (length) => new Int32Array(length));
};

/** Room for what a row's gauges are folded into. */
export const growFolded = ({ gauges }: Flows, row: number): void => {
  while ((row + 1) * 2 * gauges.count > gauges.folded.length)
    gauges.folded = grow(gauges.folded, (length) => new Float64Array(length));
};
