import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createFlows, type FlowOptions } from "../../src/fold/flow-state.ts";
import { abandonFlows, beginFlows, collectFlows, countGroups, settleFlows } from "../../src/fold/flows.ts";
import { defaults } from "../../src/config/defaults.ts";
import type { MetricColumns } from "../../src/model/columns.ts";
import { foldFlows } from "../kit/flow-facts.ts";
import { drain, endedOf, pointsOf, valuesOf } from "../kit/points.ts";
import { batchOf, type SocketRow } from "../kit/sockets.ts";

/** A fold that is fed a dump a tick; tick n happens at n * 1000 ms. */
const createFold = (options: Partial<FlowOptions> = {}) => {
  const flows = createFlows({ ...defaults.sockets, seriesTtl: 3, ...options });
  let tick = 0;
  return {
    flows,
    dump(rows: readonly SocketRow[]): MetricColumns[] {
      beginFlows(flows, ++tick * 1000);
      const batch = batchOf(rows);
      foldFlows(flows, batch);
      drain(settleFlows(flows));
      return drain(collectFlows(flows, false)).value;
    },
    failedDump(rows: readonly SocketRow[]): MetricColumns[] {
      beginFlows(flows, ++tick * 1000);
      const batch = batchOf(rows);
      foldFlows(flows, batch);
      abandonFlows(flows);
      return drain(collectFlows(flows, true)).value;
    },
  };
};

const sent = (metrics: readonly MetricColumns[]): number =>
  pointsOf(metrics)
    .filter(
      ({ metric, attributes }) => metric === "sockscope.flow.io" && attributes["network.io.direction"] === "transmit",
    )
    .reduce((sum, { value }) => sum + value, 0);

const client = (cookie: number, more: Partial<SocketRow> = {}): SocketRow => ({
  cookie,
  local: "10.0.0.1",
  localPort: 40_000 + cookie,
  peer: "10.0.0.9",
  peerPort: 443,
  ...more,
});

describe("flows by endpoint", () => {
  test("a server is known by its listener, a client by its ephemeral port, and the rest is unknown", () => {
    const metrics = createFold().dump([
      { cookie: 1, local: "10.0.0.1", localPort: 80, peer: "10.0.0.5", peerPort: 50_000 },
      { cookie: 2, local: "10.0.0.1", localPort: 80, peer: "10.0.0.6", peerPort: 50_000 },
      client(3),
      { cookie: 4, family: 6, local: "::ffff:10.0.0.1", localPort: 40_000, peer: "::ffff:10.0.0.9", peerPort: 443 },
      { cookie: 5, local: "10.0.0.1", localPort: 1000, peer: "10.0.0.7", peerPort: 2049 },
    ]);
    const counts = pointsOf(metrics).filter(({ metric }) => metric === "sockscope.flow.count");
    expect(counts.map(({ attributes, value }) => [attributes, value])).toEqual([
      [{ "network.transport": "tcp", "sockscope.flow.role": "server", "network.local.port": 80 }, 2],
      [
        {
          "network.transport": "tcp",
          "sockscope.flow.role": "client",
          "network.peer.address": "10.0.0.9",
          "network.peer.port": 443,
        },
        2,
      ],
      [{ "network.transport": "tcp", "sockscope.flow.role": "unknown" }, 1],
    ]);
  });

  test("counts from the first dump on for flows older than the agent, and from 0 for later ones", () => {
    const fold = createFold();
    const first = fold.dump([client(1, { info: { bytes_acked: 5000 } })]);
    expect(sent(first)).toBe(0);
    expect(pointsOf(first)[0]?.start).toBe(1000);
    expect(
      sent(fold.dump([client(1, { info: { bytes_acked: 5100 } }), client(2, { info: { bytes_acked: 30 } })])),
    ).toBe(130);
  });

  test("a group that appears later starts at the tick before its first increment", () => {
    const fold = createFold();
    fold.dump([]);
    fold.dump([]);
    const metrics = fold.dump([client(1, { info: { bytes_acked: 7 } })]);
    expect(new Set(pointsOf(metrics).map(({ start }) => start))).toEqual(new Set([2000]));
    expect(sent(metrics)).toBe(7);
  });

  test("opened and closed: two absences close a flow, one does not", () => {
    const fold = createFold();
    fold.dump([client(1)]);
    expect(valuesOf(fold.dump([client(1), client(2)]), "sockscope.flow.opened")).toEqual({
      "10.0.0.9 443 tcp client": 1,
    });
    const missed = fold.dump([client(1)]);
    expect(valuesOf(missed, "sockscope.flow.closed")).toEqual({ "10.0.0.9 443 tcp client": 0 });
    expect(valuesOf(missed, "sockscope.flow.count")).toEqual({ "10.0.0.9 443 tcp client": 2 });
    const closed = fold.dump([client(1)]);
    expect(valuesOf(closed, "sockscope.flow.closed")).toEqual({ "10.0.0.9 443 tcp client": 1 });
    expect(valuesOf(closed, "sockscope.flow.count")).toEqual({ "10.0.0.9 443 tcp client": 1 });
  });

  test("a flow that one dump missed goes on without a second count of its bytes", () => {
    const fold = createFold();
    fold.dump([]);
    fold.dump([client(1, { info: { bytes_acked: 10 } })]);
    fold.dump([]);
    const back = fold.dump([client(1, { info: { bytes_acked: 15 } })]);
    expect(sent(back)).toBe(15);
    expect(valuesOf(back, "sockscope.flow.opened")).toEqual({ "10.0.0.9 443 tcp client": 1 });
  });

  test("a dump that failed half-way is no absence", () => {
    const fold = createFold();
    fold.dump([client(1), client(2)]);
    fold.failedDump([client(1)]);
    fold.failedDump([]);
    const closedAfterOne = fold.dump([client(1)]);
    expect(valuesOf(closedAfterOne, "sockscope.flow.closed")).toEqual({ "10.0.0.9 443 tcp client": 0 });
    expect(valuesOf(fold.dump([client(1)]), "sockscope.flow.closed")).toEqual({ "10.0.0.9 443 tcp client": 1 });
  });

  test("a group outlives its last flow by its ttl with its totals, then each of its series ends once", () => {
    const fold = createFold({ seriesTtl: 2 });
    fold.dump([]);
    fold.dump([client(1, { info: { bytes_acked: 10, rtt: 1000 } })]);
    fold.dump([]);
    expect(sent(fold.dump([]))).toBe(10);
    expect(sent(fold.dump([]))).toBe(10);
    const ended = fold.dump([]);
    expect(pointsOf(ended)).toEqual([]);
    const names = endedOf(ended).map(({ metric }) => metric);
    expect(names).toContain("sockscope.flow.io");
    expect(names).toContain("sockscope.flow.count");
    expect(names).not.toContain("sockscope.flow.rtt");
    expect(fold.dump([])).toEqual([]);
    const reborn = fold.dump([client(9, { info: { bytes_acked: 3 } })]);
    expect(sent(reborn)).toBe(3);
    expect(pointsOf(reborn)[0]?.start).toBe(7000);
  });

  test("gauges fold by their function, and one without a reading is absent", () => {
    const metrics = createFold().dump([
      client(1, {
        wqueue: 5,
        rqueue: 1,
        info: { rtt: 1000, rttvar: 100, min_rtt: 900, snd_cwnd: 10, delivery_rate: 500 },
      }),
      client(2, {
        wqueue: 7,
        rqueue: 2,
        info: {
          rtt: 3000,
          rttvar: 300,
          min_rtt: 0xffffffff,
          snd_cwnd: 20,
          delivery_rate: 700,
          delivery_rate_app_limited: 1,
        },
      }),
      client(3, { info: { rtt: 0, min_rtt: 0xffffffff, snd_cwnd: 30 } }),
    ]);
    const one = (metric: string) => Object.values(valuesOf(metrics, metric));
    expect(one("sockscope.flow.rtt")).toEqual([0.002]);
    expect(one("sockscope.flow.rtt.min")).toEqual([0.0009]);
    expect(one("sockscope.flow.rtt.max")).toEqual([0.003]);
    expect(one("sockscope.flow.rtt.variation")[0]).toBeCloseTo(0.0002, 12);
    expect(one("sockscope.flow.cwnd")).toEqual([20]);
    expect(one("sockscope.flow.delivery_rate")).toEqual([500]);
    expect(one("sockscope.flow.queue.usage")).toEqual([12, 3]);
    const idle = createFold().dump([client(1, { info: { min_rtt: 0xffffffff } })]);
    expect(valuesOf(idle, "sockscope.flow.rtt")).toEqual({});
    expect(valuesOf(idle, "sockscope.flow.rtt.min")).toEqual({});
  });

  test("counters that the kernel's struct is too short for are absent", () => {
    const metrics = createFold().dump([client(1, { info: { segs_out: undefined, segs_in: undefined } })]);
    expect(valuesOf(metrics, "sockscope.flow.segments")).toEqual({});
    expect(Object.keys(valuesOf(metrics, "sockscope.flow.io"))).toHaveLength(2);
  });

  test("a u32 counter that wraps goes on, and a socket reset under its cookie starts from 0", () => {
    const fold = createFold();
    fold.dump([client(1, { info: { bytes_acked: 100, segs_out: 0xfffffff0, total_retrans: 9 } })]);
    const wrapped = fold.dump([client(1, { info: { bytes_acked: 150, segs_out: 0x10, total_retrans: 9 } })]);
    expect(Object.values(valuesOf(wrapped, "sockscope.flow.segments"))[0]).toBe(0x20);
    const restarted = fold.dump([client(1, { info: { bytes_acked: 5, segs_out: 2, total_retrans: 1 } })]);
    expect(sent(restarted)).toBe(55);
    expect(Object.values(valuesOf(restarted, "sockscope.flow.segments"))[0]).toBe(0x22);
    expect(Object.values(valuesOf(restarted, "sockscope.flow.retransmits"))).toEqual([1]);
  });

  test("the order in which a dump shows the flows is nothing to them", () => {
    const fold = createFold();
    fold.dump([]);
    const rows = (bytes: number) =>
      [1, 2, 3, 4, 5].map((cookie) =>
        client(cookie, { peer: `10.0.3.${cookie}`, info: { bytes_acked: cookie * bytes } }),
      );
    fold.dump(rows(1));
    fold.dump(rows(10).toReversed());
    const [first, ...rest] = rows(100);
    const metrics = fold.dump([
      ...rest,
      client(6, { peer: "10.0.3.6", info: { bytes_acked: 7 } }),
      ...(first === undefined ? [] : [first]),
    ]);
    const sums = pointsOf(metrics).filter(
      ({ metric, attributes }) => metric === "sockscope.flow.io" && attributes["network.io.direction"] === "transmit",
    );
    expect(sums.map(({ attributes, value }) => [attributes["network.peer.address"], value])).toEqual([
      ["10.0.3.1", 100],
      ["10.0.3.2", 200],
      ["10.0.3.3", 300],
      ["10.0.3.4", 400],
      ["10.0.3.5", 500],
      ["10.0.3.6", 7],
    ]);
  });

  test("a socket that a dump shows twice counts once", () => {
    const fold = createFold();
    fold.dump([]);
    const metrics = fold.dump([
      client(1, { wqueue: 4, info: { bytes_acked: 10 } }),
      client(1, { wqueue: 4, info: { bytes_acked: 10 } }),
    ]);
    expect(sent(metrics)).toBe(10);
    expect(Object.values(valuesOf(metrics, "sockscope.flow.queue.usage"))).toEqual([4, 0]);
  });
});

describe("the overflow group", () => {
  test("holds what has no room, so that sums stay whole", () => {
    const fold = createFold({ maxGroups: 2 });
    fold.dump([]);
    const rows = [1, 2, 3, 4].map((cookie) =>
      client(cookie, { peer: `10.0.1.${cookie}`, info: { bytes_acked: 10 ** cookie } }),
    );
    const metrics = fold.dump(rows);
    expect(sent(metrics)).toBe(11_110);
    const overflow = pointsOf(metrics).filter(({ attributes }) => attributes["otel.metric.overflow"] === true);
    expect(
      overflow
        .filter(({ metric }) => metric === "sockscope.flow.io")
        .map(({ attributes, value }) => [attributes, value]),
    ).toEqual([
      [{ "network.io.direction": "transmit", "otel.metric.overflow": true }, 11_000],
      [{ "network.io.direction": "receive", "otel.metric.overflow": true }, 0],
    ]);
    expect(countGroups(fold.flows)).toEqual({ own: 2, overflowed: 2 });
  });
});

describe("flows by socket", () => {
  test("are the kernel's own values: start unknown for older sockets, the tick before for later ones", () => {
    const fold = createFold({ groupBy: "socket" });
    const first = fold.dump([client(1, { info: { bytes_acked: 5000 } })]);
    expect(sent(first)).toBe(5000);
    expect(pointsOf(first)[0]).toMatchObject({
      start: 0,
      attributes: {
        "network.transport": "tcp",
        "network.type": "ipv4",
        "network.local.address": "10.0.0.1",
        "network.local.port": 40_001,
        "network.peer.address": "10.0.0.9",
        "network.peer.port": 443,
      },
    });
    const second = fold.dump([client(1, { info: { bytes_acked: 5000 } }), client(2, { info: { bytes_acked: 70 } })]);
    expect(pointsOf(second).find(({ attributes }) => attributes["network.local.port"] === 40_002)?.start).toBe(1000);
    expect(sent(second)).toBe(5070);
  });

  test("end when the socket is closed, without a ttl", () => {
    const fold = createFold({ groupBy: "socket", seriesTtl: 10 });
    fold.dump([client(1)]);
    fold.dump([]);
    const ended = endedOf(fold.dump([]));
    expect(ended.filter(({ metric }) => metric === "sockscope.flow.io")).toHaveLength(2);
  });

  test("the same addresses and ports under a new cookie start again from 0 at the tick before", () => {
    const fold = createFold({ groupBy: "socket" });
    fold.dump([client(1, { info: { bytes_acked: 5000 } })]);
    const metrics = fold.dump([client(2, { localPort: 40_001, info: { bytes_acked: 20 } })]);
    expect(sent(metrics)).toBe(20);
    expect(pointsOf(metrics)[0]?.start).toBe(1000);
    expect(endedOf(metrics)).toEqual([]);
    expect(sent(fold.dump([client(2, { localPort: 40_001, info: { bytes_acked: 25 } })]))).toBe(25);
  });

  test("two live sockets with the same addresses and ports share a series that never falls", () => {
    const fold = createFold({ groupBy: "socket" });
    const both = (first: number, second: number) => [
      client(1, { info: { bytes_acked: first } }),
      client(2, { localPort: 40_001, info: { bytes_acked: second } }),
    ];
    fold.dump([]);
    const values = [both(10, 100), both(11, 101), both(12, 102).toReversed()].map((rows) => {
      const metrics = fold.dump(rows);
      return [
        sent(metrics),
        ...new Set(pointsOf(metrics).map(({ start }) => start)),
        ...Object.values(valuesOf(metrics, "sockscope.flow.count")),
      ];
    });
    expect(values).toEqual([
      [110, 1000, 2],
      [112, 1000, 2],
      [114, 1000, 2],
    ]);
  });

  test("a socket reset under its cookie starts again from 0", () => {
    const fold = createFold({ groupBy: "socket" });
    fold.dump([]);
    fold.dump([client(1, { info: { bytes_acked: 100 } })]);
    const metrics = fold.dump([client(1, { info: { bytes_acked: 8 } })]);
    expect(sent(metrics)).toBe(8);
    expect(pointsOf(metrics)[0]?.start).toBe(2000);
  });
});

/** A life of sockets: in each tick some open, some send, some close, some are missed by the dump. */
const ticks = fc.array(
  fc.array(
    fc.record({
      cookie: fc.integer({ min: 1, max: 12 }),
      bytes: fc.integer({ min: 0, max: 1000 }),
      missed: fc.boolean(),
    }),
    { maxLength: 12 },
  ),
  { minLength: 1, maxLength: 25 },
);

describe.each(["endpoint", "host"] as const)("any life of sockets by %s", (groupBy) => {
  test("keeps every byte: live + ended + overflow = what the kernel gave beyond the baseline", () => {
    fc.assert(
      fc.property(
        ticks,
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 3 }),
        (life, maxGroups, seriesTtl) => {
          const fold = createFold({ groupBy, maxGroups, seriesTtl });
          const acked = new Map<number, number>();
          const given = new Map<number, number>();
          const baseline = new Map<number, number>();
          const lastOf = new Map<string, number>();
          let ended = 0;
          let closed = 0;
          for (const [tick, sockets] of life.entries()) {
            const rows = [...new Map(sockets.map((socket) => [socket.cookie, socket])).values()].flatMap(
              ({ cookie, bytes, missed }) => {
                acked.set(cookie, (acked.get(cookie) ?? 0) + bytes);
                if (missed) return [];
                const value = acked.get(cookie) as number;
                if (!given.has(cookie)) baseline.set(cookie, tick === 0 ? value : 0);
                given.set(cookie, value);
                return [client(cookie, { peer: `10.0.2.${cookie % 6}`, info: { bytes_acked: value } })];
              },
            );
            const present = new Set(rows.map(({ cookie }) => cookie));
            const metrics = fold.dump(rows);
            for (const { metric, attributes, start, value } of pointsOf(metrics)) {
              if (metric !== "sockscope.flow.io" || attributes["network.io.direction"] !== "transmit") continue;
              const key = JSON.stringify([attributes, start]);
              expect(value).toBeGreaterThanOrEqual(lastOf.get(key) ?? 0);
              lastOf.set(key, value);
            }
            for (const { metric, attributes, start } of endedOf(metrics)) {
              if (metric !== "sockscope.flow.io" || attributes["network.io.direction"] !== "transmit") continue;
              ended += lastOf.get(JSON.stringify([attributes, start])) ?? 0;
            }
            // A cookie that the fold has closed is a new socket to it: the model forgets it too.
            for (const cookie of given.keys()) {
              if (present.has(cookie) || fold.flows.slotOfCookie.has(cookie)) continue;
              closed += (given.get(cookie) as number) - (baseline.get(cookie) as number);
              given.delete(cookie);
              baseline.delete(cookie);
            }
            let kernel = closed;
            for (const [cookie, value] of given) kernel += value - (baseline.get(cookie) as number);
            expect(sent(metrics) + ended).toBe(kernel);
          }
        },
      ),
    );
  });
});
