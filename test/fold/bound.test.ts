import { describe, expect, test } from "vitest";
import {
  beginBound,
  type Bound,
  collectBound,
  countBound,
  createListeners,
  createUdpPorts,
  foldBound,
  settleBound,
} from "../../src/fold/bound.ts";
import type { MetricColumns } from "../../src/model/columns.ts";
import { TCP_CLOSE, TCP_LISTEN } from "../../src/netlink/constants.ts";
import { drain, endedOf, pointsOf, valuesOf } from "../kit/points.ts";
import { batchOf, type SocketRow } from "../kit/sockets.ts";

const feed = (bound: Bound) => {
  let tick = 0;
  return (rows: readonly SocketRow[]): MetricColumns[] => {
    beginBound(bound, ++tick * 1000);
    const batch = batchOf(rows);
    for (let at = 0; at < batch.length; at++) foldBound(bound, batch, at);
    settleBound(bound);
    return drain(collectBound(bound, false)).value;
  };
};

const listener = (cookie: number, more: Partial<SocketRow> = {}): SocketRow => ({
  cookie,
  state: TCP_LISTEN,
  local: "0.0.0.0",
  localPort: 8080,
  wqueue: 128,
  ...more,
});

describe("listeners", () => {
  test("have the queue, the backlog and the drops of all sockets that listen there", () => {
    const dump = feed(createListeners(10));
    dump([listener(1, { drops: 100 }), listener(2, { drops: 5 })]);
    const metrics = dump([
      listener(1, { rqueue: 3, drops: 104 }),
      listener(2, { rqueue: 1, drops: 6 }),
      listener(3, { family: 6, local: "::", drops: 2 }),
    ]);
    expect(valuesOf(metrics, "sockscope.listener.accept_queue.usage")).toEqual({
      "0.0.0.0 8080 tcp ipv4": 4,
      ":: 8080 tcp ipv6": 0,
    });
    expect(valuesOf(metrics, "sockscope.listener.accept_queue.limit")).toEqual({
      "0.0.0.0 8080 tcp ipv4": 256,
      ":: 8080 tcp ipv6": 128,
    });
    expect(valuesOf(metrics, "sockscope.listener.drops")).toEqual({
      "0.0.0.0 8080 tcp ipv4": 5,
      ":: 8080 tcp ipv6": 2,
    });
    expect(
      pointsOf(metrics)
        .filter(({ metric }) => metric === "sockscope.listener.drops")
        .map(({ start }) => start),
    ).toEqual([1000, 1000]);
  });

  test("end when their last socket was absent twice", () => {
    const dump = feed(createListeners(10));
    dump([listener(1), listener(2)]);
    dump([listener(2)]);
    expect(endedOf(dump([listener(2)]))).toEqual([]);
    expect(endedOf(dump([])).map(({ metric }) => metric)).toEqual([
      "sockscope.listener.accept_queue.usage",
      "sockscope.listener.accept_queue.limit",
    ]);
    expect(endedOf(dump([])).map(({ metric }) => metric)).toEqual(["sockscope.listener.drops"]);
    expect(dump([])).toEqual([]);
  });

  test("beyond their budget share the overflow series", () => {
    const bound = createListeners(1);
    const dump = feed(bound);
    const metrics = dump([1, 2, 3].map((cookie) => listener(cookie, { localPort: 8000 + cookie, rqueue: cookie })));
    expect(valuesOf(metrics, "sockscope.listener.accept_queue.usage")).toEqual({ "0.0.0.0 8001 tcp ipv4": 1, true: 5 });
    expect(countBound(bound)).toEqual({ own: 1, overflowed: 2 });
  });

  test("of unix sockets have their path and share the budget; those of one name are added up", () => {
    const unix = (cookie: number, name: string, rqueue: number): SocketRow => ({
      cookie,
      protocol: "unix",
      state: TCP_LISTEN,
      name,
      rqueue,
      wqueue: 8,
      drops: Number.NaN,
    });
    const bound = createListeners(2);
    const metrics = feed(bound)([
      listener(1, { rqueue: 5 }),
      unix(2, "/run/app.sock", 1),
      unix(3, "/run/app.sock", 2),
      unix(4, "@abstract", 4),
      listener(5, { localPort: 9090, drops: 3 }),
    ]);
    expect(valuesOf(metrics, "sockscope.listener.accept_queue.usage")).toEqual({
      "0.0.0.0 8080 tcp ipv4": 5,
      "/run/app.sock unix": 3,
      true: 4,
    });
    expect(valuesOf(metrics, "sockscope.listener.accept_queue.limit")).toMatchObject({ "/run/app.sock unix": 16 });
    // The overflow series has what was dropped, although it began with a socket that has no drops.
    expect(valuesOf(metrics, "sockscope.listener.drops")).toEqual({ "0.0.0.0 8080 tcp ipv4": 0, true: 0 });
    expect(countBound(bound)).toEqual({ own: 2, overflowed: 2 });
  });

  test("whose drops the kernel does not give have none, not 0", () => {
    expect(
      valuesOf(feed(createListeners(10))([listener(1, { drops: Number.NaN })]), "sockscope.listener.drops"),
    ).toEqual({});
  });
});

test("UDP ports have their queues by direction and their drops, which wrap at 32 bits", () => {
  const dump = feed(createUdpPorts(10));
  const socket = (drops: number, rqueue: number): SocketRow => ({
    cookie: 1,
    protocol: "udp",
    state: TCP_CLOSE,
    local: "127.0.0.1",
    localPort: 53,
    drops,
    rqueue,
    wqueue: 9,
  });
  dump([socket(0xffffffff, 0)]);
  const metrics = dump([socket(4, 640)]);
  expect(valuesOf(metrics, "sockscope.udp.queue.usage")).toEqual({
    "receive 127.0.0.1 53 udp ipv4": 640,
    "transmit 127.0.0.1 53 udp ipv4": 9,
  });
  expect(valuesOf(metrics, "sockscope.udp.drops")).toEqual({ "127.0.0.1 53 udp ipv4": 5 });
});
