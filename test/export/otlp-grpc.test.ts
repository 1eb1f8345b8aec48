import { constants } from "node:http2";
import { once } from "node:events";
import { createServer } from "node:net";
import { gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { grpcStatuses } from "../../src/export/otlp-grpc-status.ts";
import type { OtlpConfig } from "../../src/model/config.ts";
import { type GrpcAnswer, retryInfo } from "../kit/grpc-receiver.ts";
import { after, everyMs, mib, noise, numbered, portOf, secret, useDelivery, values } from "../kit/otlp-delivery.ts";
import { partialSuccess } from "../kit/otlp-receiver.ts";
import { descriptorOf, endedOf, snapshotOf } from "../kit/otlp-snapshots.ts";

const { destination: destinationOf, grpcReceiver: receiver, lines } = useDelivery();

const destination = (url: string, config: Partial<OtlpConfig> = {}, maxRequestBytes?: number) =>
  destinationOf(url, { protocol: "grpc", ...config }, maxRequestBytes);

describe("a call", () => {
  test("is what gRPC asks for", async () => {
    const to = await receiver();
    const from = destination(to.url);
    await from.export(numbered(7));
    await from.flush(after(5000));
    expect(to.requests).toHaveLength(1);
    const [request] = to.requests;
    expect(request?.headers).toMatchObject({
      ":method": "POST",
      ":scheme": "http",
      ":path": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
      ":authority": `127.0.0.1:${to.port}`,
      te: "trailers",
      "content-type": "application/grpc",
      "grpc-timeout": "5000m",
      "grpc-encoding": "gzip",
      "user-agent": "sockscope/0.1.0 OTel-OTLP-Exporter-JavaScript/0.301.0",
      authorization: secret,
    });
    expect(request?.isCompressed).toBe(true);
    expect(values(to)).toEqual([7]);
    expect(from.stats()).toMatchObject({
      host: `127.0.0.1:${to.port}`,
      queueBytes: 0,
      sentBytes: request?.body.length,
      sentPoints: 1,
      dropped: { queue_full: 0, rejected: 0, refused: 0, expired: 0, too_large: 0 },
    });
    expect(lines).toEqual([]);
  });

  test.each([
    ["none", undefined, false],
    ["gzip", "gzip", true],
    ["zstd", "zstd", true],
  ] as const)("with compression %s carries the message so", async (compression, encoding, isCompressed) => {
    const to = await receiver();
    const from = destination(to.url, { compression });
    const snapshot = noise(1000);
    await from.export(snapshot);
    await from.flush(after(5000));
    const [request] = to.requests;
    expect(request?.headers["grpc-encoding"]).toBe(encoding);
    expect(request?.isCompressed).toBe(isCompressed);
    expect((request?.body.length ?? 0) < (request?.uncompressedBytes ?? 0)).toBe(isCompressed);
    expect(from.stats().sentBytes).toBe(request?.body.length);
    expect(values(to)).toEqual([...(snapshot.metrics[0]?.numbers[0]?.values ?? [])]);
  });

  test("of a large snapshot is several below 4 MiB, which arrive whole, in order, over one connection", async () => {
    const to = await receiver();
    const from = destination(to.url, { compression: "none", timeoutMs: 15_000 });
    const snapshot = snapshotOf(...noise(110_000).metrics, endedOf(descriptorOf("a", "counter"), { series: "gone" }));
    await from.export(snapshot);
    await from.flush(after(15_000));
    expect(to.requests.length).toBeGreaterThan(1);
    for (const { uncompressedBytes } of to.requests) expect(uncompressedBytes).toBeLessThanOrEqual(4 * mib);
    expect(values(to)).toEqual([...(snapshot.metrics[0]?.numbers[0]?.values ?? []), undefined]);
    expect(new Set(to.requests.map(({ clientPort }) => clientPort)).size).toBe(1);
  });
});

type Outcome = {
  /** Calls that came for the first of two requests, of one and of two points. */
  readonly calls: number;
  /** Points of the first request that were dropped, and why. */
  readonly dropped?: Partial<Record<"refused" | "rejected", number>>;
  readonly said: readonly (string | RegExp)[];
};

const retried = (what: string): Outcome => ({
  calls: 2,
  said: [new RegExp(`^warn .*${what}.*: requests are queued and retried`), /^info .* is back: [12] requests? waited$/],
});
const refused = (what: string): Outcome => ({
  calls: 1,
  dropped: { refused: 1 },
  said: [new RegExp(`^warn .* refuses requests \\(${what}.*\\): their points are dropped`)],
});
const delivered: Outcome = { calls: 1, said: [] };

const retryable = new Set(["CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"]);
const failures = grpcStatuses.map((name, status) => ({ name, status })).slice(1);

/** What the first request is answered with, and what that comes to. */
const table: readonly (readonly [string, GrpcAnswer, Outcome])[] = [
  ...failures.map(({ name, status }): readonly [string, GrpcAnswer, Outcome] => [
    name,
    { status, message: "why not" },
    retryable.has(name) ? retried(`answers with status ${name}`) : refused(`status ${name}, "why not"`),
  ]),
  ...failures.map(({ name, status }): readonly [string, GrpcAnswer, Outcome] => [
    `${name} with RetryInfo`,
    { status, details: retryInfo(0, 30_000_000) },
    retryable.has(name) || name === "RESOURCE_EXHAUSTED"
      ? retried(`answers with status ${name}`)
      : refused(`status ${name}`),
  ]),
  ["a status of the future", { status: 17, message: "new" }, refused('status UNKNOWN, "new"')],
  ["a status that is no number", { status: "OK" }, refused("status UNKNOWN")],
  ["no status", { status: null }, refused('status UNKNOWN, "no grpc-status')],
  ["no status after a message", { status: null, raw: Buffer.of(0, 0, 0, 0, 0) }, refused("status UNKNOWN")],
  ["HTTP 503 of a proxy", { httpStatus: 503 }, retried("answers with status UNAVAILABLE")],
  ["HTTP 404 of a proxy", { httpStatus: 404 }, refused('status UNIMPLEMENTED, "HTTP status 404"')],
  ["HTTP 401 of a proxy", { httpStatus: 401 }, refused('status UNAUTHENTICATED, "HTTP status 401"')],
  ["a refused stream", { reset: constants.NGHTTP2_REFUSED_STREAM }, retried("answers with status UNAVAILABLE")],
  ["a cancelled stream", { reset: constants.NGHTTP2_CANCEL }, retried("answers with status CANCELLED")],
  ["a broken stream", { reset: constants.NGHTTP2_INTERNAL_ERROR }, refused("status INTERNAL, ")],
  ["a stream that just ends", { reset: constants.NGHTTP2_NO_ERROR }, refused("status UNKNOWN, ")],
  ["a cut connection", "cut", retried("cannot reach .*ERR_CONNECTION_LOST")],
  ["a connection that has enough", "calm", retried("cannot reach .*ERR_HTTP2_SESSION_ERROR")],
  ["no answer", "hang", retried("\\(no answer in 500 ms\\)")],
  ["an answer without end", "dribble", retried("\\(no answer in 500 ms\\)")],
  ["a message of 100 MB", "flood", refused("an answer of more than 4 MiB")],
  [
    "a message that unpacks to 10 MB",
    { body: gzipSync(new Uint8Array(1e7)), encoding: "gzip" },
    refused("an answer of more than 4 MiB"),
  ],
  [
    "a partial success",
    { body: partialSuccess(1, "too old") },
    { calls: 1, dropped: { rejected: 1 }, said: [/rejected 1 points: "too old"$/] },
  ],
  [
    "a compressed partial success",
    { body: gzipSync(partialSuccess(1, "too old")), encoding: "gzip" },
    { calls: 1, dropped: { rejected: 1 }, said: [/rejected 1 points: "too old"$/] },
  ],
  ["a hint", { body: partialSuccess(0, "a hint") }, { calls: 1, said: [/warns: "a hint"$/] }],
  ["a message that is none", { body: Buffer.from("<html>") }, delivered],
  ["no message", { raw: new Uint8Array() }, delivered],
  ["half a prefix", { raw: Buffer.of(0, 0) }, delivered],
  ["less than the prefix says", { raw: Buffer.of(0, 0, 0, 0, 9, 0x0a) }, delivered],
  ["a message that is not compressed as it says", { raw: Buffer.of(1, 0, 0, 0, 2, 1, 2) }, delivered],
  ["a message in an encoding that nobody knows", { body: partialSuccess(1, ""), encoding: "toString" }, delivered],
  ["a prefix of the future", { raw: Buffer.of(7, 0, 0, 0, 0) }, delivered],
];

describe("what a call is answered with", () => {
  test.each(table)("%s", async (_, answer, { calls, dropped = {}, said }) => {
    const to = await receiver();
    to.answer(answer);
    // Others have time on a busy machine.
    const from = destination(to.url, { timeoutMs: answer === "hang" || answer === "dribble" ? 500 : 5000 });
    await from.export(numbered(1));
    await from.export(noise(2));
    await from.flush(after(5000));
    expect(to.requests).toHaveLength(calls + 1);
    // What is sent again is the same, byte for byte, and goes before what is newer.
    for (const { body } of to.requests.slice(0, calls)) expect(body.equals(to.requests[0]?.body ?? body)).toBe(true);
    const lost = (dropped.refused ?? 0) + (dropped.rejected ?? 0);
    expect(from.stats()).toMatchObject({
      queueBytes: 0,
      sentPoints: 3 - lost,
      dropped: { queue_full: 0, rejected: 0, refused: 0, expired: 0, too_large: 0, damaged: 0, ...dropped },
    });
    expect(lines).toEqual(said.map((line) => expect.stringMatching(line)));
  });
});

describe("RetryInfo", () => {
  test("holds back all requests, newer ones and a flush too", async () => {
    const to = await receiver();
    to.answer({ status: 8, details: retryInfo(1) });
    const from = destination(to.url);
    await from.export(numbered(1));
    await to.until(({ length }) => length === 1);
    await from.export(numbered(2));
    await from.flush(after(5000));
    expect(values(to)).toEqual([1, 2]);
    const [first, second] = to.requests;
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThan(950);
  });

  test("that asks for no time leaves it to the backoff", async () => {
    const to = await receiver();
    to.answer({ status: 8, details: retryInfo(0) });
    const from = destination(to.url, { retry: everyMs(60_000) });
    await from.export(numbered(1));
    await to.until(({ length }) => length === 1);
    await expect.poll(() => lines.length).toBe(1);
    await from.flush(after(5000));
    expect(values(to)).toEqual([1]);
  });
});

describe("a connection that is used again", () => {
  test.each(["away", "cut"] as const)("and ends just then (%s) is no outage", async (answer) => {
    const to = await receiver();
    to.answer({}, answer);
    const from = destination(to.url);
    for (const value of [1, 2]) {
      await from.export(numbered(value));
      await from.flush(after(5000));
    }
    expect(values(to)).toEqual([1, 2]);
    expect(to.requests).toHaveLength(3);
    expect(new Set(to.requests.map(({ clientPort }) => clientPort)).size).toBe(2);
    expect(lines).toEqual([]);
  });

  test("is one for all calls, until nothing was said for a while", async () => {
    const to = await receiver();
    const from = destination(to.url);
    for (const value of [1, 2, 3]) {
      await from.export(numbered(value));
      await from.flush(after(5000));
    }
    expect(new Set(to.requests.map(({ clientPort }) => clientPort)).size).toBe(1);
    expect(to.open()).toBe(1);
    await from.shutdown(after(1000));
    await expect.poll(() => to.open()).toBe(0);
  });

  test("is given up with the call that gets no answer, since it may be dead", async () => {
    const to = await receiver();
    to.answer({}, "hang");
    const from = destination(to.url, { timeoutMs: 500 });
    for (const value of [1, 2]) {
      await from.export(numbered(value));
      await from.flush(after(5000));
    }
    expect(values(to)).toEqual([1, 2]);
    expect(to.requests[2]?.clientPort).not.toBe(to.requests[1]?.clientPort);
    await expect.poll(() => to.open()).toBe(1);
  });
});

test("whatever frames a server sends, each request is delivered, refused or kept", { timeout: 30_000 }, async () => {
  /** The header of a frame (RFC 9113, section 4.1) and its payload. */
  const frameOf = (type: number, flags: number, stream: number, payload: Uint8Array): Buffer =>
    Buffer.from([0, 0, payload.length, type, flags, 0, 0, 0, stream, ...payload]);
  const settings = frameOf(4, 0, 0, new Uint8Array());
  const frame = fc
    .tuple(fc.nat(10), fc.nat(255), fc.constantFrom(0, 1, 1, 1, 2, 3), fc.uint8Array({ maxLength: 60 }))
    .map((fields) => frameOf(...fields));
  // `:status: 200` by HPACK's static table, and a message.
  const sound = fc.constantFrom(frameOf(1, 4, 1, Buffer.of(0x88)), frameOf(0, 0, 1, Buffer.of(0, 0, 0, 0, 0)));
  const frames = fc.array(fc.oneof(frame, sound), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(frames, async (sent) => {
      const server = createServer((socket) => {
        socket.on("error", () => undefined).write(settings);
        socket.once("data", () => socket.end(Buffer.concat(sent)));
      }).listen(0, "127.0.0.1");
      await once(server, "listening");
      const from = destination(`http://127.0.0.1:${portOf(server)}`, { timeoutMs: 100, retry: everyMs(60_000) });
      await from.export(numbered(1));
      await expect
        .poll(() => from.stats().sentPoints + lines.length, { interval: 2, timeout: 5000 })
        .toBeGreaterThan(0);
      const { sentPoints, dropped, queueBytes } = from.stats();
      expect(sentPoints + dropped.refused + (queueBytes > 0 ? 1 : 0)).toBe(1);
      await from.shutdown(AbortSignal.abort());
      server.close();
      lines.length = 0;
    }),
    { numRuns: 60 },
  );
});
