import { describe, expect, test } from "vitest";
import { defaults } from "../../src/config/defaults.ts";
import { foldEvent } from "../../src/fold/flow-events.ts";
import { createFlows, type FlowOptions } from "../../src/fold/flow-state.ts";
import { beginFlows, beginResync, collectFlows, endResync, settleFlows } from "../../src/fold/flows.ts";
import type { MetricColumns } from "../../src/model/columns.ts";
import { TCP_CLOSE } from "../../src/netlink/constants.ts";
import { foldFlows, noOwnerFacts } from "../kit/flow-facts.ts";
import { drain, endedOf, valuesOf } from "../kit/points.ts";
import { createReceiver, direction } from "../kit/receiver.ts";
import { batchOf, type SocketRow } from "../kit/sockets.ts";

/** A fold that hears events; tick n happens at n * 1000 ms, and other dumps in between. */
const createFold = (options: Partial<FlowOptions> = {}) => {
  const flows = createFlows({ ...defaults.sockets, groupBy: "host", seriesTtl: 3, ...options });
  flows.hasEvents = true;
  const receiver = createReceiver();
  let ticks = 0;
  const event = (row: SocketRow): void =>
    foldEvent(flows, batchOf([{ ...row, state: TCP_CLOSE, inode: 0 }]), 0, noOwnerFacts);
  return {
    flows,
    event,
    tick(rows: readonly SocketRow[]): MetricColumns[] {
      beginFlows(flows, ++ticks * 1000);
      foldFlows(flows, batchOf(rows));
      drain(settleFlows(flows));
      const columns = drain(collectFlows(flows, false)).value;
      receiver.receive(columns);
      return columns;
    },
    /** `meanwhile`: events that come before the dump shows its rows. */
    resync(rows: readonly SocketRow[], meanwhile: readonly SocketRow[] = []): void {
      beginResync(flows);
      for (const row of meanwhile) event(row);
      foldFlows(flows, batchOf(rows));
      endResync(flows);
    },
    counted: () => ({
      sent: receiver.sum("sockscope.flow.io", direction("transmit")),
      opened: receiver.sum("sockscope.flow.opened"),
      closed: receiver.sum("sockscope.flow.closed"),
      count: receiver.now("sockscope.flow.count"),
    }),
  };
};

const client = (cookie: number, bytes: number, more: Partial<SocketRow> = {}): SocketRow => ({
  cookie,
  local: "10.0.0.1",
  localPort: 40_000 + cookie,
  peer: "10.0.0.9",
  peerPort: 443,
  info: { bytes_acked: bytes, min_rtt: 50, rtt: 100 * bytes },
  ...more,
});

const only = (columns: readonly MetricColumns[], metric: string): number | undefined =>
  Object.values(valuesOf(columns, metric))[0];

describe.each(["host", "endpoint", "socket"] as const)("by %s, a dump between two ticks", (groupBy) => {
  test("counts what flows have gained that are gone by the next one", () => {
    const fold = createFold({ groupBy });
    fold.tick([]);
    fold.tick([client(1, 100)]);
    fold.resync([client(1, 150), client(2, 30)]);
    for (let tick = 0; tick < 3; tick++) fold.tick([]);
    expect(fold.counted()).toMatchObject({ sent: 180, count: 0 });
    if (groupBy !== "socket") expect(fold.counted()).toMatchObject({ opened: 2, closed: 2 });
  });

  test("counts nothing twice of flows that the next one shows, or of which an event tells", () => {
    const fold = createFold({ groupBy });
    fold.tick([]);
    fold.tick([client(1, 100), client(2, 10)]);
    for (const more of [1, 2, 2, 3]) fold.resync([client(1, 100 + more), client(2, 10 + more), client(3, more)]);
    fold.event(client(2, 15));
    fold.event(client(3, 5));
    expect(fold.flows.events).toMatchObject({ merged: 2, counted: 0 });
    fold.tick([client(1, 104)]);
    expect(fold.counted()).toMatchObject({ sent: 104 + 15 + 5, count: 1 });
  });

  test("does not open what an event has told the end of since it began", () => {
    const fold = createFold({ groupBy });
    fold.tick([]);
    fold.resync([client(1, 7)], [client(1, 7)]);
    expect(fold.flows.events).toMatchObject({ counted: 1 });
    fold.tick([]);
    expect(fold.counted()).toMatchObject({ sent: 7, count: 0 });
  });
});

test("what it does not show is not absent, and what it shows is not absent any more", () => {
  const fold = createFold();
  const shown = [client(1, 10)];
  const counts = [
    { tick: shown, resync: [] },
    { tick: [], resync: [] },
    { tick: shown, resync: [] },
    { tick: [], resync: shown },
    { tick: [], resync: [] },
    { tick: [], resync: [] },
  ].map(({ tick, resync }) => {
    const count = only(fold.tick(tick), "sockscope.flow.count");
    fold.resync(resync);
    return count;
  });
  expect(counts).toEqual([1, 1, 1, 1, 1, 0]);
  expect(fold.counted()).toMatchObject({ closed: 1 });
});

test("gauges are those of the tick alone", () => {
  const fold = createFold();
  fold.tick([client(1, 1)]);
  fold.resync([client(1, 50), client(2, 90)]);
  const columns = fold.tick([client(1, 50), client(2, 150)]);
  expect(only(columns, "sockscope.flow.rtt")).toBeCloseTo(0.01);
  expect(only(columns, "sockscope.flow.rtt.max")).toBeCloseTo(0.015);
});

test("a group without flows ends as many ticks later as ever", () => {
  const endings = [0, 3].map((dumps) => {
    const fold = createFold({ groupBy: "endpoint", seriesTtl: 3 });
    fold.tick([client(1, 10)]);
    return Array.from({ length: 8 }, () => {
      for (let dump = 0; dump < dumps; dump++) fold.resync([]);
      return endedOf(fold.tick([])).length > 0;
    }).indexOf(true);
  });
  expect(endings[1]).toBe(endings[0]);
});

describe("by socket, what was counted since the last export is not taken back", () => {
  test("when the addresses and ports have a new cookie by then", () => {
    const fold = createFold({ groupBy: "socket" });
    fold.tick([]);
    fold.tick([client(1, 100)]);
    fold.resync([client(1, 150)]);
    const next = client(2, 20, { localPort: 40_001 });
    for (let tick = 0; tick < 3; tick++) fold.tick([next]);
    expect(fold.counted()).toMatchObject({ sent: 170, count: 1 });
  });

  test("when the socket has been connected elsewhere by then", () => {
    const fold = createFold({ groupBy: "socket" });
    fold.tick([]);
    fold.tick([client(1, 100)]);
    fold.resync([client(1, 150)]);
    for (let tick = 0; tick < 3; tick++) fold.tick([client(1, 20, { peerPort: 444 })]);
    expect(fold.counted()).toMatchObject({ sent: 170, count: 1 });
  });

  test("when the socket counts anew by then", () => {
    const fold = createFold({ groupBy: "socket" });
    fold.tick([]);
    fold.tick([client(1, 100)]);
    fold.resync([client(1, 150)]);
    for (let tick = 0; tick < 3; tick++) fold.tick([client(1, 20)]);
    expect(fold.counted()).toMatchObject({ sent: 170, count: 1 });
  });
});
