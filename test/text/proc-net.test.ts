import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createSocketBatch, notGiven } from "../../src/model/socket.ts";
import { AF_UNIX } from "../../src/netlink/constants.ts";
import { tcpInfoStride } from "../../src/netlink/tcp-info.ts";
import { procFiles, type ProcProtocol } from "../../src/text/proc-net.ts";
import { readSs, rowsOf } from "../kit/ss-text.ts";

// Of the same moment and namespace as the texts of ss.
const fixture = (name: string): string => readFileSync(new URL(`../fixtures/${name}`, import.meta.url), "utf8");

const read = (protocol: ProcProtocol, text: string, states = 0xffff) => {
  const batch = createSocketBatch(1000, tcpInfoStride);
  const verdicts = { row: 0, unwanted: 0, skipped: 0 };
  for (const line of text.split("\n")) verdicts[procFiles[protocol].read(line, states, batch)]++;
  return { rows: rowsOf(batch), ...verdicts };
};

const readBoth = (protocol: ProcProtocol) =>
  read(protocol, procFiles[protocol].files.map((file) => fixture(`proc-net/${file}`)).join(""));

/** The file of unix sockets does not name the other end. */
const keyOf = ({ family, local, peer, inode, name }: ReturnType<typeof readBoth>["rows"][number]): string =>
  [local, family === AF_UNIX ? "" : peer, inode, name].join(" ");

describe("the same sockets as ss", () => {
  test.each(["tcp", "udp", "unix"] as const)("%s", (protocol) => {
    const { rows, skipped } = readBoth(protocol);
    const seen = readSs(fixture(`ss/7.1.${protocol}.txt`), { protocol });
    const comparable = (all: typeof rows) =>
      all
        .map(({ cookie: _c, congestion: _n, info: _i, drops, rqueue, wqueue, peer, ...row }) => ({
          ...row,
          ...(protocol === "udp" ? { drops } : {}),
          ...(protocol === "unix" ? {} : { rqueue, peer }),
          ...(protocol === "unix" || row.state === 10 ? {} : { wqueue }),
          key: keyOf({ cookie: _c, congestion: _n, info: _i, drops, rqueue, wqueue, peer, ...row }),
        }))
        .toSorted((a, b) => (a.key < b.key ? -1 : 1));
    expect(skipped).toBe(0);
    expect(comparable(rows)).toEqual(comparable(seen.rows));
    expect(rows.every(({ cookie }) => cookie < 0)).toBe(true);
    expect(new Set(rows.map(({ cookie }) => cookie)).size).toBe(rows.length);
  });

  test("and raw sockets, which ss has no inodes of", () => {
    expect(readBoth("raw").rows).toMatchObject([
      { family: 2, state: 7, local: "0.0.0.0 1", peer: "0.0.0.0 0", drops: 0, full: 1 },
      { family: 10, state: 7, local: ":: 58", peer: ":: 0", drops: 0, full: 1 },
    ]);
  });
});

test("what is not given is not 0", () => {
  const { rows } = readBoth("tcp");
  const listener = rows.find(({ state }) => state === 10);
  expect(listener).toMatchObject({ rqueue: 1, wqueue: notGiven, drops: Number.NaN, info: {}, full: 1 });
  expect(readBoth("unix").rows[0]).toMatchObject({ rqueue: notGiven, wqueue: notGiven });
});

test("unix sockets by type, state and path", () => {
  const line = (flags: string, type: string, state: string, path: string) =>
    `0000000000000000: 00000002 00000000 ${flags} ${type} ${state} 12345${path}\n`;
  const { rows, unwanted, skipped } = read(
    "unix",
    [
      "Num       RefCount Protocol Flags    Type St Inode Path\n",
      line("00010000", "0001", "01", " /run/a  b "),
      line("00000000", "0002", "01", " @abstract"),
      line("00000000", "0005", "03", ""),
      line("00000000", "0001", "02", "").replace("12345", "    0"),
      line("0001", "0001", "02", ""),
    ].join(""),
  );
  expect(rows).toMatchObject([
    { type: 1, state: 10, name: "/run/a  b " },
    { type: 2, state: 7, name: "@abstract" },
    { type: 5, state: 1, name: undefined },
  ]);
  expect([unwanted, skipped]).toEqual([3, 1]);
});

test("TIME_WAIT and what no dump asks for is left out, a broken line is counted", () => {
  const text = fixture("proc-net/tcp").replace(/^( +1: \S+) /m, "$1x ");
  const { rows, skipped, unwanted } = read("tcp", text, 1 << 10);
  expect(rows.every(({ state }) => state === 10)).toBe(true);
  expect(skipped).toBe(1);
  expect(unwanted).toBeGreaterThan(1);
});

test("a u32 of all bits stays one", () => {
  const line =
    "   0: FFFFFFFF:FFFF FFFFFFFF:FFFF 01 FFFFFFFF:FFFFFFFF 01:00000014 00000000 4294967295        0 4294967295 1 0 20 4 0 10 -1";
  expect(read("tcp", line).rows).toMatchObject([
    { local: "255.255.255.255 65535", rqueue: 0xffffffff, uid: 0xffffffff, inode: 0xffffffff },
  ]);
});

describe("any text", () => {
  const files = (["tcp", "udp", "raw", "unix"] as const).flatMap((protocol) =>
    procFiles[protocol].files.map((file) => [protocol, fixture(`proc-net/${file}`)] as const),
  );
  test("gives sockets or is counted", () => {
    fc.assert(
      fc.property(fc.constantFrom("tcp", "udp", "raw", "unix"), fc.string({ unit: "binary" }), (protocol, text) => {
        read(protocol, text);
      }),
    );
  });
  test("costs the broken line only", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...files),
        fc.nat(),
        fc.nat(20),
        fc.string(),
        ([protocol, text], place, cut, other) => {
          const at = place % text.length;
          const { rows } = read(protocol, text.slice(0, at) + other + text.slice(at + cut));
          const lost = text.slice(at, at + cut).split("\n").length + other.split("\n").length;
          expect(rows.length).toBeGreaterThanOrEqual(read(protocol, text).rows.length - lost);
          for (const { cookie } of rows) expect(Number.isSafeInteger(cookie) && cookie < 0).toBe(true);
        },
      ),
    );
  });
});
