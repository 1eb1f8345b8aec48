import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import type { Outcome } from "../../src/model/outcome.ts";
import { createResolver } from "../../src/kernel/resolver.ts";
import { runProbe } from "../../src/probe/index.ts";
import { serveNames } from "../kit/name-server.ts";
import { depsOf, never, tcpTarget } from "../kit/probe.ts";

/** Runs inside the namespace that resolver.test.ts makes, and prints what it saw as JSON. */
const now = (): number => performance.now();
const resolver = createResolver();
const { resolve } = resolver;

const resolveNames = async () => ({
  hosts: await resolve("only-in-hosts", 0, 5000, never),
  search: await resolve("db", 0, 5000, never),
  family: await resolve("db", 4, 5000, never),
  nodata: await resolve("four.corp.test", 6, 5000, never),
  absent: await resolve("absent.corp.test", 0, 5000, never),
  servfail: await resolve("broken.corp.test.", 0, 5000, never),
});

const timed = async <T>(work: Promise<T>): Promise<{ ms: number; value: T }> => {
  const start = now();
  const value = await work;
  return { ms: now() - start, value };
};

/** Thirty names that hang, and beside them one target and one file, over and over. */
const slowBesideFast = async () => {
  const server = createServer((socket) => socket.resume()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const deps = { ...depsOf(), resolve };
  const names = Array.from({ length: 30 }, (_, index) => `slow-${index}`);
  // First without timeout, so that however slow the machine is, each has its thread when the clock starts.
  const abort = new AbortController();
  const first = names.map((name) => resolve(name, 0, 60_000, abort.signal));
  while (resolver.stats().running < names.length) await new Promise((done) => setTimeout(done, 10));
  abort.abort();
  await Promise.all(first);
  // And one more, whose start is not what is measured.
  await resolve("db4", 0, 60_000, never);

  const slow = names.map((name) => timed(runProbe(tcpTarget(name, port, { timeoutMs: 1500 }), deps, never)));
  const fast: { probe: { ms: number; value: Outcome }; fileMs: number; running: number }[] = [];
  for (let time = 0; time < 20; time++) {
    const probe = await timed(runProbe(tcpTarget("db4", port), deps, never));
    const file = await timed(readFile("/etc/hosts"));
    fast.push({ probe, fileMs: file.ms, running: resolver.stats().running });
    await new Promise((done) => setTimeout(done, 50));
  }
  server.close();
  return { slow: await Promise.all(slow), fast };
};

const server = await serveNames({
  "db.corp.test": { a: "192.0.2.10", aaaa: "2001:db8::10" },
  "db4.corp.test": { a: "127.0.0.1" },
  "four.corp.test": { a: "192.0.2.11" },
  "broken.corp.test": "servfail",
});
const found = await resolveNames();
const { slow, fast } = await slowBesideFast();
server[Symbol.dispose]();
process.stdout.write(JSON.stringify({ names: found, slow, fast, stats: resolver.stats() }));
await resolver.close();
