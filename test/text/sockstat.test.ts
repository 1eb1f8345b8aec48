import fc from "fast-check";
import { expect, test } from "vitest";
import { parseSockstat } from "../../src/text/sockstat.ts";

const linux = `sockets: used 290
TCP: inuse 4 orphan 1 tw 2 alloc 6 mem 3
UDP: inuse 2 mem 1
UDPLITE: inuse 0
RAW: inuse 0
FRAG: inuse 0 memory 0
`;

test("each protocol's figures by their key", () => {
  const { values, skipped } = parseSockstat(linux);
  expect(skipped).toBe(0);
  expect(Object.fromEntries(values.get("TCP") ?? [])).toEqual({ inuse: 4, orphan: 1, tw: 2, alloc: 6, mem: 3 });
  expect(values.get("sockets")?.get("used")).toBe(290);
});

test("an old kernel's UDP line has no mem, and a missing line is missing", () => {
  const { values } = parseSockstat("sockets: used 1\nUDP: inuse 2\n");
  expect(values.get("UDP")?.get("mem")).toBeUndefined();
  expect(values.get("TCP")).toBeUndefined();
});

test("a line that does not fit is counted and takes nothing from the others", () => {
  const { values, skipped } = parseSockstat("TCP: inuse\ngarbage\nUDP: inuse 2\nRAW: inuse -1\n");
  expect(skipped).toBe(3);
  expect([...values.keys()]).toEqual(["UDP"]);
});

test("any text gives numbers or nothing", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      for (const pairs of parseSockstat(text).values.values())
        for (const value of pairs.values()) expect(value).toBeGreaterThanOrEqual(0);
    }),
  );
});
