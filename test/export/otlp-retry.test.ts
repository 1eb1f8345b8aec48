import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  parseJsonPartialSuccess,
  parseJsonStatusMessage,
  parsePartialSuccess,
  parseStatusMessage,
} from "../../src/export/otlp-response.ts";
import { backoffMs, judgeFailure, judgeReply, parseRetryAfter, type Reply } from "../../src/export/otlp-retry.ts";
import { partialSuccess } from "../kit/otlp-receiver.ts";

const now = Date.parse("2026-11-21T10:00:00Z");
const reply = (status: number, rest: Partial<Reply> = {}): Reply => ({
  status,
  retryAfter: undefined,
  contentType: undefined,
  body: new Uint8Array(),
  oversized: false,
  ...rest,
});
const coded = (code: string): Error => Object.assign(new Error("x"), { code });

describe("judgeReply", () => {
  test.each([429, 502, 503, 504])("%i is retried", (status) => {
    expect(judgeReply(reply(status, { retryAfter: "7" }), now)).toEqual({
      kind: "retry",
      status,
      reason: `status ${status}`,
      retryAfterMs: 7000,
    });
  });

  test.each([301, 308, 400, 401, 403, 404, 408, 413, 415, 500, 501, 505])("%i is not", (status) => {
    expect(judgeReply(reply(status, { body: Buffer.from("why") }), now)).toEqual({
      kind: "refused",
      status,
      reason: "why",
    });
  });

  test("a google.rpc.Status is read where the answer says that it is protobuf", () => {
    const body = Buffer.from([0x08, 3, 0x12, 3, ...Buffer.from("bad")]);
    expect(judgeReply(reply(400, { body, contentType: "application/x-protobuf" }), now)).toMatchObject({
      reason: "bad",
    });
  });

  test("a success carries what was rejected", () => {
    expect(judgeReply(reply(200, { body: partialSuccess(3, "too old") }), now)).toEqual({
      kind: "delivered",
      status: 200,
      rejected: 3,
      message: "too old",
    });
    expect(judgeReply(reply(202), now)).toEqual({ kind: "delivered", status: 202, rejected: 0, message: "" });
  });

  test("an answer that is too long is not retried", () => {
    expect(judgeReply(reply(200, { oversized: true }), now)).toMatchObject({ kind: "refused", status: 200 });
  });
});

describe("judgeFailure", () => {
  test.each(["ECONNREFUSED", "ENOTFOUND", "UND_ERR_SOCKET", "DEPTH_ZERO_SELF_SIGNED_CERT"])("%s is retried", (code) => {
    expect(judgeFailure(coded(code))).toEqual({ kind: "retry", reason: code, retryAfterMs: 0 });
  });

  test("a cause's code counts where the error has none", () => {
    expect(judgeFailure(new Error("x", { cause: coded("EPIPE") }))).toMatchObject({ reason: "EPIPE" });
    expect(judgeFailure(new TypeError("x"))).toMatchObject({ reason: "TypeError" });
    expect(judgeFailure("x")).toMatchObject({ reason: "unknown error" });
  });

  test("a request that cannot be formed is not", () => {
    expect(judgeFailure(coded("UND_ERR_INVALID_ARG"))).toEqual({ kind: "refused", reason: "UND_ERR_INVALID_ARG" });
  });
});

describe("parseRetryAfter", () => {
  test.each([
    [undefined, 0],
    ["0", 0],
    ["120", 120_000],
    [" 2 ", 2000],
    ["Sat, 21 Nov 2026 10:00:30 GMT", 30_000],
    ["Sat, 21 Nov 2026 09:00:00 GMT", 0],
    ["soon", 0],
    ["", 0],
    ["-5", 0],
    ["99999999999999999999", 3_600_000],
  ])("%s is %i ms", (value, ms) => {
    expect(parseRetryAfter(value, now)).toBe(ms);
  });

  test("any text gives at most an hour", () => {
    fc.assert(
      fc.property(fc.string(), (value) => {
        const ms = parseRetryAfter(value, now);
        expect(ms >= 0 && ms <= 3_600_000).toBe(true);
      }),
    );
  });
});

describe("backoffMs", () => {
  const retry = {
    initialIntervalMs: 5000,
    multiplier: 1.5,
    randomizationFactor: 0.5,
    maxIntervalMs: 30_000,
    maxElapsedMs: 0,
  };

  test("grows by the multiplier up to the maximum", () => {
    expect([1, 2, 3, 5, 6, 1000].map((failures) => backoffMs(retry, failures, 0.5))).toEqual([
      5000, 7500, 11_250, 25_312.5, 30_000, 30_000,
    ]);
  });

  test("is spread by the randomization factor", () => {
    expect([0, 0.25, 1].map((random) => backoffMs(retry, 1, random))).toEqual([2500, 3750, 7500]);
  });
});

describe("parsePartialSuccess", () => {
  test("reads what the published schema's writer wrote", () => {
    fc.assert(
      fc.property(fc.nat(2 ** 40), fc.string({ unit: "binary" }), (rejected, message) => {
        expect(parsePartialSuccess(partialSuccess(rejected, message))).toEqual({ rejected, message });
      }),
    );
  });

  test("an empty body is a full success, and a negative count is none", () => {
    expect(parsePartialSuccess(new Uint8Array())).toEqual({ rejected: 0, message: "" });
    expect(parsePartialSuccess(partialSuccess(-1, ""))).toEqual({ rejected: 0, message: "" });
  });

  test("unknown fields are passed over", () => {
    const body = Buffer.concat([
      Buffer.from([0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0x1d, 0, 0, 0, 0, 0x20, 0xff, 0x01]),
      partialSuccess(1, "x"),
    ]);
    expect(parsePartialSuccess(body)).toEqual({ rejected: 1, message: "x" });
  });

  test.each(["OK", "<html><body>502</body></html>", '{"partialSuccess":{}}', "\n<html>"])("%j is none", (body) => {
    expect(parsePartialSuccess(Buffer.from(body))).toEqual({ rejected: 0, message: "" });
  });

  test("any bytes give a count and a text", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (body) => {
        const { rejected, message } = parsePartialSuccess(body);
        expect(rejected >= 0).toBe(true);
        expect(typeof message).toBe("string");
        expect(typeof parseStatusMessage(body)).toBe("string");
      }),
      { numRuns: 2000 },
    );
  });
});

describe("parseJsonPartialSuccess", () => {
  const parse = (text: string) => parseJsonPartialSuccess(Buffer.from(text));

  test.each([
    ['{"partialSuccess":{"rejectedDataPoints":"7","errorMessage":"x"}}', 7, "x"],
    ['{"partialSuccess":{"rejectedDataPoints":7}}', 7, ""],
    ['{"partialSuccess":{"errorMessage":"a hint"},"other":1}', 0, "a hint"],
    ['{"partialSuccess":{"rejectedDataPoints":"-7","errorMessage":5}}', 0, ""],
    ['{"partialSuccess":{"rejectedDataPoints":"99999999999999999999"}}', 0, ""],
    ['{"partialSuccess":[]}', 0, ""],
    ['{"partialSuccess":null}', 0, ""],
    ["{}", 0, ""],
    ["null", 0, ""],
    ['{"partialSuccess":', 0, ""],
    ["", 0, ""],
  ])("%s", (text, rejected, message) => {
    expect(parse(text)).toEqual({ rejected, message });
  });

  test("any JSON gives a count and a text", () => {
    const held = fc.oneof(
      fc.jsonValue(),
      fc.record({ partialSuccess: fc.jsonValue() }),
      fc.record({ message: fc.jsonValue() }),
    );
    fc.assert(
      fc.property(held, (value) => {
        const { rejected, message } = parse(JSON.stringify(value));
        expect(rejected >= 0 && Number.isInteger(rejected)).toBe(true);
        expect(typeof message).toBe("string");
        expect(["string", "undefined"]).toContain(typeof parseJsonStatusMessage(Buffer.from(JSON.stringify(value))));
      }),
    );
  });

  test("is what a success says in JSON, and a Status what an error says", () => {
    const contentType = "application/json";
    const body = Buffer.from('{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"old"}}');
    expect(judgeReply(reply(200, { body, contentType }), now)).toMatchObject({ rejected: 3, message: "old" });
    const status = Buffer.from('{"code":3,"message":"bad"}');
    expect(judgeReply(reply(400, { body: status, contentType }), now)).toMatchObject({ reason: "bad" });
    const other = Buffer.from('{"error":"bad"}');
    expect(judgeReply(reply(400, { body: other, contentType }), now)).toMatchObject({ reason: '{"error":"bad"}' });
  });
});
