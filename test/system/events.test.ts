import { beforeAll, describe, expect, test } from "vitest";
import { inNamespace, isRoot } from "../kit/net-namespace.ts";

type Counted = {
  readonly transmit: number;
  readonly receive: number;
  readonly opened: number;
  readonly closed: number;
  readonly count: number;
  readonly most: number;
  readonly events: Readonly<Record<string, number>>;
  readonly lost?: number;
  readonly capability?: number;
};
type Stage = Readonly<Record<string, Counted>>;
type Scenario = Readonly<
  Record<"before" | "short" | "reset" | "refused" | "reconnected" | "overflown" | "loud" | "resynced", Stage>
> & {
  readonly logged: readonly string[];
};

const exact = ["endpoint", "socket", "process", "container", "host", "list", "tight"];
/** By socket nothing is said of how many there were. */
const counting = exact.filter((name) => name !== "socket");

describe.skipIf(!isRoot)("destroy events", () => {
  let scenario: Scenario;
  beforeAll(async () => {
    scenario = await inNamespace<Scenario>("events-scenario.ts");
  }, 60_000);

  const gained = (name: string, from: keyof Omit<Scenario, "logged">, to: keyof Omit<Scenario, "logged">) => {
    const before = scenario[from][name] as Counted;
    const after = scenario[to][name] as Counted;
    return {
      transmit: after.transmit - before.transmit,
      receive: after.receive - before.receive,
      opened: after.opened - before.opened,
      closed: after.closed - before.closed,
    };
  };

  test.each(exact)("by %s, connections that no dump has shown are counted to the byte", (name) => {
    const { transmit, receive } = gained(name, "before", "short");
    // A client counts its SYN and its FIN, a server its FIN; each counts the other's FIN as received.
    expect(transmit).toBe(100 * (102 + 103 + 104) + 100 * (41 + 51 + 61));
    expect(receive).toBe(100 * (101 + 102 + 103) + 100 * (41 + 51 + 61));
    expect(scenario.short[name]?.events).toMatchObject({ counted: 600, merged: 0, erased: 0, ignored: 0 });
  });

  test.each(counting)("by %s, each of them was opened and closed once", (name) => {
    expect(gained(name, "before", "short")).toMatchObject({ opened: 600, closed: 600 });
    expect(scenario.short[name]?.count).toBe(0);
  });

  test("two groups and the overflow are the most that a budget of two exports", () => {
    expect(scenario.overflown["tight"]?.most).toBe(3);
    expect(scenario.overflown["list"]?.most).toBeGreaterThan(500);
  });

  test.each(exact)(
    "by %s, what the kernel erases before its event counts up to the last dump, and is counted",
    (name) => {
      const { transmit, receive } = gained(name, "short", "reset");
      // Of 1,100 bytes each, a dump had shown 1,000 and the SYN; the server's end keeps its counts.
      expect(transmit).toBe(5 * 1001);
      expect(receive).toBe(5 * 1100);
      expect(scenario.reset[name]?.events).toMatchObject({ erased: 5, merged: 5 });
    },
  );

  test.each(exact)("by %s, refused connections and listeners are no flows", (name) => {
    expect(gained(name, "reset", "refused")).toEqual({ transmit: 0, receive: 0, opened: 0, closed: 0 });
    expect(scenario.refused[name]?.events["ignored"]).toBe(8);
  });

  test.each(exact)("by %s, a socket that is connected anew counts both of its lives", (name) => {
    const { transmit, receive } = gained(name, "refused", "reconnected");
    expect(transmit).toBe(501 + 31 + 50);
    expect(receive).toBe(500 + 30 + 50);
  });

  test.each(counting)("by %s, it is two flows at each end", (name) => {
    expect(gained(name, "refused", "reconnected")).toMatchObject({ opened: 4, closed: 4 });
  });

  test("what needs the process of a client that no dump has shown is undecided, and counted so", () => {
    // A server's end has its listener's process.
    expect(gained("selected", "before", "short")).toEqual({
      transmit: 100 * (41 + 51 + 61),
      receive: 100 * (101 + 102 + 103),
      opened: 300,
      closed: 300,
    });
    expect(scenario.short["selected"]?.events).toMatchObject({ counted: 300, undecided: 300, ignored: 0 });
  });

  test("a selection by port takes both ends of its connections, and no other", () => {
    expect(gained("ports", "before", "short")).toEqual({
      transmit: 100 * (102 + 41),
      receive: 100 * (101 + 41),
      opened: 200,
      closed: 200,
    });
    expect(scenario.short["ports"]?.events).toMatchObject({ counted: 200, ignored: 400 });
  });

  test("without events nothing is counted of what no dump shows, and the rest goes on", () => {
    expect(gained("dumpsOnly", "before", "short")).toEqual({ transmit: 0, receive: 0, opened: 0, closed: 0 });
    expect(gained("dumpsOnly", "short", "reset")).toMatchObject({ transmit: 5 * 1001, receive: 5 * 1000, opened: 10 });
    expect(scenario.overflown["dumpsOnly"]).toMatchObject({ opened: 814, closed: 814, count: 0, events: {} });
    expect(scenario.overflown["dumpsOnly"]?.capability).toBeUndefined();
  });

  test("events that had no room are counted, and the dumps bring what they did not", () => {
    const { lost, opened, closed, count, events } = scenario.overflown["deaf"] as Counted;
    const heard = Object.values(events).reduce((sum, value) => sum + value, 0);
    const all = Object.values((scenario.overflown["host"] as Counted).events).reduce((sum, value) => sum + value, 0);
    expect(lost).toBeGreaterThan(1000);
    expect(heard + (lost ?? 0)).toBe(all);
    expect([closed, count]).toEqual([opened, 0]);
    // 400 connections that dumps have shown with their SYN and 10 bytes, at least.
    expect(gained("deaf", "reconnected", "overflown").transmit).toBeGreaterThanOrEqual(400 * 11);
    expect(gained("deaf", "reconnected", "overflown").opened).toBe(800);
  });

  test.each(["deaf", "deafBySocket"])(
    "%s counts what a dump has shown that was made since events were lost",
    (name) => {
      expect(gained(name, "loud", "resynced").transmit).toBeGreaterThanOrEqual(25 * 1000);
      expect(scenario.resynced[name]?.count).toBe(0);
      // By the ticks alone they had sent nothing, or had never been there.
      expect(gained("deafest", "loud", "resynced").transmit).toBeLessThan(1000);
      expect(scenario.resynced["deaf"]?.lost).toBeGreaterThan((scenario.loud["deaf"]?.lost ?? 0) + 50);
    },
  );

  test("connections that only such a dump has shown are opened and closed once", () => {
    const { opened, closed } = gained("deaf", "loud", "resynced");
    expect([opened, closed]).toEqual([10, 10 + 160]);
  });

  test("nothing was to be said", () => {
    expect(scenario.logged).toEqual([]);
    expect(scenario.overflown["host"]).toMatchObject({ lost: 0, capability: 1 });
  });
});
