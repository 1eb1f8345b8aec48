import { allSockets } from "../kit/all-sockets.ts";
import { describe, expect, test } from "vitest";
import { createSocketFold, foldBatch, foldWaiting } from "../../src/collect/socket-fold.ts";
import { defaults } from "../../src/config/defaults.ts";
import { foldEvent } from "../../src/fold/flow-events.ts";
import { beginFlows, collectFlows, letWait, settleFlows, takeWaiting } from "../../src/fold/flows.ts";
import { resetStates } from "../../src/fold/states.ts";
import type { SocketsConfig } from "../../src/model/config.ts";
import type { CgroupInfo, ProcessInfo } from "../../src/model/owner.ts";
import { TCP_CLOSE, TCP_LISTEN } from "../../src/netlink/constants.ts";
import { drain, pointsOf } from "../kit/points.ts";
import { batchOf, type SocketRow } from "../kit/sockets.ts";

const cgroupOf = (unit: string, containerId?: string): CgroupInfo => ({
  path: `/system.slice/${unit}`,
  unit,
  containerId,
  podUid: undefined,
});
const processOf = (pid: number, executable: string, cgroup?: CgroupInfo): ProcessInfo => ({
  pid,
  executable,
  argv: [executable],
  cgroup,
});

/** A fold whose owners are what a test says at the time; `waits`: new flows wait for theirs. */
const createTest = (groupBy: SocketsConfig["groupBy"]) => {
  const processes = new Map<number, ProcessInfo>();
  const cgroups = new Map<number, CgroupInfo>();
  const fold = createSocketFold({
    ...allSockets,
    config: { ...defaults.sockets, groupBy },
    ephemeral: [32_768, 60_999],
    owners: {
      wanted: { process: true, cgroup: true },
      process: (inode) => processes.get(inode),
      cgroup: (id) => cgroups.get(id),
    },
  });
  let tick = 0;
  return {
    processes,
    cgroups,
    event: (row: SocketRow) => foldEvent(fold.flows, batchOf([{ ...row, state: TCP_CLOSE }]), 0, fold.facts),
    /** `found` happens between the dump and the folding of the flows that wait. */
    dump: (rows: readonly SocketRow[], found: () => void = () => undefined) => {
      resetStates(fold.states);
      beginFlows(fold.flows, ++tick * 1000);
      letWait(fold.flows);
      foldBatch(fold, batchOf(rows));
      const waiting = takeWaiting(fold.flows);
      found();
      for (const batch of waiting) foldWaiting(fold, batch);
      drain(settleFlows(fold.flows));
      fold.listening.nextDump();
      const { value } = drain(collectFlows(fold.flows, false));
      const of = (metric: string, direction?: string) =>
        pointsOf(value)
          .filter(
            (point) =>
              point.metric === metric &&
              (direction === undefined || point.attributes["network.io.direction"] === direction),
          )
          .map(({ attributes, value: sum }) => [
            Object.entries(attributes)
              .filter(([name]) => name !== "network.io.direction" && name !== "network.transport")
              .map(([, text]) => text)
              .join(" "),
            sum,
          ]);
      return { counts: of("sockscope.flow.count"), sent: of("sockscope.flow.io", "transmit"), states: fold.states };
    },
  };
};

const client = (cookie: number, more: Partial<SocketRow> = {}): SocketRow => ({
  cookie,
  localPort: 40_000 + cookie,
  peer: "10.0.0.9",
  peerPort: 443,
  inode: 100 + cookie,
  ...more,
});
const listener: SocketRow = { cookie: 90, state: TCP_LISTEN, localPort: 80, inode: 190, cgroup: 7 };
const server = (cookie: number, more: Partial<SocketRow> = {}): SocketRow => ({
  cookie,
  localPort: 80,
  peer: "10.0.0.9",
  peerPort: 50_000 + cookie,
  ...more,
});

describe("owners of flows", () => {
  test("a new flow waits until its owner has been looked for, and counts from its birth all the same", () => {
    const { processes, dump } = createTest("process");
    dump([]);
    const { counts, sent, states } = dump([client(1, { info: { bytes_acked: 70 } })], () => {
      processes.set(101, processOf(5, "curl"));
    });
    expect(counts).toEqual([["5 curl 10.0.0.9 443", 1]]);
    expect(sent).toEqual([["5 curl 10.0.0.9 443", 70]]);
    expect(states.ipv4[1]).toBe(1);
  });

  test("an owner that becomes known later takes later increments only", () => {
    const { processes, dump } = createTest("process");
    dump([]);
    expect(dump([client(1, { info: { bytes_acked: 70 } })]).sent).toEqual([["10.0.0.9 443", 70]]);
    processes.set(101, processOf(5, "curl"));
    const { counts, sent } = dump([client(1, { info: { bytes_acked: 100 } })]);
    expect(sent).toEqual([
      ["10.0.0.9 443", 70],
      ["5 curl 10.0.0.9 443", 30],
    ]);
    expect(counts).toEqual([
      ["10.0.0.9 443", 0],
      ["5 curl 10.0.0.9 443", 1],
    ]);
  });

  test("a flow keeps its group when its owner changes afterwards", () => {
    const { processes, dump } = createTest("process");
    processes.set(101, processOf(5, "curl"));
    dump([client(1)]);
    processes.set(101, processOf(6, "wget"));
    expect(dump([client(1)]).counts).toEqual([["5 curl 10.0.0.9 443", 1]]);
  });

  test("a connection that nobody has accepted, and one that an event alone tells of, have their listener's owner", () => {
    const { processes, cgroups, dump, event } = createTest("endpoint");
    processes.set(190, processOf(8, "nginx"));
    cgroups.set(7, cgroupOf("nginx.service"));
    dump([listener]);
    expect(dump([listener, server(1)]).counts).toEqual([["server 80 nginx", 1]]);
    event(server(2, { info: { bytes_acked: 5, min_rtt: 10 } }));
    expect(dump([listener, server(1)]).sent).toEqual([["server 80 nginx", 5]]);
  });

  test("a client that an event alone tells of has no owner", () => {
    const { processes, dump, event } = createTest("endpoint");
    processes.set(101, processOf(5, "curl"));
    dump([client(1)]);
    event(client(2, { inode: 0, info: { bytes_acked: 9, min_rtt: 10 } }));
    expect(dump([client(1)]).sent).toEqual([
      ["client 10.0.0.9 443 curl", 0],
      ["client 10.0.0.9 443", 9],
    ]);
  });

  test("a container, or where there is none the unit; the process's own cgroup where a process is known", () => {
    const { cgroups, dump } = createTest("container");
    cgroups.set(1, cgroupOf("docker-x.scope", "abc"));
    cgroups.set(2, cgroupOf("ssh.service"));
    const rows = [client(1, { cgroup: 1 }), client(2, { cgroup: 2 }), client(3)];
    expect(dump(rows).counts).toEqual([
      ["client abc", 1],
      ["client ssh.service", 1],
      ["client", 1],
    ]);
    const both = createTest(["process.pid", "sockscope.systemd.unit"]);
    both.cgroups.set(1, cgroupOf("launcher.service"));
    both.processes.set(101, processOf(5, "app", cgroupOf("app.service")));
    expect(both.dump([client(1, { cgroup: 1 })]).counts).toEqual([["5 app.service", 1]]);
  });
});

describe("a list of attributes", () => {
  test("groups by what it names; what is not known of a flow is left out", () => {
    const { dump } = createTest([
      "network.type",
      "sockscope.peer.prefix",
      "sockscope.tcp.congestion_control",
      "k8s.pod.uid",
    ]);
    const { counts } = dump([
      client(1, { congestion: "bbr" }),
      client(2, { congestion: "bbr", peer: "10.0.0.200" }),
      client(3),
      client(4, { family: 6, local: "2001:db8::1", peer: "2001:db8:1:2233::9" }),
    ]);
    expect(counts).toEqual([
      ["ipv4 10.0.0.0/24 bbr", 2],
      ["ipv4 10.0.0.0/24", 1],
      ["ipv6 2001:db8:1:2200::/56", 1],
    ]);
  });

  test("can name the socket itself", () => {
    expect(createTest(["sockscope.socket.cookie"]).dump([client(1), client(2)]).counts).toEqual([
      ["1", 1],
      ["2", 1],
    ]);
  });

  test("names that hold what separates keys do not pass for others", () => {
    const { processes, dump } = createTest(["process.executable.name", "container.id"]);
    const evil = `a${String.fromCharCode(14)}b`;
    processes.set(101, processOf(1, evil));
    processes.set(102, processOf(2, "a", cgroupOf("x.scope", "b")));
    expect(dump([client(1), client(2)]).counts).toHaveLength(2);
  });
});
