import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { cleanEnvironment, root } from "../kit/agent.ts";
import { closedPort } from "../kit/loopback.ts";
import { attributesOf, startOtlpReceiver } from "../kit/otlp-receiver.ts";
import { applicationWithPackage } from "../kit/package.ts";
import { fetchText, until } from "../kit/until.ts";

const example = /```ts\n(.*?)```/s.exec(readFileSync(join(root, "docs/LIBRARY.md"), "utf8"))?.[1] ?? "";

describe.skipIf(process.platform !== "linux")("the package in an application", () => {
  let application: Awaited<ReturnType<typeof applicationWithPackage>>;
  // The compiler takes all of a small machine.
  beforeAll(async () => {
    application = await applicationWithPackage();
    return () => application[Symbol.dispose]();
  }, 60_000);

  const start = (file: string, env: NodeJS.ProcessEnv = {}) => {
    const child = spawn(process.execPath, [file], {
      env: { ...cleanEnvironment(), ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const said = [child.stdout, child.stderr].map((stream) => stream.setEncoding("utf8").toArray());
    const ended = once(child, "close").then(async ([code, signal]) => ({
      code: code as number | null,
      signal: signal as string | null,
      said: (await Promise.all(said)).flat().join(""),
    }));
    return { child, ended, [Symbol.dispose]: () => void child.kill("SIGKILL") };
  };

  test("the example of docs/LIBRARY.md compiles, sends its metrics, and ends by itself", async () => {
    const file = application.write("example.ts", example);
    await using receiver = await startOtlpReceiver();
    const port = await closedPort();
    using running = start(file, { OTEL_EXPORTER_OTLP_ENDPOINT: new URL(receiver.url).origin, PORT: String(port) });
    await until("it answers", () => fetchText(`http://127.0.0.1:${port}`));
    running.child.kill("SIGTERM");
    expect(await running.ended).toEqual({ code: 0, signal: null, said: "" });
    const names = new Set(receiver.points().map(({ name }) => name));
    for (const name of [
      "sockscope.probe.targets",
      "sockscope.listener.accept_queue.limit",
      "system.network.connection.count",
    ])
      expect(names).toContain(name);
    const listener = receiver
      .points()
      .find(
        ({ name, attributes }) =>
          name === "sockscope.listener.accept_queue.limit" && attributes["network.local.port"] === port,
      );
    expect(listener?.value).toBeGreaterThan(0);
    const [resource] = receiver.requests[0]?.message.resourceMetrics ?? [];
    expect(attributesOf(resource?.resource?.attributes)).toMatchObject({ "telemetry.sdk.name": "opentelemetry" });
  });

  test("the example has no fault of types, and types refuse what the schema refuses", { timeout: 60_000 }, async () => {
    application.write("example.ts", example);
    application.write(
      "faulty.ts",
      `import { createSockscope } from "sockscope";
await createSockscope({ probs: {} });
await createSockscope({ probes: { interval: 30 } });
await createSockscope({ export: { prometheus: {} } });
`,
    );
    const said = await application.check();
    expect(said.match(/^\S+: error TS\d+/gm)).toHaveLength(3);
    for (const [line, what] of [
      "'probs' does not exist",
      "'number' is not assignable to type 'string'",
      "'export' does not exist",
    ].entries())
      expect(said).toMatch(new RegExp(`^faulty\\.ts\\(${line + 2},\\d+\\): error TS\\d+: .*${what}`, "m"));
  });

  test("a process that has shut it down ends by itself, whatever is under way", async () => {
    const file = application.write(
      "shutdown.mjs",
      `import { createSockscope } from "sockscope";
const sockscope = await createSockscope({
  probes: { interval: "100ms", timeout: "100ms", targets: ["tcp://localhost:1", "udp://127.0.0.1:9", "icmp://127.0.0.1"] },
});
setTimeout(async () => {
  await sockscope.producer.collect();
  await sockscope.shutdown();
  const { scopeMetrics } = (await sockscope.producer.collect()).resourceMetrics;
  console.log(scopeMetrics.length, process.listenerCount("exit"));
}, 500);
`,
    );
    const begin = performance.now();
    using running = start(file);
    expect(await running.ended).toEqual({ code: 0, signal: null, said: "0 0\n" });
    expect(performance.now() - begin).toBeLessThan(10_000);
  });

  test("nothing of it holds a process that has not shut it down, and require() has it, too", async () => {
    const file = application.write(
      "plain.cjs",
      `const { createSockscope, ConfigError } = require("sockscope");
createSockscope({ probes: { interval: "100ms", timeout: "100ms", targets: ["tcp://localhost:1"] } });
createSockscope({ probes: { timeout: "1 s" } }).catch((error) => console.log(error instanceof ConfigError, error.message));
setTimeout(() => undefined, 300);
`,
    );
    using running = start(file);
    const { code, said } = await running.ended;
    expect([code, said]).toEqual([0, expect.stringMatching(/^true probes\.timeout: must be a duration/)]);
  });
});
