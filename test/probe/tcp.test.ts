import { once } from "node:events";
import { type AddressInfo, createServer, type Server } from "node:net";
import { networkInterfaces } from "node:os";
import { afterEach, describe, expect, test } from "vitest";
import { runProbe } from "../../src/probe/index.ts";
import { interleave } from "../../src/probe/tcp.ts";
import { depsOf, foundAt, leftOpen, never, openResources, tcpTarget } from "../kit/probe.ts";
import { listenRaw, type RawSocket } from "../kit/raw-socket.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

const listen = async (host: string, port = 0): Promise<{ server: Server; port: number }> => {
  const server = createServer((socket) => socket.resume().on("error", () => {}));
  servers.push(server.listen(port, host));
  await once(server, "listening");
  return { server, port: (server.address() as AddressInfo).port };
};

const closedPort = async (): Promise<number> => {
  const { server, port } = await listen("127.0.0.1");
  server.close();
  await once(server, "close");
  return port;
};

/** A listener whose backlog is full: further SYNs are dropped. */
const fullListener = async (address: readonly [number, number, number, number]): Promise<RawSocket> => {
  const listener = listenRaw(address);
  const outcome = await runProbe(tcpTarget(address.join("."), listener.port), depsOf(), never);
  expect(outcome.kind).toBe("up");
  return listener;
};

const hasIpv6 = Object.values(networkInterfaces())
  .flat()
  .some((each) => each?.address === "::1");

describe("tcp", () => {
  test("a listener is up, and a literal has no resolve phase", async () => {
    const { port } = await listen("127.0.0.1");
    const outcome = await runProbe(tcpTarget("127.0.0.1", port), depsOf(), never);
    expect(outcome).toEqual({
      kind: "up",
      seconds: expect.any(Number),
      phases: { connect: expect.any(Number) },
      facts: { tcpRtt: expect.any(Number) },
      address: "127.0.0.1",
    });
    expect(outcome.seconds).toBeGreaterThanOrEqual(outcome.phases.connect ?? Infinity);
    expect(outcome.seconds).toBeLessThan(2);
  });

  test.skipIf(!hasIpv6)("an IPv6 literal", async () => {
    const { port } = await listen("::1");
    const outcome = await runProbe(tcpTarget("::1", port, { type: "tcp" }), depsOf(), never);
    expect(outcome).toMatchObject({ kind: "up", address: "::1" });
  });

  test("a name has a resolve phase, and the wait for a thread is in no number", async () => {
    const { port } = await listen("127.0.0.1");
    const waited = { ...foundAt("127.0.0.1"), waitedMs: 100 };
    const deps = depsOf();
    const resolve = async (): Promise<typeof waited> => {
      await new Promise((done) => setTimeout(done, 150));
      return waited;
    };
    const outcome = await runProbe(tcpTarget("name.test", port), { ...deps, resolve }, never);
    expect(outcome.kind).toBe("up");
    expect(outcome.phases.resolve).toBeGreaterThan(0.045);
    expect(outcome.phases.resolve).toBeLessThan(0.095);
    expect(outcome.seconds).toBeGreaterThan(0.045);
    expect(outcome.seconds).toBeLessThan(0.1 + (outcome.phases.connect ?? 0));
  });

  test("the family of tcp4 and tcp6 is asked for", async () => {
    const asked: number[] = [];
    const resolve = async (_host: string, family: number) => {
      asked.push(family);
      return { kind: "down", error: "dns_not_found", detail: "EAI_NODATA", waitedMs: 0 } as const;
    };
    const deps = { ...depsOf(), resolve };
    const common = { ...tcpTarget("name.test", 1) };
    await runProbe({ ...common, type: "tcp" }, deps, never);
    await runProbe({ ...common, type: "tcp4" }, deps, never);
    const outcome = await runProbe({ ...common, type: "tcp6" }, deps, never);
    expect(asked).toEqual([0, 4, 6]);
    expect(outcome).toEqual({
      kind: "down",
      error: "dns_not_found",
      phase: "resolve",
      detail: "EAI_NODATA",
      seconds: expect.any(Number),
      phases: {},
      facts: {},
    });
  });

  test("a resolver that could not look is not_run", async () => {
    const names = { "name.test": { kind: "not_run", error: "agent_overloaded", detail: "busy", waitedMs: 5 } } as const;
    const outcome = await runProbe(tcpTarget("name.test", 1), depsOf(names), never);
    expect(outcome).toMatchObject({ kind: "not_run", error: "agent_overloaded", detail: "busy" });
  });

  test("a closed port refuses", async () => {
    const outcome = await runProbe(tcpTarget("127.0.0.1", await closedPort()), depsOf(), never);
    expect(outcome).toEqual({
      kind: "down",
      error: "connection_refused",
      phase: "connect",
      detail: "ECONNREFUSED",
      seconds: expect.any(Number),
      phases: {},
      facts: {},
      address: "127.0.0.1",
    });
  });

  test("a full backlog is a timeout, at the target's timeout", async () => {
    using listener = await fullListener([127, 0, 0, 1]);
    const before = openResources();
    const outcome = await runProbe(tcpTarget("127.0.0.1", listener.port, { timeoutMs: 300 }), depsOf(), never);
    expect(outcome).toMatchObject({ kind: "down", error: "connect_timeout", phase: "connect", address: "127.0.0.1" });
    expect(outcome.seconds).toBeGreaterThan(0.29);
    expect(outcome.seconds).toBeLessThan(1);
    expect(await leftOpen(before)).toEqual([]);
  });

  test("a connection that stood in time counts, even if the event loop was stalled past the timeout", async () => {
    const { port } = await listen("127.0.0.1");
    const run = runProbe(tcpTarget("127.0.0.1", port, { timeoutMs: 50 }), depsOf(), never);
    // Without a turn of the event loop: connect(2) has been called, and its end cannot have been seen.
    for (let tick = 0; tick < 20; tick++) await Promise.resolve();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    expect((await run).kind).toBe("up");
  });

  test("the peer sees an ordinary close", async () => {
    const { server, port } = await listen("127.0.0.1");
    const closed = once(server, "connection").then(async ([socket]) => {
      const [hadError] = await once(socket, "close");
      return hadError;
    });
    await runProbe(tcpTarget("127.0.0.1", port), depsOf(), never);
    expect(await closed).toBe(false);
  });

  test("an aborted run is cancelled at once and leaves nothing open", async () => {
    using listener = await fullListener([127, 0, 0, 1]);
    const before = openResources();
    const abort = new AbortController();
    const run = runProbe(tcpTarget("127.0.0.1", listener.port), depsOf(), abort.signal);
    setTimeout(() => abort.abort(), 50);
    expect(await run).toMatchObject({ kind: "not_run", error: "cancelled" });
    expect(await leftOpen(before)).toEqual([]);
    const outcome = await runProbe(tcpTarget("127.0.0.1", listener.port), depsOf(), abort.signal);
    expect(outcome).toEqual({
      kind: "not_run",
      error: "cancelled",
      detail: "the run was cancelled",
      seconds: expect.any(Number),
      phases: {},
      facts: {},
    });
  });
});

describe("several addresses", () => {
  test("the next one is tried while the first is silent", async () => {
    using silent = await fullListener([127, 0, 0, 1]);
    await listen("127.0.0.2", silent.port);
    const deps = depsOf({ "name.test": foundAt("127.0.0.1", "127.0.0.2") });
    const outcome = await runProbe(tcpTarget("name.test", silent.port), deps, never);
    expect(outcome).toMatchObject({ kind: "up", address: "127.0.0.2" });
    expect(outcome.seconds).toBeGreaterThan(0.24);
    expect(outcome.seconds).toBeLessThan(2);
  });

  test("a refusal goes on to the next one without delay", async () => {
    const { port } = await listen("127.0.0.2");
    const deps = depsOf({ "name.test": foundAt("127.0.0.1", "127.0.0.3", "127.0.0.2") });
    const outcome = await runProbe(tcpTarget("name.test", port), deps, never);
    expect(outcome).toMatchObject({ kind: "up", address: "127.0.0.2" });
    expect(outcome.seconds).toBeLessThan(0.24);
  });

  test("a short timeout is shared out", async () => {
    using silent = await fullListener([127, 0, 0, 1]);
    await listen("127.0.0.2", silent.port);
    const deps = depsOf({ "name.test": foundAt("127.0.0.1", "127.0.0.2") });
    const outcome = await runProbe(tcpTarget("name.test", silent.port, { timeoutMs: 200 }), deps, never);
    expect(outcome).toMatchObject({ kind: "up", address: "127.0.0.2" });
  });

  test("a slow first address wins after the second has failed", async () => {
    using slow = await fullListener([127, 0, 0, 1]);
    const deps = depsOf({ "name.test": foundAt("127.0.0.1", "127.0.0.2") });
    const run = runProbe(tcpTarget("name.test", slow.port), deps, never);
    // The kernel sends the dropped SYN again after a second, long after the second address has refused.
    setTimeout(() => slow.accept(), 500);
    const outcome = await run;
    expect(outcome).toMatchObject({ kind: "up", address: "127.0.0.1" });
    expect(outcome.seconds).toBeGreaterThan(0.5);
  });

  test("a refusal tells more than silence", async () => {
    using silent = await fullListener([127, 0, 0, 1]);
    const deps = depsOf({ "name.test": foundAt("127.0.0.1", "127.0.0.2") });
    const outcome = await runProbe(tcpTarget("name.test", silent.port, { timeoutMs: 700 }), deps, never);
    expect(outcome).toMatchObject({ kind: "down", error: "connection_refused", address: "127.0.0.2" });
    expect(outcome.seconds).toBeGreaterThan(0.69);
  });

  test("the families take turns, the first of getaddrinfo first", () => {
    const addresses = (...each: readonly string[]) => {
      const found = foundAt(...each);
      return found.kind === "found" ? found.addresses : [];
    };
    const order = interleave(addresses("::1", "::2", "::3", "10.0.0.1", "10.0.0.2"));
    expect(order.map(({ address }) => address)).toEqual(["::1", "10.0.0.1", "::2", "10.0.0.2", "::3"]);
    expect(interleave(addresses("10.0.0.1", "::1")).map(({ family }) => family)).toEqual([4, 6]);
    expect(interleave([])).toEqual([]);
  });
});
