import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { after, everyMs, mib, noise, numbered, secret, useDelivery, values } from "../kit/otlp-delivery.ts";
import { partialSuccess } from "../kit/otlp-receiver.ts";
import { descriptorOf, endedOf, numbersOf, snapshotOf } from "../kit/otlp-snapshots.ts";

const { destination, lines, receiver } = useDelivery();

describe("delivery", () => {
  test("a request is what OTLP/HTTP asks for", async () => {
    const to = await receiver();
    const from = destination(`${to.url}?tenant=1`);
    const before = Date.now();
    await from.export(numbered(7));
    await from.flush(after(5000));
    expect(to.requests).toHaveLength(1);
    const [request] = to.requests;
    expect(request).toMatchObject({
      method: "POST",
      path: "/v1/metrics?tenant=1",
      headers: {
        "content-type": "application/x-protobuf",
        "content-encoding": "gzip",
        "content-length": String(request?.body.length),
        "user-agent": "sockscope/0.1.0 OTel-OTLP-Exporter-JavaScript/0.301.0",
        authorization: secret,
      },
    });
    expect(values(to)).toEqual([7]);
    expect(from.stats()).toMatchObject({
      host: `127.0.0.1:${to.port}`,
      queueBytes: 0,
      sentBytes: request?.body.length,
      sentPoints: 1,
      dropped: { queue_full: 0, rejected: 0, refused: 0, expired: 0, too_large: 0 },
    });
    expect(from.stats().lastSuccessMs).toBeGreaterThanOrEqual(before);
    expect(lines).toEqual([]);
  });

  test("without compression the body is sent as it is", async () => {
    const to = await receiver();
    const from = destination(to.url, { compression: "none" });
    await from.export(numbered(7));
    await from.flush(after(5000));
    expect(to.requests[0]?.headers["content-encoding"]).toBeUndefined();
    expect(to.requests[0]?.body.length).toBe(to.requests[0]?.uncompressedBytes);
    expect(values(to)).toEqual([7]);
  });

  test("zstd is what its header says, and much smaller", async () => {
    const to = await receiver();
    const from = destination(to.url, { compression: "zstd" });
    const snapshot = noise(1000);
    await from.export(snapshot);
    await from.flush(after(5000));
    const [request] = to.requests;
    expect(request?.headers["content-encoding"]).toBe("zstd");
    expect(request?.body.length).toBeLessThan((request?.uncompressedBytes ?? 0) / 2);
    expect(values(to)).toEqual([...(snapshot.metrics[0]?.numbers[0]?.values ?? [])]);
    expect(from.stats().sentBytes).toBe(request?.body.length);
  });

  test("credentials in the URL become a header", async () => {
    const to = await receiver();
    const from = destination(to.url.replace("//", "//user:p%40ss@"), { headers: {} });
    await from.export(numbered(7));
    await from.flush(after(5000));
    expect(to.requests[0]?.headers.authorization).toBe(`Basic ${Buffer.from("user:p@ss").toString("base64")}`);
    expect(from.stats().host).toBe(`127.0.0.1:${to.port}`);
  });

  test("a large snapshot is split below 4 MiB and arrives whole, in order, over one connection", async () => {
    const to = await receiver();
    const from = destination(to.url);
    const snapshot = snapshotOf(...noise(150_000).metrics, endedOf(descriptorOf("a", "counter"), { series: "gone" }));
    await from.export(snapshot);
    await from.flush(after(15_000));
    expect(to.requests.length).toBeGreaterThan(1);
    for (const { uncompressedBytes } of to.requests) expect(uncompressedBytes).toBeLessThanOrEqual(4 * mib);
    expect(values(to)).toEqual([...(snapshot.metrics[0]?.numbers[0]?.values ?? []), undefined]);
    expect(from.stats().sentPoints).toBe(150_001);
    expect(new Set(to.requests.map(({ clientPort }) => clientPort)).size).toBe(1);
  });

  test("a point that cannot fit is counted", async () => {
    const to = await receiver();
    const from = destination(to.url, {}, 300);
    await from.export(
      snapshotOf(
        endedOf(descriptorOf("a", "counter"), { big: "x".repeat(400) }),
        numbersOf(descriptorOf("b", "counter"), [1]),
      ),
    );
    await from.flush(after(5000));
    expect(values(to)).toEqual([1]);
    expect(from.stats().dropped.too_large).toBe(1);
  });
});

describe("answers", () => {
  test("503 is retried with the same bytes before newer requests", async () => {
    const to = await receiver();
    to.always({ status: 503 });
    const from = destination(to.url);
    for (const value of [1, 2, 3]) await from.export(numbered(value));
    await to.until(({ length }) => length >= 2);
    to.always({ status: 200 });
    await from.flush(after(5000));
    const refused = to.requests.slice(0, -3);
    expect(refused.length).toBeGreaterThanOrEqual(2);
    for (const { body } of refused) expect(body.equals(to.requests.at(-3)?.body ?? Buffer.alloc(0))).toBe(true);
    expect(values(to)).toEqual([1, 2, 3]);
    expect(lines).toEqual([
      `warn the OTLP destination 127.0.0.1:${to.port} answers with status 503: requests are queued and retried; it is overloaded: a collector answers so when its memory_limiter or a queue is full`,
      `info the OTLP destination 127.0.0.1:${to.port} is back: 3 requests waited`,
    ]);
  });

  test("Retry-After holds back all requests, newer ones and a flush too", async () => {
    const to = await receiver();
    to.answer({ status: 429, retryAfter: "1" });
    const from = destination(to.url);
    await from.export(numbered(1));
    await to.until(({ length }) => length === 1);
    await from.export(numbered(2));
    await from.flush(after(5000));
    expect(values(to)).toEqual([1, 2]);
    const [first, second] = to.requests;
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThan(950);
  });

  test("a flush cuts a backoff short", async () => {
    const to = await receiver();
    to.answer({ status: 503 });
    const retry = everyMs(60_000);
    const from = destination(to.url, { retry });
    await from.export(numbered(1));
    await to.until(({ length }) => length === 1);
    await sleep(50);
    await from.flush(after(5000));
    expect(values(to)).toEqual([1]);
  });

  test.each([400, 401, 404, 413, 500, 302])("%i is not retried", async (status) => {
    const to = await receiver();
    to.answer({ status, headers: { location: "/elsewhere" }, body: `no ${secret}` }, { status });
    const from = destination(to.url);
    for (const value of [1, 2, 3]) await from.export(numbered(value));
    await from.flush(after(5000));
    expect(to.requests).toHaveLength(3);
    expect(values(to)).toEqual([3]);
    expect(from.stats()).toMatchObject({ sentPoints: 1, dropped: { refused: 2 } });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(`status ${status}`);
  });

  test("a partial success is counted and not retried", async () => {
    const to = await receiver();
    to.answer({ body: partialSuccess(2, "too old") }, { body: partialSuccess(0, "a hint") });
    const from = destination(to.url);
    await from.export(noise(5));
    await from.export(numbered(1));
    await from.flush(after(5000));
    expect(to.requests).toHaveLength(2);
    expect(from.stats()).toMatchObject({ sentPoints: 4, dropped: { rejected: 2 } });
    expect(lines).toEqual([
      `warn the OTLP destination 127.0.0.1:${to.port} rejected 2 points: "too old"`,
      `warn the OTLP destination 127.0.0.1:${to.port} warns: "a hint"`,
    ]);
  });

  test("more rejected than sent counts as all", async () => {
    const to = await receiver();
    to.answer({ body: partialSuccess(1_000_000, "") });
    const from = destination(to.url);
    await from.export(numbered(1));
    await from.flush(after(5000));
    expect(from.stats()).toMatchObject({ sentPoints: 0, dropped: { rejected: 1 } });
  });

  test.each(["", "OK", "<html>", "x".repeat(200_000)])("any other body of a 200 is a success", async (body) => {
    const to = await receiver();
    to.answer({ body });
    const from = destination(to.url);
    await from.export(numbered(1));
    await from.flush(after(5000));
    expect(from.stats()).toMatchObject({ sentPoints: 1, dropped: { rejected: 0 } });
    expect(lines).toEqual([]);
  });

  test("an answer without end is refused after 4 MiB", async () => {
    const to = await receiver();
    to.answer("flood");
    const from = destination(to.url);
    await from.export(numbered(1));
    await from.export(numbered(2));
    await from.flush(after(5000));
    expect(from.stats()).toMatchObject({ sentPoints: 1, dropped: { refused: 1 } });
    expect(to.requests).toHaveLength(2);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("more than 4 MiB");
  });
});
