import { spawnSync } from "node:child_process";
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type ListenOptions, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { createBootClock, createGate } from "../../src/kernel/boot-clock.ts";
import { createDeadlines, type Dated } from "../../src/kernel/deadlines.ts";
import { encodeEcho, payloadOf } from "../../src/kernel/echo.ts";
import { loadLibc } from "../../src/kernel/libc.ts";
import type { OpenProbeSockets } from "../../src/kernel/node-sockets.ts";
import { bindReceiver } from "../../src/kernel/packet-receive.ts";
import { createProbeSockets, type ProbeSocketsOptions } from "../../src/kernel/probe-sockets.ts";
import { AF_INET, bindSocketCalls, SOCK_DGRAM } from "../../src/kernel/socket-calls.ts";
import { bindEncodeAddress } from "../../src/kernel/socket-name.ts";
import type { SocketAddress } from "../../src/model/sources.ts";
import { never } from "../kit/probe.ts";
import { anywhere, dialling, inMs, openFiles, sending, textOf } from "../kit/probe-sockets.ts";
import { bindUdpRaw, bindUnix, listenRaw } from "../kit/raw-socket.ts";
import { respondUnix } from "../kit/unix-responder.ts";
import { until } from "../kit/until.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

const open = (options: Partial<ProbeSocketsOptions> = {}): OpenProbeSockets => {
  const sockets = createProbeSockets(options);
  closing.push(() => sockets.close());
  return sockets;
};

/** Until the end of the test. */
const hold = (held: Disposable): unknown => closing.push(() => held[Symbol.dispose]());

const at = (address: string, port: number): SocketAddress => ({ address, family: address.includes(":") ? 6 : 4, port });

/** A listener, closed after the test with its connections. */
const serve = async (options: ListenOptions, handle: (socket: Socket) => void = () => undefined): Promise<Server> => {
  const peers = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    peers.add(socket.on("error", () => undefined).on("close", () => peers.delete(socket)));
    handle(socket);
  });
  await once(server.listen(options), "listening");
  closing.push(() => {
    server.close();
    for (const peer of peers) peer.destroy();
  });
  return server;
};

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

/** A port of 127.0.0.1 with a TCP listener. */
const listening = async (handle?: (socket: Socket) => void): Promise<SocketAddress> =>
  at("127.0.0.1", portOf(await serve({ port: 0, host: "127.0.0.1" }, handle)));

const closedPort = async (host: string): Promise<SocketAddress> => {
  const server = createServer();
  await once(server.listen(0, host), "listening");
  const port = portOf(server);
  server.close();
  await once(server, "close");
  return at(host, port);
};

/** A UDP socket that does this with each packet. */
const serveUdp = async (
  host: string,
  handle: (reply: (bytes: string | Uint8Array) => void, message: Buffer, socket: UdpSocket) => void,
): Promise<SocketAddress> => {
  const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
  socket.on("message", (message, { address, port }) =>
    handle((bytes) => socket.send(bytes, port, address), message, socket),
  );
  await once(socket.bind(0, host), "listening");
  closing.push(() => socket.close());
  return at(host, socket.address().port);
};

const scratch = (): string => {
  const path = mkdtempSync(join(tmpdir(), "sockscope-sockets-"));
  closing.push(() => rmSync(path, { recursive: true }));
  return path;
};

const timeOf = expect.any(Number);
const failed = (code: string) => ({ kind: "failed", startedAt: timeOf, at: timeOf, code });
const unsent = (code: string) => ({ ...failed(code), phase: "connect" });
const unanswered = (code: string) => ({ ...failed(code), phase: "exchange" });

describe.each([
  ["a thread", {}],
  ["Node", { libc: undefined }],
] as const)("by %s", (by, options) => {
  const threaded = by === "a thread";

  test("a target hears nothing without a permit, before it is given and after it has ended or is withdrawn", async () => {
    let heard = 0;
    const to = await listening(() => heard++);
    const packets = await serveUdp("127.0.0.1", (reply) => {
      heard++;
      reply("answer");
    });
    const sockets = open(options);
    const boot = createBootClock(loadLibc());
    const gate = createGate();
    const connect = async (end: number): Promise<string> => {
      const { kind } = await sockets.dial(to, dialling({ permit: { until: end, shared: gate.shared } }), never);
      const sent = await sockets.sendPacket(packets, sending({ permit: { until: end, shared: gate.shared } }), never);
      return `${kind} ${sent.kind}`;
    };
    expect(await connect(Infinity)).toBe("late late");
    gate.open(boot() + 60_000);
    expect(await connect(boot() - 50)).toBe("late late");
    expect(heard).toBe(0);
    expect(await connect(boot() + 60_000)).toBe("connected answered");
    gate.open(boot() - 50);
    expect(await connect(Infinity)).toBe("late late");
    gate.open(boot() + 60_000);
    gate.close();
    expect(await connect(Infinity)).toBe("late late");
    await until("both were heard", () => heard === 2);
  });

  test.each(["127.0.0.1", "::1"])("a listener at %s", async (host) => {
    const to = at(host, portOf(await serve({ port: 0, host })));
    const before = performance.now();
    const dialled = await open(options).dial(to, dialling(), never);
    const after = performance.now();
    expect(dialled).toEqual({
      kind: "connected",
      startedAt: timeOf,
      at: timeOf,
      rtt: threaded ? timeOf : undefined,
      connection: undefined,
    });
    if (dialled.kind !== "connected") return;
    expect(before).toBeLessThanOrEqual(dialled.startedAt);
    expect(dialled.startedAt).toBeLessThanOrEqual(dialled.at);
    expect(dialled.at).toBeLessThanOrEqual(after);
    // What the kernel measured is a part of it; its own clock counts in microseconds.
    if (threaded) expect((dialled.rtt ?? Infinity) * 1e3).toBeLessThanOrEqual(dialled.at - dialled.startedAt + 0.002);
  });

  test.each(["127.0.0.1", "::1"])("a closed port of %s", async (host) => {
    expect(await open(options).dial(await closedPort(host), dialling(), never)).toEqual(failed("ECONNREFUSED"));
  });

  test("a unix socket, and none", async () => {
    const path = join(scratch(), "socket");
    await serve({ path });
    const sockets = open(options);
    expect(await sockets.dial({ path }, dialling(), never)).toMatchObject({ kind: "connected", rtt: undefined });
    expect(await sockets.dial({ path: `${path}.absent` }, dialling(), never)).toEqual(failed("ENOENT"));
    expect(await sockets.dial({ path: "/dev/null" }, dialling(), never)).toEqual(failed("ECONNREFUSED"));
  });

  test("an address to leave from", async () => {
    const seen: unknown[] = [];
    const to = await listening((socket) => seen.push(socket.remoteAddress));
    const sockets = open(options);
    const from = (address: string) => dialling({ source: { address, interface: undefined } });
    expect(await sockets.dial(to, from("127.0.0.9"), never)).toMatchObject({ kind: "connected" });
    await until("the connection", () => seen.length === 1);
    expect(seen).toEqual(["127.0.0.9"]);
    expect(await sockets.dial(to, from("192.0.2.1"), never)).toEqual(failed("EADDRNOTAVAIL"));
  });

  test("a deadline that has passed", async () => {
    const to = await listening();
    const sockets = open(options);
    expect(await sockets.dial(to, dialling({ deadline: inMs(-1) }), never)).toEqual({ kind: "late" });
    expect(await sockets.sendPacket(to, sending({ deadline: inMs(-1) }), never)).toEqual({ kind: "late" });
  });

  test("a listener that lets nobody in: the deadline, or the signal", async () => {
    using full = listenRaw([127, 0, 0, 1]);
    const to = at("127.0.0.1", full.port);
    const sockets = open(options);
    const first = await sockets.dial(to, dialling({ keep: true }), never);
    if (first.kind === "connected") closing.push(() => first.connection?.destroy());
    const deadline = inMs(300);
    const dialled = await sockets.dial(to, dialling({ deadline }), never);
    expect(dialled).toEqual({ kind: "deadline", startedAt: timeOf, at: timeOf });
    if (dialled.kind === "deadline") expect(dialled.at).toBeGreaterThanOrEqual(deadline);
    const abort = new AbortController();
    const cancelled = sockets.dial(to, dialling(), abort.signal);
    await sleep(50);
    expect(sockets.stats().running).toBe(1);
    abort.abort();
    expect(await cancelled).toEqual({ kind: "cancelled" });
    expect(sockets.stats()).toEqual({ by: threaded ? "thread" : "node", running: 0 });
  });

  test("a signal that has aborted, and sockets that are closed", async () => {
    const to = await listening(() => expect.unreachable());
    const sockets = open(options);
    const aborted = AbortSignal.abort();
    expect(await sockets.dial(to, dialling(), aborted)).toEqual({ kind: "cancelled" });
    expect(await sockets.sendPacket(to, sending(), aborted)).toEqual({ kind: "cancelled" });
    const running = sockets.sendPacket(at("127.0.0.1", 9), sending(), never);
    await sockets.close();
    expect(await running).toEqual({ kind: "cancelled" });
    expect(await sockets.dial(to, dialling(), never)).toEqual({ kind: "cancelled" });
    await sockets.close();
  });

  test.each(["127.0.0.1", "::1"])("a packet and its reply, among others, at %s", async (host) => {
    const to = await serveUdp(host, (reply, message) => {
      for (const answer of ["not this", "", `${message.toString()}?`, "too late"]) reply(answer);
    });
    const seen: string[] = [];
    const accept = (reply: { readonly bytes: Uint8Array }): boolean => {
      seen.push(textOf(reply));
      return textOf(reply) === "question?";
    };
    const sent = await open(options).sendPacket(to, sending({ accept }), never);
    expect(sent).toMatchObject({ kind: "answered", reply: { ttl: threaded ? 64 : undefined } });
    if (sent.kind !== "answered") return;
    expect(textOf(sent.reply)).toBe("question?");
    expect(seen).toEqual(["not this", "", "question?"]);
    expect(sent.sentAt).toBeLessThanOrEqual(sent.reply.at);
    expect(sent.reply.at).toBeLessThanOrEqual(performance.now());
  });

  test("an empty packet", async () => {
    const to = await serveUdp("127.0.0.1", (reply, message) => reply(`${message.length}`));
    const sent = await open(options).sendPacket(to, sending({ payload: new Uint8Array() }), never);
    expect(sent.kind === "answered" && textOf(sent.reply)).toBe("0");
  });

  test("a UDP port that is closed, one that is silent, one that says something else", async () => {
    const sockets = open(options);
    expect(await sockets.sendPacket(await closedPort("127.0.0.1"), sending(), never)).toEqual(
      unanswered("ECONNREFUSED"),
    );
    using silent = bindUdpRaw();
    const deadline = inMs(200);
    const sent = await sockets.sendPacket(at("127.0.0.1", silent.port), sending({ deadline }), never);
    expect(sent).toEqual({ kind: "silence", sentAt: timeOf, at: timeOf, others: 0 });
    if (sent.kind === "silence") expect(sent.at).toBeGreaterThanOrEqual(deadline);
    const to = await serveUdp("127.0.0.1", (reply) => [1, 2, 3].forEach((each) => reply(`${each}`)));
    const refused = await sockets.sendPacket(to, sending({ accept: () => false, deadline: inMs(300) }), never);
    expect(refused).toMatchObject({ kind: "silence", others: 3 });
  });

  test("a flood of replies ends at its bounds", async () => {
    const flood = (size: number, times: number) =>
      serveUdp("127.0.0.1", (reply) => {
        for (let time = 0; time < times; time++) reply(new Uint8Array(size));
      });
    const sockets = open(options);
    let looked = 0;
    const accept = (): boolean => {
      looked++;
      return false;
    };
    const many = await sockets.sendPacket(await flood(1, 1000), sending({ accept }), never);
    expect(many).toEqual(unanswered("EMSGSIZE"));
    expect(looked).toBe(64);
    looked = 0;
    // A reply at a time, since no queue of a socket holds them all: 10 MB in 20 s, were they read.
    const to = await serveUdp("127.0.0.1", (reply) => {
      const timer = setInterval(() => reply(new Uint8Array(50_000)), 2);
      closing.push(() => clearInterval(timer));
    });
    const large = await sockets.sendPacket(to, sending({ accept }), never);
    expect(large).toEqual(unanswered("EMSGSIZE"));
    expect(looked).toBe(20);
  });
});

describe("by Node", () => {
  test("what it has no sockets for is not supported", async () => {
    const sockets = open({ libc: undefined });
    const to = await listening();
    const source = { address: undefined, interface: "lo" };
    expect(await sockets.dial(to, dialling({ source }), never)).toEqual(failed("ENOTSUP"));
    expect(await sockets.dial({ path: "/x" }, dialling({ type: "datagram" }), never)).toEqual(failed("ENOTSUP"));
    expect(await sockets.sendPacket(to, sending({ type: "icmp" }), never)).toEqual(unsent("ENOTSUP"));
    expect(await sockets.sendPacket({ path: "/x" }, sending({ type: "packet" }), never)).toEqual(unsent("ENOTSUP"));
  });
});

describe.each([
  ["a thread", {}],
  ["Node", { libc: undefined }],
] as const)("a connection that is kept, by %s", (by, options) => {
  const keep = async (to: SocketAddress, sockets = open(options)): Promise<Socket> => {
    const dialled = await sockets.dial(to, dialling({ keep: true }), never);
    if (dialled.kind !== "connected" || dialled.connection === undefined) throw new Error(dialled.kind);
    const { connection } = dialled;
    closing.push(() => connection.destroy());
    return connection;
  };
  /** Longer than anything takes that would be lost. */
  const wait = (): Promise<void> => sleep(100);

  test("both directions, with its addresses", async () => {
    const to = await listening((socket) => socket.pipe(socket));
    const connection = await keep(to);
    expect(connection).toMatchObject({ remoteAddress: "127.0.0.1", localAddress: "127.0.0.1", connecting: false });
    connection.end("echoed");
    connection.resume();
    expect(await text(connection)).toBe("echoed");
  });

  test("of a unix socket", async () => {
    const path = join(scratch(), "socket");
    await serve({ path }, (socket) => socket.pipe(socket));
    const connection = await keep({ path });
    connection.end("echoed");
    expect(await text(connection)).toBe("echoed");
  });

  test("what came before it is read, and the end after it", async () => {
    const to = await listening((socket) => socket.end("greeting"));
    const connection = await keep(to);
    await wait();
    expect(connection.isPaused()).toBe(true);
    expect(connection.bytesRead).toBe(0);
    const heard: string[] = [];
    connection.on("data", (data) => heard.push(data.toString())).on("end", () => heard.push("end"));
    await wait();
    expect(heard).toEqual([]);
    connection.resume();
    await once(connection, "close");
    expect(heard).toEqual(["greeting", "end"]);
  });

  // Node's own may hear of it before it says that it is connected.
  if (by === "Node") return;
  test("a reset before anybody listens", async () => {
    const to = await listening((socket) => socket.resetAndDestroy());
    const connection = await keep(to);
    await wait();
    expect(connection.destroyed).toBe(false);
    const error = once(connection, "error");
    connection.resume();
    expect(await error).toMatchObject([{ code: "ECONNRESET" }]);
  });
});

describe("the thread", () => {
  const sockets = createProbeSockets();
  beforeAll(() => () => sockets.close());

  test("a connection that is reset at once was one", async () => {
    const to = await listening((socket) => socket.resetAndDestroy());
    const all = await Promise.all(Array.from({ length: 50 }, () => sockets.dial(to, dialling(), never)));
    expect(new Set(all.map(({ kind }) => kind))).toEqual(new Set(["connected"]));
  });

  test("what keeps the event loop is no part of its times", async () => {
    const to = await listening();
    await sockets.dial(to, dialling(), never);
    const dialled = sockets.dial(to, dialling(), never);
    // The order goes out once this turn is over.
    await Promise.resolve();
    const free = inMs(1000);
    while (performance.now() < free);
    const ended = await dialled;
    expect(ended.kind === "connected" && ended.at).toBeLessThan(free);
  });

  test("unix datagram and packet sockets, and the wrong type of them", async () => {
    const folder = scratch();
    hold(bindUnix(join(folder, "dgram"), "dgram"));
    hold(bindUnix(join(folder, "seqpacket"), "seqpacket", 16));
    hold(bindUnix(join(folder, "stream"), "stream", 0));
    const dial = (name: string, type: "stream" | "datagram" | "packet") =>
      sockets.dial({ path: join(folder, name) }, dialling({ type }), never);
    expect(await dial("dgram", "datagram")).toMatchObject({ kind: "connected", rtt: undefined });
    expect(await dial("seqpacket", "packet")).toMatchObject({ kind: "connected", rtt: undefined });
    expect(await dial("dgram", "stream")).toEqual(failed("EPROTOTYPE"));
    expect(await dial("seqpacket", "datagram")).toEqual(failed("EPROTOTYPE"));
    expect(await dial("stream", "packet")).toEqual(failed("EPROTOTYPE"));
    expect(await dial("absent", "packet")).toEqual(failed("ENOENT"));
    expect(await dial("stream", "stream")).toMatchObject({ kind: "connected" });
    // One waits, and the backlog is full.
    expect(await dial("stream", "stream")).toEqual(failed("EAGAIN"));
  });

  test.each(["dgram", "seqpacket"] as const)("a %s exchange, since the peer can answer", async (type) => {
    const path = join(scratch(), "socket");
    using peer = respondUnix(path, type, ["no", "yes"]);
    const accept = (reply: { readonly bytes: Uint8Array }): boolean => textOf(reply) === "yes";
    const ask = sending({ type: type === "dgram" ? "datagram" : "packet", accept });
    const sent = await sockets.sendPacket({ path }, ask, never);
    expect(sent.kind === "answered" && { ...sent.reply, bytes: textOf(sent.reply) }).toEqual({
      at: timeOf,
      bytes: "yes",
      ttl: undefined,
    });
    expect(peer.heard[0]).toBe("question");
    const silent = { ...ask, accept: () => false, deadline: inMs(100) };
    expect(await sockets.sendPacket({ path }, silent, never)).toMatchObject({ kind: "silence", others: 2 });
  });

  test("a packet socket that closes instead of answering", async () => {
    const path = join(scratch(), "socket");
    hold(respondUnix(path, "seqpacket", []));
    expect(await sockets.sendPacket({ path }, sending({ type: "packet" }), never)).toEqual(unanswered("EOF"));
  });

  test("packets to unix sockets that are not there, or of another type", async () => {
    const folder = scratch();
    hold(bindUnix(join(folder, "stream"), "stream", 0));
    const send = (name: string, type: "datagram" | "packet") =>
      sockets.sendPacket({ path: join(folder, name) }, sending({ type }), never);
    expect(await send("absent", "datagram")).toEqual(unsent("ENOENT"));
    expect(await send("stream", "datagram")).toEqual(unsent("EPROTOTYPE"));
    expect(await send("stream", "packet")).toEqual(unsent("EPROTOTYPE"));
    hold(bindUnix(join(folder, "dgram"), "dgram"));
    const deadline = inMs(100);
    const silent = await sockets.sendPacket(
      { path: join(folder, "dgram") },
      sending({ type: "datagram", deadline }),
      never,
    );
    expect(silent).toMatchObject({ kind: "silence", others: 0 });
  });

  test("paths and interfaces that cannot be are not cut to others that can", async () => {
    expect(await sockets.dial({ path: `/${"x".repeat(120)}` }, dialling(), never)).toEqual(failed("ENAMETOOLONG"));
    expect(await sockets.dial({ path: "/dev/null\0x" }, dialling(), never)).toEqual(failed("EINVAL"));
    const to = await listening();
    const through = (name: string) => dialling({ source: { address: undefined, interface: name } });
    expect(await sockets.dial(to, through("absent0"), never)).toEqual(failed("ENODEV"));
    expect(await sockets.dial(to, through("lo\0"), never)).toEqual(failed("ENODEV"));
    expect(await sockets.dial(to, through("a-name-beyond-16"), never)).toEqual(failed("ENODEV"));
    expect(await sockets.dial(at("fe80::1%absent0", 80), dialling(), never)).toEqual(failed("ENODEV"));
    const source = { ...anywhere, address: "::1" };
    expect(await sockets.dial(to, dialling({ source }), never)).toEqual(failed("EAFNOSUPPORT"));
  });

  test("what a job cannot be made of fails it, and no other", async () => {
    const to = await listening();
    const odd = at("no address", 80);
    const [broken, sane] = await Promise.all([
      sockets.dial(odd, dialling(), never),
      sockets.dial(to, dialling(), never),
    ]);
    expect(broken).toEqual(failed("EINVAL"));
    expect(sane).toMatchObject({ kind: "connected" });
  });

  test("leaves nothing open, whatever became of its jobs", async () => {
    using full = listenRaw([127, 0, 0, 1]);
    using silent = bindUdpRaw();
    const to = await listening((socket) => socket.resume().on("end", () => socket.end()));
    await sockets.dial(at("127.0.0.1", full.port), dialling(), never);
    const refusing = await closedPort("127.0.0.1");
    await sleep(50);
    const before = openFiles();
    const abort = new AbortController();
    const jobs = Array.from({ length: 300 }, (_, index) => {
      const signal = index % 3 === 0 ? abort.signal : never;
      const deadline = inMs(50 + (index % 100));
      return [
        sockets.dial(
          index % 2 === 0 ? to : refusing,
          dialling({ keep: index % 4 === 0, deadline: inMs(5000) }),
          signal,
        ),
        sockets.dial(at("127.0.0.1", full.port), dialling({ keep: true, deadline }), signal),
        sockets.sendPacket(at("127.0.0.1", silent.port), sending({ deadline }), signal),
      ];
    }).flat();
    // Some are on their way back by then.
    await sleep(2);
    abort.abort();
    for (const ended of await Promise.all(jobs)) if (ended.kind === "connected") ended.connection?.destroy();
    await until("all descriptors are closed", () => openFiles() <= before);
    expect(sockets.stats().running).toBe(0);
  });

  test("one that cannot start fails its jobs with the code, and later ones too", async () => {
    const broken = open({ script: new URL("../kit/broken-thread.ts", import.meta.url) });
    const to = await listening();
    const before = openFiles();
    expect(await broken.dial(to, dialling(), never)).toEqual(failed("EMFILE"));
    expect(await broken.sendPacket(to, sending(), never)).toEqual(unsent("EMFILE"));
    await until("all descriptors are closed", () => openFiles() <= before);
  });

  test("one that dies fails its jobs with the code, and the next job has another one", async () => {
    const dying = open({ script: new URL("../kit/dying-thread.ts", import.meta.url) });
    const to = await listening();
    for (let time = 0; time < 2; time++) {
      expect(await dying.dial(to, dialling(), never)).toEqual(failed("ERR_WORKER_OUT_OF_MEMORY"));
    }
  });

  test("without descriptors to open, jobs fail with EMFILE, and work again later", () => {
    const script = new URL("../kit/probe-sockets-few-files.ts", import.meta.url).pathname;
    const child = spawnSync("sh", ["-c", 'ulimit -n 64; exec "$0" "$1"', process.execPath, script], {
      encoding: "utf8",
      timeout: 15_000,
    });
    expect(child.stderr).toBe("");
    expect(JSON.parse(child.stdout)).toEqual({
      dialled: failed("EMFILE"),
      sent: unsent("EMFILE"),
      cold: [failed("EMFILE"), failed("EMFILE")],
      after: {
        warm: expect.objectContaining({ kind: "connected" }),
        cold: expect.objectContaining({ kind: "connected" }),
      },
    });
  });

  test.each([
    ["exit", 3, "connected", ""],
    ["throw", 1, "connected", "as a bug would"],
    ["starting", 3, "", ""],
    ["close", 0, "connected closed", ""],
    ["idle", 0, "connected", ""],
  ])("a process ends by %s although a thread waits", (way, status, stdout, stderr) => {
    const script = new URL("../kit/probe-sockets-exit.ts", import.meta.url).pathname;
    const child = spawnSync(process.execPath, [script, way], { encoding: "utf8", timeout: 15_000 });
    expect(child).toMatchObject({ status, stdout, signal: null });
    expect(child.stderr).toContain(stderr);
  });
});

describe("the parts", () => {
  test("deadlines come in order, whatever was removed", () => {
    const deadlines = createDeadlines<Dated>();
    const items = Array.from({ length: 500 }, (_, index) => ({ deadline: (index * 7919) % 501, place: -1 }));
    for (const item of items) deadlines.add(item);
    const kept = items.filter((item, index) => {
      if (index % 3 === 0) deadlines.remove(item);
      return index % 3 !== 0;
    });
    const order: number[] = [];
    for (let first = deadlines.first(); first !== undefined; first = deadlines.first()) {
      order.push(first.deadline);
      deadlines.remove(first);
      deadlines.remove(first);
    }
    expect(order).toEqual(kept.map(({ deadline }) => deadline).sort((a, b) => a - b));
  });

  test("an echo request, and what belongs to it", () => {
    const request = encodeEcho(8, 0x1234, Buffer.from("abc"));
    expect(Buffer.from(request).toString("hex")).toBe("0800216812340001616263");
    const reply = Uint8Array.from([0, 0, 0xff, 0xff, ...request.subarray(4)]);
    expect(payloadOf(reply, 0, request)).toEqual(Uint8Array.from(Buffer.from("abc")));
    expect(payloadOf(reply.subarray(0, 9), 0, request)).toEqual(Uint8Array.from(Buffer.from("a")));
    expect(payloadOf(reply.subarray(0, 7), 0, request)).toBeUndefined();
    expect(payloadOf(reply, 8, request)).toBeUndefined();
    for (let index = 4; index < reply.length; index++) {
      expect(payloadOf(reply.with(index, reply[index]! ^ 1), 0, request)).toBeUndefined();
    }
    expect(payloadOf(reply.with(1, 1), 0, request)).toBeUndefined();
  });

  test("addresses", () => {
    const encode = bindEncodeAddress(loadLibc());
    const hex = (address: SocketAddress): string => {
      const { bytes, length } = encode(address);
      return Buffer.from(bytes.subarray(0, length)).toString("hex");
    };
    expect(hex(at("192.0.2.1", 443))).toBe("020001bbc00002010000000000000000");
    expect(hex(at("fe80::1%7", 443))).toBe("0a0001bb00000000fe80000000000000000000000000000107000000");
    expect(hex(at("fe80::1%lo", 80))).toBe("0a00005000000000fe80000000000000000000000000000101000000");
    expect(hex(at("::ffff:192.0.2.1", 80))).toBe("0a0000500000000000000000000000000000ffffc000020100000000");
    expect(hex({ path: "/a" })).toBe("01002f6100");
    expect(hex({ path: "/".repeat(108) })).toBe(`0100${"2f".repeat(108)}`);
  });

  test("a receiver outlives the garbage of its making", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const calls = bindSocketCalls(loadLibc());
    const receiver = bindReceiver(loadLibc(), calls);
    const to = await serveUdp("127.0.0.1", (reply, message) => reply(message));
    const fd = calls.open(AF_INET, SOCK_DGRAM, 0);
    hold({ [Symbol.dispose]: () => calls.close(fd) });
    receiver.prepare(fd);
    calls.connect(fd, bindEncodeAddress(loadLibc())(to));
    for (let time = 0; time < 20; time++) {
      collect();
      // What takes the place of what was freed.
      const garbage = Array.from({ length: 100 }, () => new Uint8Array(128).fill(0xff));
      calls.send(fd, Buffer.from(`packet ${time}`));
      await until("the reply", () => receiver.receive(fd) >= 8);
      expect(textOf({ bytes: receiver.bytes.subarray(0, 8) })).toBe(`packet ${time}`.slice(0, 8));
      expect(receiver.control).toEqual({ ttl: 64, ageMs: timeOf, errno: undefined });
      expect(receiver.control.ageMs).toBeGreaterThanOrEqual(0);
      expect(garbage).toHaveLength(100);
    }
  });

  test("a platform whose structs are not known is refused", () => {
    expect(() => bindSocketCalls(loadLibc(), "darwin")).toThrow("no layout of socket structs for darwin");
    expect(() => bindSocketCalls(loadLibc(), "linux", "arm")).toThrow("no layout of socket structs for linux on arm");
  });
});

test("a thread can be started before the first job, and is none once it is closed", async () => {
  const early = open();
  await early.ready();
  expect(early.stats()).toEqual({ by: "thread", running: 0 });
  expect(await early.dial({ path: "/absent" }, dialling(), never)).toMatchObject({ kind: "failed", code: "ENOENT" });
  await early.close();
  await early.ready();
  expect(await early.dial({ path: "/absent" }, dialling(), never)).toEqual({ kind: "cancelled" });
});
