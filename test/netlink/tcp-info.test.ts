import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeTcpInfo,
  planTcpInfo,
  tcpInfo,
  type TcpInfoField,
  tcpInfoFields,
  tcpInfoIndex,
  tcpInfoStride,
} from "../../src/netlink/tcp-info.ts";

/** Lengths of struct tcp_info, by the kernel that first had them. */
const lengths = [104, 120, 136, 144, 160, 168, 192, 200, 224, 232, 240, 248, 280];

/** What the struct's bytes say of a field, read another way than the decoder's. */
const expectedOf = (bytes: Buffer, field: TcpInfoField): number => {
  const { offset, width } = tcpInfo[field];
  const size = typeof width === "number" ? width : 1;
  if (offset + size > bytes.length) return Number.NaN;
  switch (width) {
    case 8:
      return Number(bytes.readBigUInt64LE(offset));
    case "bit":
      return bytes.readUInt8(offset) & 1;
    case "low":
      return bytes.readUInt8(offset) & 15;
    case "high":
      return bytes.readUInt8(offset) >> 4;
    default:
      return bytes.readUIntLE(offset, width);
  }
};

const decode = (payload: Buffer, fields: readonly TcpInfoField[]): Float64Array => {
  const memory = new ArrayBuffer(1024);
  const bytes = new Uint8Array(memory);
  // What follows the struct must not be taken for a part of it.
  bytes.fill(0xa5);
  bytes.set(payload, 12);
  const row = new Float64Array(tcpInfoStride).fill(Number.NaN);
  decodeTcpInfo(planTcpInfo(fields), bytes, new Uint32Array(memory), 12, payload.length, row, 0);
  return row;
};

describe("struct tcp_info", () => {
  test.each(lengths)("of %i bytes gives the fields that it holds; the others are absent", (length) => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: length, maxLength: length }), (payload) => {
        const bytes = Buffer.from(payload);
        const row = decode(bytes, tcpInfoFields);
        for (const field of tcpInfoFields) {
          const value = row[tcpInfoIndex[field]] as number;
          const expected = expectedOf(bytes, field);
          // Above 2^53 a number is not exact, and off by less than a unit of its last place.
          if (expected > 2 ** 53) expect(Math.abs(value / expected - 1)).toBeLessThan(2 ** -51);
          else expect(value, field).toBe(expected);
        }
      }),
      { numRuns: 50 },
    );
  });

  test("what is not asked for is decoded only where it is needed always", () => {
    const row = decode(Buffer.alloc(280, 1), ["total_rto"]);
    expect(row[tcpInfoIndex.total_rto]).toBe(0x0101);
    expect(row[tcpInfoIndex.rto]).toBeNaN();
    expect(row[tcpInfoIndex.rtt]).toBe(0x01010101);
  });

  test("fields do not overlap, and stand within the struct of the kernel that added them", () => {
    const sizeOf = ({ width }: (typeof tcpInfo)[TcpInfoField]): number => (typeof width === "number" ? width : 1);
    const ranges = tcpInfoFields
      .map((field) => ({ field, from: tcpInfo[field].offset, to: tcpInfo[field].offset + sizeOf(tcpInfo[field]) }))
      .filter(({ field }) => field !== "rcv_wscale")
      .sort((a, b) => a.from - b.from);
    for (const [index, { field, from }] of ranges.entries())
      expect(from, field).toBeGreaterThanOrEqual(ranges[index - 1]?.to ?? 0);
    const lengthOf: Readonly<Record<string, number>> = {
      "2.6": 104,
      "3.15": 120,
      "4.1": 136,
      "4.2": 144,
      "4.6": 160,
      "4.9": 168,
      "4.10": 192,
      "4.18": 200,
      "4.19": 224,
      "5.4": 232,
      "6.2": 240,
      "6.7": 248,
      "6.18": 280,
    };
    for (const { field, to } of ranges) expect(to, field).toBeLessThanOrEqual(lengthOf[tcpInfo[field].since] ?? 0);
  });
});
