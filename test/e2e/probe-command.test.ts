import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { createInterface } from "node:readline";
import { createServer as createTlsServer } from "node:tls";
import { expect, test } from "vitest";
import { cleanEnvironment, root, sockscope } from "../kit/agent.ts";
import { closedPort, startEcho } from "../kit/loopback.ts";
import { listenRaw } from "../kit/raw-socket.ts";
import { certificateOf, tlsFile } from "../kit/tls-files.ts";

const objectsOf = (stdout: string): Record<string, unknown>[] =>
  stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

/** A TCP target that answers no SYN: nobody accepts, and its backlog is full. */
const blackHole = async () => {
  const listener = listenRaw([127, 0, 0, 1]);
  const waiting = connect(listener.port, "127.0.0.1");
  await once(waiting, "connect");
  return {
    url: `tcp://127.0.0.1:${listener.port}`,
    [Symbol.dispose]: () => {
      waiting.destroy();
      listener[Symbol.dispose]();
    },
  };
};

/** A UDP port that hears and never answers. */
const silentPort = async () => {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  return { url: `udp://127.0.0.1:${socket.address().port}`, [Symbol.dispose]: () => socket.close() };
};

/** The command, and the lines that it has printed. */
const start = (...args: readonly string[]) => {
  const child = spawn(process.execPath, [`${root}src/main.ts`, "probe", ...args], {
    env: cleanEnvironment(),
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines: string[] = [];
  const printed = Promise.withResolvers<void>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(line);
    printed.resolve();
  });
  const ended = once(child, "close").then(([code]) => code as number | null);
  return {
    child,
    lines,
    printed: printed.promise,
    ended,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await ended;
    },
  };
};

test("one run: a line, and no summary; 0 up, 1 down, 2 for a wrong URL", async () => {
  await using echo = await startEcho();
  const url = `tcp://127.0.0.1:${echo.port}`;
  const up = await sockscope(["probe", url]);
  expect(up).toMatchObject({ code: 0, stderr: "" });
  expect(up.stdout).toMatch(
    new RegExp(`^${url}  up  [\\d.]+ ms  \\(connect [\\d.]+ ms\\)  127\\.0\\.0\\.1(  tcp rtt [\\d.]+ ms)?\n$`),
  );
  const refused = `tcp://127.0.0.1:${await closedPort()}`;
  const down = await sockscope(["probe", refused]);
  expect(down.code).toBe(1);
  expect(down.stdout).toMatch(
    new RegExp(`^${refused}  down  connection_refused at connect \\(ECONNREFUSED\\)  [\\d.]+ ms  127\\.0\\.0\\.1\n$`),
  );
  expect(await sockscope(["probe", "http://x"])).toMatchObject({ code: 2, stdout: "" });
  const tls = await sockscope(["probe", "--tls", url, "udp://127.0.0.1:53"]);
  expect(tls).toEqual({ code: 2, stdout: "", stderr: "--tls is for tcp targets, and not for udp://127.0.0.1:53\n" });
});

test("several runs: rounds one after the other, then a summary of each target", async () => {
  await using echo = await startEcho();
  const [up, down] = [`tcp://127.0.0.1:${echo.port}`, `tcp://127.0.0.1:${await closedPort()}`];
  const { code, stdout } = await sockscope(["probe", "--count", "3", up, down]);
  expect(code).toBe(1);
  const [runs = "", summaries = ""] = stdout.split("\n\n");
  const kinds = runs.split("\n").map((line) => line.split("  ").slice(0, 2).join(" "));
  for (const round of [0, 2, 4])
    expect(kinds.slice(round, round + 2).sort()).toEqual([`${up} up`, `${down} down`].sort());
  expect(kinds).toHaveLength(6);
  const [first, second, ...others] = summaries.trim().split("\n");
  expect(first).toMatch(
    new RegExp(`^${up}  3 runs: 3 up, 0 down, 0 not_run, 0% loss  latency min/avg/max [\\d./]+ ms$`),
  );
  expect(second).toBe(`${down}  3 runs: 0 up, 3 down, 0 not_run, 100% loss`);
  expect(others).toEqual([]);
});

test("--json: an object a run, then one for each summary", async () => {
  await using echo = await startEcho();
  const url = `tcp://127.0.0.1:${echo.port}`;
  const { code, stdout } = await sockscope(["probe", "--json", "--count", "2", url]);
  expect(code).toBe(0);
  const [one, two, last, ...others] = objectsOf(stdout);
  for (const run of [one, two])
    expect(run).toMatchObject({ target: url, outcome: "up", seconds: expect.any(Number), address: "127.0.0.1" });
  expect(last).toMatchObject({ summary: { target: url, runs: 2, up: 2, down: 0, not_run: 0, loss_percent: 0 } });
  expect(others).toEqual([]);
});

test("--interval is the time from round to round", async () => {
  await using echo = await startEcho();
  const began = performance.now();
  await using command = start("--count", "3", "--interval", "400ms", `tcp://127.0.0.1:${echo.port}`);
  expect(await command.ended).toBe(0);
  expect(performance.now() - began).toBeGreaterThan(800);
  expect(command.lines).toHaveLength(5);
});

test("the targets of a round run side by side, and a result is printed when it is there", async () => {
  using silent = await blackHole();
  await using echo = await startEcho();
  const up = `tcp://127.0.0.1:${echo.port}`;
  const began = performance.now();
  await using command = start("--timeout", "3s", silent.url, silent.url, silent.url, up);
  await command.printed;
  expect(command.lines[0]).toContain(`${up}  up`);
  expect(await command.ended).toBe(1);
  expect(performance.now() - began).toBeLessThan(6000);
  expect(command.lines.filter((line) => line.includes("connect_timeout at connect"))).toHaveLength(3);
});

test.each(["SIGINT", "SIGTERM"] as const)("%s stops the runs and prints what there is, exit 130", async (signal) => {
  using silent = await blackHole();
  await using echo = await startEcho();
  const up = `tcp://127.0.0.1:${echo.port}`;
  await using command = start("--timeout", "10m", "--count", "5", silent.url, up);
  await command.printed;
  command.child.kill(signal);
  expect(await command.ended).toBe(130);
  expect(command.lines).toHaveLength(4);
  expect(command.lines[0]).toContain(`${up}  up`);
  expect(command.lines.slice(1, 3)).toEqual(["", `${silent.url}  0 runs: 0 up, 0 down, 0 not_run`]);
  expect(command.lines[3]).toMatch(new RegExp(`^${up}  1 run: 1 up, 0 down, 0 not_run, 0% loss  latency`));
});

test("SIGINT between two rounds, and amid a UDP probe that hears nothing", async () => {
  await using echo = await startEcho();
  await using paused = start("--json", "--count", "2", "--interval", "1h", `tcp://127.0.0.1:${echo.port}`);
  await paused.printed;
  paused.child.kill("SIGINT");
  expect(await paused.ended).toBe(130);
  expect(objectsOf(paused.lines.join("\n"))).toEqual([
    expect.objectContaining({ outcome: "up" }),
    { summary: expect.objectContaining({ runs: 1, up: 1 }) },
  ]);
  using silent = await silentPort();
  await using waiting = start("--count", "100000", silent.url);
  await waiting.printed;
  waiting.child.kill("SIGINT");
  expect(await waiting.ended).toBe(130);
  expect(waiting.lines[0]).toContain("  unanswered  ");
  expect(waiting.lines.at(-1)).toMatch(/ runs?: 0 up, \d unanswered, 0 down, 0 not_run, 0% loss$/);
});

test("a reader that has seen enough is no error", async () => {
  await using echo = await startEcho();
  await using command = start("--count", "100000", `tcp://127.0.0.1:${echo.port}`);
  await command.printed;
  command.child.stdout.destroy();
  expect(await command.ended).toBe(0);
});

test("--tls: a handshake, a verdict on the certificate, and the days it has left", async () => {
  const server = createTlsServer(certificateOf("server"), (socket) => socket.on("error", () => undefined).resume());
  await once(server.listen(0, "127.0.0.1"), "listening");
  const url = `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    const trusted = { env: { ...cleanEnvironment(), NODE_EXTRA_CA_CERTS: tlsFile("ca.pem") } };
    const good = await sockscope(["probe", "--tls", url], trusted);
    expect(good.code).toBe(0);
    expect(good.stdout).toMatch(/ {2}up {2}.*\(connect .*, tls .*\).*certificate expires in \d{5}\.\d days$/m);
    const unknown = await sockscope(["probe", "--tls", url]);
    expect(unknown.code).toBe(1);
    expect(unknown.stdout).toMatch(/ {2}down {2}tls_certificate_invalid at tls \(UNABLE_TO_VERIFY_LEAF_SIGNATURE\) /);
    expect(unknown.stdout).toMatch(/certificate expires in \d{5}\.\d days$/m);
  } finally {
    server.close();
  }
});
