import { execFile } from "node:child_process";
import { createServer, type Server, type Socket } from "node:net";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterEach, describe, expect, test } from "vitest";
import { createOtlpDestination } from "../../src/export/otlp-http.ts";
import type { Snapshot } from "../../src/model/columns.ts";
import type { OtlpConfig } from "../../src/model/config.ts";
import { partialSuccess, type OtlpReceiver, startOtlpReceiver } from "../kit/otlp-receiver.ts";
import { descriptorOf, endedOf, numbersOf, snapshotOf } from "../kit/otlp-snapshots.ts";

const secret = "Bearer s3cr3t-t0k3n";
const mib = 1024 * 1024;
const run = promisify(execFile);

let lines: string[] = [];
const cleanup: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of cleanup.splice(0).toReversed()) await close();
  expect(lines.join("\n")).not.toContain("s3cr3t");
  lines = [];
});

const after = (ms: number): AbortSignal => AbortSignal.timeout(ms);

const receiver = async (port = 0): Promise<OtlpReceiver> => {
  const started = await startOtlpReceiver({ port });
  cleanup.push(started.close);
  return started;
};

const destination = (url: string, config: Partial<OtlpConfig> = {}, maxRequestBytes?: number) => {
  const created = createOtlpDestination(
    {
      url,
      compression: "gzip",
      headers: { Authorization: secret },
      timeoutMs: 5000,
      retry: { initialIntervalMs: 20, multiplier: 1, randomizationFactor: 0, maxIntervalMs: 20, maxElapsedMs: 0 },
      queueBytes: 64 * mib,
      ...config,
    },
    {
      log: (level, message) => void lines.push(`${level} ${message}`),
      userAgent: "sockscope/0.1.0 OTel-OTLP-Exporter-JavaScript/0.301.0",
      ...(maxRequestBytes === undefined ? {} : { maxRequestBytes }),
    },
  );
  cleanup.push(() => created.shutdown(AbortSignal.abort()));
  return created;
};

/** One point whose value tells the snapshots apart. */
const numbered = (value: number): Snapshot => snapshotOf(numbersOf(descriptorOf("a", "counter"), [value]));
const values = (from: OtlpReceiver): (number | undefined)[] => from.points().map(({ value }) => value);

const noise = (points: number): Snapshot =>
  snapshotOf(
    numbersOf(
      descriptorOf("a", "counter"),
      Array.from({ length: points }, (_, index) => (index * 2_654_435_761) % 2 ** 32),
    ),
  );

const portOf = (server: Server): number => {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
};

/** A port on loopback where nothing listens. */
const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = portOf(server);
  server.close();
  await once(server, "close");
  return port;
};

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
    expect(new Set(to.requests.map(({ headers }) => headers.host)).size).toBe(1);
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
      `warn the OTLP destination 127.0.0.1:${to.port} answers with status 503: requests are queued and retried`,
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
    const retry = {
      initialIntervalMs: 60_000,
      multiplier: 1,
      randomizationFactor: 0,
      maxIntervalMs: 60_000,
      maxElapsedMs: 0,
    };
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

describe("no answer", () => {
  test.each(["hang", "dribble"] as const)("%s ends at the deadline and is retried", async (answer) => {
    const to = await receiver();
    to.answer(answer);
    const from = destination(to.url, { timeoutMs: 300 });
    await from.export(numbered(1));
    await from.flush(after(5000));
    expect(values(to)).toEqual([1]);
    const [first, second] = to.requests;
    const pause = (second?.at ?? 0) - (first?.at ?? 0);
    expect(pause).toBeGreaterThan(280);
    expect(pause).toBeLessThan(2000);
    expect(lines).toEqual([
      `warn cannot reach the OTLP destination 127.0.0.1:${to.port} (no answer in 300 ms): requests are queued and retried`,
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
    expect(values(to)).toEqual([1]);
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
    expect(values(to)).toEqual([1, 2]);
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
    expect(values(to)).toEqual([1, 2, 3, 4]);
    expect(from.stats()).toMatchObject({ queueBytes: 0, sentPoints: 4 });
    expect(lines).toEqual([
      `warn cannot reach the OTLP destination 127.0.0.1:${port} (ECONNREFUSED): requests are queued and retried`,
      `info the OTLP destination 127.0.0.1:${port} is back: 4 requests waited`,
    ]);
  });

  test("a request older than max_elapsed_time is given up, newer ones go on", async () => {
    const to = await receiver();
    to.always({ status: 503 });
    const retry = {
      initialIntervalMs: 30,
      multiplier: 1,
      randomizationFactor: 0,
      maxIntervalMs: 30,
      maxElapsedMs: 100,
    };
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
    cleanup.push(async () => void server.close());
    const from = destination(`http://127.0.0.1:${portOf(server)}/v1/metrics`);
    await from.export(numbered(1));
    await from.flush(after(100));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("for a TLS port write https:// in export.otlp.endpoint");
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

describe("a full queue", () => {
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
    const kept = values(to);
    expect(kept.length + dropped.queue_full).toBe(20);
    expect(kept).toEqual(Array.from({ length: kept.length }, (_, index) => dropped.queue_full + index + 1));
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

describe("shutdown", () => {
  test("delivers what is queued", async () => {
    const to = await receiver();
    const from = destination(to.url);
    for (const value of [1, 2, 3]) void from.export(numbered(value));
    await from.shutdown(after(5000));
    expect(values(to)).toEqual([1, 2, 3]);
    expect(from.stats().queueBytes).toBe(0);
  });

  test("ends at the signal with a dead collector, and counts what it leaves", async () => {
    const from = destination(`http://127.0.0.1:${await freePort()}/v1/metrics`);
    for (const value of [1, 2, 3]) await from.export(numbered(value));
    const begin = performance.now();
    await from.shutdown(after(200));
    expect(performance.now() - begin).toBeLessThan(1000);
    expect(from.stats()).toMatchObject({ queueBytes: 0, sentPoints: 0, dropped: { expired: 3 } });
    expect(lines).toHaveLength(1);
    await from.export(numbered(4));
    expect(from.stats().dropped.expired).toBe(4);
  });

  test.each(["hang", "dribble"] as const)(
    "ends at the signal with a collector that answers by a %s",
    async (answer) => {
      const to = await receiver();
      to.always(answer);
      const from = destination(to.url);
      for (const value of [1, 2]) await from.export(numbered(value));
      const begin = performance.now();
      await from.shutdown(after(200));
      expect(performance.now() - begin).toBeLessThan(1000);
      expect(from.stats().dropped.expired).toBe(2);
      expect(lines).toEqual([]);
    },
  );

  test("ends with an aborted signal, twice, and with nothing to do", async () => {
    const from = destination("http://127.0.0.1:9/v1/metrics");
    await from.shutdown(AbortSignal.abort());
    await from.shutdown(AbortSignal.abort());
    expect(from.stats().queueBytes).toBe(0);
  });

  /** Exports to a URL in a process of its own and shuts down; returns what the process says at its end. */
  const runAndShutDown = async (url: string): Promise<string> => {
    const source = new URL("../../src/export/otlp-http.ts", import.meta.url).href;
    const minute = 60_000;
    const retry = {
      initialIntervalMs: minute,
      multiplier: 1,
      randomizationFactor: 0,
      maxIntervalMs: minute,
      maxElapsedMs: 0,
    };
    const config = { url, compression: "gzip", headers: {}, timeoutMs: minute, retry, queueBytes: mib };
    const script = `
      const { createOtlpDestination } = await import(${JSON.stringify(source)});
      const destination = createOtlpDestination(${JSON.stringify(config)}, { log: () => undefined, userAgent: "test" });
      const set = { values: {} };
      const column = { own: set, sets: [set], starts: Float64Array.of(0), values: Float64Array.of(1) };
      const descriptor = { name: "a", description: "", unit: "", kind: "gauge", value: "int" };
      const metrics = [{ descriptor, numbers: [column], histograms: [], ended: [] }];
      await destination.export({ time: 1, resource: {}, scope: { name: "", version: "" }, metrics });
      // The first flush cuts the backoff short, so that the second ends in one.
      await destination.flush(AbortSignal.timeout(200));
      await destination.shutdown(AbortSignal.timeout(200));
      const { sentPoints, dropped } = destination.stats();
      console.log(sentPoints, dropped.expired);`;
    const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script], { timeout: 15_000 });
    return stdout.trim();
  };

  test.each(["http", "https"])("leaves nothing that keeps the process where %s hangs", async (scheme) => {
    const server = createServer((socket) => socket.on("error", () => undefined).resume()).listen(0, "127.0.0.1");
    await once(server, "listening");
    expect(await runAndShutDown(`${scheme}://127.0.0.1:${portOf(server)}/v1/metrics`)).toBe("0 1");
    // Resolves only when every connection has ended.
    server.close();
    await once(server, "close");
  });

  test("leaves nothing that keeps the process in a backoff", async () => {
    expect(await runAndShutDown(`http://127.0.0.1:${await freePort()}/v1/metrics`)).toBe("0 1");
  });

  test("closes the idle connection of a destination that works", async () => {
    const server = createServer((socket) => {
      socket
        .on("error", () => undefined)
        .on("data", () => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const from = destination(`http://127.0.0.1:${portOf(server)}/v1/metrics`);
    await from.export(numbered(1));
    await from.shutdown(after(5000));
    expect(from.stats().sentPoints).toBe(1);
    server.close();
    await once(server, "close");
  });
});
