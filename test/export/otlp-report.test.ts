import { beforeEach, describe, expect, test } from "vitest";
import { DeliveryReport } from "../../src/export/otlp-report.ts";

let lines: string[] = [];
beforeEach(() => {
  lines = [];
});

const report = (isTls = false, secrets: readonly string[] = []): DeliveryReport =>
  new DeliveryReport((level, message) => lines.push(`${level} ${message}`), { host: "c:4318", isTls }, secrets);

const failed = (reason: string, status?: number | string) =>
  ({ kind: "retry", reason, retryAfterMs: 0, ...(status === undefined ? {} : { status }) }) as const;
const refused = (status: number | string, reason = "") => ({ kind: "refused", status, reason }) as const;
const delivered = (rejected = 0, message = "") => ({ kind: "delivered", status: 200, rejected, message }) as const;

describe("DeliveryReport", () => {
  test("an outage is one line when it begins and one when it ends", () => {
    const destination = report();
    destination.delivered(delivered(), 1);
    destination.failed(failed("ECONNREFUSED"));
    destination.failed(failed("ECONNREFUSED"));
    destination.failed(failed("status 503", 503));
    destination.delivered(delivered(), 12);
    destination.delivered(delivered(), 11);
    expect(lines).toEqual([
      "warn cannot reach the OTLP destination c:4318 (ECONNREFUSED): requests are queued and retried; check that it runs and listens there",
      "info the OTLP destination c:4318 is back: 12 requests waited",
    ]);
  });

  test("points that the queue has dropped since the last delivery are told when it is over", () => {
    const destination = report();
    destination.delivered(delivered(), 1, 7);
    destination.failed(failed("ECONNREFUSED"));
    destination.delivered(delivered(), 12, 30);
    destination.failed(failed("ECONNREFUSED"));
    destination.delivered(delivered(), 1, 30);
    expect(lines.filter((line) => line.startsWith("info"))).toEqual([
      "info the OTLP destination c:4318 is back: 12 requests waited, 23 points were dropped meanwhile",
      "info the OTLP destination c:4318 is back: 1 request waited",
    ]);
  });

  test("a destination that answers, but not now", () => {
    report().failed(failed("status 503", 503));
    expect(lines).toEqual([
      "warn the OTLP destination c:4318 answers with status 503: requests are queued and retried; it is overloaded: a collector answers so when its memory_limiter or a queue is full",
    ]);
  });

  test.each([
    [401, "no token", "check export.otlp.headers"],
    [403, "", "check export.otlp.headers"],
    [407, "", "check user and password in HTTP_PROXY"],
    [404, "", "check the path of export.otlp.endpoint"],
    [413, "", "raise the destination's limit of the request size to 4 MiB"],
    [400, "http: request body too large", "raise the destination's limit of the request size to 4 MiB"],
    [307, "", "redirects are not followed: write the final address in export.otlp.endpoint"],
    [400, "Client sent an HTTP request to an HTTPS server.", "for a TLS port write https:// in export.otlp.endpoint"],
    [415, "", "check export.otlp.protocol, http/protobuf or http/json, and export.otlp.compression"],
  ])("status %i %s says what to do", (status, reason, remedy) => {
    report().refused(refused(status, reason));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(`warn the OTLP destination c:4318 refuses requests (status ${status}`);
    expect(lines[0]).toContain(`: their points are dropped; ${remedy}`);
  });

  test.each([
    ["UNAUTHENTICATED", "no token", "check export.otlp.headers"],
    ["PERMISSION_DENIED", "", "check export.otlp.headers"],
    ["UNIMPLEMENTED", "unknown service", "check export.otlp.compression, and that the port of export.otlp.endpoint is"],
    [
      "RESOURCE_EXHAUSTED",
      "grpc: received message after decompression larger than max 5 > 4",
      "raise the destination's limit of the message size to 4 MiB",
    ],
    ["INVALID_ARGUMENT", "bad", undefined],
  ])("status %s of gRPC says what to do", (status, reason, remedy) => {
    report().refused(refused(status, reason));
    const said = reason === "" ? "" : `, "${reason}"`;
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(
      `warn the OTLP destination c:4318 refuses requests (status ${status}${said}): their points are dropped`,
    );
    if (remedy === undefined) expect(lines[0]).toMatch(/dropped$/);
    else expect(lines[0]).toContain(`; ${remedy}`);
  });

  test.each(["UNAVAILABLE", "RESOURCE_EXHAUSTED"])(
    "status %s of gRPC is one of a destination that is busy",
    (status) => {
      report().failed(failed(`status ${status}`, status));
      expect(lines[0]).toContain(`answers with status ${status}: requests are queued and retried; it is overloaded`);
    },
  );

  test.each(["ERR_HTTP2_ERROR", "ERR_CONNECTION_LOST", "ECONNRESET"])("%s of gRPC may be the wrong port", (reason) => {
    const about = { host: "c:4318", isTls: false, isGrpc: true };
    new DeliveryReport((level, message) => lines.push(`${level} ${message}`), about, []).failed(failed(reason));
    expect(lines[0]).toContain(
      "for a TLS port write https:// in export.otlp.endpoint; of a collector's ports the one for gRPC is 4317",
    );
  });

  test("a refusal is said once for each change of status, and again after a calm", () => {
    const destination = report();
    for (const status of [400, 400, 401, 401, 400]) destination.refused(refused(status));
    destination.delivered(delivered(), 1);
    destination.refused(refused(400));
    expect(lines.map((line) => /status \d+/.exec(line)?.[0])).toEqual(["status 400", "status 401", "status 400"]);
    for (let count = 0; count < 10; count++) destination.delivered(delivered(), 1);
    destination.refused(refused(400));
    expect(lines).toHaveLength(4);
  });

  test("rejected points and warnings are said once", () => {
    const destination = report();
    destination.delivered(delivered(3, "too old"), 1);
    destination.delivered(delivered(4, "too old"), 1);
    destination.delivered(delivered(0, "renamed"), 1);
    destination.delivered(delivered(0, "renamed"), 1);
    expect(lines).toEqual([
      'warn the OTLP destination c:4318 rejected 3 points: "too old"',
      'warn the OTLP destination c:4318 warns: "renamed"',
    ]);
  });

  test.each([
    [true, "EPROTO", "if this port speaks plain HTTP, write http://"],
    [true, "ERR_SSL_WRONG_VERSION_NUMBER", "if this port speaks plain HTTP, write http://"],
    [true, "SELF_SIGNED_CERT_IN_CHAIN", "export.otlp.tls.ca_file"],
    [true, "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", "export.otlp.tls.cert_file"],
    [true, "ERR_TLS_FILES ENOENT", "check the files of export.otlp.tls"],
    [true, "ERR_TLS_CERT_ALTNAME_INVALID", "check the destination's certificate"],
    [false, "HPE_INVALID_CONSTANT", "for a TLS port write https://"],
    [false, "HTTPParserError", "for a TLS port write https://"],
    [false, "UND_ERR_SOCKET", "for a TLS port write https://"],
  ])("TLS %s and %s: the scheme may be wrong", (isTls, reason, remedy) => {
    report(isTls).failed(failed(reason));
    expect(lines[0]).toContain(remedy);
  });

  test.each([
    ["ENOTFOUND", "check the host of export.otlp.endpoint"],
    ["EAI_AGAIN", "check the host of export.otlp.endpoint"],
    ["EHOSTUNREACH", "check the network up to there, and the host of export.otlp.endpoint"],
    ["UND_ERR_CONNECT_TIMEOUT", "check the network up to there, and the host of export.otlp.endpoint"],
    ["ERR_PROXY status 407", "check user and password in HTTPS_PROXY"],
    ["ERR_PROXY ECONNREFUSED", "check the proxy of HTTPS_PROXY or HTTP_PROXY, or name the host in NO_PROXY"],
    ["no answer in 10000 ms", "if it is only slow, raise export.otlp.timeout"],
  ])("without an answer (%s), it says where to look", (reason, remedy) => {
    report().failed(failed(reason));
    expect(lines).toEqual([
      `warn cannot reach the OTLP destination c:4318 (${reason}): requests are queued and retried; ${remedy}`,
    ]);
  });

  test("a destination that has worked has no wrong scheme", () => {
    const destination = report();
    destination.delivered(delivered(), 1);
    destination.failed(failed("UND_ERR_SOCKET"));
    expect(lines[0]).toMatch(/retried$/);
  });

  test("a quote is bounded, printable and without header values", () => {
    const secret = "Bearer s3cr3t-t0k3n";
    report(false, ["s3cr", secret]).refused(
      refused(401, `no such token s3cr3t-t0k3n\n\u0000\u202e (${secret})${"é".repeat(500)}`),
    );
    const [line = ""] = lines;
    expect(line).not.toContain("s3cr3t");
    expect(line).toContain('"no such token [redacted] ([redacted])éé');
    expect(/"(.*)"/.exec(line)?.[1]).toHaveLength(200);
  });
});
