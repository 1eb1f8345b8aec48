import { beforeAll, describe, expect, test } from "vitest";
import type { Outcome } from "../../src/model/outcome.ts";
import { canUnshare, runWithEtc } from "../kit/own-etc.ts";

type Seen = { readonly outcomes: Readonly<Record<string, Outcome>>; readonly met: readonly string[] };

describe.skipIf(!canUnshare)("probes where there is no network", () => {
  let seen: Seen = { outcomes: {}, met: [] };
  beforeAll(() => {
    const child = runWithEtc(new URL("./probe-scenario.ts", import.meta.url), []);
    expect(child.stderr).toBe("");
    seen = JSON.parse(child.stdout) as Seen;
  });

  test.each([
    ["tcp4", "192.0.2.1"],
    ["tcp6", "2001:db8::1"],
    ["udp4", "192.0.2.1"],
  ])("%s to a network without a route is down", (probe, address) => {
    expect(seen.outcomes[probe]).toMatchObject({
      kind: "down",
      error: "network_unreachable",
      phase: "connect",
      detail: "ENETUNREACH",
      address,
    });
  });

  test.each(["several", "udpSeveral"])("%s: a refusal tells more than a missing route", (probe) => {
    expect(seen.outcomes[probe]).toMatchObject({ kind: "down", error: "connection_refused", address: "127.0.0.1" });
  });

  test("a probe that meets itself on a closed port is refused, not up", () => {
    expect(seen.met).toEqual(["connection_refused"]);
  });
});
