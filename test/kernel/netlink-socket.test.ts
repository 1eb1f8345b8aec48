import { describe, expect, test } from "vitest";
import { type Libc, loadLibc } from "../../src/kernel/libc.ts";
import { createSockDiag, type SockDiagOptions } from "../../src/kernel/netlink-socket.ts";
import { SourceError } from "../../src/model/errors.ts";
import { type SocketProtocol, socketProtocols } from "../../src/model/socket.ts";
import type { DumpReport } from "../../src/model/sources.ts";
import { dumpsOf } from "../../src/netlink/dumps.ts";
import { planTcpInfo } from "../../src/netlink/tcp-info.ts";
import { done, message, words } from "../kit/netlink-messages.ts";

const EINTR = 4;
const EAGAIN = 11;
const ENOBUFS = 105;

type Received = (seq: number) => Buffer;
/** What one recv gives: bytes, an errno, or the length of a datagram that the buffer is too small for. */
type Step = Received | { readonly errno: number } | { readonly truncated: number };

/** A C library whose sockets answer each request with the next of these scripts, for what a real kernel cannot be made to do. */
const scriptedLibc = (dumps: readonly (readonly Step[])[]) => {
  const calls: string[] = [];
  let errno = 0;
  let seq = 0;
  let script: Step[] = [];
  let next = 0;
  const functions: Readonly<Record<string, (...args: never[]) => number>> = {
    socket: () => calls.push("socket"),
    close: () => calls.push("close"),
    send: (_fd: number, data: Uint8Array) => {
      seq = new DataView(data.buffer).getUint32(8, true);
      calls.push(`dump ${data[16] === 1 ? "unix" : "other"}`);
      script = [...(dumps[next++] ?? [])];
      return data.length;
    },
    recv: (_fd: number, target: Uint8Array) => {
      const step = script.shift();
      if (step === undefined) throw new Error("a receive that the script does not have");
      if ("errno" in step) {
        errno = step.errno;
        return -1;
      }
      if ("truncated" in step) return step.truncated;
      const bytes = step(seq);
      target.set(bytes);
      return bytes.length;
    },
  };
  const libc: Pick<Libc, "func" | "errno" | "errnoName"> = {
    func: ((prototype: string) => functions[/(\w+)\(/.exec(prototype)?.[1] ?? ""]) as unknown as Libc["func"],
    errno: () => errno,
    errnoName: (number) => `errno ${number}`,
  };
  return { libc: libc as Libc, calls };
};

const unixSocket =
  (cookie: number, flags = 2): Received =>
  (sequence) =>
    message(20, Buffer.concat([Buffer.of(1, 1, 1, 0), words(cookie, cookie, 0)]), { sequence, flags });
/** An unconnected IPv4 socket. */
const inetSocket: Received = (sequence) =>
  message(20, Buffer.concat([Buffer.of(2, 7, 0, 0), Buffer.alloc(68)]), { sequence, flags: 2 });
const end =
  (status = 0, type = 3): Received =>
  (sequence) =>
    done(status, type, sequence);
const together =
  (...parts: readonly Received[]): Received =>
  (sequence) =>
    Buffer.concat(parts.map((part) => part(sequence)));

const options = { plan: planTcpInfo([]), congestion: false, program: undefined, timeWait: false };

const readAll = async (libc: Libc, protocols: readonly SocketProtocol[], more?: SockDiagOptions) => {
  const restarts: SocketProtocol[] = [];
  let cookies: number[] = [];
  const report: DumpReport = {
    skipped: 0,
    lacking: new Set(),
    retries: 0,
    restart: (protocol) => {
      restarts.push(protocol);
      cookies = [];
    },
  };
  const read = async (): Promise<void> => {
    for await (const batch of createSockDiag(libc, dumpsOf(protocols, options), more).read(
      AbortSignal.timeout(5000),
      report,
    )) {
      cookies.push(...batch.cookie.subarray(0, batch.length));
    }
  };
  const failure = await read().then(
    () => undefined,
    (error: unknown) => error,
  );
  return { report, restarts, cookies, failure };
};

/** Ten receives are more than a batch: some sockets have been handed over when the fault comes. */
const tenSockets = Array.from({ length: 10 }, (_, index) => unixSocket(index + 1));

const faults: readonly (readonly [string, readonly Step[]])[] = [
  ["NLM_F_DUMP_INTR on a socket", [unixSocket(1, 0x12), end()]],
  ["NLM_F_DUMP_INTR on the end", [unixSocket(1), (sequence) => message(3, words(0), { sequence, flags: 0x12 })]],
  ["EBUSY", [end(-16, 2)]],
  ["ENOBUFS", [unixSocket(1), { errno: ENOBUFS }]],
  ["a truncated datagram", [{ truncated: 40_000 }]],
  ["a message that is cut short", [(sequence) => unixSocket(1)(sequence).subarray(0, 24)]],
  ["a reply to another request in between", [together(unixSocket(1), () => unixSocket(2)(4711)), end()]],
  ["the end of another dump in between", [() => end()(4711), end()]],
];

describe.each(faults)("a dump with %s", (_name, steps) => {
  test("is counted and made once more on a new socket, and only what the second gives counts", async () => {
    const { libc, calls } = scriptedLibc([
      [...tenSockets, ...steps],
      [together(unixSocket(8), unixSocket(9)), end()],
    ]);
    const { report, restarts, cookies, failure } = await readAll(libc, ["unix"]);
    expect(failure).toBeUndefined();
    expect(cookies).toEqual([8, 9]);
    expect(restarts).toEqual(["unix"]);
    expect(report.retries).toBe(1);
    expect(report.lacking.size).toBe(0);
    expect(calls).toEqual(["socket", "dump unix", "close", "socket", "dump unix"]);
  });

  test("fails when the second one is faulty too, and leaves no socket behind", async () => {
    const { libc, calls } = scriptedLibc([steps, steps]);
    const { failure, report } = await readAll(libc, ["unix"]);
    expect(failure).toBeInstanceOf(SourceError);
    expect(String(failure)).toContain("two dumps of unix sockets in a row are faulty");
    expect(report.retries).toBe(1);
    expect(calls.at(-1)).toBe("close");
  });
});

test("all dumps of a protocol are made again, those of others are not", async () => {
  const { libc, calls } = scriptedLibc([[end()], [end()], [end(-16, 2)], [end()], [end()], [end()]]);
  const { report, restarts, failure } = await readAll(libc, ["unix", "raw", "packet"]);
  expect(failure).toBeUndefined();
  expect(restarts).toEqual(["raw"]);
  expect(report.retries).toBe(1);
  const dumps = ["dump unix", "dump other", "dump other", "close", "socket", "dump other", "dump other", "dump other"];
  expect(calls).toEqual(["socket", ...dumps]);
});

test("a receive that was interrupted, or finds nothing yet, is no fault", async () => {
  const { libc } = scriptedLibc([[{ errno: EINTR }, unixSocket(1), { errno: EAGAIN }, end()]]);
  const { report, cookies } = await readAll(libc, ["unix"]);
  expect([cookies, report.retries]).toEqual([[1], 0]);
});

test.each([
  ["NLMSG_DONE", 3],
  ["NLMSG_ERROR", 2],
])("a protocol whose dump ends by %s with ENOENT is lacking, and the others are read", async (_name, type) => {
  const { libc } = scriptedLibc([[end(-2, type)], [unixSocket(5), end()]]);
  const { report, cookies, failure } = await readAll(libc, ["vsock", "unix"]);
  expect(failure).toBeUndefined();
  expect([...report.lacking]).toEqual(["vsock"]);
  expect(cookies).toEqual([5]);
});

test("a protocol that answers for one address family is not lacking", async () => {
  const { libc } = scriptedLibc([[end()], [end(-2)]]);
  expect((await readAll(libc, ["raw"])).report.lacking.size).toBe(0);
});

test("dumps of a protocol that has no more sockets than were given are left out, and it is not lacking", async () => {
  const { libc, calls } = scriptedLibc([
    [inetSocket, end()],
    [inetSocket, end()],
  ]);
  const asked: [SocketProtocol, number][] = [];
  const isEnough = (protocol: SocketProtocol, sockets: number): boolean => {
    asked.push([protocol, sockets]);
    return protocol === "tcp" || sockets > 0;
  };
  const { cookies, report } = await readAll(libc, ["tcp", "udp"], { isEnough });
  expect(asked).toEqual([
    ["tcp", 0],
    ["udp", 0],
    ["udp", 1],
  ]);
  expect(calls).toEqual(["socket", "dump other"]);
  expect([cookies.length, report.lacking.size]).toEqual([1, 0]);
});

test("the socket is opened where it is told, and not at all where nothing is to be dumped", async () => {
  const { libc, calls } = scriptedLibc([[end()]]);
  const within = (open: () => void): void => {
    calls.push("enter");
    open();
    calls.push("leave");
  };
  await readAll(libc, ["unix"], { within, isEnough: () => true });
  expect(calls).toEqual([]);
  await readAll(libc, ["unix"], { within });
  expect(calls).toEqual(["enter", "socket", "leave", "dump unix"]);
});

test("another errno is a failure, at once", async () => {
  const { libc, calls } = scriptedLibc([[end(-1, 2)]]);
  const { failure, report } = await readAll(libc, ["unix"]);
  expect(failure).toBeInstanceOf(SourceError);
  expect(report.retries).toBe(0);
  expect(calls).toEqual(["socket", "dump unix", "close"]);
});

test.skipIf(process.platform !== "linux")(
  "every protocol is there or lacking on this kernel, and none is faulty",
  async () => {
    const { failure, report } = await readAll(loadLibc(), socketProtocols);
    expect(failure).toBeUndefined();
    expect(report.retries).toBe(0);
    expect(report.skipped).toBe(0);
    for (const protocol of ["tcp", "udp", "unix"] as const) expect(report.lacking.has(protocol)).toBe(false);
  },
);
