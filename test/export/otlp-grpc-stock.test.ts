import {
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServerErrorResponse,
  type ServiceDefinition,
  status,
} from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";
import { retryInfo } from "../kit/grpc-receiver.ts";
import { after, noise, numbered, secret, useDelivery } from "../kit/otlp-delivery.ts";
import { decodeRequest, flattenPoints, partialSuccess } from "../kit/otlp-receiver.ts";

const { destination, lines } = useDelivery();

const bytes = (message: Buffer): Buffer => message;
const service: ServiceDefinition = {
  Export: {
    path: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    requestStream: false,
    responseStream: false,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  },
};

type Call = { readonly values: (number | undefined)[]; readonly authorization: unknown; readonly leftMs: number };

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.forceShutdown();
});

/** A server of the stock library, which answers with what there is of these, and then with success. */
const start = async (...answers: (Buffer | Partial<ServerErrorResponse>)[]) => {
  const calls: Call[] = [];
  const server = new Server();
  servers.push(server);
  const handle: handleUnaryCall<Buffer, Buffer> = (call, callback) => {
    const points = flattenPoints([decodeRequest(call.request)]);
    calls.push({
      values: points.map(({ value }) => value),
      authorization: call.metadata.get("authorization")[0],
      leftMs: Number(call.getDeadline()) - Date.now(),
    });
    const answer = answers.shift() ?? Buffer.alloc(0);
    if (Buffer.isBuffer(answer)) callback(null, answer);
    else callback(answer);
  };
  server.addService(service, { Export: handle });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
    error === null ? resolve(port) : reject(error),
  );
  return { url: `http://127.0.0.1:${await promise}`, calls };
};

describe("a server of the stock library of gRPC", () => {
  // It knows no zstd.
  test.each(["none", "gzip"] as const)("reads calls with compression %s", async (compression) => {
    const to = await start();
    const from = destination(to.url, { protocol: "grpc", compression });
    const snapshot = noise(50_000);
    await from.export(snapshot);
    await from.flush(after(5000));
    expect(to.calls.flatMap(({ values }) => values)).toEqual([...(snapshot.metrics[0]?.numbers[0]?.values ?? [])]);
    for (const { authorization, leftMs } of to.calls) {
      expect(authorization).toBe(secret);
      expect(leftMs > 0 && leftMs <= 5000).toBe(true);
    }
    expect(lines).toEqual([]);
  });

  test("is understood: its statuses, when to come again, and what it takes in part", async () => {
    const details = new Metadata();
    details.set("grpc-status-details-bin", Buffer.from(retryInfo(0, 20_000_000)));
    const to = await start(
      { code: status.UNAVAILABLE, details: "not yet" },
      { code: status.RESOURCE_EXHAUSTED, details: "not so fast", metadata: details },
      { code: status.INVALID_ARGUMENT, details: "não, 100 %" },
      Buffer.from(partialSuccess(1, "too old")),
    );
    const from = destination(to.url, { protocol: "grpc" });
    for (const value of [1, 2, 3]) await from.export(numbered(value));
    await from.flush(after(5000));
    expect(to.calls.map(({ values }) => values)).toEqual([[1], [1], [1], [2], [3]]);
    expect(from.stats()).toMatchObject({ sentPoints: 1, dropped: { refused: 1, rejected: 1 } });
    expect(lines.map((line) => line.replace(/127\.0\.0\.1:\d+/, "it"))).toEqual([
      "warn the OTLP destination it answers with status UNAVAILABLE: requests are queued and retried; it is overloaded: a collector answers so when its memory_limiter or a queue is full",
      'warn the OTLP destination it refuses requests (status INVALID_ARGUMENT, "não, 100 %"): their points are dropped',
      "info the OTLP destination it is back: 2 requests waited",
      'warn the OTLP destination it rejected 1 points: "too old"',
    ]);
  });

  test("is told that the compression is one that it does not know", async () => {
    const to = await start();
    const from = destination(to.url, { protocol: "grpc", compression: "zstd" });
    await from.export(numbered(1));
    await from.flush(after(5000));
    expect(from.stats()).toMatchObject({ sentPoints: 0, dropped: { refused: 1 } });
    expect(lines[0]).toMatch(/status UNIMPLEMENTED, .*: their points are dropped; check export\.otlp\.compression/);
  });
});
