import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { runProbe } from "../../src/probe/index.ts";
import { depsOf, leftOpen, messageTarget, never, openResources, unixTarget } from "../kit/probe.ts";
import { bindUnix, type RawSocket } from "../kit/raw-socket.ts";

let folder = "";
const raws: RawSocket[] = [];
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "sockscope-unix-"));
});
afterEach(() => {
  for (const raw of raws.splice(0)) raw[Symbol.dispose]();
});
afterAll(() => rmSync(folder, { recursive: true }));

const probe = (path: string) => runProbe(unixTarget(path), depsOf(), never);

test("a stream listener is up", async () => {
  const path = join(folder, "stream");
  const server = createServer((socket) => socket.resume()).listen(path);
  await once(server, "listening");
  const before = openResources();
  const outcome = await probe(path);
  expect(outcome).toEqual({
    kind: "up",
    seconds: expect.any(Number),
    phases: { connect: expect.any(Number) },
    facts: {},
    address: path,
  });
  expect(await leftOpen(before)).toEqual([]);
  server.close();
});

test("no file", async () => {
  expect(await probe(join(folder, "absent"))).toMatchObject({
    kind: "down",
    error: "socket_not_found",
    phase: "connect",
    detail: "ENOENT",
  });
});

test("a file where a folder should be", async () => {
  const path = join(folder, "file");
  writeFileSync(path, "");
  expect(await probe(join(path, "socket"))).toMatchObject({ error: "socket_not_found", detail: "ENOTDIR" });
});

test("a socket that nobody listens on", async () => {
  const path = join(folder, "bound");
  raws.push(bindUnix(path, "stream"));
  expect(await probe(path)).toMatchObject({ kind: "down", error: "connection_refused", detail: "ECONNREFUSED" });
});

test.each(["dgram", "seqpacket"] as const)("a %s socket is of the wrong type", async (type) => {
  const path = join(folder, type);
  raws.push(bindUnix(path, type, type === "dgram" ? undefined : 1));
  expect(await probe(path)).toMatchObject({ kind: "down", error: "wrong_socket_type", detail: "EPROTOTYPE" });
});

test("a full backlog refuses at once", async () => {
  const path = join(folder, "full");
  raws.push(bindUnix(path, "stream", 0));
  expect((await probe(path)).kind).toBe("up");
  expect(await probe(path)).toMatchObject({ kind: "down", error: "connection_refused", detail: "EAGAIN" });
});

test("a path that may not be reached is down, since who may connect is the target's matter", async () => {
  const closed = join(folder, "closed");
  mkdirSync(closed);
  chmodSync(closed, 0);
  chmodSync(folder, 0o755);
  const root = process.getuid?.() === 0;
  if (root) process.seteuid?.(65_534);
  const outcome = await probe(join(closed, "socket"));
  if (root) process.seteuid?.(0);
  expect(outcome).toMatchObject({ kind: "down", error: "permission_denied", detail: "EACCES" });
  chmodSync(closed, 0o755);
});

test("a path that is too long is down with its code", async () => {
  expect(await probe(join(folder, "x".repeat(200)))).toMatchObject({ error: "_OTHER", detail: "ENAMETOOLONG" });
});

test("an aborted run is cancelled", async () => {
  const abort = new AbortController();
  abort.abort();
  const outcome = await runProbe(unixTarget(join(folder, "absent")), depsOf(), abort.signal);
  expect(outcome).toMatchObject({ kind: "not_run", error: "cancelled" });
});

describe("unixgram and unixpacket", () => {
  test("are up where such a socket is, and say what it is where it is another", async () => {
    const types = { unixgram: "dgram", unixpacket: "seqpacket" } as const;
    for (const [type, socketType] of Object.entries(types) as ["unixgram" | "unixpacket", "dgram" | "seqpacket"][]) {
      const path = join(folder, type);
      raws.push(bindUnix(path, socketType, type === "unixgram" ? undefined : 8));
      const other = join(folder, `${type}-other`);
      raws.push(bindUnix(other, "stream", 8));
      // oxlint-disable no-await-in-loop -- one after the other
      expect(await runProbe(messageTarget(type, path), depsOf(), never)).toMatchObject({ kind: "up", address: path });
      expect(await runProbe(messageTarget(type, other), depsOf(), never)).toMatchObject({
        kind: "down",
        error: "wrong_socket_type",
        phase: "connect",
        detail: "EPROTOTYPE",
      });
      expect(await runProbe(messageTarget(type, join(folder, "absent")), depsOf(), never)).toMatchObject({
        error: "socket_not_found",
      });
      // oxlint-enable no-await-in-loop
    }
  });

  test("what is sent and not expected to be answered is delivered", async () => {
    const path = join(folder, "log");
    raws.push(bindUnix(path, "dgram"));
    const outcome = await runProbe(
      messageTarget("unixgram", path, { send: "<13>hello", silenceMs: 50 }),
      depsOf(),
      never,
    );
    expect(outcome).toMatchObject({ kind: "up" });
  });

  test("an answer that is expected and does not come is a read_timeout", async () => {
    const path = join(folder, "silent");
    raws.push(bindUnix(path, "dgram"));
    const target = messageTarget("unixgram", path, { send: "x", expect: "y", timeoutMs: 150 });
    expect(await runProbe(target, depsOf(), never)).toMatchObject({
      kind: "down",
      error: "read_timeout",
      phase: "exchange",
    });
  });
});
