import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeRecord, encodeHeader, headerBytes, type RequestRecord } from "../../src/export/otlp-record.ts";

const record: fc.Arbitrary<RequestRecord> = fc.record({
  body: fc.uint8Array({ maxLength: 300 }),
  encoding: fc.constantFrom("gzip", "zstd", "none"),
  format: fc.constantFrom("protobuf", "json"),
  sequence: fc.maxSafeNat(),
  points: fc.nat(2 ** 32 - 1),
});

const bytesOf = (of: RequestRecord): Uint8Array => Buffer.concat([encodeHeader(of), of.body]);

describe("a request on disk", () => {
  test("is read as it was written, whatever it lies in", () => {
    fc.assert(
      fc.property(record, fc.nat(9), (given, offset) => {
        const around = new Uint8Array(offset + headerBytes + given.body.length);
        around.set(bytesOf(given), offset);
        expect(decodeRecord(around.subarray(offset))).toEqual(given);
      }),
    );
  });

  test("has the layout that its version says", () => {
    const bytes = bytesOf({
      body: Uint8Array.of(1, 2),
      encoding: "gzip",
      format: "json",
      sequence: 258,
      points: 3,
    });
    expect(Buffer.from(bytes).toString("hex")).toBe("534f43510101010002010000000000000300000002000000ff8b41b50102");
  });

  test("is none when it is cut or goes on", () => {
    fc.assert(
      fc.property(record, fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 40 }), (given, at, more) => {
        const bytes = bytesOf(given);
        expect(decodeRecord(bytes.subarray(0, at % bytes.length))).toBeUndefined();
        expect(decodeRecord(Buffer.concat([bytes, more]))).toBeUndefined();
      }),
    );
  });

  test("is none when a bit of it is another, but for none that is read", () => {
    fc.assert(
      fc.property(record, fc.nat(), (given, at) => {
        const bytes = bytesOf(given);
        const bit = at % (bytes.length * 8);
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(decodeRecord(bytes)).toBeUndefined();
      }),
      { numRuns: 2000 },
    );
  });

  test("is none of any other bytes, with the magic number too", () => {
    const magic = Uint8Array.of(0x53, 0x4f, 0x43, 0x51, 1, 1);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.boolean(), (bytes, isMarked) => {
        if (isMarked) bytes.set(magic.subarray(0, bytes.length));
        expect(decodeRecord(bytes)).toBeUndefined();
      }),
      { numRuns: 2000 },
    );
  });
});
