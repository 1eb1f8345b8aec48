import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { cleanEnvironment, configFile, root, sockscope, startAgent } from "../kit/agent.ts";
import { startGrpcReceiver } from "../kit/grpc-receiver.ts";
import { closedPort } from "../kit/loopback.ts";
import { attributesOf, startOtlpReceiver } from "../kit/otlp-receiver.ts";

const quiet = "sockets: off\nhost: off";

/** A declarative file in a folder of its own, gone at the end. */
const declarativeFile = (text: string) => {
  const folder = mkdtempSync(join(tmpdir(), "sockscope-otel-"));
  const path = join(folder, "otel.yaml");
  const write = (content: string): void => writeFileSync(path, `file_format: "1.1"\n${content}`);
  write(text);
  return { path, write, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
};

const reader = (port: number, header: string, more = ""): string => `
resource:
  attributes: [{ name: service.name, value: declared }]
meter_provider:
  readers:
    - periodic:
        interval: 300
        exporter:
          otlp_http:
            endpoint: http://127.0.0.1:${port}/own/path
            headers: [{ name: x-token, value: "\${TOKEN}" }]
            headers_list: x-named=${header}
            compression: gzip
${more}`;

describe("an agent with OTEL_CONFIG_FILE", () => {
  test("sends where it says, as often and with these headers, and reads it again on SIGHUP", async () => {
    await using before = await startOtlpReceiver();
    await using after = await startOtlpReceiver();
    using declared = declarativeFile(reader(before.port, "first"));
    using file = configFile(quiet);
    await using agent = startAgent(file.path, {
      OTEL_CONFIG_FILE: declared.path,
      TOKEN: "s3cr3t",
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1",
      OTEL_METRIC_EXPORT_INTERVAL: "60000",
    });
    await before.until((requests) => requests.length >= 4);
    const [first, ...others] = before.requests;
    expect(first?.path).toBe("/own/path");
    expect(first?.headers).toMatchObject({ "x-token": "s3cr3t", "x-named": "first", "content-encoding": "gzip" });
    const { resource } = first?.message.resourceMetrics?.[0] ?? {};
    expect(attributesOf(resource?.attributes)).toMatchObject({ "service.name": "declared" });
    // The first is of the start; the others are by the interval, and not by the 15 s of a file that says nothing.
    const [start, end] = [others[0]?.at ?? 0, others.at(-1)?.at ?? 0];
    expect(end - start).toBeGreaterThan(300);
    expect(end - start).toBeLessThan(5_000);
    await agent.logged(
      /^\S+otel\.yaml: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_METRIC_EXPORT_INTERVAL are ignored, as this file/,
    );

    declared.write("meter_provider: { readers: [{ periodic: {} }] }");
    agent.child.kill("SIGHUP");
    const { message } = await agent.logged(/stays as it was/);
    expect(message).toContain(`${declared.path}:2:41: meter_provider.readers[0].periodic.exporter: must be a map`);
    declared.write(reader(after.port, "second"));
    agent.child.kill("SIGHUP");
    await after.until((requests) => requests.length > 1);
    expect(after.requests[0]?.headers["x-named"]).toBe("second");
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
    expect(agent.raw.join("\n")).not.toContain("s3cr3t");
  });

  test("sends by gRPC where it says so, and without TLS where that is said", async () => {
    await using to = await startGrpcReceiver();
    using declared = declarativeFile(`
resource: { attributes: [{ name: service.name, value: declared }] }
meter_provider:
  readers:
    - periodic:
        interval: 300
        exporter:
          otlp_grpc:
            endpoint: 127.0.0.1:${to.port}
            tls: { insecure: true }
            headers: [{ name: X-Token, value: "\${TOKEN}" }]
            compression: zstd
`);
    using file = configFile("sockets: off");
    await using agent = startAgent(file.path, { OTEL_CONFIG_FILE: declared.path, TOKEN: "s3cr3t" });
    await to.until(({ length }) => length >= 2, 15_000);
    expect(to.points().map(({ name }) => name)).toContain("sockscope.sockstat.used");
    for (const { headers, message } of to.requests) {
      expect(headers).toMatchObject({ "x-token": "s3cr3t", "grpc-encoding": "zstd" });
      const { resource } = message.resourceMetrics?.[0] ?? {};
      expect(attributesOf(resource?.attributes)).toMatchObject({ "service.name": "declared" });
    }
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
    expect(agent.raw.join("\n")).not.toContain("s3cr3t");
  });

  test("is served and printed what it says, and check shows it without its secrets", async () => {
    const port = await closedPort();
    const page = `    - pull: { exporter: { prometheus/development: { port: ${port} } } }\n`;
    using declared = declarativeFile(reader(1, "s3cr3t", page));
    using file = configFile(`${quiet}\ncollection: { interval: 200ms }`);
    const env = { ...cleanEnvironment(), OTEL_CONFIG_FILE: declared.path, TOKEN: "s3cr3t" };
    const { code, stdout, stderr } = await sockscope(["check", "--print", "-c", file.path], { env });
    expect(code).toBe(0);
    expect(stdout).toContain(`listen: "127.0.0.1:${port}"`);
    expect(stdout).toContain("metrics_endpoint: http://127.0.0.1:1/own/path");
    expect(stdout).not.toContain("s3cr3t");
    expect(stderr).toBe(
      `collection.interval in the file wins over meter_provider.readers[0].periodic.interval at ${declared.path}:8:9.\n`,
    );
    await using agent = startAgent(file.path, env);
    expect(await agent.pageUrl()).toBe(`http://127.0.0.1:${port}`);
    expect((await fetch(`http://127.0.0.1:${port}/livez`)).status).toBe(200);
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });

  test.each([
    ["no file", undefined, ":1:1: cannot read: no such file (named by $OTEL_CONFIG_FILE)"],
    ["a fault", "disabled: maybe", ":2:11: disabled: must be true or false"],
  ])("that names %s does not start: exit 2 and the place", async (_, text, message) => {
    using declared = declarativeFile(text ?? "");
    using file = configFile(quiet);
    const path = text === undefined ? `${declared.path}.none` : declared.path;
    const env = { ...cleanEnvironment(), OTEL_CONFIG_FILE: path };
    const { code, stderr } = await sockscope(["run", "-c", file.path], { env });
    expect(code).toBe(2);
    expect(stderr).toContain(`${path}${message}`);
  });
});

describe("OTEL_* variables", () => {
  test("OTEL_SDK_DISABLED: it says so once, does nothing, and lives until it is stopped", async () => {
    await using receiver = await startOtlpReceiver();
    using file = configFile(
      `export: { otlp: { endpoint: "http://127.0.0.1:${receiver.port}" }, prometheus: { listen: "127.0.0.1:0" } }`,
    );
    await using agent = startAgent(file.path, { OTEL_SDK_DISABLED: "True", OTEL_METRIC_EXPORT_INTERVAL: "100" });
    await agent.logged(/^sockscope \S+: 0 targets, no sockets/);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(agent.child.exitCode).toBeNull();
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
    expect(receiver.requests).toEqual([]);
    const messages = agent.lines.map(({ message }) => message);
    expect(messages.filter((message) => /OTEL_SDK_DISABLED/.test(message))).toEqual([
      "OTEL_SDK_DISABLED is true: nothing is read, probed, served or exported.",
    ]);
    expect(messages.join("\n")).not.toMatch(/metrics: http|are sent|nobody can see/);
  });

  test("OTEL_LOG_LEVEL is the level where --log-level is not given", async () => {
    using file = configFile(quiet);
    const env = { OTEL_LOG_LEVEL: "ERROR", OTEL_METRICS_EXPORTER: "none" };
    const run = async (...options: string[]) =>
      (
        await sockscope(["once", "-c", file.path, "--for", "50ms", ...options], {
          env: { ...cleanEnvironment(), ...env },
        })
      ).stderr;
    using own = configFile(`${quiet}\nexport: { console: on }`);
    const override = /export\.console in the file wins over OTEL_METRICS_EXPORTER/;
    expect(await run()).toBe("");
    expect(await run("-c", own.path, "--log-level", "info")).toMatch(override);
    expect(await run("-c", own.path)).toBe("");
  });

  test("name the exports, and the shipped file lets the page move", async () => {
    const port = await closedPort();
    await using agent = startAgent(`${root}config/sockscope.yaml`, {
      OTEL_EXPORTER_PROMETHEUS_PORT: String(port),
      OTEL_EXPORTER_PROMETHEUS_HOST: "localhost",
      OTEL_METRICS_EXPORTER: "prometheus",
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1",
    });
    expect(new URL(await agent.pageUrl()).port).toBe(String(port));
    await agent.logged(/^no metrics are sent/);
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
  });
});
