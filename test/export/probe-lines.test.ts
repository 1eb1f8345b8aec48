import { describe, expect, test } from "vitest";
import { percent, renderProbeLines, Spread } from "../../src/export/probe-lines.ts";
import { createProbeSummary } from "../../src/export/probe-summary.ts";
import type { Outcome, Verdict } from "../../src/model/outcome.ts";
import { tcpTarget } from "../kit/probe.ts";

const target = tcpTarget("gateway.internal", 443, { name: "gateway", url: "tcp://gateway.internal:443" });

const up: Verdict = {
  kind: "up",
  seconds: 0.000412,
  phases: { resolve: 0.0001, connect: 0.000312 },
  facts: {},
  address: "127.0.0.1",
};
const unanswered: Verdict = { kind: "unanswered", seconds: 1, phases: { exchange: 1 }, facts: {}, address: "::1" };
const down: Extract<Verdict, { kind: "down" }> = {
  kind: "down",
  error: "connection_refused",
  phase: "connect",
  detail: "ECONNREFUSED",
  seconds: 0.0005,
  phases: { resolve: 0.0002 },
  facts: {},
  address: "10.0.0.1",
};
const notRun: Extract<Verdict, { kind: "not_run" }> = {
  kind: "not_run",
  error: "too_many_files",
  detail: "EMFILE",
  seconds: 0,
  phases: {},
  facts: {},
};
const certificate = 30 * 86_400;
const withFacts: Verdict = {
  kind: "up",
  seconds: 0.03,
  phases: { connect: 0.01, tls: 0.02 },
  facts: { resolved: ["10.0.0.1"], tcpRtt: 0.0099, certificateExpiry: certificate },
  address: "10.0.0.1",
};
const pinged: Verdict = {
  kind: "up",
  seconds: 0.8,
  phases: { exchange: 0.8 },
  facts: { packets: { sent: 5, rtts: [0.001, 0.004, 0.0025, 0.0025] }, ttl: 57 },
  address: "::1",
};

describe("text", () => {
  const lines = (outcome: Outcome): string[] => renderProbeLines({ target, outcome }, { json: false });
  const url = "tcp://gateway.internal:443";

  test.each<[string, Outcome, string]>([
    ["up", up, `${url}  up  0.412 ms  (resolve 0.100 ms, connect 0.312 ms)  127.0.0.1`],
    [
      "unanswered",
      unanswered,
      `${url}  unanswered  1000.000 ms  (exchange 1000.000 ms)  no reply and no ICMP error  ::1`,
    ],
    ["down", down, `${url}  down  connection_refused at connect (ECONNREFUSED)  0.500 ms  10.0.0.1`],
    ["not_run", notRun, `${url}  not_run  too_many_files (EMFILE)`],
    [
      "the kernel's RTT and the certificate",
      withFacts,
      `${url}  up  30.000 ms  (connect 10.000 ms, tls 20.000 ms)  10.0.0.1  tcp rtt 9.900 ms, certificate expires in 30.0 days`,
    ],
    [
      "a certificate that has expired",
      { ...down, error: "tls_certificate_expired", phase: "tls", detail: "", facts: { certificateExpiry: -129_600 } },
      `${url}  down  tls_certificate_expired at tls  0.500 ms  10.0.0.1  certificate expired 1.5 days ago`,
    ],
    [
      "packets",
      pinged,
      `${url}  up  800.000 ms  (exchange 800.000 ms)  ::1  4 of 5 packets answered, 20% loss, rtt min/avg/max 1.000/2.500/4.000 ms, ttl 57`,
    ],
    [
      "packets that are all lost",
      { ...down, error: "read_timeout", phase: "exchange", detail: "", facts: { packets: { sent: 3, rtts: [] } } },
      `${url}  down  read_timeout at exchange  0.500 ms  10.0.0.1  0 of 3 packets answered, 100% loss`,
    ],
    [
      "one packet",
      { ...up, facts: { packets: { sent: 1, rtts: [0.001] } } },
      `${url}  up  0.412 ms  (resolve 0.100 ms, connect 0.312 ms)  127.0.0.1`,
    ],
    [
      "one failed attempt",
      { ...up, failedAttempts: [notRun] },
      `${url}  up  0.412 ms  (resolve 0.100 ms, connect 0.312 ms)  127.0.0.1  after 1 failed attempt: too_many_files`,
    ],
    [
      "two failed attempts",
      { ...down, failedAttempts: [{ ...down, error: "tls_handshake_failed", phase: "tls" }, down] },
      `${url}  down  connection_refused at connect (ECONNREFUSED)  0.500 ms  10.0.0.1  after 2 failed attempts: tls_handshake_failed at tls, connection_refused at connect`,
    ],
  ])("%s", (_, outcome, expected) => {
    expect(lines(outcome)).toEqual([expected]);
  });

  test("a line an address; the attempts are the run's", () => {
    expect(lines({ ...down, byAddress: [up, down], failedAttempts: [down] })).toEqual([
      `${url}  up  0.412 ms  (resolve 0.100 ms, connect 0.312 ms)  127.0.0.1  after 1 failed attempt: connection_refused at connect`,
      `${url}  down  connection_refused at connect (ECONNREFUSED)  0.500 ms  10.0.0.1`,
    ]);
    expect(lines({ ...down, byAddress: [] })).toHaveLength(1);
  });

  test("a detail cannot drive the terminal", () => {
    expect(lines({ ...down, detail: "\u001b[2J\nforged" })[0]).toContain("(\\u001b[2J\\nforged)");
  });

  test("without phases and detail there are no empty parentheses", () => {
    expect(lines({ kind: "up", seconds: 0.001, phases: {}, facts: {} })).toEqual([`${url}  up  1.000 ms`]);
    expect(lines({ ...notRun, detail: "" })).toEqual([`${url}  not_run  too_many_files`]);
  });
});

describe("json", () => {
  const json = (outcome: Outcome): unknown[] =>
    renderProbeLines({ target, outcome }, { json: true }).map((line) => JSON.parse(line) as unknown);
  const common = { target: "tcp://gateway.internal:443", name: "gateway", type: "tcp" };
  const upKeys = {
    outcome: "up",
    seconds: 0.000412,
    phase_seconds: { resolve: 0.0001, connect: 0.000312 },
    address: "127.0.0.1",
  };
  const downKeys = {
    outcome: "down",
    seconds: 0.0005,
    phase_seconds: { resolve: 0.0002 },
    address: "10.0.0.1",
    error_type: "connection_refused",
    failed_phase: "connect",
    detail: "ECONNREFUSED",
  };

  test("up, in seconds", () => {
    expect(json(up)).toEqual([{ ...common, ...upKeys }]);
  });

  test("down, with the reason", () => {
    expect(json(down)).toEqual([{ ...common, ...downKeys }]);
  });

  test("not run", () => {
    expect(json(notRun)).toEqual([
      {
        ...common,
        outcome: "not_run",
        seconds: 0,
        phase_seconds: {},
        error_type: "too_many_files",
        detail: "EMFILE",
      },
    ]);
  });

  test("every fact, in seconds", () => {
    const facts = { ...withFacts.facts, ...pinged.facts };
    expect(json({ ...up, facts })).toEqual([
      {
        ...common,
        ...upKeys,
        resolved_addresses: ["10.0.0.1"],
        tcp_rtt_seconds: 0.0099,
        packets: { sent: 5, received: 4, lost: 1, rtt_seconds: [0.001, 0.004, 0.0025, 0.0025] },
        ttl: 57,
        certificate_expiry_seconds: certificate,
      },
    ]);
  });

  test("attempts and addresses are in the run's object", () => {
    expect(json({ ...down, failedAttempts: [down], byAddress: [up, down] })).toEqual([
      { ...common, ...downKeys, failed_attempts: [downKeys], by_address: [upKeys, downKeys] },
    ]);
  });

  test("one line, whatever is in it", () => {
    const [line, ...others] = renderProbeLines({ target, outcome: { ...down, detail: "a\nb\u2028c" } }, { json: true });
    expect(others).toEqual([]);
    expect(line).toContain('"detail":"a\\nb\\u2028c"');
    expect(line).not.toContain("\n");
  });
});

describe("the summary", () => {
  const other = tcpTarget("b", 1, { name: "b", url: "tcp://b:1" });
  const summaryOf = (...outcomes: Outcome[]) => {
    const summary = createProbeSummary([target, other]);
    for (const outcome of outcomes) summary.add({ target, outcome });
    return summary;
  };
  const text = (...outcomes: Outcome[]): string[] => summaryOf(...outcomes).render({ json: false });
  const json = (...outcomes: Outcome[]): unknown[] =>
    summaryOf(...outcomes)
      .render({ json: true })
      .map((line) => (JSON.parse(line) as { summary: unknown }).summary);
  const [url, nothing] = ["tcp://gateway.internal:443", "tcp://b:1  0 runs: 0 up, 0 down, 0 not_run"];

  test("counts runs; what the agent could not test is no loss", () => {
    expect(text({ ...up, seconds: 0.001 }, { ...up, seconds: 0.004 }, down, notRun, notRun)).toEqual([
      `${url}  5 runs: 2 up, 1 down, 2 not_run, 33.3% loss  latency min/avg/max 1.000/2.500/4.000 ms`,
      nothing,
    ]);
    expect(text(notRun)).toEqual([`${url}  1 run: 0 up, 0 down, 1 not_run`, nothing]);
    expect(text(unanswered)[0]).toBe(`${url}  1 run: 0 up, 1 unanswered, 0 down, 0 not_run, 0% loss`);
  });

  test("adds packets up", () => {
    expect(text(pinged, { ...pinged, facts: { packets: { sent: 3, rtts: [0.01] } } })[0]).toBe(
      `${url}  2 runs: 2 up, 0 down, 0 not_run, 0% loss  latency min/avg/max 800.000/800.000/800.000 ms` +
        "  5 of 8 packets answered, 37.5% loss, rtt min/avg/max 1.000/4.000/10.000 ms",
    );
  });

  test("a line an address, and one for runs that failed before there were any", () => {
    const unresolved: Outcome = { ...down, error: "dns_timeout", phase: "resolve" };
    expect(text({ ...down, byAddress: [up, down] }, { ...up, byAddress: [up] }, unresolved)).toEqual([
      `${url}  2 runs: 2 up, 0 down, 0 not_run, 0% loss  latency min/avg/max 0.412/0.412/0.412 ms  127.0.0.1`,
      `${url}  1 run: 0 up, 1 down, 0 not_run, 100% loss  10.0.0.1`,
      `${url}  1 run: 0 up, 1 down, 0 not_run, 100% loss`,
      nothing,
    ]);
  });

  test("as json, in seconds; what is not known is absent", () => {
    expect(json(pinged, down)).toEqual([
      {
        target: url,
        name: "gateway",
        type: "tcp",
        runs: 2,
        up: 1,
        unanswered: 0,
        down: 1,
        not_run: 0,
        loss_percent: 50,
        latency_seconds: { min: 0.8, avg: 0.8, max: 0.8 },
        packets: {
          sent: 5,
          received: 4,
          lost: 1,
          loss_percent: 20,
          rtt_seconds: { min: 0.001, avg: expect.closeTo(0.0025, 12), max: 0.004 },
        },
      },
      { target: "tcp://b:1", name: "b", type: "tcp", runs: 0, up: 0, unanswered: 0, down: 0, not_run: 0 },
    ]);
    expect(json({ ...up, byAddress: [up] })[0]).toMatchObject({ address: "127.0.0.1", runs: 1, up: 1 });
  });
});

test.each([
  [0, 3, "0%"],
  [1, 3, "33.3%"],
  [1, 10_000, "<0.1%"],
  [9_999, 10_000, ">99.9%"],
  [3, 3, "100%"],
])("%d of %d is %s", (part, whole, text) => {
  expect(percent(part, whole)).toBe(text);
});

test("a spread of nothing says nothing", () => {
  expect(new Spread().toJSON()).toBeUndefined();
  expect(new Spread().describe("rtt")).toEqual([]);
});
