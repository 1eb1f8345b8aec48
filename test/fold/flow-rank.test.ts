import { describe, expect, test } from "vitest";
import { defaults } from "../../src/config/defaults.ts";
import type { RankBy } from "../../src/model/config.ts";
import { createFlows, type FlowOptions } from "../../src/fold/flow-state.ts";
import { beginFlows, collectFlows, countGroups, settleFlows } from "../../src/fold/flows.ts";
import { foldFlows } from "../kit/flow-facts.ts";
import { drain, endedOf, pointsOf } from "../kit/points.ts";
import { batchOf, type SocketRow } from "../kit/sockets.ts";

/** Groups by peer, `10.0.0.N` of cookie N; what each has sent so far is what a test says. */
const createTest = (options: Partial<FlowOptions>) => {
  const flows = createFlows({
    ...defaults.sockets,
    groupBy: ["network.peer.address"],
    maxGroups: 2,
    seriesTtl: 3,
    ...options,
  });
  let tick = 0;
  return {
    flows,
    dump: (rows: readonly (Partial<SocketRow> & { cookie: number })[]) => {
      beginFlows(flows, ++tick * 1000);
      foldFlows(flows, batchOf(rows.map((row) => ({ peer: `10.0.0.${row.cookie}`, ...row }))));
      drain(settleFlows(flows));
      const { value } = drain(collectFlows(flows, false));
      const of = (metric: string) =>
        Object.fromEntries(
          pointsOf(value)
            .filter((point) => point.metric === metric && point.attributes["network.io.direction"] !== "receive")
            .map(({ attributes, value: sum, start }) => [
              String(attributes["network.peer.address"] ?? "overflow"),
              { sum, start },
            ]),
        );
      const ended = endedOf(value)
        .filter(({ metric }) => metric === "sockscope.flow.count")
        .map(({ attributes }) => attributes["network.peer.address"]);
      return { sent: of("sockscope.flow.io"), counts: of("sockscope.flow.count"), ended };
    },
  };
};

const sent = (cookie: number, bytes: number) => ({ cookie, info: { bytes_acked: bytes, rtt: bytes } });

describe("a budget of two groups", () => {
  test("the group that ranks higher takes the place of the lowest, from then on and from 0", () => {
    const { flows, dump } = createTest({ rankBy: "bytes" });
    let bytes = 0;
    const next = () => dump([sent(1, 0), sent(2, bytes * 10), sent(3, (bytes += 100) - 100)]);
    const first = next();
    expect(Object.keys(first.counts)).toEqual(["10.0.0.1", "10.0.0.2", "overflow"]);
    let seen = next();
    let ticks = 2;
    while (seen.counts["10.0.0.3"] === undefined && ticks < 12) {
      expect(seen.sent["overflow"]).toEqual({ sum: (ticks - 1) * 100, start: 1000 });
      seen = next();
      ticks++;
    }
    // Three ticks of ranks before the first change, and one in which the promised place is taken.
    expect(ticks).toBe(5);
    expect(seen.ended).toEqual(["10.0.0.1"]);
    expect(seen.sent["10.0.0.3"]).toEqual({ sum: 100, start: 4000 });
    expect(seen.sent["overflow"]).toEqual({ sum: 300, start: 1000 });
    expect(seen.counts["overflow"]?.sum).toBe(1);
    expect(countGroups(flows)).toEqual({ own: 2, overflowed: 1 });
  });

  test("groups that rank nearly alike keep their places", () => {
    const { dump } = createTest({ rankBy: "bytes" });
    for (let tick = 0; tick < 20; tick++) {
      const { counts } = dump([sent(1, tick * 100), sent(2, tick * 100), sent(3, tick * 130)]);
      expect(Object.keys(counts)).toEqual(["10.0.0.1", "10.0.0.2", "overflow"]);
    }
  });

  test("a place that becomes free goes to the highest of those without", () => {
    const { dump } = createTest({ rankBy: "bytes", seriesTtl: 1 });
    for (let tick = 0; tick < 3; tick++) dump([sent(1, 0), sent(2, 0), sent(3, tick), sent(4, tick * 5)]);
    for (let tick = 3; tick < 7; tick++) dump([sent(2, 0), sent(3, tick), sent(4, tick * 5)]);
    expect(Object.keys(dump([sent(2, 0), sent(3, 7), sent(4, 35)]).counts)).toContain("10.0.0.4");
  });

  test("there is no overflow for long where there is room for all", () => {
    const { dump, flows } = createTest({ rankBy: "bytes", seriesTtl: 1 });
    for (let tick = 0; tick < 3; tick++) dump([sent(1, tick), sent(2, tick), sent(3, tick)]);
    let counts: Readonly<Record<string, { sum: number }>> = {};
    for (let tick = 3; tick < 8; tick++) ({ counts } = dump([sent(2, tick), sent(3, tick)]));
    expect(counts["10.0.0.3"]?.sum).toBe(1);
    expect(counts["overflow"]?.sum).toBe(0);
    expect(countGroups(flows)).toEqual({ own: 2, overflowed: 0 });
  });

  test.each<[RankBy, (cookie: number, tick: number) => readonly (Partial<SocketRow> & { cookie: number })[]]>([
    ["flows", (cookie: number, tick: number) => [{ cookie: cookie * 100 + tick, peer: `10.0.0.${cookie}` }]],
    ["rtt", (cookie: number, tick: number) => [{ cookie, info: { rtt: cookie * 100 + tick } }]],
    ["retransmits", (cookie: number, tick: number) => [{ cookie, info: { total_retrans: cookie * 10 * tick } }]],
  ])("by %s the highest has a place in the end", (rankBy, rowOf) => {
    const { dump } = createTest({ rankBy });
    let counts: Readonly<Record<string, unknown>> = {};
    for (let tick = 0; tick < 12; tick++) {
      const rows = [1, 2, 3].flatMap((cookie) => rowOf(cookie, tick));
      // The third has more flows than the others, too.
      const more = [0, 1, 2, 3].map((index) => ({ cookie: 3000 + index, peer: "10.0.0.3", info: { rtt: 1 } }));
      ({ counts } = dump(rankBy === "flows" ? [...rows, ...more] : rows));
    }
    expect(Object.keys(counts)).toContain("10.0.0.3");
  });

  test("there are no more groups in memory than flows, whatever comes and goes", () => {
    const { flows, dump } = createTest({ rankBy: "bytes", seriesTtl: 1 });
    for (let tick = 0; tick < 50; tick++) {
      dump(
        Array.from({ length: 10 }, (_, index) => ({ ...sent(tick * 10 + index, 5), peer: `10.0.${tick}.${index}` })),
      );
      // This tick's flows, those that a single absence has not closed, and two rows that live on.
      expect(flows.groups.size).toBeLessThanOrEqual(22);
      expect(countGroups(flows).own).toBeLessThanOrEqual(2);
    }
  });
});
