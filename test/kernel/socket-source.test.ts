import { describe, expect, test } from "vitest";
import { createSocketSource } from "../../src/kernel/socket-source.ts";
import { SourceError } from "../../src/model/errors.ts";
import type { SocketSource } from "../../src/model/config.ts";
import { type SocketProtocol, socketProtocols } from "../../src/model/socket.ts";
import { emptyReport, type DumpReport, type SocketBackend } from "../../src/model/sources.ts";
import { batchOf } from "../kit/sockets.ts";

/** What a backend does with a protocol: gives a socket, lacks it, fails before or after it gave one, or hangs. */
type Conduct = "gives" | "lacks" | "fails" | "breaks" | "hangs";
type Conducts = Partial<Record<SocketProtocol, Conduct>>;

const createTest = (
  setting: {
    source?: SocketSource;
    protocols?: SocketProtocol[];
    netlink?: Conducts | string;
    ss?: Conducts;
    proc?: Conducts;
  } = {},
) => {
  const { source = "auto", protocols = ["tcp", "udp"] } = setting;
  const logged: string[] = [];
  const calls: string[] = [];
  let open = 0;
  const backend =
    (name: string, conducts: Conducts): SocketBackend =>
    (own) => {
      open++;
      return {
        async *read(signal, report) {
          calls.push(`${name} ${own.join()}`);
          for (const protocol of own) {
            const conduct = conducts[protocol] ?? "gives";
            if (conduct === "lacks") report.lacking.add(protocol);
            if (conduct === "fails") throw new SourceError(`${name} is broken`);
            if (conduct === "hangs")
              await new Promise((_resolve, reject) =>
                signal.addEventListener("abort", () => reject(signal.reason as Error)),
              );
            if (conduct === "gives" || conduct === "breaks") yield batchOf([{ cookie: 1, protocol }]);
            if (conduct === "breaks") throw new SourceError(`${name} broke`);
          }
          report.skipped++;
        },
        close: () => void open--,
      };
    };
  const netlink = setting.netlink ?? {};
  const reader = createSocketSource({
    source,
    protocols,
    netlink: typeof netlink === "string" ? netlink : backend("netlink", netlink),
    ss: backend("ss", setting.ss ?? {}),
    proc: backend("proc", setting.proc ?? {}),
    log: (level, message) => logged.push(`${level} ${message}`),
  });
  const dump = async (signal: AbortSignal = AbortSignal.timeout(5000)) => {
    const report: DumpReport = emptyReport();
    const given: string[] = [];
    calls.length = 0;
    let error: string | undefined;
    try {
      for await (const batch of reader.read(signal, report))
        for (let row = 0; row < batch.length; row++) given.push(socketProtocols[batch.protocol[row] as number] ?? "");
    } catch (reason) {
      error = (reason as Error).message;
    }
    return { given, lacking: [...report.lacking], skipped: report.skipped, calls: [...calls], error };
  };
  return { dump, logged, reader, opened: () => open };
};

test("netlink reads all it can, in one go, and nothing is said", async () => {
  const { dump, logged } = createTest();
  for (let count = 0; count < 2; count++)
    expect(await dump()).toMatchObject({ given: ["tcp", "udp"], calls: ["netlink tcp,udp"], lacking: [], skipped: 1 });
  expect(logged).toEqual([]);
});

test("what netlink lacks is read by the next one that has it, which is said once", async () => {
  const { dump, logged } = createTest({
    protocols: ["tcp", "raw", "dccp", "vsock"],
    netlink: { raw: "lacks", dccp: "lacks", vsock: "lacks" },
    ss: { raw: "lacks", dccp: "lacks" },
    proc: { dccp: "lacks" },
  });
  const first = await dump();
  expect(first.given).toEqual(["tcp", "vsock", "raw"]);
  expect(first.lacking).toEqual(["dccp"]);
  const second = await dump();
  expect(second).toMatchObject({
    given: first.given,
    lacking: ["dccp"],
    calls: ["netlink tcp", "ss vsock", "proc raw"],
  });
  expect(logged).toEqual([
    "info vsock sockets are read by ss: netlink has none",
    "warn raw sockets are read from /proc, without struct tcp_info: netlink has none; ss has none",
  ]);
});

test("a backend that cannot be used at all: the next one reads in the same dump", async () => {
  const { dump, logged } = createTest({ netlink: "the C library cannot be called" });
  expect(await dump()).toMatchObject({ given: ["tcp", "udp"], calls: ["ss tcp,udp"], error: undefined });
  expect(logged[0]).toBe("info tcp sockets are read by ss: the C library cannot be called");
});

test("no ss and no netlink: /proc", async () => {
  const all = { tcp: "fails", udp: "fails" } as const;
  const { dump } = createTest({ netlink: all, ss: all });
  expect(await dump()).toMatchObject({ given: ["tcp", "udp"], lacking: [] });
  expect((await dump()).calls).toEqual(["proc tcp,udp"]);
});

test("one protocol that fails takes none with it", async () => {
  const { dump } = createTest({
    protocols: ["tcp", "mptcp", "udp"],
    netlink: { mptcp: "fails" },
    ss: { mptcp: "fails" },
    proc: { mptcp: "lacks" },
  });
  // Some was given before the failure was known: it is the next dump that sorts it out.
  expect((await dump()).error).toBe("netlink is broken");
  expect(await dump()).toMatchObject({ given: ["tcp", "udp"], lacking: ["mptcp"], error: undefined });
  expect((await dump()).calls).toEqual(["netlink tcp,udp"]);
});

test("one that has worked is given three dumps to come back", async () => {
  const conducts: Conducts = {};
  const { dump, logged } = createTest({ netlink: conducts });
  await dump();
  conducts.tcp = "fails";
  expect((await dump()).error).toBe("netlink is broken");
  conducts.tcp = "gives";
  expect((await dump()).error).toBeUndefined();
  Object.assign(conducts, { tcp: "fails", udp: "fails" });
  const errors = [];
  for (let count = 0; count < 3; count++) errors.push((await dump()).error);
  expect(errors).toEqual(["netlink is broken", "netlink is broken", undefined]);
  expect((await dump()).calls).toEqual(["ss tcp,udp"]);
  expect(logged).toHaveLength(2);
});

test("one that hangs loses the protocol that hangs", async () => {
  const { dump } = createTest({ netlink: { udp: "hangs" } });
  const errors = [];
  for (let count = 0; count < 3; count++) errors.push((await dump(AbortSignal.timeout(20))).error !== undefined);
  expect(errors).toEqual([true, true, false]);
  expect((await dump()).calls).toEqual(["netlink tcp", "ss udp"]);
});

describe("a forced source", () => {
  test("is the only one, and lacks what it lacks", async () => {
    const { dump, logged } = createTest({ source: "ss", ss: { udp: "lacks" } });
    expect(await dump()).toMatchObject({ given: ["tcp"], lacking: ["udp"], calls: ["ss tcp,udp"] });
    expect((await dump()).calls).toEqual(["ss tcp"]);
    expect(logged).toEqual([]);
  });
  test("that fails is an error each time, and is tried each time", async () => {
    const conducts: Conducts = { tcp: "fails", udp: "fails" };
    const { dump } = createTest({ source: "netlink", netlink: conducts });
    for (let count = 0; count < 5; count++) expect((await dump()).error).toBe("netlink is broken");
    Object.assign(conducts, { tcp: "gives", udp: "gives" });
    expect(await dump()).toMatchObject({ given: ["tcp", "udp"], error: undefined });
  });
  test("that has nothing at all lacks all of it", async () => {
    const { dump } = createTest({ source: "proc", proc: { tcp: "lacks", udp: "lacks" } });
    for (let count = 0; count < 2; count++)
      expect(await dump()).toMatchObject({ lacking: ["tcp", "udp"], error: undefined });
  });
});

test("what is opened is closed", async () => {
  const { dump, reader, opened } = createTest({ netlink: { udp: "breaks" }, ss: { udp: "fails" } });
  for (let count = 0; count < 4; count++) await dump();
  reader.close();
  expect(opened()).toBe(0);
});

test("a fault of the agent itself is not taken for one of the backend", async () => {
  const { dump } = createTest();
  const source = createSocketSource({
    source: "auto",
    protocols: ["tcp"],
    netlink: () => ({
      // oxlint-disable-next-line require-yield -- a reader that has a bug
      async *read() {
        throw new TypeError("bug");
      },
      close: () => undefined,
    }),
    ss: "none",
    proc: "none",
    log: () => undefined,
  });
  const read = source.read(AbortSignal.timeout(100), emptyReport());
  await expect(read[Symbol.asyncIterator]().next()).rejects.toThrow(TypeError);
  expect((await dump()).error).toBeUndefined();
});
