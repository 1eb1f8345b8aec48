import { describe, expect, test } from "vitest";
import { createSocketFold, foldBatch, restartFold } from "../../src/collect/socket-fold.ts";
import { defaults } from "../../src/config/defaults.ts";
import { beginBound, collectBound, settleBound } from "../../src/fold/bound.ts";
import { foldEvent } from "../../src/fold/flow-events.ts";
import { beginFlows, collectFlows, settleFlows } from "../../src/fold/flows.ts";
import { beginNetnsStates, collectNetnsStates, settleNetnsStates } from "../../src/fold/netns-states.ts";
import type { SocketsConfig } from "../../src/model/config.ts";
import { cookiesOfNetns, unknownNetns } from "../../src/model/socket.ts";
import { TCP_CLOSE, TCP_LISTEN } from "../../src/netlink/constants.ts";
import { allSockets } from "../kit/all-sockets.ts";
import { drain, endedOf, pointsOf, valuesOf } from "../kit/points.ts";
import { batchOf, type SocketRow } from "../kit/sockets.ts";

/** Sockets of several network namespaces; a dump is a list of rows for each number. */
const createTest = (groupBy: SocketsConfig["groupBy"] = "endpoint") => {
  const names = new Map([
    [0, "host"],
    [1, "blue"],
    [2, "red"],
  ]);
  const unread = new Set<number>();
  const unmet = new Set<number>();
  const netns = {
    several: true,
    nameOf: (number: number) => names.get(number),
    isUnmet: (number: number) => unmet.has(number),
    unread,
    all: () => [...names.keys()],
    sockstat: (number: number) => new Map([["TCP", new Map([["tw", number * 10]])]]),
  };
  const fold = createSocketFold({
    ...allSockets,
    netns,
    config: { ...defaults.sockets, groupBy, metrics: ["io"], seriesTtl: 1 },
    ephemeral: [32_768, 60_999],
    owners: undefined,
  });
  const states = fold.netnsStates;
  if (states === undefined) throw new Error("states are not counted by namespace");
  const rowsOf = (number: number, rows: readonly SocketRow[]) => {
    const batch = batchOf(rows);
    batch.netns.fill(number);
    return batch;
  };
  let time = 0;
  return {
    names,
    unread,
    unmet,
    fold,
    rowsOf,
    event: (number: number, row: SocketRow) =>
      foldEvent(fold.flows, rowsOf(number, [{ ...row, state: TCP_CLOSE }]), 0, fold.facts),
    dump: (dumps: Readonly<Record<number, readonly SocketRow[]>>, during = () => undefined as void) => {
      beginFlows(fold.flows, (time += 1000));
      beginBound(fold.listeners, time);
      beginNetnsStates(states);
      for (const [number, rows] of Object.entries(dumps)) foldBatch(fold, rowsOf(Number(number), rows));
      during();
      drain(settleFlows(fold.flows, unread));
      settleBound(fold.listeners);
      settleNetnsStates(states, time);
      fold.listening.nextDump();
      const columns = [
        ...drain(collectFlows(fold.flows, false)).value,
        ...drain(collectBound(fold.listeners, false)).value,
        ...drain(collectNetnsStates(states, false)).value,
      ];
      const sent = pointsOf(columns).filter(
        ({ metric, attributes }) => metric === "sockscope.flow.io" && attributes["network.io.direction"] === "transmit",
      );
      return {
        columns,
        ended: endedOf(columns).map(({ metric, attributes }) => `${metric} ${String(attributes["sockscope.netns"])}`),
        flows: valuesOf(columns, "sockscope.flow.count"),
        opened: valuesOf(columns, "sockscope.flow.opened"),
        sent: Object.fromEntries(sent.map(({ attributes, value }) => [String(attributes["sockscope.netns"]), value])),
        starts: Object.fromEntries(sent.map(({ attributes, start }) => [String(attributes["sockscope.netns"]), start])),
        drops: valuesOf(columns, "sockscope.listener.drops"),
        states: valuesOf(columns, "system.network.connection.count"),
      };
    },
  };
};

const client = (cookie: number, bytes = 0): SocketRow => ({ cookie, info: { bytes_acked: bytes, min_rtt: 10 } });
const listener = (cookie: number, drops = 0): SocketRow => ({
  cookie,
  state: TCP_LISTEN,
  local: "0.0.0.0",
  localPort: 80,
  drops,
});

describe("several network namespaces", () => {
  test("equal addresses are series of their own, in every preset", () => {
    for (const groupBy of ["socket", "process", "endpoint", "container", "host"] as const) {
      const { flows } = createTest(groupBy).dump({ 0: [client(1)], 1: [client(2)], 2: [client(3)] });
      expect(Object.values(flows), groupBy).toEqual([1, 1, 1]);
    }
  });

  test("a list says itself whether they are told apart", () => {
    const dump = { 0: [client(1)], 1: [client(2)] };
    expect(createTest(["network.peer.port"]).dump(dump).flows).toEqual({ 443: 2 });
    expect(createTest(["sockscope.netns"]).dump(dump).flows).toEqual({ host: 1, blue: 1 });
  });

  test("a listener's connections are those of its own namespace", () => {
    const served: SocketRow = { cookie: 2, localPort: 80, peerPort: 50_000 };
    const { flows, drops } = createTest().dump({
      0: [listener(1)],
      1: [listener(4), { ...served, cookie: 3 }],
      2: [served],
    });
    expect(flows).toEqual({ "80 tcp server blue": 1, "tcp unknown red": 1 });
    expect(Object.keys(drops)).toEqual(["0.0.0.0 80 tcp ipv4 host", "0.0.0.0 80 tcp ipv4 blue"]);
  });

  test("flows of one that could not be read are not absent, and count on", () => {
    const { dump, unread } = createTest("host");
    dump({ 0: [client(1)], 1: [client(2, 10)] });
    unread.add(1);
    for (let tick = 0; tick < 5; tick++) expect(dump({ 0: [client(1)] }).flows).toMatchObject({ "tcp blue": 1 });
    unread.clear();
    const { sent, opened } = dump({ 0: [client(1)], 1: [client(2, 25)] });
    expect([sent["blue"], opened["tcp blue"]]).toEqual([15, 0]);
    dump({ 0: [client(1)] });
    expect(dump({ 0: [client(1)] }).flows["tcp blue"]).toBe(0);
  });

  test("nor are its listeners", () => {
    const { dump, unread } = createTest();
    dump({ 1: [listener(1, 3)] });
    unread.add(1);
    for (let tick = 0; tick < 5; tick++) dump({});
    unread.clear();
    expect(dump({ 1: [listener(1, 5)] }).drops).toEqual({ "0.0.0.0 80 tcp ipv4 blue": 2 });
  });

  test("of one that is as old as the agent and met later, the past is not counted", () => {
    const { dump, event, unmet } = createTest("host");
    dump({ 0: [client(1)] });
    unmet.add(1);
    event(1, client(9, 1000));
    const { sent, opened, drops } = dump({ 0: [client(1)], 1: [client(2, 500), listener(3, 7)], 2: [client(4, 50)] });
    expect(sent).toEqual({ host: 0, blue: 0, red: 50 });
    expect(opened).toMatchObject({ "tcp blue": 0, "tcp red": 1 });
    expect(drops).toEqual({ "0.0.0.0 80 tcp ipv4 blue": 0 });
    unmet.clear();
    event(1, client(2, 600));
    event(1, client(5, 30));
    expect(dump({ 0: [client(1)] }).sent["blue"]).toBe(130);
  });

  test("by socket it has the kernel's own values, of no known start", () => {
    const { dump, unmet } = createTest("socket");
    dump({ 0: [client(1)] });
    unmet.add(1);
    const { sent, starts } = dump({ 0: [client(1)], 1: [client(2, 500)], 2: [client(3, 50)] });
    expect([sent["blue"], starts["blue"], sent["red"], starts["red"]]).toEqual([500, 0, 50, 1000]);
  });

  test("what comes of one that is not known has no name", () => {
    const { dump, event } = createTest("host");
    dump({ 0: [client(1)] });
    event(unknownNetns, client(2, 40));
    expect(dump({ 0: [client(1)] }).sent).toEqual({ host: 0, undefined: 40 });
  });

  test("states are those of each; one that goes ends, one that could not be read is absent", () => {
    const { dump, names, unread } = createTest();
    const { states } = dump({ 0: [client(1), listener(2)], 1: [client(3)] });
    expect(states).toMatchObject({
      "established tcp ipv4 host": 1,
      "listen tcp ipv4 host": 1,
      "established tcp ipv4 blue": 1,
      "established tcp ipv6 blue": 0,
      "established tcp ipv4 red": 0,
      "time_wait tcp red": 20,
    });
    names.delete(2);
    unread.add(1);
    const next = dump({ 0: [client(1)] });
    expect(Object.keys(next.states).filter((name) => name.startsWith("established tcp ipv4"))).toEqual([
      "established tcp ipv4 host",
    ]);
    const ended = next.ended.filter((name) => name.startsWith("system.network.connection.count"));
    expect(new Set(ended)).toEqual(
      new Set(["system.network.connection.count red", "system.network.connection.count blue"]),
    );
  });

  test("one that has the name of another that is gone goes on with its series", () => {
    const { dump, names } = createTest();
    dump({ 1: [client(1)] });
    names.delete(1);
    names.set(3, "blue");
    const { states, ended } = dump({ 3: [client(2), client(3)] });
    expect(states["established tcp ipv4 blue"]).toBe(2);
    expect(ended).toEqual([]);
  });

  test("a dump that comes once more counts the sockets of its namespace once", () => {
    const { dump, fold, rowsOf } = createTest();
    const { states, flows } = dump({ 0: [client(1)], 1: [client(2), client(3)] }, () => {
      restartFold(fold, "tcp", 1);
      foldBatch(fold, rowsOf(1, [client(2), client(3)]));
    });
    expect(states).toMatchObject({ "established tcp ipv4 host": 1, "established tcp ipv4 blue": 2 });
    expect(flows["127.0.0.1 443 tcp client blue"]).toBe(2);
  });
});

test("where each namespace has cookies of its own, equal ones are two sockets, and shown as they are", () => {
  const { dump } = createTest(["sockscope.socket.cookie", "sockscope.netns"]);
  const { flows } = dump({ 1: [client(cookiesOfNetns(1) + 5)], 2: [client(cookiesOfNetns(2) + 5)] });
  expect(flows).toEqual({ "blue 5": 1, "red 5": 1 });
});
