import { expect, test } from "vitest";
import { createSocketFold, foldBatch, foldWaiting } from "../../src/collect/socket-fold.ts";
import { defaults } from "../../src/config/defaults.ts";
import { foldEvent } from "../../src/fold/flow-events.ts";
import { beginFlows, collectFlows, letWait, settleFlows, takeWaiting } from "../../src/fold/flows.ts";
import { resetStates } from "../../src/fold/states.ts";
import { parseNetwork } from "../../src/model/address.ts";
import type { SelectConfig, SocketsConfig } from "../../src/model/config.ts";
import type { ProcessInfo } from "../../src/model/owner.ts";
import { noNetnsFacts } from "../../src/model/sources.ts";
import { TCP_CLOSE, TCP_LISTEN, TCP_SYN_SENT } from "../../src/netlink/constants.ts";
import { createSelector } from "../../src/select/select.ts";
import { drain, pointsOf } from "../kit/points.ts";
import { batchOf, type SocketRow } from "../kit/sockets.ts";

const network = (address: string, prefix: number) => {
  const parsed = parseNetwork(address, prefix);
  if (parsed === undefined) throw new Error(`${address}/${prefix} is no network`);
  return parsed;
};

const createTest = (select: SelectConfig, groupBy: SocketsConfig["groupBy"] = ["network.peer.address"]) => {
  const processes = new Map<number, ProcessInfo>();
  const fold = createSocketFold({
    config: { ...defaults.sockets, groupBy, select },
    ephemeral: [32_768, 60_999],
    owners: {
      wanted: { process: true, cgroup: true },
      process: (inode) => processes.get(inode),
      cgroup: () => undefined,
    },
    selector: createSelector(select),
    netns: noNetnsFacts,
    networks: [
      { name: "office", networks: [network("10.0.0.0", 8)] },
      { name: "lab", networks: [network("10.9.0.0", 16), network("2001:db8::", 32)] },
    ],
  });
  let tick = 0;
  return {
    fold,
    hold: (inode: number, executable: string) =>
      processes.set(inode, { pid: inode, executable, argv: [], cgroup: undefined }),
    event: (row: SocketRow) => {
      foldEvent(fold.flows, batchOf([{ ...row, state: TCP_CLOSE }]), 0, fold.facts);
      return { ...fold.flows.events };
    },
    dump: (rows: readonly SocketRow[]) => {
      resetStates(fold.states);
      beginFlows(fold.flows, ++tick * 1000);
      letWait(fold.flows);
      foldBatch(fold, batchOf(rows));
      for (const batch of takeWaiting(fold.flows)) foldWaiting(fold, batch);
      drain(settleFlows(fold.flows));
      fold.listening.nextDump();
      const points = pointsOf(drain(collectFlows(fold.flows, false)).value);
      const sent = points
        .filter(
          ({ metric, attributes }) =>
            metric === "sockscope.flow.io" && attributes["network.io.direction"] === "transmit",
        )
        .map(({ attributes, value }) => [
          attributes["network.peer.address"] ?? attributes["sockscope.peer.network"] ?? "none",
          value,
        ]);
      return { sent: Object.fromEntries(sent) as Record<string, number>, states: fold.states };
    },
  };
};

const flow = (cookie: number, peer: string, bytes: number, more: Partial<SocketRow> = {}): SocketRow => ({
  cookie,
  localPort: 40_000 + cookie,
  peer,
  peerPort: 443,
  inode: cookie,
  info: { bytes_acked: bytes, min_rtt: 10 },
  ...more,
});

const include = (entry: Partial<SelectConfig["include"][number]>): SelectConfig => ({
  include: [{ side: "any", ...entry }],
  exclude: [],
});

test("sockets that are not selected have no flow, no listener, and no place among the states", () => {
  const { dump, fold } = createTest(include({ networks: [network("10.1.0.0", 16)] }));
  dump([]);
  const { sent, states } = dump([
    flow(1, "10.1.0.1", 5),
    flow(2, "10.2.0.1", 7),
    { cookie: 3, state: TCP_SYN_SENT, peer: "10.2.0.1" },
    { cookie: 4, state: TCP_SYN_SENT, peer: "10.1.0.9" },
    { cookie: 5, state: TCP_LISTEN, local: "0.0.0.0", peer: "0.0.0.0", localPort: 80 },
  ]);
  expect(sent).toEqual({ "10.1.0.1": 5 });
  expect([states.ipv4[1], states.ipv4[2], states.ipv4[10]]).toEqual([1, 1, 0]);
  expect(fold.listeners.known.sockets.size).toBe(0);
  // It is no selected one, and yet it tells which end its connections were opened from.
  expect(fold.facts.listening(batchOf([{ cookie: 6, localPort: 80 }]), 0)).toBe(true);
});

test("events are selected by what they carry", () => {
  const { dump, event } = createTest(include({ networks: [network("10.1.0.0", 16)] }));
  dump([]);
  expect(event(flow(1, "10.1.0.1", 5))).toMatchObject({ counted: 1, ignored: 0 });
  expect(event(flow(2, "10.2.0.1", 7))).toMatchObject({ counted: 1, ignored: 1 });
  expect(dump([]).sent).toEqual({ "10.1.0.1": 5 });
});

test("a connection that no dump has shown is undecided where the selection needs its process, and left out", () => {
  const { dump, event, hold } = createTest(include({ cmds: ["curl"] }));
  dump([]);
  expect(event(flow(1, "10.1.0.1", 5, { inode: 0 }))).toMatchObject({ counted: 0, undecided: 1 });
  expect(dump([]).sent).toEqual({});
  // A server's is its listener's.
  hold(80, "curl");
  const listener: SocketRow = { cookie: 9, state: TCP_LISTEN, localPort: 80, inode: 80 };
  dump([listener]);
  expect(event(flow(2, "10.1.0.2", 6, { inode: 0, localPort: 80 }))).toMatchObject({ counted: 1, undecided: 1 });
  expect(dump([listener]).sent).toEqual({ "10.1.0.2": 6 });
});

test("a flow that is decided late counts from its birth, one that is older than the agent from then on", () => {
  const { dump, hold } = createTest(include({ cmds: ["curl"] }));
  expect(dump([flow(1, "10.1.0.1", 100)]).sent).toEqual({});
  expect(dump([flow(1, "10.1.0.1", 150), flow(2, "10.1.0.2", 20)]).sent).toEqual({});
  hold(1, "curl");
  hold(2, "curl");
  expect(dump([flow(1, "10.1.0.1", 170), flow(2, "10.1.0.2", 30)]).sent).toEqual({ "10.1.0.1": 0, "10.1.0.2": 30 });
  expect(dump([flow(1, "10.1.0.1", 175), flow(2, "10.1.0.2", 31)]).sent).toEqual({ "10.1.0.1": 5, "10.1.0.2": 31 });
});

test("a flow that was selected stays selected", () => {
  const { dump, hold } = createTest(include({ cmds: ["curl"] }));
  hold(1, "curl");
  dump([]);
  dump([flow(1, "10.1.0.1", 5)]);
  hold(1, "wget");
  expect(dump([flow(1, "10.1.0.1", 9)]).sent).toEqual({ "10.1.0.1": 9 });
});

test("peers are named by the smallest network that they are in", () => {
  const { dump } = createTest({ include: [], exclude: [] }, ["sockscope.peer.network"]);
  dump([]);
  const { sent } = dump([
    flow(1, "10.1.0.1", 1),
    flow(2, "10.9.0.1", 2),
    flow(3, "192.0.2.1", 4),
    flow(4, "2001:db8::7", 8, { family: 6 }),
    flow(5, "::ffff:10.9.1.1", 16, { family: 6 }),
  ]);
  expect(sent).toEqual({ office: 1, lab: 2 + 8 + 16, none: 4 });
});
