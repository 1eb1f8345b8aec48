import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { cleanEnvironment, followAgent, root, sockscope } from "../kit/agent.ts";
import { closedPort, openFlow, startEcho } from "../kit/loopback.ts";

/** A folder with a file in it, gone at the end. */
const fileOf = (name: string, text: string) => {
  const folder = mkdtempSync(join(tmpdir(), "sockscope-test-"));
  const path = join(folder, name);
  const write = (content: string): void => writeFileSync(path, content);
  write(text);
  return { folder, path, write, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
};

const startWith = (...args: readonly string[]) =>
  followAgent(
    spawn(process.execPath, [join(root, "src/main.ts"), ...args, "--log-format", "json"], {
      env: cleanEnvironment(),
      stdio: ["ignore", "inherit", "pipe"],
    }),
  );

const isReported = (page: string, series: RegExp): string | undefined =>
  page.split("\n").find((line) => series.test(line));

describe("sockscope migrate", () => {
  test("prints a file that check accepts, and once does what the file of the other tool says", async () => {
    await using echo = await startEcho();
    const refused = await closedPort();
    const urls = [`"tcp://127.0.0.1:${echo.port}"`, `"tcp://127.0.0.1:${refused}"`];
    using input = fileOf("socket.conf", `[[inputs.socket]]\ndest_url = [${urls.join(", ")}]\n`);
    const migrated = await sockscope(["migrate", input.path]);
    expect(migrated).toMatchObject({ code: 0, stderr: "" });
    using output = fileOf("sockscope.yaml", migrated.stdout);
    expect(await sockscope(["check", "-c", output.path])).toEqual({
      code: 0,
      stdout: `${output.path}: valid\n`,
      stderr: "",
    });
    const read = ["once", "--format", "prometheus", "--for", "50ms", "--log-level", "error", "-c"];
    const [made, direct] = await Promise.all([sockscope([...read, output.path]), sockscope([...read, input.path])]);
    for (const { code, stdout } of [made, direct]) {
      expect(code).toBe(0);
      const up = (port: number) =>
        isReported(stdout, new RegExp(`^sockscope_probe_up\\{.*server_port="${port}".*\\} `));
      expect(up(echo.port)).toMatch(/ 1$/);
      expect(up(refused)).toMatch(/ 0$/);
    }
  });

  test.skipIf(process.platform !== "linux")(
    "of a web server's file: its own flows are found, by their local port and their process",
    async () => {
      await using echo = await startEcho();
      await using other = await startEcho();
      await using flow = await openFlow(echo.port, 1000);
      await using left = await openFlow(other.port, 1000);
      expect(flow.localPort).not.toBe(left.localPort);
      const cmd = /[^/]+$/.exec(process.execPath)?.[0];
      using input = fileOf(
        "config.yml",
        `logic:
  metrics: { gauges: { active: true, rtt: { active: true } } }
  selection: { process: { cmds: [${cmd}] }, portranges: [{ lower: ${echo.port}, upper: ${echo.port} }] }
`,
      );
      const { code, stdout } = await sockscope([
        "once",
        "-c",
        input.path,
        "--format",
        "prometheus",
        "--log-level",
        "error",
      ]);
      expect(code).toBe(0);
      const server = new RegExp(`^sockscope_flow_count\\{.*network_local_port="${echo.port}"`);
      expect(isReported(stdout, server)).toMatch(/ 1$/);
      expect(stdout).not.toContain(`port="${other.port}"`);
    },
  );

  test("--from sockstat prints what replaces the recipe", async () => {
    const { code, stdout } = await sockscope(["migrate", "--from", "sockstat"]);
    expect(code).toBe(0);
    using output = fileOf("sockscope.yaml", stdout);
    expect(await sockscope(["check", "-c", output.path])).toMatchObject({ code: 0, stderr: "" });
  });

  test("a file with faults: each at file:line:column, nothing on stdout, exit 2", async () => {
    using input = fileOf("socket.conf", '[[inputs.socket]]\ndest_url = ["tcp://host:port"]\ninterval = 0\n');
    const faults = [
      `${input.path}:2:13: inputs.socket[0].dest_url[0]: "tcp://host:port" is a placeholder of the shipped sample: write the host and the port to probe`,
      `${input.path}:3:12: inputs.socket[0].interval: must be above 0: with it DataKit would have had every check fail at once`,
    ].join("\n");
    const results = await Promise.all([sockscope(["migrate", input.path]), sockscope(["run", "-c", input.path])]);
    for (const result of results) expect(result).toEqual({ code: 2, stdout: "", stderr: `${faults}\n` });
  });

  test("a file that is not there, and one that is nobody's", async () => {
    expect(await sockscope(["migrate", "/nowhere/telegraf.conf"])).toMatchObject({
      code: 2,
      stderr: "/nowhere/telegraf.conf:1:1: cannot read: no such file (named by migrate)\n",
    });
    using input = fileOf("sockscope.yaml", "host: off\n");
    const { code, stderr } = await sockscope(["migrate", input.path]);
    expect([code, stderr.startsWith(`${input.path}:1:1: is none of the files that can be migrated`)]).toEqual([
      2,
      true,
    ]);
  });
});

describe("another tool's file", () => {
  test("is run as it is, with one line that says what it was taken for, and read again by SIGHUP", async () => {
    await using echo = await startEcho();
    const text = (name: string): string => `sockets:\n  - { name: ${name}, host: 127.0.0.1, port: ${echo.port} }\n`;
    using input = fileOf("config.yaml", text("first"));
    await using agent = startWith(`--config-file=${input.path}`, "--listen-address=127.0.0.1:0");
    const url = await agent.pageUrl();
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const taken = agent.lines.filter(({ message }) => message.includes("was taken for"));
    expect(taken).toMatchObject([
      {
        level: "info",
        message: `${input.path} was taken for a connection-status-exporter configuration: \`sockscope migrate ${input.path}\` prints what it means here.`,
      },
    ]);
    input.write(text("second"));
    agent.child.kill("SIGHUP");
    await agent.logged(/^reloaded/);
    input.write("sockets:\n  - { name: third, port: 1 }\n");
    agent.child.kill("SIGHUP");
    const kept = await agent.logged(/^the configuration stays as it was/);
    expect(kept.message).toContain(`${input.path}:2:5: sockets[0]: host is missing`);
    expect((await agent.stop()).code).toBe(0);
  });

  test("has the page where the flags say, or else where the tool had it", async () => {
    using input = fileOf("config.yml", "logic: {}\n");
    const listenOf = async (...args: readonly string[]): Promise<string | undefined> => {
      const { code, stdout } = await sockscope(["check", "--print", ...args]);
      expect(code).toBe(0);
      return /listen: (.*)/.exec(stdout)?.[1]?.replaceAll('"', "");
    };
    using own = fileOf("sockscope.yaml", "sockets: off\n");
    expect(
      await Promise.all([
        listenOf("-c", input.path),
        listenOf("--port=8021", `--config=${input.path}`),
        listenOf("--listen-address=:9293", `--config-file=${input.path}`),
        listenOf("-c", own.path, "--port", "9999"),
      ]),
    ).toEqual(["0.0.0.0:8020", "0.0.0.0:8021", ":9293", "127.0.0.1:9999"]);
  });

  test("whose migrated form has a fault of its own: that form is named", async () => {
    using input = fileOf(
      "telegraf.conf",
      '[[inputs.net_response]]\nprotocol = "tcp"\naddress = "${NO_SUCH_HOST}:80"\n',
    );
    const { code, stderr } = await sockscope(["check", "-c", input.path]);
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /telegraf\.conf as migrated:\d+:\d+: probes\.targets\[0\]: the environment variable NO_SUCH_HOST is not set/,
    );
  });
});
