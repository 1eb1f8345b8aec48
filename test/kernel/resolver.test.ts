import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { afterEach, describe, expect, test } from "vitest";
import { bindGetAddrInfo } from "../../src/kernel/getaddrinfo.ts";
import { loadLibc } from "../../src/kernel/libc.ts";
import { verdictOf } from "../../src/kernel/lookup.ts";
import { createResolver, type Resolver, type ResolverOptions } from "../../src/kernel/resolver.ts";
import { leftOpen, never, openResources } from "../kit/probe.ts";

const resolvers: Resolver[] = [];
afterEach(async () => {
  await Promise.all(resolvers.splice(0).map((resolver) => resolver.close()));
});

const open = (options: Partial<ResolverOptions> = {}): Resolver => {
  const resolver = createResolver(options);
  resolvers.push(resolver);
  return resolver;
};

const fake = (options: Partial<ResolverOptions> = {}): Resolver =>
  open({ script: new URL("../kit/resolver-thread.ts", import.meta.url), ...options });

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((done) => setTimeout(done, 5));
};

const addressOf = (address: string, family: 4 | 6) => ({
  kind: "found",
  addresses: [{ address, family }],
  waitedMs: expect.any(Number),
});

describe("getaddrinfo", () => {
  const getAddrInfo = bindGetAddrInfo(loadLibc());

  test("numbers in all of inet_aton's spellings", () => {
    expect(getAddrInfo("127.1", 0)).toEqual({ addresses: [{ address: "127.0.0.1", family: 4 }] });
    expect(getAddrInfo("::ffff:127.0.0.1", 6)).toEqual({ addresses: [{ address: "::ffff:127.0.0.1", family: 6 }] });
  });

  test("an address keeps its zone by name", () => {
    expect(getAddrInfo("fe80::1%lo", 0)).toEqual({ addresses: [{ address: "fe80::1%lo", family: 6 }] });
  });

  test("a family that the host has not", () => {
    expect(getAddrInfo("127.0.0.1", 6)).toEqual({ failed: "EAI_ADDRFAMILY", errno: undefined });
  });

  test("each address once, whatever socket types there are", () => {
    const answer = getAddrInfo("localhost", 4);
    expect("addresses" in answer && answer.addresses.filter(({ address }) => address === "127.0.0.1")).toEqual([
      { address: "127.0.0.1", family: 4 },
    ]);
  });

  test("a name with a NUL is no name, not what stands before it", () => {
    expect(getAddrInfo("localhost\0.example", 4)).toEqual({ failed: "EAI_NONAME", errno: undefined });
  });

  test("a platform without a layout is refused", () => {
    expect(() => bindGetAddrInfo(loadLibc(), "plan9")).toThrow("no layout of struct addrinfo for plan9");
  });
});

describe("what an answer means", () => {
  test.each([
    ["EAI_NONAME", undefined, { kind: "down", error: "dns_not_found", detail: "EAI_NONAME" }],
    ["EAI_NODATA", undefined, { kind: "down", error: "dns_not_found", detail: "EAI_NODATA" }],
    ["EAI_ADDRFAMILY", undefined, { kind: "down", error: "dns_not_found", detail: "EAI_ADDRFAMILY" }],
    ["EAI_AGAIN", undefined, { kind: "down", error: "dns_error", detail: "EAI_AGAIN" }],
    ["EAI_FAIL", undefined, { kind: "down", error: "dns_error", detail: "EAI_FAIL" }],
    ["EAI_OVERFLOW", undefined, { kind: "down", error: "dns_error", detail: "EAI_OVERFLOW" }],
    ["EAI_MEMORY", undefined, { kind: "not_run", error: "no_memory", detail: "EAI_MEMORY" }],
    ["EAI_SYSTEM", "EMFILE", { kind: "not_run", error: "too_many_files", detail: "EAI_SYSTEM EMFILE" }],
    ["EAI_SYSTEM", "ENFILE", { kind: "not_run", error: "too_many_files", detail: "EAI_SYSTEM ENFILE" }],
    ["EAI_SYSTEM", "ENOMEM", { kind: "not_run", error: "no_memory", detail: "EAI_SYSTEM ENOMEM" }],
    ["EAI_SYSTEM", "ECONNREFUSED", { kind: "down", error: "dns_error", detail: "EAI_SYSTEM ECONNREFUSED" }],
    // glibc, when it cannot open /etc/hosts and has no descriptor for a name server.
    ["EAI_NONAME", "EMFILE", { kind: "not_run", error: "too_many_files", detail: "EAI_NONAME EMFILE" }],
    ["EAI_NONAME", "ENOENT", { kind: "down", error: "dns_not_found", detail: "EAI_NONAME" }],
  ])("%s with errno %s", (failed, errno, verdict) => {
    expect(verdictOf({ failed, errno })).toEqual(verdict);
  });
});

describe("the resolver", () => {
  test("a name of the hosts file, on a thread that stays for the next", async () => {
    const resolver = open();
    const first = await resolver.resolve("localhost", 4, 5000, never);
    expect(first).toMatchObject({ kind: "found", addresses: [{ address: "127.0.0.1", family: 4 }] });
    const second = await resolver.resolve("localhost", 4, 5000, never);
    expect(second.waitedMs).toBeLessThan(first.waitedMs);
    expect(resolver.stats()).toEqual({ by: "threads", threads: 1, running: 0, queued: 0 });
  });

  test("a literal needs no thread", async () => {
    const resolver = open();
    expect(await resolver.resolve("127.0.0.1", 0, 1000, never)).toEqual(addressOf("127.0.0.1", 4));
    expect(await resolver.resolve("::1", 0, 1000, never)).toEqual(addressOf("::1", 6));
    expect(await resolver.resolve("fe80::1%eth0", 6, 1000, never)).toEqual(addressOf("fe80::1%eth0", 6));
    const other = { kind: "down", error: "dns_not_found", detail: "EAI_ADDRFAMILY", waitedMs: 0 };
    expect(await resolver.resolve("::1", 4, 1000, never)).toEqual(other);
    expect(resolver.stats()).toMatchObject({ threads: 0 });
  });

  test("without a C library it is Node's own lookup, and says so", async () => {
    const resolver = open({ libc: undefined });
    expect(await resolver.resolve("localhost", 4, 5000, never)).toEqual(addressOf("127.0.0.1", 4));
    expect(resolver.stats()).toEqual({ by: "libuv", running: 0 });
  });
});

describe("threads", () => {
  test("all who ask for one name share one lookup", async () => {
    const resolver = fake();
    const asked = Array.from({ length: 20 }, () => resolver.resolve("sleep-100", 4, 5000, never));
    await until(() => resolver.stats().running > 0);
    asked.push(resolver.resolve("sleep-100", 4, 5000, never));
    expect(resolver.stats()).toEqual({ by: "threads", threads: 1, running: 1, queued: 0 });
    for (const resolution of await Promise.all(asked)) expect(resolution).toEqual(addressOf("127.0.0.1", 4));
    expect(await resolver.resolve("sleep-100", 4, 5000, never)).toEqual(addressOf("127.0.0.2", 4));
  });

  test("the families of a name are different lookups", async () => {
    const resolver = fake({ maxThreads: 1 });
    const [four, six] = await Promise.all([
      resolver.resolve("name.test", 4, 5000, never),
      resolver.resolve("name.test", 6, 5000, never),
    ]);
    expect([four, six]).toEqual([addressOf("127.0.0.1", 4), addressOf("::2", 6)]);
  });

  test("a slow name is dns_timeout at the caller's deadline, and its thread is used again", async () => {
    const resolver = fake({ maxThreads: 1 });
    await resolver.resolve("warm.test", 4, 5000, never);
    const start = performance.now();
    expect(await resolver.resolve("sleep-400", 4, 100, never)).toMatchObject({ kind: "down", error: "dns_timeout" });
    expect(performance.now() - start).toBeLessThan(300);
    expect(resolver.stats()).toMatchObject({ threads: 1, running: 1 });
    expect(await resolver.resolve("sleep-400", 4, 5000, never)).toEqual(addressOf("127.0.0.2", 4));
    expect(await resolver.resolve("next.test", 4, 5000, never)).toEqual(addressOf("127.0.0.3", 4));
    expect(resolver.stats()).toMatchObject({ threads: 1, running: 0 });
  });

  test("a lookup that cannot start is the agent's overload, and the wait is told apart", async () => {
    const resolver = fake({ maxThreads: 2 });
    const slow = ["sleep-500", "sleep-501"].map((host) => resolver.resolve(host, 4, 5000, never));
    await until(() => resolver.stats().running === 2);
    expect(await resolver.resolve("late.test", 4, 100, never)).toEqual({
      kind: "not_run",
      error: "agent_overloaded",
      detail: "every resolver thread was busy until the timeout",
      waitedMs: expect.any(Number),
    });
    expect(resolver.stats()).toEqual({ by: "threads", threads: 2, running: 2, queued: 0 });
    const waited = await resolver.resolve("patient.test", 4, 5000, never);
    expect(waited.kind).toBe("found");
    expect(waited.waitedMs).toBeGreaterThan(200);
    expect((await Promise.all(slow)).map(({ kind }) => kind)).toEqual(["found", "found"]);
  });

  test("quick names take turns on a thread, which is shorter than to start more", async () => {
    const resolver = fake();
    await resolver.resolve("warm.test", 4, 5000, never);
    const asked = Array.from({ length: 60 }, (_, index) => resolver.resolve(`name-${index}.test`, 4, 5000, never));
    expect((await Promise.all(asked)).every(({ kind }) => kind === "found")).toBe(true);
    const stats = resolver.stats();
    expect(stats.by === "threads" && stats.threads).toBeLessThan(8);
  });

  test("slow names do not hold up a fast one", async () => {
    const resolver = fake();
    const slow = Array.from({ length: 10 }, (_, index) => resolver.resolve(`sleep-${3000 + index}`, 4, 9000, never));
    await until(() => resolver.stats().running === 10);
    const start = performance.now();
    expect((await resolver.resolve("fast.test", 4, 5000, never)).kind).toBe("found");
    expect(performance.now() - start).toBeLessThan(1000);
    expect((await Promise.all(slow)).every(({ kind }) => kind === "found")).toBe(true);
  });

  test("names that were slow the last time leave threads for the others", async () => {
    const resolver = fake({ maxThreads: 4 });
    const names = ["sleep-1200", "sleep-1201", "sleep-1202", "sleep-1203"];
    await Promise.all(names.map((host) => resolver.resolve(host, 4, 9000, never)));
    const again = names.map((host) => resolver.resolve(host, 4, 9000, never));
    await until(() => resolver.stats().running === 3);
    expect(resolver.stats()).toEqual({ by: "threads", threads: 4, running: 3, queued: 1 });
    expect((await resolver.resolve("fast.test", 4, 1000, never)).kind).toBe("found");
    expect((await Promise.all(again)).map(({ kind }) => kind)).toEqual(["found", "found", "found", "found"]);
  });

  test("threads without work end, except the last", async () => {
    const resolver = fake({ idleMs: 400 });
    const asked = ["sleep-300", "sleep-301", "sleep-302"].map((host) => resolver.resolve(host, 4, 5000, never));
    await Promise.all(asked);
    expect(resolver.stats()).toMatchObject({ threads: 3 });
    await new Promise((done) => setTimeout(done, 900));
    expect(resolver.stats()).toEqual({ by: "threads", threads: 1, running: 0, queued: 0 });
    expect((await resolver.resolve("next.test", 4, 5000, never)).waitedMs).toBeLessThan(20);
  });

  test("the lookup of a thread that dies is dns_error, and another thread takes its place", async () => {
    const resolver = fake({ maxThreads: 1 });
    const died = resolver.resolve("die", 4, 5000, never);
    const next = resolver.resolve("next.test", 4, 5000, never);
    expect(await died).toMatchObject({
      kind: "down",
      error: "dns_error",
      detail: "the resolver thread died: it exited",
    });
    expect(await next).toEqual(addressOf("127.0.0.1", 4));
  });

  test("threads that cannot start are the agent's trouble, by the code of the error", async () => {
    const resolver = open({ script: new URL("../kit/broken-thread.ts", import.meta.url) });
    expect(await resolver.resolve("name.test", 4, 5000, never)).toMatchObject({
      kind: "not_run",
      error: "too_many_files",
      detail: "a resolver thread could not start: EMFILE",
    });
    expect(resolver.stats()).toEqual({ by: "threads", threads: 0, running: 0, queued: 0 });
  });
});

describe("the end", () => {
  test("an aborted caller is cancelled, and what nobody waits for is not looked up", async () => {
    const resolver = fake({ maxThreads: 1 });
    const slow = resolver.resolve("sleep-200", 4, 5000, never);
    await until(() => resolver.stats().running === 1);
    const abort = new AbortController();
    const queued = resolver.resolve("queued.test", 4, 5000, abort.signal);
    expect(resolver.stats()).toMatchObject({ running: 1, queued: 1 });
    abort.abort();
    expect(await queued).toMatchObject({ kind: "not_run", error: "cancelled" });
    expect(resolver.stats()).toMatchObject({ running: 1, queued: 0 });
    expect(await resolver.resolve("name.test", 4, 5000, abort.signal)).toMatchObject({ error: "cancelled" });
    expect((await slow).kind).toBe("found");
  });

  test("close cancels those who wait, ends the idle threads and does not wait for a busy one", async () => {
    const before = openResources();
    const resolver = fake();
    await resolver.resolve("warm.test", 4, 5000, never);
    const slow = resolver.resolve("sleep-3000", 4, 5000, never);
    await until(() => resolver.stats().running === 1);
    const start = performance.now();
    await resolver.close();
    expect(performance.now() - start).toBeLessThan(1000);
    expect(await slow).toMatchObject({ kind: "not_run", error: "cancelled" });
    expect(await resolver.resolve("name.test", 4, 5000, never)).toMatchObject({ error: "cancelled" });
    expect(await leftOpen(before)).toEqual([]);
  });

  test.each([
    ["exit", 3, ""],
    ["throw", 1, ""],
    ["close", 4, '["cancelled","cancelled","cancelled"]'],
    ["wait", 4, '["dns_timeout","dns_timeout","dns_timeout"]'],
  ])("the process ends promptly while lookups hang: %s", async (how, code, output) => {
    const script = new URL("../kit/hanging-resolver.ts", import.meta.url).pathname;
    const start = performance.now();
    const child = spawn(process.execPath, [script, how], { stdio: ["ignore", "pipe", "ignore"], timeout: 15_000 });
    const [said, [status]] = await Promise.all([text(child.stdout), once(child, "exit")]);
    // Other listeners of the process's end have their turn, too.
    expect({ status, said }).toEqual({ status: code, said: `${output}bye` });
    expect(performance.now() - start).toBeLessThan(10_000);
  });
});
