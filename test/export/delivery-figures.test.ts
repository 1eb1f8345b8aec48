import { describe, expect, test } from "vitest";
import { createDeliveryPart } from "../../src/collect/delivery.ts";
import { destinationHealth } from "../../src/export/health.ts";
import { createOtlpDestination } from "../../src/export/otlp-transport.ts";
import { after, everyMs, noise, numbered, otlpConfigOf, secret, useDelivery } from "../kit/otlp-delivery.ts";
import { partialSuccess } from "../kit/otlp-receiver.ts";
import { until } from "../kit/until.ts";

const { receiver, grpcReceiver } = useDelivery();

type Recorded = { readonly seconds: number; readonly attributes: object };

/** A destination with what it records, and what it says of itself. */
const observed = (url: string, config: Parameters<typeof otlpConfigOf>[1] = {}) => {
  const attempts: Recorded[] = [];
  const destination = createOtlpDestination(otlpConfigOf(url, { retry: everyMs(20), ...config }), {
    log: () => undefined,
    userAgent: "test",
    record: (metric, seconds, attributes) => {
      expect(metric).toBe("otel.sdk.exporter.operation.duration");
      attempts.push({ seconds, attributes });
    },
  });
  const part = createDeliveryPart(() => [destination.stats()]);
  const read = async (metric: string) => {
    const { observations } = await part.collect(0, after(1000));
    return observations.filter((one) => one.metric === metric).map(({ value, attributes }) => [value, attributes]);
  };
  return { destination, attempts, read, health: () => destinationHealth(destination.stats()) };
};

const exporterOf = (port: number, type = "otlp_http_metric_exporter") => ({
  "otel.component.name": `${type}/127.0.0.1:${port}`,
  "otel.component.type": type,
  "server.address": "127.0.0.1",
  "server.port": port,
});

describe("the figures of a destination", () => {
  test("points are in flight while they wait, and exported when they are taken; each attempt is timed", async () => {
    const to = await receiver();
    to.always({ status: 503 });
    const { destination, attempts, read, health } = observed(to.url);
    await destination.export(noise(5));
    await destination.export(noise(3));
    const exporter = exporterOf(to.port);
    await until("some attempts", () => attempts.length >= 3);
    expect(await read("otel.sdk.exporter.metric_data_point.inflight")).toEqual([[8, exporter]]);
    expect(await read("otel.sdk.exporter.metric_data_point.exported")).toEqual([[0, exporter]]);
    expect(health()).toMatchObject({
      destination: `127.0.0.1:${to.port}`,
      queue: { requests: 2, max_bytes: 64 * 1024 * 1024 },
      sent: { points: 0, bytes: 0 },
      last_success: null,
      last_error: { type: "503" },
    });
    to.always({ status: 202 });
    await destination.flush(after(5000));
    expect(await read("otel.sdk.exporter.metric_data_point.inflight")).toEqual([[0, exporter]]);
    expect(await read("otel.sdk.exporter.metric_data_point.exported")).toEqual([[8, exporter]]);
    const failures = to.requests.length - 2;
    expect(await read("sockscope.agent.export.retries")).toEqual([
      [failures, { "sockscope.destination": `127.0.0.1:${to.port}` }],
    ]);
    expect(attempts.map(({ attributes }) => attributes)).toEqual([
      ...Array.from({ length: failures }, () => ({
        ...exporter,
        "error.type": "503",
        "http.response.status_code": 503,
      })),
      { ...exporter, "http.response.status_code": 202 },
      { ...exporter, "http.response.status_code": 202 },
    ]);
    for (const { seconds } of attempts) expect(seconds).toBeGreaterThan(0);
    const { last_success: success, retries, sent } = health();
    expect(Date.now() - Date.parse(success ?? "")).toBeLessThan(10_000);
    expect({ retries, points: sent.points }).toEqual({ retries: failures, points: 8 });
    expect(sent.bytes).toBeGreaterThan(0);
    await destination.shutdown(after(1000));
  });

  test("over gRPC a failure is called by the name of its status", async () => {
    const to = await grpcReceiver();
    to.answer({ status: 14 }, { status: 3 });
    const { destination, attempts, read, health } = observed(to.url, { protocol: "grpc" });
    await destination.export(noise(5));
    await destination.flush(after(5000));
    const exporter = exporterOf(to.port, "otlp_grpc_metric_exporter");
    expect(attempts.map(({ attributes }) => attributes)).toEqual(
      ["UNAVAILABLE", "INVALID_ARGUMENT"].map((status) => ({
        ...exporter,
        "error.type": status,
        "rpc.response.status_code": status,
      })),
    );
    expect(await read("otel.sdk.exporter.metric_data_point.exported")).toEqual([
      [0, exporter],
      [5, { ...exporter, "error.type": "INVALID_ARGUMENT" }],
    ]);
    expect(health()).toMatchObject({ last_error: { type: "INVALID_ARGUMENT" }, retries: 1 });
    await destination.shutdown(after(1000));
  });

  test("what is rejected, refused and dropped is exported with its error.type, and all of it adds up", async () => {
    const to = await receiver();
    const { destination, read, health } = observed(to.url, { compression: "none", queueBytes: 2000 });
    to.answer({ body: partialSuccess(2, "too old") }, { status: 401 }, { status: 400 }, { status: 400 });
    for (const points of [5, 3, 2, 1]) {
      await destination.export(noise(points));
      await destination.flush(after(5000));
    }
    await destination.export(noise(1000));
    const exporter = exporterOf(to.port);
    const failed = (type: string) => ({ ...exporter, "error.type": type });
    const exported = await read("otel.sdk.exporter.metric_data_point.exported");
    expect(exported).toEqual([
      [3, exporter],
      [1000, failed("queue_full")],
      [2, failed("rejected")],
      [3, failed("401")],
      [3, failed("400")],
    ]);
    expect(health()).toMatchObject({
      dropped: { queue_full: 1000, rejected: 2, refused: 6 },
      last_error: { type: "400" },
    });
    await destination.shutdown(after(1000));
  });

  test.each([
    ["no answer", { timeoutMs: 50 }, "hang", "timeout"],
    ["a cut connection", {}, "reset", "ECONNRESET"],
  ] as const)("%s has an error.type and no status", async (_, config, answer, type) => {
    const to = await receiver();
    to.always(answer);
    const { destination, attempts, health } = observed(to.url, config);
    await destination.export(numbered(1));
    await until("an attempt has failed", () => attempts.length > 0);
    expect(attempts[0]?.attributes).toEqual({ ...exporterOf(to.port), "error.type": type });
    expect(health().last_error?.type).toBe(type);
    await destination.shutdown(AbortSignal.abort());
  });

  test("JSON has a component type of its own", async () => {
    const to = await receiver();
    const { destination } = observed(to.url, { protocol: "http/json" });
    expect(destination.stats().exporter).toEqual(exporterOf(to.port, "otlp_http_json_metric_exporter"));
    expect(observed("https://[::1]/x").destination.stats().exporter).toMatchObject({
      "server.address": "::1",
      "server.port": 443,
    });
  });

  test("nothing of a header, of the URL beyond host and port or of an answer is told", async () => {
    const to = await receiver();
    const answer = `denied ${secret} for /v1/metrics?key=k3y`;
    to.always({ status: 403, headers: { "content-type": "text/plain" }, body: answer });
    const { destination, attempts, read, health } = observed(`${to.url}?key=k3y`);
    await destination.export(numbered(1));
    await destination.flush(after(5000));
    const told = JSON.stringify([health(), attempts, await read("otel.sdk.exporter.metric_data_point.exported")]);
    expect(told).toContain("403");
    for (const hidden of ["s3cr3t", "k3y", "v1", "denied"]) expect(told).not.toContain(hidden);
    await destination.shutdown(after(1000));
  });
});
