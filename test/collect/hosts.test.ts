import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { createHostNames } from "../../src/collect/hosts.ts";
import type { Address, Resolution } from "../../src/model/sources.ts";

const live = new AbortController().signal;

const foundAt = (...addresses: readonly string[]): Resolution => ({
  kind: "found",
  waitedMs: 0,
  addresses: addresses.map((address): Address => ({ address, family: address.includes(":") ? 6 : 4 })),
});
const missing: Resolution = { kind: "down", error: "dns_not_found", detail: "EAI_NONAME", waitedMs: 0 };
const overloaded: Resolution = { kind: "not_run", error: "agent_overloaded", detail: "busy", waitedMs: 0 };

const createTest = (hosts: readonly string[]) => {
  const asked: string[] = [];
  const set: [string, readonly string[]][] = [];
  const logged: string[] = [];
  const answers = new Map<string, Resolution | Promise<Resolution>>();
  let time = 0;
  const names = createHostNames({
    hosts,
    resolve: async (host, family, _timeoutMs, signal) => {
      asked.push(`${host} ${family}`);
      const cancelled = new Promise<Resolution>((settle) =>
        signal.addEventListener("abort", () =>
          settle({ kind: "not_run", error: "cancelled", detail: "cancelled", waitedMs: 0 }),
        ),
      );
      return Promise.race([answers.get(host) ?? missing, cancelled]);
    },
    setHost: (host, addresses) => set.push([host, addresses]),
    now: () => time,
    log: (level, message) => logged.push(`${level} ${message}`),
  });
  /** A tick at this time, and what it found out when all that could be answered is. */
  const tick = async (at: number, signal = live) => {
    time = at;
    names.refresh(signal);
    await setImmediate();
    return { asked: asked.splice(0), set: set.splice(0), logged: logged.splice(0) };
  };
  return { names, answers, tick };
};

test("a name is looked up for both families at once, and again after a minute; what did not change is not set again", async () => {
  const { answers, tick } = createTest(["a.internal"]);
  answers.set("a.internal", foundAt("10.0.0.1", "2001:db8::1"));
  expect(await tick(0)).toEqual({
    asked: ["a.internal 0"],
    set: [["a.internal", ["10.0.0.1", "2001:db8::1"]]],
    logged: [],
  });
  expect(await tick(59_999)).toEqual({ asked: [], set: [], logged: [] });
  answers.set("a.internal", foundAt("2001:db8::1", "10.0.0.1"));
  expect(await tick(60_000)).toEqual({ asked: ["a.internal 0"], set: [], logged: [] });
  answers.set("a.internal", foundAt("10.0.0.2"));
  expect((await tick(120_000)).set).toEqual([["a.internal", ["10.0.0.2"]]]);
});

test("a name that does not resolve is said once and retried, and said once when it resolves", async () => {
  const { answers, tick } = createTest(["a.internal", "b.internal"]);
  answers.set("b.internal", foundAt("10.0.0.2"));
  expect(await tick(0)).toEqual({
    asked: ["a.internal 0", "b.internal 0"],
    set: [["b.internal", ["10.0.0.2"]]],
    logged: [
      "warn the host a.internal of sockets.select does not resolve, until it does it matches nothing: EAI_NONAME",
    ],
  });
  expect(await tick(5_000)).toEqual({ asked: [], set: [], logged: [] });
  expect(await tick(10_000)).toEqual({ asked: ["a.internal 0"], set: [], logged: [] });
  answers.set("a.internal", foundAt("10.0.0.1"));
  expect(await tick(20_000)).toEqual({
    asked: ["a.internal 0"],
    set: [["a.internal", ["10.0.0.1"]]],
    logged: ["info the host a.internal of sockets.select resolves now"],
  });
});

test.each([missing, overloaded])("what was found last stands while a lookup fails: %j", async (failure) => {
  const { answers, tick } = createTest(["a.internal"]);
  answers.set("a.internal", foundAt("10.0.0.1"));
  await tick(0);
  answers.set("a.internal", failure);
  const { set, logged } = await tick(60_000);
  expect(set).toEqual([]);
  expect(logged).toEqual([expect.stringMatching(/^warn .* what it stood for last stays: /)]);
  answers.set("a.internal", foundAt("10.0.0.1"));
  expect(await tick(70_000)).toMatchObject({ set: [], logged: [expect.stringMatching(/^info /)] });
});

test("a slow lookup holds up neither a tick nor another name, and is not started twice", async () => {
  const { answers, tick } = createTest(["slow.internal", "a.internal"]);
  const { promise, resolve } = Promise.withResolvers<Resolution>();
  answers.set("slow.internal", promise);
  answers.set("a.internal", foundAt("10.0.0.1"));
  expect((await tick(0)).set).toEqual([["a.internal", ["10.0.0.1"]]]);
  expect((await tick(60_000)).asked).toEqual(["a.internal 0"]);
  resolve(foundAt("10.0.0.9"));
  expect((await tick(60_001)).set).toEqual([["slow.internal", ["10.0.0.9"]]]);
});

test("a tick that is over starts nothing, and neither does one after the end", async () => {
  const { names, answers, tick } = createTest(["a.internal"]);
  expect((await tick(0, AbortSignal.abort())).asked).toEqual([]);
  answers.set("a.internal", Promise.withResolvers<Resolution>().promise);
  expect((await tick(1)).asked).toEqual(["a.internal 0"]);
  names.close();
  expect(await tick(100_000)).toEqual({ asked: [], set: [], logged: [] });
});

test("whoever waits for the lookups under way sees what they found", async () => {
  const { names, answers } = createTest(["slow", "gone"]);
  const slow = Promise.withResolvers<Resolution>();
  answers.set("slow", slow.promise);
  await names.settled();
  names.refresh(live);
  let settled = false;
  const waiting = names.settled().then(() => {
    settled = true;
  });
  await setImmediate();
  expect(settled).toBe(false);
  slow.resolve(foundAt("192.0.2.1"));
  await waiting;
  names.close();
});
