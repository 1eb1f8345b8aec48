import { expect, test } from "vitest";
import { createReceiveBuffer } from "../../src/netlink/message.ts";
import { decodeNetnsId, encodeGetNetnsId, encodeNewNetnsId } from "../../src/netlink/netns-id.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const decode = (text: string, seq: number) => {
  const buffer = createReceiveBuffer(64);
  const bytes = Buffer.from(text.replaceAll(" ", ""), "hex");
  buffer.bytes.set(bytes);
  return decodeNetnsId(buffer, bytes.length, seq);
};

test("requests are those that ip netns sends", () => {
  expect(hex(encodeGetNetnsId(7, 5))).toBe("1c0000005a0001000700000000000000000000000800030005000000");
  expect(hex(encodeNewNetnsId(8, 5, 0x2000_0000))).toBe(
    "240000005800050008000000000000000000000008000100000000200800030005000000",
  );
});

test("a reply is the id, none or an errno; anything else is no reply", () => {
  const id = "1c000000 5800 0000 07000000 00000000 00000000 0800 0100 2a000000";
  expect(decode(id, 7)).toEqual({ id: 42 });
  expect(decode(id.replace("2a000000", "ffffffff"), 7)).toEqual({ id: -1 });
  expect(decode("24000000 0200 0000 07000000 00000000 efffffff", 7)).toEqual({ errno: 17 });
  expect(decode("24000000 0200 0000 07000000 00000000 00000000", 7)).toEqual({ errno: 0 });
  expect(decode(id, 8)).toBeUndefined();
  expect(decode(id.slice(0, 24), 7)).toBeUndefined();
  expect(decode(id.replace("5800", "1400"), 7)).toBeUndefined();
  expect(decode(id.slice(0, -9), 7)).toBeUndefined();
});
