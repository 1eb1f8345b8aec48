import { describe, expect, test } from "vitest";
import { renderProbeLine } from "../../src/export/probe-lines.ts";
import type { Outcome } from "../../src/model/outcome.ts";
import type { Target } from "../../src/model/target.ts";

const target: Target = {
  type: "tcp",
  name: "gateway",
  url: "tcp://gateway.internal:443",
  intervalMs: 30_000,
  timeoutMs: 2_000,
  attributes: {},
  host: "gateway.internal",
  port: 443,
};

const up: Outcome = {
  kind: "up",
  seconds: 0.000412,
  phases: { resolve: 0.0001, connect: 0.000312 },
  address: "127.0.0.1",
};
const unanswered: Outcome = { kind: "unanswered", seconds: 1, phases: { exchange: 1 }, address: "::1" };
const down: Outcome = {
  kind: "down",
  error: "connection_refused",
  phase: "connect",
  detail: "ECONNREFUSED",
  seconds: 0.0005,
  phases: { resolve: 0.0002 },
  address: "10.0.0.1",
};
const notRun: Outcome = { kind: "not_run", error: "too_many_files", detail: "EMFILE", seconds: 0, phases: {} };

describe("text", () => {
  const line = (outcome: Outcome): string => renderProbeLine({ target, outcome }, { json: false });

  test.each<[Outcome["kind"], Outcome, string]>([
    ["up", up, "tcp://gateway.internal:443  up  0.412 ms  (resolve 0.100 ms, connect 0.312 ms)  127.0.0.1"],
    [
      "unanswered",
      unanswered,
      "tcp://gateway.internal:443  unanswered  1000.000 ms  (exchange 1000.000 ms)  no reply and no ICMP error  ::1",
    ],
    [
      "down",
      down,
      "tcp://gateway.internal:443  down  connection_refused at connect (ECONNREFUSED)  0.500 ms  10.0.0.1",
    ],
    ["not_run", notRun, "tcp://gateway.internal:443  not_run  too_many_files (EMFILE)"],
  ])("%s", (_, outcome, expected) => {
    expect(line(outcome)).toBe(expected);
  });

  test("a detail cannot drive the terminal", () => {
    expect(line({ ...down, detail: "\u001b[2J\nforged" })).toContain("(\\u001b[2J\\nforged)");
  });

  test("without phases and detail there are no empty parentheses", () => {
    expect(line({ kind: "up", seconds: 0.001, phases: {} })).toBe("tcp://gateway.internal:443  up  1.000 ms");
    expect(line({ ...notRun, detail: "" })).toBe("tcp://gateway.internal:443  not_run  too_many_files");
  });
});

describe("json", () => {
  const json = (outcome: Outcome): unknown => JSON.parse(renderProbeLine({ target, outcome }, { json: true }));
  const common = { target: "tcp://gateway.internal:443", name: "gateway", type: "tcp" };

  test("up, in seconds", () => {
    expect(json(up)).toEqual({
      ...common,
      outcome: "up",
      seconds: 0.000412,
      phase_seconds: { resolve: 0.0001, connect: 0.000312 },
      address: "127.0.0.1",
    });
  });

  test("down, with the reason", () => {
    expect(json(down)).toEqual({
      ...common,
      outcome: "down",
      seconds: 0.0005,
      phase_seconds: { resolve: 0.0002 },
      address: "10.0.0.1",
      error_type: "connection_refused",
      failed_phase: "connect",
      detail: "ECONNREFUSED",
    });
  });

  test("not run", () => {
    expect(json(notRun)).toEqual({
      ...common,
      outcome: "not_run",
      seconds: 0,
      phase_seconds: {},
      error_type: "too_many_files",
      detail: "EMFILE",
    });
  });

  test("one line, whatever is in it", () => {
    const line = renderProbeLine({ target, outcome: { ...down, detail: "a\nb\u2028c" } }, { json: true });
    expect(line).toContain('"detail":"a\\nb\\u2028c"');
    expect(line).not.toContain("\n");
  });
});
