import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type GrpcReply, judgeGrpcReply } from "../../src/export/otlp-grpc-status.ts";
import { parseRetryDelay } from "../../src/export/otlp-response.ts";
import { retryInfo } from "../kit/grpc-receiver.ts";
import { partialSuccess } from "../kit/otlp-receiver.ts";

const reply = (rest: Partial<GrpcReply>): GrpcReply => ({
  httpStatus: 200,
  status: undefined,
  message: undefined,
  details: undefined,
  resetCode: undefined,
  body: new Uint8Array(),
  oversized: false,
  ...rest,
});
const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");

describe("RetryInfo", () => {
  test("is what the published schema's writer wrote, in ms", () => {
    fc.assert(
      fc.property(fc.nat(315_576_000), fc.nat(999), (seconds, ms) => {
        expect(parseRetryDelay(retryInfo(seconds, ms * 1_000_000))).toBeCloseTo(seconds * 1000 + ms, 3);
      }),
    );
  });

  test("of a negative time asks for none", () => {
    expect(parseRetryDelay(retryInfo(-5, -1))).toBe(0);
  });

  test("is none of an empty status, and of other details", () => {
    expect(parseRetryDelay(new Uint8Array())).toBeUndefined();
    const other = Buffer.from(retryInfo(1)).toString("latin1").replace("RetryInfo", "RetryInfx");
    expect(parseRetryDelay(Buffer.from(other, "latin1"))).toBeUndefined();
  });

  test("holds for at most an hour, with padding or without", () => {
    const details = base64(retryInfo(86_400));
    for (const written of [details, details.replace(/=+$/, "")])
      expect(judgeGrpcReply(reply({ status: "8", details: written }))).toEqual({
        kind: "retry",
        status: "RESOURCE_EXHAUSTED",
        reason: "status RESOURCE_EXHAUSTED",
        retryAfterMs: 3_600_000,
      });
  });
});

describe("judgeGrpcReply", () => {
  test("a message is percent-decoded where it is encoded", () => {
    const said = (message: string) => judgeGrpcReply(reply({ status: "3", message }));
    expect(said("no%20such%20%C3%A9")).toEqual({ kind: "refused", status: "INVALID_ARGUMENT", reason: "no such é" });
    expect(said("100% wrong")).toMatchObject({ reason: "100% wrong" });
  });

  test("a success carries what was rejected", () => {
    expect(judgeGrpcReply(reply({ status: "0", body: partialSuccess(3, "too old") }))).toEqual({
      kind: "delivered",
      status: "OK",
      rejected: 3,
      message: "too old",
    });
  });

  test("what a server says goes before what its proxy or its stream says", () => {
    expect(judgeGrpcReply(reply({ httpStatus: 503, status: "16" }))).toMatchObject({ status: "UNAUTHENTICATED" });
    expect(judgeGrpcReply(reply({ resetCode: 8, status: "0" }))).toMatchObject({ kind: "delivered" });
  });

  test("an answer that is too long is not retried, whatever it says", () => {
    expect(judgeGrpcReply(reply({ oversized: true }))).toMatchObject({ kind: "refused" });
    expect(judgeGrpcReply(reply({ oversized: true, status: "0" }))).toMatchObject({ kind: "refused" });
  });

  test("anything gives a verdict", () => {
    const text = fc.option(fc.string({ unit: "binary" }), { nil: undefined });
    const given = fc.record({
      httpStatus: fc.option(fc.nat(999), { nil: undefined }),
      status: fc.oneof(text, fc.nat(20).map(String)),
      message: text,
      details: fc.oneof(text, fc.uint8Array({ maxLength: 100 }).map(base64)),
      resetCode: fc.option(fc.nat(20), { nil: undefined }),
      body: fc.uint8Array({ maxLength: 100 }),
      oversized: fc.boolean(),
    });
    fc.assert(
      fc.property(given, (received) => {
        const verdict = judgeGrpcReply(received);
        if (verdict.kind === "delivered") expect(verdict.rejected).toBeGreaterThanOrEqual(0);
        if (verdict.kind !== "retry") return;
        expect(verdict.retryAfterMs >= 0 && verdict.retryAfterMs <= 3_600_000).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
