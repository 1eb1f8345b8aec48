import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import type { Step, Target } from "../../src/model/target.ts";
import { runProbe } from "../../src/probe/index.ts";
import { depsOf, leftOpen, never, openResources, tcpTarget } from "../kit/probe.ts";
import { certificateOf, tlsFile } from "../kit/tls-files.ts";

const servers: Server[] = [];
const sockets = new Set<Socket>();
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  for (const socket of sockets) socket.destroy();
  sockets.clear();
});

const serve = async (talk: (socket: Socket) => unknown): Promise<number> => {
  const server = createServer((socket) => {
    sockets.add(socket);
    talk(socket.on("error", () => {}).setNoDelay());
  });
  servers.push(server.listen(0, "127.0.0.1"));
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
};

const step = (more: Partial<Step>): Step => ({ send: undefined, expect: undefined, starttls: false, ...more });

const probe = (port: number, steps: readonly Step[], more: Partial<Target<"tcp">> = {}) =>
  runProbe(tcpTarget("127.0.0.1", port, { steps, ...more }), depsOf(), never);

const later = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

describe("an exchange", () => {
  test("sends, hears what it expects, and has a phase", async () => {
    const heard: Buffer[] = [];
    const port = await serve((socket) => socket.on("data", (data) => (heard.push(data), socket.write("+PONG\r\n"))));
    const outcome = await probe(port, [step({ send: "PING\r\n\0\u00ff", expect: "^\\+PONG\\r\\n" })]);
    expect(outcome).toEqual({
      kind: "up",
      seconds: expect.any(Number),
      phases: { connect: expect.any(Number), exchange: expect.any(Number) },
      address: "127.0.0.1",
      facts: { tcpRtt: expect.any(Number) },
    });
    expect(Buffer.concat(heard)).toEqual(Buffer.from([...Buffer.from("PING\r\n"), 0, 255]));
  });

  test("a banner that comes slowly, byte by byte and in pieces of lines", async () => {
    const port = await serve(async (socket) => {
      for (const byte of "220-welcome\r\n220 ready\r\n") {
        socket.write(byte);
        // oxlint-disable-next-line no-await-in-loop -- one byte after the other
        await later(2);
      }
    });
    const outcome = await probe(port, [step({ expect: "^220 ready" })]);
    expect(outcome).toMatchObject({ kind: "up" });
    expect(outcome.phases.exchange).toBeGreaterThan(0.03);
  });

  test("bytes that are no UTF-8 are matched as they are", async () => {
    const port = await serve((socket) => socket.end(Buffer.from([0xff, 0xfe, 0x00, 0x80])));
    expect(await probe(port, [step({ expect: "\\A\\xff\\xfe\\x00\\x80\\z" })])).toMatchObject({ kind: "up" });
  });

  test("silence is a read_timeout, an end without a word unexpected_eof", async () => {
    const silent = await serve((socket) => socket.resume());
    const steps = [step({ expect: "hello" })];
    expect(await probe(silent, steps, { timeoutMs: 150 })).toMatchObject({
      kind: "down",
      error: "read_timeout",
      phase: "exchange",
      detail: "no answer",
    });
    const ending = await serve((socket) => socket.end());
    expect(await probe(ending, steps)).toMatchObject({ kind: "down", error: "unexpected_eof", phase: "exchange" });
  });

  test("another answer is unexpected_response, with what came", async () => {
    const steps = [step({ send: "PING\r\n", expect: "^\\+PONG" })];
    const ending = await serve((socket) => socket.end("-ERR\u0007 no\r\n"));
    expect(await probe(ending, steps)).toMatchObject({
      kind: "down",
      error: "unexpected_response",
      phase: "exchange",
      detail: 'no match before the end: "-ERR\\u0007 no\\r\\n"',
    });
    const staying = await serve((socket) => socket.write("-NOAUTH\r\n"));
    expect(await probe(staying, steps, { timeoutMs: 150 })).toMatchObject({
      error: "unexpected_response",
      detail: 'no match in time: "-NOAUTH\\r\\n"',
    });
  });

  test("a banner without end is looked at as far as the bound", async () => {
    const port = await serve((socket) => {
      const more = (): void => {
        while (!socket.destroyed && socket.write(Buffer.alloc(65_536, "x")));
      };
      socket.on("drain", more);
      more();
    });
    const outcome = await probe(port, [step({ expect: "y" })]);
    expect(outcome).toMatchObject({ kind: "down", error: "unexpected_response", phase: "exchange" });
    expect((outcome as { detail: string }).detail).toMatch(/^no match in the first 65536 bytes: "x{60}\.\.\."$/);
  });

  test("a reset is connection_reset", async () => {
    const port = await serve((socket) => socket.once("data", () => socket.resetAndDestroy()));
    expect(await probe(port, [step({ send: "x", expect: "y" })])).toMatchObject({
      kind: "down",
      error: "connection_reset",
      phase: "exchange",
    });
  });

  test("an expression that would backtrack without end matches in time", async () => {
    const port = await serve((socket) => socket.end("a".repeat(60_000)));
    expect(await probe(port, [step({ expect: "^(a+)+$x" })])).toMatchObject({ error: "unexpected_response" });
  });

  test("several steps are a conversation, of which each hears what comes after it began", async () => {
    const said: string[] = [];
    const port = await serve((socket) => {
      socket.write("220 mail.test\r\n");
      socket.on("data", (data) => {
        said.push(String(data));
        socket.write(said.length === 1 ? "250-mail.test\r\n250 OK\r\n" : "221 bye\r\n");
      });
    });
    const steps = [
      step({ expect: "^220 " }),
      step({ send: "EHLO me\r\n", expect: "^250 " }),
      step({ send: "QUIT\r\n", expect: "^221 " }),
    ];
    expect(await probe(port, steps)).toMatchObject({ kind: "up" });
    expect(said).toEqual(["EHLO me\r\n", "QUIT\r\n"]);
  });

  test("STARTTLS by steps, and what is said afterwards is encrypted", async () => {
    const said: string[] = [];
    const port = await serve((socket) => {
      socket.write("220 ready\r\n");
      socket.once("data", (data) => {
        said.push(`plain ${String(data)}`);
        socket.write("220 go ahead\r\n");
        const secure = new TLSSocket(socket, {
          isServer: true,
          secureContext: createSecureContext(certificateOf("server")),
        });
        secure.on("error", () => {});
        secure.on("data", (text) => {
          said.push(`secure ${String(text)}`);
          secure.write("250 hello\r\n");
        });
      });
    });
    const tls = {
      caFile: tlsFile("ca.pem"),
      certFile: undefined,
      keyFile: undefined,
      serverName: "localhost",
      insecure: false,
    };
    const steps = [
      step({ expect: "^220 " }),
      step({ send: "STARTTLS\r\n", expect: "^220 ", starttls: true }),
      step({ send: "EHLO me\r\n", expect: "^250 " }),
    ];
    const outcome = await probe(port, steps, { tls });
    expect(outcome).toMatchObject({
      kind: "up",
      phases: { connect: expect.any(Number), exchange: expect.any(Number), tls: expect.any(Number) },
    });
    expect(said).toEqual(["plain STARTTLS\r\n", "secure EHLO me\r\n"]);
    expect(await probe(port, steps, { tls: { ...tls, serverName: "wrong.test" } })).toMatchObject({
      error: "tls_hostname_mismatch",
      phase: "tls",
    });
  });

  test("is called off at once, and leaves nothing open", async () => {
    const port = await serve((socket) => socket.resume());
    const before = openResources();
    const stop = new AbortController();
    const running = runProbe(tcpTarget("127.0.0.1", port, { steps: [step({ expect: "x" })] }), depsOf(), stop.signal);
    await later(50);
    stop.abort();
    expect(await running).toMatchObject({ kind: "not_run", error: "cancelled" });
    for (const socket of sockets) socket.destroy();
    await later(20);
    expect(await leftOpen(before)).toEqual([]);
  });
});

describe("attempts", () => {
  test("a later one that goes well is up, and the first failure is kept", async () => {
    let connections = 0;
    const port = await serve((socket) => socket.end(++connections === 1 ? "no" : "yes"));
    const outcome = await probe(port, [step({ expect: "yes" })], { attempts: 3 });
    expect(outcome).toMatchObject({
      kind: "up",
      failedAttempts: [{ kind: "down", error: "unexpected_response", phase: "exchange" }],
    });
    expect(connections).toBe(2);
  });

  test("all of them share the timeout", async () => {
    const port = await serve((socket) => socket.resume());
    const start = performance.now();
    const outcome = await probe(port, [step({ expect: "yes" })], { attempts: 3, timeoutMs: 600 });
    expect(outcome).toMatchObject({ kind: "down", error: "read_timeout" });
    expect(outcome.failedAttempts?.map(({ kind }) => kind)).toEqual(["down", "down"]);
    expect(performance.now() - start).toBeLessThan(900);
  });
});
