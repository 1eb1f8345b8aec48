import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  abandonSocketCounts,
  beginSocketCounts,
  collectSocketCounts,
  countSocket,
  createSocketCounts,
  restartSocketCounts,
  settleSocketCounts,
} from "../../src/fold/socket-counts.ts";
import type { MetricColumns } from "../../src/model/columns.ts";
import { type SocketProtocol, socketProtocols } from "../../src/model/socket.ts";
import { TCP_CLOSE, TCP_ESTABLISHED, TCP_LISTEN } from "../../src/netlink/constants.ts";
import { drain, endedOf, pointsOf, valuesOf } from "../kit/points.ts";
import { batchOf, type SocketRow } from "../kit/sockets.ts";

const stream = 1;
const raw = 3;

const feed = (protocols: readonly SocketProtocol[]) => {
  const counts = createSocketCounts(protocols);
  let tick = 0;
  const fold = (rows: readonly SocketRow[]): void => {
    const batch = batchOf(rows);
    for (let at = 0; at < batch.length; at++) countSocket(counts, batch, at);
  };
  const collect = (absent = false): MetricColumns[] => drain(collectSocketCounts(counts, absent)).value;
  const begin = (): void => beginSocketCounts(counts, ++tick * 1000);
  const dump = (rows: readonly SocketRow[], lacking: readonly SocketProtocol[] = []): MetricColumns[] => {
    begin();
    fold(rows);
    settleSocketCounts(counts, new Set(lacking));
    return collect();
  };
  return { counts, begin, fold, dump, collect };
};

const countsOf = (metrics: readonly MetricColumns[]): Record<string, number> =>
  valuesOf(metrics, "sockscope.socket.count");
const dropsOf = (metrics: readonly MetricColumns[]): Record<string, number> =>
  valuesOf(metrics, "sockscope.socket.drops");

const unix = (cookie: number, state = TCP_ESTABLISHED, type = stream): SocketRow => ({
  cookie,
  protocol: "unix",
  state,
  type,
  drops: Number.NaN,
});
const packet = (cookie: number, drops = 0): SocketRow => ({ cookie, protocol: "packet", state: 0, type: raw, drops });

describe("counts", () => {
  test("are by type and state, with a zero for each that the protocol can have", () => {
    const { dump } = feed(["tcp", "unix"]);
    expect(countsOf(dump([unix(1), unix(2), unix(3, TCP_LISTEN), unix(4, TCP_CLOSE, 2)]))).toEqual({
      "established unix stream": 2,
      "listen unix stream": 1,
      "closed unix stream": 0,
      "established unix dgram": 0,
      "closed unix dgram": 1,
      "established unix seqpacket": 0,
      "listen unix seqpacket": 0,
      "closed unix seqpacket": 0,
    });
    expect(Object.values(countsOf(dump([]))).every((count) => count === 0)).toBe(true);
  });

  test("pass over a socket that the dump shows twice", () => {
    const { dump } = feed(["packet"]);
    expect(countsOf(dump([packet(1), packet(1), packet(2)]))).toEqual({ "packet raw": 2, "packet dgram": 0 });
  });

  test("of types and states without a name here are other, so that none is lost", () => {
    const { dump } = feed(["unix", "vsock"]);
    const counted = countsOf(dump([unix(1, 99, 42), unix(2, 99, 43), { ...unix(3, 99), protocol: "vsock" }]));
    expect(counted).toMatchObject({ "other unix other": 2, "other vsock stream": 1 });
  });

  test("of SCTP are endpoints and associations, which have the cookie of their endpoint", () => {
    const { dump } = feed(["sctp"]);
    const sctp = (cookie: number, state: number, peerPort: number): SocketRow => ({
      cookie,
      protocol: "sctp",
      state,
      peerPort,
      drops: Number.NaN,
    });
    const counted = countsOf(
      dump([sctp(1, 10, 0), sctp(1, 10, 0), sctp(2, 3, 9000), sctp(2, 3, 9001), sctp(3, 7, 9000)]),
    );
    expect(counted).toMatchObject({ "listen sctp": 1, "established sctp": 2, "shutdown_ack_sent sctp": 1 });
    expect(Object.keys(counted)).toHaveLength(9);
  });

  test("of a protocol that the kernel lacks are no series, and end where it was there before", () => {
    const { dump } = feed(["vsock", "packet"]);
    expect(Object.keys(countsOf(dump([], ["vsock"])))).toEqual(["packet raw", "packet dgram"]);
    dump([packet(1, 5)], ["vsock"]);
    const gone = dump([], ["vsock", "packet"]);
    expect(pointsOf(gone)).toEqual([]);
    expect(endedOf(gone)).toHaveLength(3);
    expect(dump([], ["vsock", "packet"])).toEqual([]);
    // What comes back starts anew: what it dropped meanwhile was not seen.
    const back = dump([packet(2, 1000)], ["vsock"]);
    expect(dropsOf(back)).toEqual({ "packet raw": 0 });
    expect(pointsOf(back).map(({ start }) => start)).toEqual([5000, 5000, 5000]);
  });

  test("start anew when the sockets of their protocol come once more", () => {
    const { counts, begin, fold, collect } = feed(["unix", "packet"]);
    begin();
    fold([packet(9), unix(1), unix(2)]);
    restartSocketCounts(counts, "unix");
    fold([unix(2), unix(3)]);
    settleSocketCounts(counts, new Set());
    expect(countsOf(collect())).toMatchObject({ "established unix stream": 2, "packet raw": 1 });
  });

  test("are absent when the dump failed, and come back", () => {
    const { counts, dump, begin, collect } = feed(["packet"]);
    dump([packet(1)]);
    begin();
    abandonSocketCounts(counts);
    const failed = collect(true);
    expect(pointsOf(failed)).toEqual([]);
    expect(endedOf(failed)).toHaveLength(3);
    expect(countsOf(dump([packet(1)]))).toEqual({ "packet raw": 1, "packet dgram": 0 });
  });

  test.each(socketProtocols)("%s: attributes are as the catalogue has them, and no set is there twice", (protocol) => {
    const points = pointsOf(feed([protocol]).dump([]));
    const keys = points.map(({ attributes }) => JSON.stringify(attributes));
    expect(new Set(keys).size).toBe(keys.length);
    if (protocol === "tcp" || protocol === "udp") expect(points).toEqual([]);
    else expect(points.length).toBeGreaterThan(0);
  });
});

describe("drops", () => {
  test("are what the sockets of a type drop from the first dump on, and stay when a socket closes", () => {
    const { dump } = feed(["packet"]);
    expect(dropsOf(dump([packet(1, 100), packet(2, 7)]))).toEqual({ "packet raw": 0 });
    expect(dropsOf(dump([packet(1, 104), packet(2, 7), packet(3, 2)]))).toEqual({ "packet raw": 6 });
    for (let tick = 0; tick < 4; tick++) expect(dropsOf(dump([packet(2, 7)]))).toEqual({ "packet raw": 6 });
    expect(dropsOf(dump([packet(2, 8)]))).toEqual({ "packet raw": 7 });
  });

  test("wrap at 32 bits", () => {
    const { dump } = feed(["packet"]);
    dump([packet(1, 0xffff_fffe)]);
    expect(dropsOf(dump([packet(1, 3)]))).toEqual({ "packet raw": 5 });
  });

  test("count once when the sockets of the protocol come once more", () => {
    const { counts, dump, begin, fold, collect } = feed(["packet"]);
    dump([packet(1, 0)]);
    begin();
    fold([packet(1, 4)]);
    restartSocketCounts(counts, "packet");
    fold([packet(1, 5)]);
    settleSocketCounts(counts, new Set());
    expect(dropsOf(collect())).toEqual({ "packet raw": 4 });
    expect(dropsOf(dump([packet(1, 5)]))).toEqual({ "packet raw": 5 });
  });

  test("that the kernel does not give are absent, not 0", () => {
    expect(dropsOf(feed(["packet"]).dump([packet(1, Number.NaN)]))).toEqual({});
  });

  test("are the sum of all increments, and never fall", () => {
    const lives = fc.array(fc.array(fc.nat(50), { minLength: 1, maxLength: 6 }), { maxLength: 8 });
    fc.assert(
      fc.property(lives, (sockets) => {
        const { dump } = feed(["packet"]);
        dump([]);
        let expected = 0;
        let before = 0;
        for (let tick = 0; tick < 8; tick++) {
          const rows = sockets.flatMap((increments, cookie) => {
            if (tick >= increments.length) return [];
            expected += increments[tick] ?? 0;
            return [
              packet(
                cookie + 1,
                increments.slice(0, tick + 1).reduce((sum, one) => sum + one, 0),
              ),
            ];
          });
          const total = dropsOf(dump(rows))["packet raw"] ?? 0;
          expect(total).toBe(expected);
          expect(total).toBeGreaterThanOrEqual(before);
          before = total;
        }
      }),
    );
  });
});
