import { beforeAll, describe, expect, test } from "vitest";
import type { Outcome } from "../../src/model/outcome.ts";
import { inNamespace, isRoot } from "../kit/net-namespace.ts";

type Seen = { readonly outcomes: Readonly<Record<string, Outcome>>; readonly sources: readonly string[] };

describe.skipIf(!isRoot)("probes across a network that fails", () => {
  let seen: Seen = { outcomes: {}, sources: [] };
  beforeAll(async () => {
    seen = await inNamespace<Seen>("probe-faults-scenario.ts");
  }, 60_000);

  test.each([
    ["tcpHole", "connect_timeout", "connect", "ETIMEDOUT"],
    ["tcpDropped", "connect_timeout", "connect", "ETIMEDOUT"],
    ["tcpRejected", "host_unreachable", "connect", "EHOSTUNREACH"],
    ["tcpNoNeighbour", "host_unreachable", "connect", "EHOSTUNREACH"],
    ["halfOpen", "read_timeout", "exchange", "no answer"],
    ["udpRejected", "host_unreachable", "exchange", "EHOSTUNREACH"],
    ["udpProhibited", "host_unreachable", "exchange", "EHOSTUNREACH"],
    ["icmpHole", "read_timeout", "exchange", "no echo reply"],
    ["icmpDropped", "read_timeout", "exchange", "no echo reply"],
    ["icmpNoRoute", "network_unreachable", "connect", "ENETUNREACH"],
    ["icmpNoNeighbour", "host_unreachable", "exchange", "EHOSTUNREACH"],
  ])("%s is down: %s at %s", (name, error, phase, detail) => {
    expect({ name, ...seen.outcomes[name] }).toMatchObject({ name, kind: "down", error, phase, detail });
  });

  test.each([
    ["tcpNoSource", "no_local_address", "EADDRNOTAVAIL"],
    ["tcpNoInterface", "no_local_address", "ENODEV"],
    ["udpForbidden", "permission_denied", "EPERM"],
  ])("%s is the agent's own trouble: %s", (name, error, detail) => {
    expect({ name, ...seen.outcomes[name] }).toMatchObject({ name, kind: "not_run", error, detail });
  });

  test("what nobody hears and nobody refuses is unanswered", () => {
    expect(seen.outcomes["udpDropped"]).toMatchObject({ kind: "unanswered" });
  });

  test("of two addresses a dead one does not make the target down, and all of them have verdicts of their own", () => {
    expect(seen.outcomes["tcpOneDead"]).toMatchObject({ kind: "up", address: "127.0.0.1" });
    expect(seen.outcomes["tcpAll"]).toMatchObject({
      kind: "down",
      error: "connect_timeout",
      byAddress: [
        { kind: "down", error: "connect_timeout", address: "10.98.0.2" },
        { kind: "up", address: "127.0.0.1" },
      ],
    });
  });

  test("packets leave from the address and the interface that are asked for", () => {
    expect(seen.outcomes["tcpSource"]).toMatchObject({ kind: "up" });
    expect(seen.sources).toContain("127.0.0.5");
    expect(seen.outcomes["tcpInterface"]).toMatchObject({ kind: "up" });
    // Through the other interface the address is that of a neighbour that does not answer.
    expect(seen.outcomes["tcpOtherInterface"]).toMatchObject({ kind: "down" });
  });

  test("an echo has its RTT and its TTL, by a raw socket and by a ping socket", () => {
    for (const [name, address, sent] of [
      ["icmp", "127.0.0.1", 3],
      ["icmp6", "::1", 1],
      ["icmpPing", "127.0.0.1", 1],
      ["icmp6Ping", "::1", 1],
    ] as const) {
      const outcome = seen.outcomes[name];
      expect({ name, ...outcome }).toMatchObject({
        name,
        kind: "up",
        address,
        facts: { ttl: 64, packets: { sent, rtts: { length: sent } } },
      });
      for (const rtt of outcome?.facts.packets?.rtts ?? []) {
        expect(rtt).toBeGreaterThan(0);
        expect(rtt).toBeLessThan(0.1);
      }
    }
  });

  test("lost packets are told from those that were answered", () => {
    expect(seen.outcomes["icmpLossy"]).toMatchObject({
      kind: "up",
      facts: { packets: { sent: 4, rtts: { length: 2 } } },
    });
    expect(seen.outcomes["icmpDropped"]).toMatchObject({ facts: { packets: { sent: 1, rtts: [] } } });
    expect(seen.outcomes["udpEchoes"]).toMatchObject({
      kind: "up",
      facts: { packets: { sent: 3, rtts: { length: 3 } } },
    });
  });
});
