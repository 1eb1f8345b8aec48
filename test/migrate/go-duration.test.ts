import { describe, expect, test } from "vitest";
import { parseGoDuration } from "../../src/migrate/go-duration.ts";
import { parseSpan } from "../../src/migrate/telegraf-values.ts";

describe("a duration of Go's", () => {
  test.each([
    ["10s", 10_000],
    ["1m30s", 90_000],
    ["1h", 3_600_000],
    ["250ms", 250],
    ["1.5s", 1500],
    [".5s", 500],
    ["1.s", 1000],
    ["500us", 0.5],
    ["500µs", 0.5],
    ["500μs", 0.5],
    ["1ns", 1e-6],
    ["0", 0],
    ["-2s", -2000],
    ["+2s", 2000],
  ])("%s is %d ms", (text, ms) => {
    expect(parseGoDuration(text)).toBeCloseTo(ms, 9);
  });

  test.each(["", "10", "s", "10 s", "1d", "1s-", "1e3s", ".s", "ten"])("%j is none", (text) => {
    expect(parseGoDuration(text)).toBeUndefined();
  });
});

describe("a duration of Telegraf's", () => {
  test.each<[string | number, number]>([
    ["10s", 10_000],
    ["1d", 86_400_000],
    ["1.5d", 129_600_000],
    ["1d12h", 129_600_000],
    ["10", 10_000],
    [3, 3000],
    [3.5, 3500],
    ["", 0],
  ])("%j is %d ms", (written, ms) => {
    expect(parseSpan(written)).toBe(ms);
  });
});
