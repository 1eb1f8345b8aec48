import { readFileSync } from "node:fs";
import { uptime } from "node:os";
import { expect, test } from "vitest";
import { createBootClock } from "../../src/kernel/boot-clock.ts";
import { loadLibc } from "../../src/kernel/libc.ts";

test.each([
  ["libc", loadLibc()],
  ["the machine's uptime", undefined],
])("the time since the start of the machine, suspension included, by %s", (_by, libc) => {
  const clock = createBootClock(libc);
  const before = uptime() * 1000;
  const read = clock();
  expect(read).toBeGreaterThan(before - 20);
  expect(read).toBeLessThan(Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1000 + 20);
  expect(clock()).toBeGreaterThanOrEqual(read);
});
