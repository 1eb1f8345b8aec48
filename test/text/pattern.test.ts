import { describe, expect, test } from "vitest";
import { compilePattern } from "../../src/text/pattern.ts";

const matches = (source: string, bytes: string): boolean => {
  const pattern = compilePattern(source);
  if (typeof pattern !== "function") throw new Error(pattern.fault);
  return pattern(bytes);
};

describe("a pattern", () => {
  test.each([
    ["^\\+PONG", "+PONG\r\n", true],
    ["^\\+PONG", "-ERR\r\n+PONG\r\n", true],
    ["\\A\\+PONG", "-ERR\r\n+PONG\r\n", false],
    ["ready$", "220 ready\nbye", true],
    ["ready\\z", "220 ready\nbye", false],
    ["(?i)ssh-2\\.0-", "SSH-2.0-OpenSSH", true],
    ["[[:digit:]]{3} ", "250 ok", true],
    ["\\xff\\x00", "\u00ff\u0000", true],
    ["a.c", "a\u00e9c", true],
  ])("%s in %j: %s", (source, bytes, expected) => {
    expect(matches(source, bytes)).toBe(expected);
  });

  test("what is not ASCII stands for its UTF-8 bytes", () => {
    expect(matches("^Grüß", Buffer.from("Grüß Gott").toString("latin1"))).toBe(true);
    expect(matches("^Grüß", "Gr\u00fc\u00df Gott")).toBe(false);
  });

  test("one that would backtrack without end ends", () => {
    expect(matches("^(a+)+$x", "a".repeat(65_536))).toBe(false);
    expect(matches("(x+x+)+y", "x".repeat(65_536))).toBe(false);
  });

  test.each([
    ["", "must not be empty"],
    ["(x", "missing closing ): `(x`"],
    ["(?=x)", "invalid or unsupported Perl syntax: `(?=`"],
    ["\\1", "invalid escape sequence: `\\1`"],
    ["(.{1,500}){1,500}", "invalid repeat count: `{1,500}`"],
    ["x".repeat(1001), "can have 1000 characters, this one has 1001"],
  ])("%s is refused", (source, fault) => {
    const pattern = compilePattern(source);
    expect(typeof pattern === "function" ? "" : pattern.fault).toContain(fault);
  });
});
