import { beforeAll, describe, expect, test } from "vitest";
import type { Outcome } from "../../src/model/outcome.ts";
import type { Resolution } from "../../src/model/sources.ts";
import { canUnshare, runWithEtc } from "../kit/own-etc.ts";

const etc = {
  hosts: "127.0.0.1 localhost\n192.0.2.1 only-in-hosts\n2001:db8::1 only-in-hosts\n192.0.2.1 only-in-hosts\n",
  "resolv.conf": "nameserver 127.0.0.1\nsearch corp.test\n",
  "nsswitch.conf": "hosts: files dns\n",
};

type Timed = { readonly ms: number; readonly value: Outcome };

type Seen = {
  readonly names: Readonly<Record<string, Resolution>>;
  readonly slow: readonly Timed[];
  readonly fast: readonly { readonly probe: Timed; readonly fileMs: number; readonly running: number }[];
};

describe.skipIf(!canUnshare)("the system's name resolution", () => {
  let seen: Seen = { names: {}, slow: [], fast: [] };
  beforeAll(() => {
    const child = runWithEtc(new URL("./resolver-scenario.ts", import.meta.url), [], etc);
    expect(child.stderr).toBe("");
    seen = JSON.parse(child.stdout) as Seen;
  }, 60_000);

  const addressesOf = (name: string): string[] => {
    const resolution = seen.names[name];
    return resolution?.kind === "found" ? resolution.addresses.map(({ address }) => address).sort() : [];
  };

  test("a name of the hosts file, each address once", () => {
    expect(addressesOf("hosts")).toEqual(["192.0.2.1", "2001:db8::1"]);
  });

  test("a name of the search domain, in both families and in one", () => {
    expect(addressesOf("search")).toEqual(["192.0.2.10", "2001:db8::10"]);
    expect(addressesOf("family")).toEqual(["192.0.2.10"]);
  });

  test("a name that does not exist, and one without addresses of the family", () => {
    expect(seen.names["absent"]).toMatchObject({ kind: "down", error: "dns_not_found", detail: "EAI_NONAME" });
    expect(seen.names["nodata"]).toMatchObject({ kind: "down", error: "dns_not_found" });
  });

  test("a server that fails", () => {
    expect(seen.names["servfail"]).toMatchObject({ kind: "down", error: "dns_error", detail: "EAI_AGAIN" });
  });

  test("names that hang end at their timeout", () => {
    expect(seen.slow).toHaveLength(30);
    for (const { value, ms } of seen.slow) {
      expect(value).toMatchObject({ kind: "down", error: "dns_timeout", phase: "resolve" });
      expect(ms).toBeGreaterThan(1490);
      expect(ms).toBeLessThan(2500);
    }
  });

  test("beside them a fast target and a file are as fast as ever", () => {
    expect(seen.fast).toHaveLength(20);
    expect(seen.fast.map(({ running }) => running)).toEqual(seen.fast.map(() => 30));
    expect(seen.fast.every(({ probe }) => probe.value.kind === "up")).toBe(true);
    expect(Math.max(...seen.fast.map(({ probe }) => probe.ms))).toBeLessThan(500);
    expect(Math.max(...seen.fast.map(({ fileMs }) => fileMs))).toBeLessThan(500);
  });

  test.each([
    ["exit", 3],
    ["wait", 4],
    ["close", 4],
  ])("the process ends promptly while getaddrinfo hangs: %s", (how, code) => {
    const start = performance.now();
    const child = runWithEtc(new URL("./resolver-exit.ts", import.meta.url), [how], etc);
    expect({ stderr: child.stderr, status: child.status }).toEqual({ stderr: "", status: code });
    expect(performance.now() - start).toBeLessThan(4000);
  });
});
