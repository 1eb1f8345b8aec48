import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { temporalities } from "../../src/model/columns.ts";
import type { OtlpConfig } from "../../src/model/config.ts";
import { after, everyMs, freePort, noise, numbered, totals, useDelivery, values } from "../kit/otlp-delivery.ts";
import { expectLongOutageDelivered } from "../kit/otlp-long-outage.ts";
import { until } from "../kit/until.ts";

const { destination: destinationOf, grpcReceiver: receiver, lines } = useDelivery();

describe.each(temporalities)("an outage of a gRPC destination (%s)", (temporality) => {
  const destination = (url: string, config: Partial<OtlpConfig> = {}) =>
    destinationOf(url, { protocol: "grpc", temporality, ...config });

  test("what is exported while nothing listens arrives in order when the receiver comes up", async () => {
    const port = await freePort();
    const from = destination(`http://127.0.0.1:${port}`);
    for (const value of [1, 2, 3, 4]) await from.export(numbered(value));
    await sleep(100);
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

  test("of 50 intervals: each of them arrives once, and they add up", async () => {
    const port = await freePort();
    const from = destination(`http://127.0.0.1:${port}`);
    await expectLongOutageDelivered(temporality, from, () => receiver(port));
  });

  test("newest_first: the newest arrive first after it, and each arrives once", async () => {
    const to = await receiver();
    to.always({ status: 14 });
    const from = destination(to.url, { newestFirst: true, retry: everyMs(60_000) });
    for (const value of [1, 2, 3, 4]) await from.export(numbered(value));
    await until("the first one waits for its next attempt", () => lines.length === 1);
    to.always({});
    await from.export(numbered(5));
    await from.flush(after(5000));
    expect(values(to)).toEqual(temporality === "cumulative" ? [5, 4, 3, 2, 1] : [1, 1, 1, 1, 1]);
    expect(from.stats()).toMatchObject({ queueBytes: 0, sentPoints: 5 });
  });

  test("a full queue drops the oldest and counts their points", async () => {
    const port = await freePort();
    const from = destination(`http://127.0.0.1:${port}`, { compression: "none", queueBytes: 1000 });
    for (let value = 1; value <= 20; value++) await from.export(numbered(value));
    const { queueBytes, dropped } = from.stats();
    expect(queueBytes).toBeLessThanOrEqual(1000);
    expect(queueBytes).toBeGreaterThan(800);
    const to = await receiver(port);
    await from.flush(after(5000));
    const kept = values(to);
    expect(kept.length + dropped.queue_full).toBe(20);
    expect(kept).toEqual(kept.map((_, index) => (temporality === "delta" ? 1 : dropped.queue_full + index + 1)));
  });

  test("a request older than max_elapsed_time is given up, newer ones go on", async () => {
    const to = await receiver();
    to.always({ status: 14 });
    const from = destination(to.url, { retry: everyMs(30, 100) });
    await from.export(noise(3));
    await from.export(numbered(9));
    await to.until((requests) => requests.some(({ message }) => JSON.stringify(message).includes('"asInt":"9"')));
    expect(from.stats().dropped.expired).toBe(3);
    to.always({});
    await from.flush(after(5000));
    expect(values(to)).toEqual([9]);
  });
});
