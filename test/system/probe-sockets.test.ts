import { beforeAll, describe, expect, test } from "vitest";
import { inNamespace, isRoot } from "../kit/net-namespace.ts";

type Ended = { readonly kind: string; readonly ms?: number };
type Seen = Readonly<
  Record<
    "raw" | "refused" | "ping" | "pingErrors" | "traceroute" | "filtered" | "device" | "routed" | "neighbour",
    Readonly<Record<string, Ended>>
  >
> & { readonly raw: { readonly many: readonly Ended[] }; readonly met: readonly string[] };

const ms = expect.any(Number);
const answered = (ttl: number) => ({ kind: "answered", own: true, ttl, ms });
const failed = (code: string) => ({ kind: "failed", code, ms });
const unsent = (code: string) => ({ kind: "failed", phase: "connect", code });
const unanswered = (code: string) => ({ kind: "failed", phase: "exchange", code });

describe.skipIf(!isRoot)("the sockets of probes on a network", () => {
  let seen: Seen;
  beforeAll(async () => {
    seen = await inNamespace<Seen>("probe-sockets-scenario.ts");
  }, 60_000);

  test("an echo by a raw socket, of both families, with TTL and hop limit", () => {
    expect(seen.raw).toMatchObject({
      v4: answered(64),
      v6: answered(64),
      router4: answered(77),
      router6: answered(99),
      linkLocal: answered(99),
      source: answered(64),
      empty: answered(64),
    });
  });

  test("raw sockets that all hear the replies to each other take their own", () => {
    expect(seen.raw.many).toHaveLength(50);
    for (const ended of seen.raw.many) expect(ended).toEqual(answered(64));
  });

  test("an echo that a router or the own host cannot send on, and one without a reply", () => {
    expect(seen.raw["noRoute"]).toMatchObject(unanswered("ENETUNREACH"));
    expect(seen.raw["noRoute6"]).toMatchObject(unsent("ENETUNREACH"));
    expect(seen.raw["dropped"]).toEqual({ kind: "silence", others: 0, ms });
    expect(seen.raw["dropped"]?.ms).toBeGreaterThan(150);
  });

  test("without privileges an echo is one of a ping socket, where the system permits that", () => {
    expect(seen.ping).toEqual({ v4: answered(64), v6: answered(64), device: { kind: "connected", ms } });
    expect(seen.pingErrors["noRoute"]).toMatchObject(unanswered("ENETUNREACH"));
    expect(seen.refused).toMatchObject({
      v4: unsent("EPERM"),
      v6: unsent("EPERM"),
      device: { kind: "connected" },
    });
  });

  test("the errors of another program's packets to the same host are none of an echo's", () => {
    expect(seen.traceroute).toEqual({ waiting: { kind: "silence", others: 0, ms }, error: "EHOSTUNREACH" });
  });

  test("a packet filter that drops is silence, one that rejects is heard at once", () => {
    expect(seen.filtered).toEqual({
      tcpDropped: { kind: "deadline", ms },
      udpDropped: { kind: "silence" },
      tcpRejected: failed("EHOSTUNREACH"),
      udpRejected: unanswered("EHOSTUNREACH"),
      udpNotSent: unanswered("EPERM"),
    });
  });

  test("an interface and an address to leave by", () => {
    expect(seen.device).toEqual({
      loopback: { kind: "connected", ms },
      other: { kind: "deadline", ms },
      source: { kind: "connected", ms },
      udp: unanswered("ECONNREFUSED"),
    });
  });

  test("a router without a route, one whose network is silent, and no router", () => {
    expect(seen.routed).toEqual({
      tcp: failed("ENETUNREACH"),
      udp: unanswered("ENETUNREACH"),
      silent: { kind: "deadline", ms },
      tcp6: failed("ENETUNREACH"),
      udp6: unsent("ENETUNREACH"),
    });
  });

  test("a neighbour that is not there", () => {
    expect(seen.neighbour).toMatchObject({
      tcp4: failed("EHOSTUNREACH"),
      tcp6: failed("EHOSTUNREACH"),
      udp4: unanswered("EHOSTUNREACH"),
      icmp4: unanswered("EHOSTUNREACH"),
      icmp6: unanswered("EHOSTUNREACH"),
    });
  });

  test("a socket that meets itself on a closed port is refused", () => {
    expect(seen.met).toEqual(["ECONNREFUSED"]);
  });
});
