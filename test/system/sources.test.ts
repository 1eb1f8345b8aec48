import { beforeAll, describe, expect, test } from "vitest";
import { notGiven } from "../../src/model/socket.ts";
import { inNamespace, isRoot } from "../kit/net-namespace.ts";
import type { Row } from "../kit/ss-text.ts";

type Socket = Row & { readonly protocol: string };
type Dump = { readonly rows: readonly Socket[]; readonly skipped: number; readonly lacking: readonly string[] };
type Scenario = {
  readonly netlink: Dump;
  readonly ss: Dump;
  readonly proc: Dump;
  readonly again: Dump;
  readonly auto: Dump;
  readonly logged: readonly string[];
  readonly full: number;
  readonly silent: number;
};

/** The file of unix sockets does not name the other end. */
const keyOf = ({ protocol, local, peer, inode, name }: Socket): string =>
  [protocol, local, protocol === "unix" ? "" : peer, inode, name].join(" ");

/** In one order, and without the columns named. */
const without = ({ rows }: Dump, protocols: readonly string[], columns: readonly (keyof Socket)[]) =>
  rows
    .filter(({ protocol }) => protocols.includes(protocol))
    .toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
    .map((row) =>
      Object.fromEntries(Object.entries(row).filter(([column]) => !columns.includes(column as keyof Socket))),
    );

describe.skipIf(!isRoot)("the same sockets", () => {
  let scenario: Scenario;
  beforeAll(async () => {
    scenario = await inNamespace<Scenario>("sources-scenario.ts");
  });

  test("each source sees them all, and skips nothing", () => {
    const { netlink, ss, proc } = scenario;
    for (const { skipped } of [netlink, ss, proc]) expect(skipped).toBe(0);
    const count = ({ rows }: Dump, protocol: string) => rows.filter((row) => row.protocol === protocol).length;
    for (const dump of [netlink, ss, proc]) {
      // Four listeners, three connections of two ends, and one that waits, of which there are two ends as well.
      expect(count(dump, "tcp")).toBe(12);
      expect(count(dump, "udp")).toBe(2);
    }
    expect(count(ss, "unix")).toBeGreaterThanOrEqual(6);
  });

  test("ss and netlink agree on every column that ss has", () => {
    const { netlink, ss } = scenario;
    const protocols = ["tcp", "udp"];
    // Of listeners netlink is not asked for the algorithm, and of connections not for their drops.
    const told = ({ rows, ...dump }: Dump): Dump => ({
      ...dump,
      rows: rows.map((row) => {
        if (row.protocol !== "tcp") return row;
        return row.state === 10 ? { ...row, congestion: "" } : { ...row, drops: 0 };
      }),
    });
    expect(without(told(ss), protocols, ["info"])).toEqual(without(told(netlink), protocols, ["info"]));
  });

  test("ss and netlink agree on every field of tcp_info that ss prints, to its precision", () => {
    const { netlink, ss } = scenario;
    const times = new Set(["last_data_sent", "last_data_recv", "last_ack_recv"]);
    /** Printed in ms of whole numbers, and in %g of six digits. */
    const precision = (field: string, value: number): number =>
      field === "busy_time" || field.endsWith("_limited") ? 1000 : Math.max(1e-9, value * 1e-5);
    const byKey = new Map(netlink.rows.map((row) => [keyOf(row), row]));
    let compared = 0;
    for (const row of ss.rows.filter(({ protocol }) => protocol === "tcp")) {
      const known = byKey.get(keyOf(row))?.info ?? {};
      for (const [field, value] of Object.entries(row.info)) {
        if (times.has(field)) continue;
        const truth = known[field as keyof typeof known] ?? -1;
        expect(Math.abs(truth - value), `${field} of ${keyOf(row)}: ${truth}, ss ${value}`).toBeLessThanOrEqual(
          precision(field, truth),
        );
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(12 * 30);
    const sum = ({ rows }: Dump) =>
      rows.reduce((total, { protocol, info }) => total + (protocol === "tcp" ? (info.bytes_acked ?? 0) : 0), 0);
    expect(sum(ss)).toBe(sum(netlink));
    expect(sum(ss)).toBeGreaterThan(105_000);
  });

  test("proc and netlink agree on what proc has", () => {
    const { netlink, proc } = scenario;
    const columns = ["cookie", "drops", "congestion", "info", "wqueue"] as const;
    expect(without(proc, ["tcp"], columns)).toEqual(without(netlink, ["tcp"], columns));
    expect(without(proc, ["udp"], ["cookie", "info"])).toEqual(without(netlink, ["udp"], ["cookie", "info"]));
    for (const row of proc.rows.filter(({ protocol }) => protocol === "tcp")) {
      expect(row.info).toEqual({});
      expect(row.drops).toBeNull();
      const known = netlink.rows.find((one) => keyOf(one) === keyOf(row));
      expect(row.wqueue).toBe(row.state === 10 ? notGiven : known?.wqueue);
    }
  });

  test("proc and ss agree on unix sockets; raw ones are in proc alone", () => {
    const { ss, proc } = scenario;
    const columns = ["rqueue", "wqueue", "drops", "peer"] as const;
    const known = new Set(proc.rows.map(({ inode }) => inode));
    const others = ss.rows.filter(({ protocol, inode }) => protocol === "unix" && !known.has(inode));
    // Both ends of the pipes of ss itself.
    expect(others.map(({ state, name }) => [state, name])).toEqual(Array.from({ length: 4 }, () => [1, undefined]));
    const rest: Dump = { ...ss, rows: ss.rows.filter((row) => !others.includes(row)) };
    expect(without(proc, ["unix"], columns)).toEqual(without(rest, ["unix"], columns));
    const raw = proc.rows.filter(({ protocol }) => protocol === "raw");
    expect(raw).toMatchObject([{ family: 2, state: 7, local: "0.0.0.0 1", drops: 0 }]);
    expect(ss.lacking.includes("raw") || ss.rows.some(({ protocol }) => protocol === "raw")).toBe(true);
  });

  test("the listener's queue and the datagrams dropped", () => {
    for (const dump of [scenario.ss, scenario.proc]) {
      expect(dump.rows.find(({ local }) => local === `127.0.0.1 ${scenario.full}`)).toMatchObject({ rqueue: 1 });
      const silent = dump.rows.find(({ local }) => local === `127.0.0.1 ${scenario.silent}`);
      expect(silent?.drops).toBeGreaterThan(0);
      expect(silent?.rqueue).toBeGreaterThan(0);
    }
  });

  test("a substitute of a cookie is the same in the next dump", () => {
    const cookies = ({ rows }: Dump) => rows.map(({ cookie }) => cookie);
    expect(cookies(scenario.again)).toEqual(cookies(scenario.proc));
    expect(new Set(cookies(scenario.proc)).size).toBe(scenario.proc.rows.length);
  });

  test("without netlink each protocol has its source, and nothing is lacking", () => {
    const { auto, netlink, logged } = scenario;
    expect(auto.lacking).toEqual([]);
    expect(auto.rows.filter(({ protocol }) => protocol !== "raw")).toHaveLength(netlink.rows.length);
    expect(auto.rows.filter(({ protocol }) => protocol === "raw")).toHaveLength(1);
    expect(logged).toContain("info tcp sockets are read by ss: refused");
  });
});
