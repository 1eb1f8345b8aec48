import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { describe, expect, test } from "vitest";
import { cleanEnvironment, configFile, followAgent, root, sockscope } from "../kit/agent.ts";
import { closedPort, openFlow, startEcho } from "../kit/loopback.ts";

const version = (JSON.parse(readFileSync(`${root}/package.json`, "utf8")) as { version: string }).version;

describe("sockscope once", () => {
  test.skipIf(process.platform !== "linux")("as a table: aligned, sorted, units in the header, no labels", async () => {
    await using echo = await startEcho();
    await using flow = await openFlow(echo.port, 100);
    expect(flow.localPort).toBeGreaterThan(0);
    const refused = await closedPort();
    using file = configFile(`probes: { targets: [ "tcp://127.0.0.1:${echo.port}", "tcp://127.0.0.1:${refused}" ] }`);
    const { code, stdout } = await sockscope(["once", "-c", file.path, "--log-level", "error"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Probes$/m);
    expect(stdout).toMatch(/latency \[ms\]/);
    expect(stdout).toMatch(new RegExp(`^tcp://127\\.0\\.0\\.1:${echo.port} +up `, "m"));
    expect(stdout).toMatch(new RegExp(`^tcp://127\\.0\\.0\\.1:${refused} +down +connection_refused`, "m"));
    expect(stdout).not.toMatch(/sockscope_|network\.|=/);
  });

  test.skipIf(process.platform !== "linux")(
    "what keeps the agent itself from probing is said once, with the reason",
    async () => {
      const targets = ["tcp://127.0.0.1:1", "tcp://127.0.0.1:2"].map(
        (target) => `{ target: "${target}", interface: none0 }`,
      );
      using file = configFile(`sockets: off\nhost: off\nprobes: { targets: [ ${targets.join(", ")} ] }`);
      const { code, stdout, stderr } = await sockscope([
        "once",
        "-c",
        file.path,
        "--for",
        "50ms",
        "--log-format",
        "text",
      ]);
      expect(code).toBe(0);
      const said = stderr.split("\n").filter((line) => line.includes("WARN"));
      expect(said).toHaveLength(1);
      expect(said[0]).toMatch(
        /tcp:\/\/127\.0\.0\.1:[12] could not be probed, by no fault of its own: no_local_address \(ENODEV\); said once$/,
      );
      expect(stdout).toMatch(/^tcp:\/\/127\.0\.0\.1:2 +not_run +no_local_address/m);
    },
  );

  test("as OTLP JSON: exactly one object", async () => {
    using file = configFile("sockets: off");
    const { code, stdout } = await sockscope(["once", "-c", file.path, "--format", "otlp-json", "--for", "50ms"]);
    expect(code).toBe(0);
    const { resourceMetrics } = JSON.parse(stdout) as {
      resourceMetrics: { resource: { attributes: { key: string; value: { stringValue?: string } }[] } }[];
    };
    expect(resourceMetrics).toHaveLength(1);
    const attributes = Object.fromEntries(
      resourceMetrics[0]?.resource.attributes.map(({ key, value }) => [key, value.stringValue]) ?? [],
    );
    expect(attributes).toMatchObject({
      "service.name": "sockscope",
      "service.version": version,
      "os.type": process.platform,
    });
    expect(attributes["service.instance.id"]).toMatch(
      /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
  });

  test("as the Prometheus page", async () => {
    using file = configFile("sockets: off");
    const { code, stdout } = await sockscope(["once", "-c", file.path, "--format", "prometheus", "--for", "50ms"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^target_info\{.*service_name="sockscope"/m);
  });

  test("the same machine, service and file have the same instance id", async () => {
    using file = configFile("sockets: off");
    const id = async (): Promise<string | undefined> =>
      /service_instance_id="([^"]+)"/.exec(
        (await sockscope(["once", "-c", file.path, "--format", "prometheus", "--for", "10ms"])).stdout,
      )?.[1];
    const first = await id();
    expect(first).toBeDefined();
    expect(await id()).toBe(first);
  });
});

describe("sockscope check", () => {
  test("a valid file: exit 0", async () => {
    using file = configFile("collection: { interval: 5s }");
    expect(await sockscope(["check", "-c", file.path])).toMatchObject({ code: 0, stdout: `${file.path}: valid\n` });
  });

  test("every fault at file:line:column, exit 2", async () => {
    using file = configFile("collection: { interval: 5 }\nprobess: {}\n");
    const { code, stdout, stderr } = await sockscope(["check", "-c", file.path]);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toContain(`${file.path}:1:25: collection.interval: `);
    expect(stderr).toContain(`${file.path}:2:1: probess: unknown key "probess", did you mean "probes"?`);
  });

  test.each(["run", "once", "check"])("%s with a file that is not there: exit 2, nothing started", async (command) => {
    const { code, stdout, stderr } = await sockscope([command, "-c", "/nowhere/sockscope.yaml"]);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/^\/nowhere\/sockscope\.yaml:1:1: .*no such file/m);
  });

  test("in a folder without one: the configuration that is shipped", async () => {
    expect(await sockscope(["check"], { cwd: tmpdir() })).toMatchObject({
      code: 0,
      stdout: `${root}config/sockscope.yaml: valid\n`,
    });
  });

  test("--print shows no secret", async () => {
    using file = configFile(
      'export: { otlp: { endpoint: "http://c:4318", headers: { authorization: "Bearer hunter2" } } }',
    );
    const { code, stdout } = await sockscope(["check", "-c", file.path, "--print"]);
    expect(code).toBe(0);
    expect(stdout).toContain("***");
    expect(stdout).not.toContain("hunter2");
  });
});

describe("sockscope", () => {
  test("--version, --help, metrics, and a wrong word", async () => {
    expect(await sockscope(["--version"])).toMatchObject({ code: 0, stdout: `${version}\n` });
    const help = await sockscope(["--help"]);
    expect(help.code).toBe(0);
    expect(help.stdout).toMatch(/once/);
    const metrics = await sockscope(["metrics"]);
    expect(metrics.stdout).toBe(readFileSync(`${root}/docs/METRICS.md`, "utf8"));
    const wrong = await sockscope(["onec"]);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain("once");
  });
});

describe("through npm", () => {
  const npm = process.env["npm_execpath"];
  const run = (...args: readonly string[]) => {
    const command = npm === undefined ? ["npm"] : [process.execPath, npm];
    return spawn(command[0] as string, [...command.slice(1), "run", "-s", "sockscope", "--", ...args], {
      cwd: root,
      env: cleanEnvironment(),
      stdio: ["ignore", "inherit", "pipe"],
    });
  };
  const config = 'sockets: off\nexport: { prometheus: { listen: "127.0.0.1:0" } }';

  /** npm's own child: the scripts exec node, so that it is the agent itself. */
  const agentOf = (pid: number | undefined): number =>
    Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);

  test("an exit code comes back", async () => {
    using file = configFile("intervall: 3");
    const [code] = (await once(run("check", "-c", file.path), "exit")) as [number];
    expect(code).toBe(2);
  });

  test.each(["SIGTERM", "SIGINT"] as const)("%s reaches the agent", async (signal) => {
    using file = configFile(config);
    await using agent = followAgent(run("run", "-c", file.path, "--log-format", "json"));
    await agent.pageUrl();
    agent.child.kill(signal);
    await agent.logged(new RegExp(`${signal}: stopping`));
    expect((await agent.exited).code).toBe(0);
  });

  test.skipIf(process.platform !== "linux")("SIGHUP reaches the agent, which npm's child is", async () => {
    using file = configFile(config);
    await using agent = followAgent(run("run", "-c", file.path, "--log-format", "json"));
    await agent.pageUrl();
    process.kill(agentOf(agent.child.pid), "SIGHUP");
    await agent.logged(/^reloaded/);
    agent.child.kill("SIGTERM");
    expect((await agent.exited).code).toBe(0);
  });
});
