import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { defaults } from "../../src/config/defaults.ts";
import { foldEvent } from "../../src/fold/flow-events.ts";
import { createFlows, type FlowOptions } from "../../src/fold/flow-state.ts";
import { beginFlows, beginResync, collectFlows, endResync, settleFlows } from "../../src/fold/flows.ts";
import { TCP_CLOSE } from "../../src/netlink/constants.ts";
import { foldFlows, noOwnerFacts } from "../kit/flow-facts.ts";
import { drain } from "../kit/points.ts";
import { createReceiver, direction } from "../kit/receiver.ts";
import { batchOf, type SocketRow } from "../kit/sockets.ts";

/** What a connection counts, u64 and u32. */
type Counted = { acked: number; received: number; segments: number };
const nothing: Counted = { acked: 0, received: 0, segments: 0 };
/** Segments start just below their wrap, so that most connections cross it. */
const firstSegments = 0xffffff00;

/** What nobody was told of yet counts from 0. */
const unborn: Counted = { ...nothing, segments: -firstSegments };

type Connection = {
  readonly cookie: number;
  readonly localPort: number;
  peerPort: number;
  readonly peer: string;
  now: Counted;
  /** What the fold was last told, and what it was told to begin with. */
  told: Counted;
};

const row = ({ cookie, localPort, peer, peerPort, now }: Connection): SocketRow => ({
  cookie,
  local: "10.0.0.1",
  localPort,
  peer,
  peerPort,
  info: {
    bytes_acked: now.acked,
    bytes_received: now.received,
    segs_out: (firstSegments + now.segments) % 2 ** 32,
    min_rtt: 50,
    rtt: 100 + now.acked,
    total_retrans: now.segments >> 4,
  },
});

type Step =
  | { readonly kind: "open"; readonly peer: number; readonly port: number }
  | { readonly kind: "send"; readonly which: number; readonly bytes: number }
  /** `vanish`: a close that nobody is told of. */
  | { readonly kind: "close" | "reset" | "reconnect" | "elsewhere" | "vanish"; readonly which: number }
  | { readonly kind: "tick"; readonly misses: number }
  /** A dump between two ticks. */
  | { readonly kind: "resync"; readonly misses: number };

const step = (withEvents: boolean): fc.Arbitrary<Step> =>
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("open" as const), peer: fc.nat(4), port: fc.nat(3) }) },
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("send" as const), which: fc.nat(20), bytes: fc.nat(500) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: withEvents
          ? fc.constantFrom(
              "close" as const,
              "reset" as const,
              "reconnect" as const,
              "elsewhere" as const,
              "vanish" as const,
            )
          : fc.constantFrom("close" as const),
        which: fc.nat(20),
      }),
    },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("tick" as const), misses: fc.nat(40) }) },
    {
      weight: withEvents ? 3 : 0,
      arbitrary: fc.record({ kind: fc.constant("resync" as const), misses: fc.nat(40) }),
    },
  );

const options: fc.Arbitrary<FlowOptions> = fc.record({
  groupBy: fc.constantFrom(
    "endpoint" as const,
    "host" as const,
    "socket" as const,
    ["network.peer.address"] as const,
    ["network.peer.address", "network.local.port"] as const,
  ),
  maxGroups: fc.constantFrom(1, 2, 3, 100),
  rankBy: fc.constantFrom("bytes" as const, "retransmits" as const, "flows" as const, "rtt" as const),
  seriesTtl: fc.constantFrom(1, 3),
  metrics: fc.constant(defaults.sockets.metrics),
});

/** Plays the steps to a fold as the kernel would tell them, and adds up by itself what it was told. */
const play = (given: FlowOptions, steps: readonly Step[], withEvents: boolean) => {
  const flows = createFlows(given);
  flows.hasEvents = withEvents;
  const receiver = createReceiver();
  const connections: Connection[] = [];
  const total = { ...nothing };
  const counts = { atStart: 0 };
  let ticks = 0;
  let cookies = 0;

  const told = (connection: Connection): void => {
    // Counts that fell are those of a new life; of one that has overtaken the old one by now nobody can tell.
    const { now, told: before } = connection;
    if (now.acked < before.acked || now.received < before.received || now.segments < before.segments)
      connection.told = { ...unborn };
    total.acked += connection.now.acked - connection.told.acked;
    total.received += connection.now.received - connection.told.received;
    total.segments += connection.now.segments - connection.told.segments;
    connection.told = { ...connection.now };
  };
  const event = (connection: Connection, erased: boolean): void => {
    const full = row(connection);
    const batch = batchOf([
      erased
        ? { ...full, state: TCP_CLOSE, local: "0.0.0.0", peer: "0.0.0.0", peerPort: 0, info: { min_rtt: 50 } }
        : { ...full, state: TCP_CLOSE },
    ]);
    foldEvent(flows, batch, 0, noOwnerFacts);
  };
  const shownOf = (misses: number): Connection[] =>
    connections.filter((_, index) => misses === 0 || index % 41 !== misses);
  const resync = (misses: number): void => {
    const shown = shownOf(misses);
    beginResync(flows);
    foldFlows(flows, batchOf(shown.map(row)));
    endResync(flows);
    for (const connection of shown) told(connection);
  };
  let missed = new Set<Connection>();
  const tick = (misses: number): void => {
    beginFlows(flows, ++ticks * 1000);
    // A dump can miss a live connection; two in a row that do are what closes it.
    const seen = new Set(shownOf(misses));
    const shown = connections.filter((connection) => seen.has(connection) || missed.has(connection));
    missed = new Set(connections.filter((connection) => !shown.includes(connection)));
    const batch = batchOf(shown.map(row));
    foldFlows(flows, batch);
    for (const [index, connection] of shown.entries()) {
      if (ticks === 1) {
        counts.atStart++;
        // By socket the whole life counts where there is a series for it, in a group what follows.
        if (given.groupBy !== "socket" || index >= given.maxGroups) connection.told = { ...connection.now };
      }
      told(connection);
    }
    drain(settleFlows(flows));
    receiver.receive(drain(collectFlows(flows, false)).value);
  };
  const take = (which: number): Connection | undefined =>
    connections.length === 0 ? undefined : connections[which % connections.length];
  const remove = (connection: Connection): void => {
    connections.splice(connections.indexOf(connection), 1);
  };

  for (const one of steps) {
    if (one.kind === "tick") tick(ticks === 0 ? 0 : one.misses);
    else if (one.kind === "resync") {
      if (ticks > 0) resync(one.misses);
    } else if (one.kind === "open") {
      const localPort = one.port === 0 ? 80 : 40_000 + (connections.length % 5) * 10 + one.port;
      const peer = `10.1.0.${one.peer}`;
      if (connections.some((other) => other.localPort === localPort && other.peer === peer)) continue;
      connections.push({
        cookie: ++cookies,
        localPort,
        peer,
        peerPort: 443,
        now: { acked: 1, received: 0, segments: 1 },
        told: { ...unborn },
      });
    } else {
      const connection = take(one.which);
      if (connection === undefined) continue;
      const wasOlder = ticks === 0;
      if (one.kind === "send") {
        connection.now.acked += one.bytes;
        connection.now.received += one.bytes >> 1;
        connection.now.segments += 1 + (one.bytes >> 3);
        // A counter that wraps before anybody was told of it cannot be known to have wrapped.
        if (connection.told.segments < 0) connection.now.segments = Math.min(connection.now.segments, 200);
      } else if (one.kind === "close") {
        if (withEvents) event(connection, false);
        if (withEvents && !wasOlder) told(connection);
        remove(connection);
      } else if (one.kind === "vanish") {
        remove(connection);
      } else if (one.kind === "reset") {
        event(connection, true);
        remove(connection);
      } else {
        // connect(AF_UNSPEC) and connect() again: the same cookie counts from 0, and nobody is told.
        const ports = connections.map(({ peerPort }) => peerPort);
        if (one.kind === "elsewhere") {
          connection.peerPort = Math.max(...ports) + 1;
          connection.told = { ...unborn };
        }
        connection.now = { acked: 1, received: 0, segments: 0 };
      }
    }
  }
  // Whatever was closed or demoted in the last tick is exported by then.
  tick(0);
  tick(0);
  tick(0);
  return { receiver, total, counts };
};

const transmit = direction("transmit");
const receive = direction("receive");

describe("over any life of connections", () => {
  test.each([
    ["with events", true],
    ["without events", false],
  ])("%s, what is exported adds up to what the kernel told, byte for byte", (_, withEvents) => {
    fc.assert(
      fc.property(options, fc.array(step(withEvents), { maxLength: 80 }), (given, steps) => {
        const { receiver, total, counts } = play(given, steps, withEvents);
        expect(receiver.sum("sockscope.flow.io", transmit)).toBe(total.acked);
        expect(receiver.sum("sockscope.flow.io", receive)).toBe(total.received);
        expect(receiver.sum("sockscope.flow.segments", transmit)).toBe(total.segments);
        if (given.groupBy === "socket") return;
        expect(receiver.sum("sockscope.flow.opened") - receiver.sum("sockscope.flow.closed")).toBe(
          receiver.now("sockscope.flow.count") - counts.atStart,
        );
      }),
      { numRuns: 2_000 },
    );
  });

  test("there are never more series of groups than max_groups, and the overflow's", () => {
    fc.assert(
      fc.property(options, fc.array(step(true), { maxLength: 80 }), (given, steps) => {
        expect(play(given, steps, true).receiver.most()).toBeLessThanOrEqual(given.maxGroups + 1);
      }),
    );
  });
});
