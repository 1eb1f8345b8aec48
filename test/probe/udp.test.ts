import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { networkInterfaces } from "node:os";
import { afterEach, describe, expect, test } from "vitest";
import { runProbe } from "../../src/probe/index.ts";
import { depsOf, foundAt, leftOpen, never, openResources, udpTarget } from "../kit/probe.ts";

const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close();
});

/** A bound socket; `received` gets the length of each datagram. */
const bind = async (address: string, echo: boolean): Promise<{ port: number; received: number[] }> => {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  const received: number[] = [];
  socket.on("message", (message, peer) => {
    received.push(message.length);
    if (echo) socket.send(message, peer.port, peer.address);
  });
  sockets.push(socket.bind(0, address));
  await once(socket, "listening");
  return { port: socket.address().port, received };
};

const closedPort = async (): Promise<number> => {
  const { port } = await bind("127.0.0.1", false);
  const socket = sockets.pop();
  socket?.close();
  return port;
};

const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((each) => each?.address === "::1");

test("an answer is up, after one empty datagram", async () => {
  const { port, received } = await bind("127.0.0.1", true);
  const outcome = await runProbe(udpTarget("127.0.0.1", port), depsOf(), never);
  expect(outcome).toEqual({
    kind: "up",
    seconds: expect.any(Number),
    phases: { exchange: expect.any(Number) },
    facts: {},
    address: "127.0.0.1",
  });
  expect(received).toEqual([0]);
});

test.skipIf(!hasIpv6)("an IPv6 literal", async () => {
  const { port } = await bind("::1", true);
  expect(await runProbe(udpTarget("::1", port), depsOf(), never)).toMatchObject({ kind: "up", address: "::1" });
});

test("a closed port is refused by ICMP", async () => {
  const outcome = await runProbe(udpTarget("127.0.0.1", await closedPort()), depsOf(), never);
  expect(outcome).toEqual({
    kind: "down",
    error: "connection_refused",
    phase: "exchange",
    detail: "ECONNREFUSED",
    seconds: expect.any(Number),
    phases: {},
    facts: {},
    address: "127.0.0.1",
  });
});

test("silence is unanswered, after silenceMs and one datagram", async () => {
  const { port, received } = await bind("127.0.0.1", false);
  const before = openResources();
  const outcome = await runProbe(udpTarget("127.0.0.1", port, { silenceMs: 120 }), depsOf(), never);
  expect(outcome).toEqual({
    kind: "unanswered",
    seconds: expect.any(Number),
    phases: {},
    facts: {},
    address: "127.0.0.1",
  });
  expect(outcome.seconds).toBeGreaterThan(0.11);
  expect(outcome.seconds).toBeLessThan(1);
  expect(received).toEqual([0]);
  expect(await leftOpen(before)).toEqual([]);
});

test("a timeout shorter than the silence is unanswered too", async () => {
  const { port } = await bind("127.0.0.1", false);
  const target = udpTarget("127.0.0.1", port, { silenceMs: 5000, timeoutMs: 100 });
  const outcome = await runProbe(target, depsOf(), never);
  expect(outcome.kind).toBe("unanswered");
  expect(outcome.seconds).toBeLessThan(1);
});

test("a refused address is followed by the next", async () => {
  const { port, received } = await bind("127.0.0.2", true);
  const deps = depsOf({ "name.test": foundAt("127.0.0.1", "127.0.0.2") });
  const outcome = await runProbe(udpTarget("name.test", port), deps, never);
  expect(outcome).toMatchObject({ kind: "up", address: "127.0.0.2" });
  expect(outcome.phases).toEqual({ resolve: expect.any(Number), exchange: expect.any(Number) });
  expect(received).toEqual([0]);
});

test("an aborted run is cancelled at once", async () => {
  const { port } = await bind("127.0.0.1", false);
  const before = openResources();
  const abort = new AbortController();
  const run = runProbe(udpTarget("127.0.0.1", port), depsOf(), abort.signal);
  setTimeout(() => abort.abort(), 30);
  const outcome = await run;
  expect(outcome).toMatchObject({ kind: "not_run", error: "cancelled" });
  expect(outcome.seconds).toBeLessThan(0.9);
  expect(await leftOpen(before)).toEqual([]);
});

test("a name without time left to send is down, not unanswered", async () => {
  const resolve = async () => {
    await new Promise((done) => setTimeout(done, 60));
    return foundAt("127.0.0.1");
  };
  const target = udpTarget("name.test", 9, { timeoutMs: 50 });
  const outcome = await runProbe(target, { ...depsOf(), resolve }, never);
  expect(outcome).toMatchObject({ kind: "down", error: "connect_timeout", phase: "connect" });
});

describe("what is sent and expected", () => {
  test("a datagram with a payload, whose answer matches", async () => {
    const socket = createSocket("udp4").on("message", (message, { port, address }) => {
      socket.send(`not yet`, port, address);
      socket.send(Buffer.concat([message, Buffer.from([0xff])]), port, address);
    });
    sockets.push(socket.bind(0, "127.0.0.1"));
    await once(socket, "listening");
    const { port } = socket.address();
    const send = "\u0001\u0000q";
    const matching = udpTarget("127.0.0.1", port, { send, expect: "\\A\\x01\\x00q\\xff\\z" });
    expect(await runProbe(matching, depsOf(), never)).toMatchObject({
      kind: "up",
      phases: { exchange: expect.any(Number) },
    });
    const other = udpTarget("127.0.0.1", port, { send, expect: "something else", timeoutMs: 200 });
    expect(await runProbe(other, depsOf(), never)).toMatchObject({
      kind: "down",
      error: "unexpected_response",
      phase: "exchange",
      detail: "2 answers did not match",
    });
  });

  test("with an expectation silence is down, after the timeout and not after silenceMs", async () => {
    const { port } = await bind("127.0.0.1", false);
    const target = udpTarget("127.0.0.1", port, { send: "x", expect: "y", silenceMs: 50, timeoutMs: 250 });
    const outcome = await runProbe(target, depsOf(), never);
    expect(outcome).toMatchObject({ kind: "down", error: "read_timeout", phase: "exchange", detail: "no answer" });
    expect(outcome.seconds).toBeGreaterThan(0.2);
  });

  test("several packets: each is told from the others, and what is lost is counted", async () => {
    let come = 0;
    const socket = createSocket("udp4").on("message", (message, { port, address }) => {
      // The second one is lost, the third one late.
      come++;
      const number = come;
      if (number === 2) return;
      setTimeout(() => socket.send(message, port, address), number === 3 ? 120 : 0);
    });
    sockets.push(socket.bind(0, "127.0.0.1"));
    await once(socket, "listening");
    const target = udpTarget("127.0.0.1", socket.address().port, {
      send: "x",
      expect: "x",
      count: 4,
      packetIntervalMs: 40,
      timeoutMs: 600,
    });
    const outcome = await runProbe(target, depsOf(), never);
    expect(come).toBe(4);
    expect(outcome).toMatchObject({ kind: "up", facts: { packets: { sent: 4, rtts: { length: 3 } } } });
    const [first = 1, late = 0, last = 1] = outcome.facts.packets?.rtts ?? [];
    expect(late).toBeGreaterThan(0.1);
    expect(first).toBeLessThan(late);
    expect(last).toBeLessThan(late);
    expect(outcome.phases.exchange).toBeCloseTo((first + late + last) / 3, 6);
  });

  test("a flood of answers that nobody asked for is looked at as far as the bound", async () => {
    const junk = Buffer.alloc(50_000, "x");
    const flood = (left: number, port: number, address: string): void => {
      if (left > 0) socket.send(junk, port, address, () => flood(left - 1, port, address));
    };
    const socket = createSocket("udp4").on("message", (_, { port, address }) => flood(200, port, address));
    sockets.push(socket.bind(0, "127.0.0.1"));
    await once(socket, "listening");
    const target = udpTarget("127.0.0.1", socket.address().port, { send: "x", expect: "y", timeoutMs: 2000 });
    expect(await runProbe(target, depsOf(), never)).toMatchObject({
      kind: "down",
      error: "unexpected_response",
      phase: "exchange",
    });
  });

  test("all addresses of a name, each with its verdict", async () => {
    const { port } = await bind("127.0.0.2", true);
    const deps = depsOf({ "name.test": foundAt("127.0.0.1", "127.0.0.2") });
    const outcome = await runProbe(udpTarget("name.test", port, { allAddresses: true }), deps, never);
    expect(outcome).toMatchObject({
      kind: "down",
      error: "connection_refused",
      facts: { resolved: ["127.0.0.1", "127.0.0.2"] },
      byAddress: [
        { kind: "down", error: "connection_refused", address: "127.0.0.1" },
        { kind: "up", address: "127.0.0.2" },
      ],
    });
  });
});
