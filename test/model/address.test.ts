import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  contains,
  formatAddress,
  formatNetwork,
  masksOf,
  type Network,
  overlap,
  parseNetwork,
  withoutHostBits,
} from "../../src/model/address.ts";
import { addressBytes } from "../kit/sockets.ts";

const networkOf = (text: string): Network => {
  const [address = "", prefix] = text.split("/");
  const network = parseNetwork(address, prefix === undefined ? undefined : Number(prefix));
  if (network === undefined) throw new Error(text);
  return network;
};

describe("addresses", () => {
  test.each([
    ["10.1.2.3", "10.1.2.3/32"],
    ["::ffff:10.1.2.3", "10.1.2.3/32"],
    ["::ffff:a01:203", "10.1.2.3/32"],
    ["::ffff:10.0.0.0/104", "10.0.0.0/8"],
    ["::ffff:0:0/96", "0.0.0.0/0"],
    ["::ffff:0:0/95", "::ffff:0:0/95"],
    ["::", "::/128"],
    ["2001:DB8::1", "2001:db8::1/128"],
    ["1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304/128"],
    ["fe80::/10", "fe80::/10"],
  ])("%s is %s", (written, network) => {
    expect(formatNetwork(networkOf(written))).toBe(network);
  });

  test.each([
    ["10.1.2", undefined],
    ["010.1.2.3", undefined],
    ["fe80::1%eth0", undefined],
    ["a.internal", undefined],
    ["", undefined],
    ["10.0.0.0", 33],
    ["::", 129],
  ])("%j with %s bits is none", (written, prefix) => {
    expect(parseNetwork(written, prefix)).toBeUndefined();
  });

  const bytes = fc.uint8Array({ minLength: 16, maxLength: 16 });

  test("have the words of a socket's row, and read as they are written", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const network = networkOf(text);
        expect(networkOf(formatAddress(network.words))).toEqual(network);
        if (network.family === 6 && text.includes(".")) return;
        const row = new Uint32Array(addressBytes(formatAddress(network.words), network.family).buffer);
        expect([...row.subarray(0, network.words.length)]).toEqual(network.words);
      }),
    );
  });

  test("lie in a network when their first bits are its own", () => {
    const bits = (raw: Uint8Array): string => [...raw].map((byte) => byte.toString(2).padStart(8, "0")).join("");
    fc.assert(
      fc.property(bytes, bytes, fc.integer({ min: 0, max: 128 }), fc.boolean(), (a, b, prefix, near) => {
        if (near) b.set(a.subarray(0, prefix >> 3));
        const words = (raw: Uint8Array): number[] => [...new Uint32Array(raw.slice().buffer)];
        const network = withoutHostBits({ family: 6, words: words(a), prefix });
        const same = bits(a).slice(0, prefix) === bits(b).slice(0, prefix);
        expect(contains(network, { family: 6, words: words(b), prefix: 128 })).toBe(same);
      }),
    );
  });
});

describe("networks", () => {
  test("have masks of their prefix", () => {
    const bytesOf = (text: string): number[] => [...new Uint8Array(Uint32Array.from(masksOf(networkOf(text))).buffer)];
    expect(bytesOf("0.0.0.0/0")).toEqual([0, 0, 0, 0]);
    expect(bytesOf("10.0.0.0/13")).toEqual([255, 248, 0, 0]);
    expect(bytesOf("::/33")).toEqual([255, 255, 255, 255, 128, ...Array<number>(11).fill(0)]);
  });

  test("overlap where one holds the other, and never those of another family", () => {
    expect(overlap(networkOf("10.0.0.0/8"), networkOf("10.1.0.0/16"))).toBe(true);
    expect(overlap(networkOf("10.1.0.0/16"), networkOf("10.0.0.0/8"))).toBe(true);
    expect(overlap(networkOf("10.1.0.0/16"), networkOf("10.2.0.0/16"))).toBe(false);
    expect(overlap(networkOf("0.0.0.0/0"), networkOf("::/0"))).toBe(false);
  });
});
