import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { temporalities } from "../../src/model/columns.ts";
import type { OtlpConfig } from "../../src/model/config.ts";
import {
  after,
  everyMs,
  freePort,
  noise,
  numbered,
  portOf,
  totals,
  useDelivery,
  values,
} from "../kit/otlp-delivery.ts";
import { flattenPoints } from "../kit/otlp-receiver.ts";
import { lock, storageFolder } from "../kit/otlp-storing.ts";
import { until } from "../kit/until.ts";
import { expectLongOutageDelivered } from "../kit/otlp-long-outage.ts";
import { startMs, timeMs } from "../kit/otlp-snapshots.ts";

const { destination: destinationOf, lines, receiver } = useDelivery();

describe.each(temporalities)("no answer (%s)", (temporality) => {
  const destination = (url: string, config: Partial<OtlpConfig> = {}) => destinationOf(url, { temporality, ...config });

  test.each(["hang", "dribble"] as const)("%s ends at the deadline and is retried", async (answer) => {
    const to = await receiver();
    to.answer(answer);
    const from = destination(to.url, { timeoutMs: 300 });
    // The deadline runs from the sending of the first request, which a busy machine's receiver sees later.
    const begin = performance.now();
    await from.export(numbered(1));
    await from.flush(after(5000));
    expect(totals(to)).toEqual([1]);
    expect(to.requests).toHaveLength(2);
    const pause = (to.requests[1]?.at ?? 0) - begin;
    expect(pause).toBeGreaterThan(300);
    expect(pause).toBeLessThan(2000);
    expect(lines).toEqual([
      `warn cannot reach the OTLP destination 127.0.0.1:${to.port} (no answer in 300 ms): requests are queued and retried; if it is only slow, raise export.otlp.timeout`,
      `info the OTLP destination 127.0.0.1:${to.port} is back: 1 request waited`,
    ]);
  });

  test("a lost connection is retried", async () => {
    const to = await receiver();
    to.answer("reset");
    const from = destination(to.url);
    await from.export(numbered(1));
    await from.flush(after(5000));
    expect(to.requests).toHaveLength(2);
    expect(totals(to)).toEqual([1]);
    expect(lines).toHaveLength(2);
  });

  test("an idle connection that the server has closed is no outage", async () => {
    const to = await receiver();
    to.answer({ status: 200 }, "reset");
    const from = destination(to.url);
    await from.export(numbered(1));
    await from.flush(after(5000));
    await from.export(numbered(2));
    await from.flush(after(5000));
    expect(totals(to)).toEqual([1, 2]);
    expect(to.requests).toHaveLength(3);
    expect(lines).toEqual([]);
  });

  test("what is exported while nothing listens arrives in order when the receiver comes up", async () => {
    const port = await freePort();
    const from = destination(`http://127.0.0.1:${port}/v1/metrics`);
    for (const value of [1, 2, 3, 4]) await from.export(numbered(value));
    await sleep(200);
    expect(from.stats()).toMatchObject({ sentPoints: 0, lastSuccessMs: undefined });
    expect(from.stats().queueBytes).toBeGreaterThan(0);
    const to = await receiver(port);
    await from.flush(after(5000));
    expect(totals(to)).toEqual([1, 2, 3, 4]);
    expect(from.stats()).toMatchObject({ queueBytes: 0, sentPoints: 4 });
    expect(lines).toEqual([
      `warn cannot reach the OTLP destination 127.0.0.1:${port} (ECONNREFUSED): requests are queued and retried; check that it runs and listens there`,
      `info the OTLP destination 127.0.0.1:${port} is back: 4 requests waited`,
    ]);
  });

  test("newest_first: the newest arrive first after an outage, and each arrives once", async () => {
    const to = await receiver();
    to.always({ status: 503 });
    const from = destination(to.url, { newestFirst: true, retry: everyMs(60_000) });
    for (const value of [1, 2, 3, 4]) await from.export(numbered(value));
    await until("the first one waits for its next attempt", () => lines.length === 1);
    to.always({ status: 200 });
    await from.export(numbered(5));
    await from.flush(after(5000));
    expect(values(to)).toEqual(temporality === "cumulative" ? [5, 4, 3, 2, 1] : [1, 1, 1, 1, 1]);
    expect(from.stats()).toMatchObject({ queueBytes: 0, sentPoints: 5 });
  });

  test("after an outage of 50 intervals each of them arrives once, and they add up", async () => {
    const port = await freePort();
    const from = destination(`http://127.0.0.1:${port}/v1/metrics`);
    await expectLongOutageDelivered(temporality, from, () => receiver(port));
  });

  test("with storage each of 50 intervals arrives at least once, over a restart amid them and a lost answer", async () => {
    using folder = storageFolder();
    const port = await freePort();
    const open = () =>
      destinationOf(`http://127.0.0.1:${port}/v1/metrics`, { temporality, storage: folder.path }, undefined, { lock });
    const at = (tick: number): number => timeMs + tick * 15_000;
    /** Each process counts from 0 from its start on. */
    const lives = [
      { start: startMs, ticks: [...Array(26).keys()] },
      { start: at(26) - 1000, ticks: Array.from({ length: 26 }, (_, index) => 26 + index) },
    ];
    const countedAt = (tick: number, first = 0): number => (tick - first + 1) * 3;
    const to = await receiver(port);
    const first = open();
    for (const tick of lives[0]?.ticks ?? []) {
      await first.export(numbered(countedAt(tick), at(tick)));
      if (tick > 0) continue;
      await first.flush(after(5000));
      await to.close();
    }
    await first.shutdown(AbortSignal.abort());
    const second = open();
    const { start = 0, ticks = [] } = lives[1] ?? {};
    for (const tick of ticks.slice(0, -1)) await second.export(numbered(countedAt(tick, 26), at(tick), start));
    const back = await receiver(port);
    back.answer({ status: 200 }, "reset");
    await second.export(numbered(countedAt(51, 26), at(51), start));
    await second.flush(after(10_000));
    const received = flattenPoints([...to.requests, ...back.requests].map(({ message }) => message));
    expect(received).toHaveLength(53);
    const distinct = [...new Map(received.map((point) => [point.time, point])).values()];
    expect(distinct.map(({ time }) => time)).toEqual([...Array(52).keys()].map(at));
    if (temporality === "cumulative") {
      const counted = lives.flatMap((life) => life.ticks.map((tick) => countedAt(tick, life.ticks[0])));
      expect(distinct.map(({ value }) => value)).toEqual(counted);
      expect(new Set(distinct.map((point) => point.start))).toEqual(new Set([startMs, start]));
    } else {
      expect(distinct.map(({ value }) => value)).toEqual(distinct.map(() => 3));
      expect(distinct.map((point) => point.start)).toEqual([
        startMs,
        ...Array.from({ length: 25 }, (_, tick) => at(tick)),
        start,
        ...Array.from({ length: 25 }, (_, tick) => at(26 + tick)),
      ]);
    }
    expect(second.stats()).toMatchObject({ queueRequests: 0, queuePoints: 0, retries: expect.any(Number) as number });
    expect(folder.files()).toEqual([]);
  });

  test("a request older than max_elapsed_time is given up, newer ones go on", async () => {
    const to = await receiver();
    to.always({ status: 503 });
    const retry = everyMs(30, 100);
    const from = destination(to.url, { retry });
    await from.export(noise(3));
    await from.export(numbered(9));
    await to.until((requests) => requests.some(({ message }) => JSON.stringify(message).includes('"asInt":"9"')));
    expect(from.stats().dropped.expired).toBe(3);
    expect(to.requests.length).toBeGreaterThanOrEqual(3);
    to.always({ status: 200 });
    await from.flush(after(5000));
    expect(values(to)).toEqual([9]);
  });

  test("a server that does not speak HTTP/1.1 says so", async () => {
    const server = createServer((socket) => {
      // The SETTINGS frame of HTTP/2, as a gRPC port begins.
      socket.on("error", () => undefined).once("data", () => socket.end(Buffer.from("000000040000000000", "hex")));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const from = destination(`http://127.0.0.1:${portOf(server)}/v1/metrics`);
    await from.export(numbered(1));
    await from.flush(after(100));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("for a TLS port write https:// in export.otlp.endpoint");
    server.close();
  });

  test("a TLS handshake that hangs ends at the deadline", async () => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => sockets.push(socket.resume())).listen(0, "127.0.0.1");
    await once(server, "listening");
    const from = destination(`https://127.0.0.1:${portOf(server)}/v1/metrics`, { timeoutMs: 150 });
    await from.export(numbered(1));
    const begin = performance.now();
    while (sockets.length < 2 && performance.now() - begin < 5000) await sleep(10);
    expect(sockets.length).toBeGreaterThanOrEqual(2);
    expect(performance.now() - begin).toBeLessThan(2000);
    await from.shutdown(AbortSignal.abort());
    server.close();
    await once(server, "close");
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("(no answer in 150 ms)");
  });

  test("TLS on a plain port says so", async () => {
    const to = await receiver();
    const from = destination(to.url.replace("http:", "https:"));
    await from.export(numbered(1));
    await from.flush(after(100));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("; if this port speaks plain HTTP, write http:// in export.otlp.endpoint");
  });
});

describe.each(temporalities)("a full queue (%s)", (temporality) => {
  const destination = (url: string, config: Partial<OtlpConfig> = {}, maxRequestBytes?: number) =>
    destinationOf(url, { temporality, ...config }, maxRequestBytes);

  test("drops the oldest while the destination is down, and counts their points", async () => {
    const port = await freePort();
    const from = destination(`http://127.0.0.1:${port}/v1/metrics`, { compression: "none", queueBytes: 1000 });
    // 138 bytes each.
    for (let value = 1; value <= 20; value++) await from.export(numbered(value));
    await sleep(50);
    const { queueBytes, dropped } = from.stats();
    expect(queueBytes).toBeLessThanOrEqual(1000);
    expect(queueBytes).toBeGreaterThan(800);
    const to = await receiver(port);
    await from.flush(after(5000));
    expect(lines.at(-1)).toMatch(
      new RegExp(`is back: ${values(to).length} requests waited, ${dropped.queue_full} points were dropped meanwhile$`),
    );
    const kept = values(to);
    expect(kept.length + dropped.queue_full).toBe(20);
    // A delta that is dropped is lost, while a cumulative value has those before it.
    expect(kept).toEqual(kept.map((_, index) => (temporality === "delta" ? 1 : dropped.queue_full + index + 1)));
  });

  test("drops nothing while the destination takes requests", async () => {
    const to = await receiver();
    const from = destination(to.url, { compression: "none", queueBytes: 20_000 }, 8000);
    await from.export(noise(10_000), after(10_000));
    await from.flush(after(10_000));
    expect(to.points()).toHaveLength(10_000);
    expect(from.stats()).toMatchObject({ sentPoints: 10_000, dropped: { queue_full: 0 } });
  });

  test("waits for room no longer than the caller's signal", async () => {
    const to = await receiver();
    to.always("hang");
    const from = destination(to.url, { compression: "none", queueBytes: 20_000 }, 8000);
    const begin = performance.now();
    await from.export(noise(10_000), after(200));
    expect(performance.now() - begin).toBeLessThan(2000);
    expect(from.stats().dropped.queue_full).toBeGreaterThan(9000);
    expect(from.stats().queueBytes).toBeLessThanOrEqual(20_000);
  });

  test("drops a request above the bound", async () => {
    const to = await receiver();
    const from = destination(to.url, { compression: "none", queueBytes: 1000 });
    await from.export(noise(100));
    expect(from.stats()).toMatchObject({ queueBytes: 0, dropped: { queue_full: 100 } });
    expect(to.requests).toEqual([]);
  });
});
