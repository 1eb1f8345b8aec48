import { describe, expect, test } from "vitest";
import { configFile, startAgent } from "../kit/agent.ts";
import { startGrpcReceiver } from "../kit/grpc-receiver.ts";
import { ca, certificateOf, tlsFile } from "../kit/tls-files.ts";

const text = "collection: { interval: 300ms, timeout: 300ms }\nsockets: off\n";

describe("the agent by gRPC", () => {
  test("sends to what the variables say, by TLS where nothing else is said, and ends at once", async () => {
    const mutual = { ...certificateOf("server"), ca, requestCert: true, rejectUnauthorized: true };
    await using to = await startGrpcReceiver({ tls: mutual });
    using config = configFile(text);
    await using agent = startAgent(config.path, {
      OTEL_EXPORTER_OTLP_PROTOCOL: "grpc",
      OTEL_EXPORTER_OTLP_ENDPOINT: `localhost:${to.port}`,
      OTEL_EXPORTER_OTLP_CERTIFICATE: tlsFile("ca.pem"),
      OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: tlsFile("client.pem"),
      OTEL_EXPORTER_OTLP_CLIENT_KEY: tlsFile("client.key"),
      OTEL_EXPORTER_OTLP_HEADERS: "X-Tenant=a%20b",
    });
    await to.until(({ length }) => length >= 2, 15_000);
    expect(to.points().map(({ name }) => name)).toContain("sockscope.sockstat.used");
    for (const { headers } of to.requests) expect(headers["x-tenant"]).toBe("a b");
    expect(new Set(to.requests.map(({ clientPort }) => clientPort)).size).toBe(1);
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
    expect(agent.lines.filter(({ level }) => level !== "info")).toEqual([]);
  });

  test("says once when its destination goes and once when it is back", async () => {
    await using to = await startGrpcReceiver();
    using config = configFile(
      `${text}export: { otlp: { protocol: grpc, endpoint: "${to.url}", retry_on_failure: { initial_interval: 100ms } } }\n`,
    );
    await using agent = startAgent(config.path);
    await to.until(({ length }) => length >= 2, 15_000);
    await to.close();
    await agent.logged(/cannot reach/);
    await using again = await startGrpcReceiver({ port: to.port });
    await agent.logged(/is back/);
    expect(again.points().length).toBeGreaterThan(0);
    const about = agent.lines.filter(({ message }) => message.includes("the OTLP destination"));
    expect(about.map(({ level, message }) => `${level} ${message}`)).toEqual([
      expect.stringMatching(/^warn cannot reach .* \(E\w+\): requests are queued and retried/),
      expect.stringMatching(/^info .* is back: \d+ requests? waited$/),
    ]);
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });
});
