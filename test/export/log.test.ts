import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createLog } from "../../src/export/log.ts";
import { logLevels, type LogLevel } from "../../src/model/log.ts";

const now = (): Date => new Date(2026, 10, 21, 12, 34, 56, 789);

const logger = (format: "text" | "json", level: LogLevel = "debug") => {
  const lines: string[] = [];
  return { lines, log: createLog({ level, format, write: (line) => lines.push(line), now }) };
};

describe("text", () => {
  test("local time, level, message and fields", () => {
    const { lines, log } = logger("text");
    log("warn", "the collector is gone", { destination: "localhost:4318", attempts: 3, final: false });
    log("error", "no fields");
    expect(lines).toEqual([
      "12:34:56 WARN  the collector is gone destination=localhost:4318 attempts=3 final=false\n",
      "12:34:56 ERROR no fields\n",
    ]);
  });

  test("values that would be misread are quoted", () => {
    const { lines, log } = logger("text");
    log("info", "m", { a: "two words", b: 'q"uote', c: "", d: "x=y" });
    expect(lines).toEqual(['12:34:56 INFO  m a="two words" b="q\\"uote" c="" d="x=y"\n']);
  });

  test("nothing forges a line or drives the terminal", () => {
    const { lines, log } = logger("text");
    log("info", "a\nb\r\tc\u001b[31m", { evil: "x\n12:34:56 ERROR forged\u009b2J\u202e" });
    expect(lines).toEqual([
      '12:34:56 INFO  a\\nb\\r\\tc\\u001b[31m evil="x\\n12:34:56 ERROR forged\\u009b2J\\u202e"\n',
    ]);
  });
});

describe("json", () => {
  test("one object a line", () => {
    const { lines, log } = logger("json");
    log("info", "listening", { port: 9464 });
    expect(lines).toEqual([`{"time":"${now().toISOString()}","level":"info","message":"listening","port":9464}\n`]);
  });

  test("fields cannot replace time, level and message", () => {
    const { lines, log } = logger("json");
    log("info", "m", { level: "error", time: 0, message: "forged", own: 1 });
    expect(lines).toEqual([`{"time":"${now().toISOString()}","level":"info","message":"m","own":1}\n`]);
  });
});

test("levels below the least are not written", () => {
  for (const [index, least] of logLevels.entries()) {
    const { lines, log } = logger("json", least);
    for (const level of logLevels) log(level, level);
    expect(lines.map((line) => (JSON.parse(line) as { level: string }).level)).toEqual(logLevels.slice(index));
  }
});

test("property: any entry is one printable line, and JSON gives it back", () => {
  const entry = fc.tuple(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }));
  fc.assert(
    fc.property(entry, ([message, field]) => {
      for (const format of ["text", "json"] as const) {
        const { lines, log } = logger(format);
        log("info", message, { field });
        expect(lines).toHaveLength(1);
        expect(lines[0]).toMatch(/^[^\p{Cc}\p{Zl}\p{Zp}]+\n$/u);
        const expected = { message: message.toWellFormed(), field: field.toWellFormed() };
        if (format === "json") {
          const parsed = JSON.parse(lines[0] ?? "") as { message: string; field: string };
          expect({ message: parsed.message.toWellFormed(), field: parsed.field.toWellFormed() }).toEqual(expected);
        }
      }
    }),
  );
});
