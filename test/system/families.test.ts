import { beforeAll, describe, expect, test } from "vitest";
import { inNamespace, isRoot } from "../kit/net-namespace.ts";
import type { Point } from "../kit/points.ts";

type Tick = {
  readonly points: readonly Point[];
  readonly observations: readonly { metric: string; value: number; attributes: Record<string, string> }[];
};
type Scenario = {
  readonly folder: string;
  readonly seen: Readonly<Record<"unix" | "packet" | "netlink" | "mptcp" | "timeWait", string>>;
  readonly first: Tick;
  readonly second: Tick;
  readonly dropsBefore: string;
  readonly dropsAfter: string;
  readonly logged: readonly string[];
};

const linesOf = (text: string): string[] => text.trimEnd().split("\n").slice(1);

/** How often each of `keyOf` is there. */
const tally = <T>(items: readonly T[], keyOf: (item: T) => string): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const item of items) counts[keyOf(item)] = (counts[keyOf(item)] ?? 0) + 1;
  return counts;
};

/** Counts of one protocol by type and state, those without a socket left out. */
const countsOf = ({ points }: Tick, protocol: string): Record<string, number> =>
  Object.fromEntries(
    points
      .filter(({ metric, value }) => metric === "sockscope.socket.count" && value > 0)
      .filter(({ attributes: own }) => (own["network.transport"] ?? own["network.protocol.name"]) === protocol)
      .map(({ attributes: own, value }) => [
        [own["sockscope.socket.type"], own["network.connection.state"]].filter((text) => text !== undefined).join(" "),
        value,
      ]),
  );

const names: Readonly<Record<string, string>> = {
  u_str: "stream",
  u_dgr: "dgram",
  u_seq: "seqpacket",
  p_raw: "raw",
  p_dgr: "dgram",
  ESTAB: "established",
  UNCONN: "closed",
  LISTEN: "listen",
};
const word = (line: string, index: number): string => {
  const text = line.split(/\s+/)[index] ?? "";
  return names[text] ?? text;
};

/** Sum of the drops in `ss -m`; a socket that is there twice counts once. */
const dropsOf = (text: string, netid: string): number =>
  [...new Set(linesOf(text).filter((line) => line.startsWith(netid)))].reduce(
    (sum, line) => sum + Number(/,d(\d+)\)/.exec(line)?.[1] ?? 0),
    0,
  );

describe.skipIf(!isRoot)("sockets of all families in a namespace", () => {
  let scenario: Scenario;
  beforeAll(async () => {
    scenario = await inNamespace<Scenario>("families-scenario.ts");
  });

  test("unix sockets by type and state are those of ss", () => {
    const expected = tally(linesOf(scenario.seen.unix), (line) => `${word(line, 0)} ${word(line, 1)}`);
    expect(countsOf(scenario.first, "unix")).toEqual(expected);
    expect(expected).toMatchObject({
      "stream listen": 3,
      "stream closed": 1,
      "seqpacket listen": 1,
      "dgram closed": 1,
    });
  });

  test("packet sockets by type are those of ss", () => {
    expect(countsOf(scenario.first, "packet")).toEqual(tally(linesOf(scenario.seen.packet), (line) => word(line, 0)));
    expect(countsOf(scenario.first, "packet")).toEqual({ raw: 1, dgram: 1 });
  });

  test("netlink sockets are those of ss, which has one with a group twice, and this process's own", () => {
    const lines = new Set(linesOf(scenario.seen.netlink).filter((line) => !line.includes("tcpdiag:ss/")));
    const counted = Object.values(countsOf(scenario.first, "netlink")).reduce((sum, count) => sum + count, 0);
    expect(counted).toBe(lines.size + 1);
    expect(countsOf(scenario.first, "netlink")).toMatchObject({ raw: 2 });
  });

  test("MPTCP sockets by state are those of ss, and what they carry is counted by their subflows alone", () => {
    expect(countsOf(scenario.first, "mptcp")).toEqual(tally(linesOf(scenario.seen.mptcp), (line) => word(line, 0)));
    expect(countsOf(scenario.first, "mptcp")).toEqual({ established: 2, listen: 2 });
    const flows = scenario.first.points.filter(({ metric }) => metric === "sockscope.flow.count");
    expect(flows.map(({ value }) => value)).toEqual([2]);
    const mptcp = scenario.first.points.filter(({ attributes }) => attributes["network.protocol.name"] === "mptcp");
    expect(new Set(mptcp.map(({ metric }) => metric))).toEqual(new Set(["sockscope.socket.count"]));
  });

  test("unix listeners have their queues and backlogs by name, added up where two have the same", () => {
    const listeners = (metric: string): Record<string, number> =>
      Object.fromEntries(
        scenario.first.points
          .filter((point) => point.metric === metric && point.attributes["network.transport"] === "unix")
          .map(({ attributes, value }) => [String(attributes["network.local.address"]), value]),
      );
    const path = `${scenario.folder}/stream`;
    expect(listeners("sockscope.listener.accept_queue.usage")).toEqual({ [path]: 3, "@packets": 1, "@\\xff@z": 0 });
    expect(listeners("sockscope.listener.accept_queue.limit")).toEqual({ [path]: 12, "@packets": 3, "@\\xff@z": 1 });
    expect(listeners("sockscope.listener.drops")).toEqual({});
  });

  test("drops of packet and netlink sockets are what ss saw them grow by", () => {
    const grown = (netid: string): number => dropsOf(scenario.dropsAfter, netid) - dropsOf(scenario.dropsBefore, netid);
    const counted = (protocol: string): number | undefined =>
      scenario.second.points.find(
        ({ metric, attributes }) =>
          metric === "sockscope.socket.drops" &&
          attributes["network.protocol.name"] === protocol &&
          attributes["sockscope.socket.type"] === "raw",
      )?.value;
    expect(counted("packet")).toBe(grown("p_raw"));
    expect(counted("netlink")).toBe(grown("nl"));
    expect(counted("packet")).toBeGreaterThan(0);
    expect(counted("netlink")).toBeGreaterThan(0);
  });

  test("TIME_WAIT sockets by address family are those of ss, and are no flows", () => {
    const counted = scenario.first.observations
      .filter(({ attributes }) => attributes["network.connection.state"] === "time_wait")
      .map(({ attributes, value }) => [attributes["network.type"], value]);
    const expected = tally(scenario.seen.timeWait.trimEnd().split("\n"), (line) =>
      line.includes("[::1]") ? "ipv6" : "ipv4",
    );
    expect(Object.fromEntries(counted)).toEqual(expected);
    expect(expected).toEqual({ ipv4: 1, ipv6: 1 });
  });

  test("a protocol has its sockets, or is said once to be lacking and has no series", () => {
    const lacking = scenario.logged.flatMap((line) => /^there is no way to read (\w+) sockets/.exec(line)?.[1] ?? []);
    expect(scenario.logged).toHaveLength(lacking.length);
    expect(new Set(lacking).size).toBe(lacking.length);
    for (const protocol of ["raw", "sctp", "dccp", "vsock", "unix", "packet", "netlink", "mptcp"]) {
      const series = scenario.second.points.filter(
        ({ attributes }) => (attributes["network.protocol.name"] ?? attributes["network.transport"]) === protocol,
      );
      expect([protocol, series.length > 0]).toEqual([protocol, !lacking.includes(protocol)]);
    }
  });
});
