import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createFileLock } from "../../src/kernel/file-lock.ts";
import { loadLibc } from "../../src/kernel/libc.ts";

test("one holds a file, until it is closed", () => {
  const lock = createFileLock(loadLibc());
  const folder = mkdtempSync(join(tmpdir(), "sockscope-lock-"));
  const open = () => openSync(join(folder, "lock"), "a");
  const [one, other] = [open(), open()];
  expect([lock(one), lock(other), lock(one)]).toEqual([true, false, true]);
  closeSync(one);
  expect(lock(other)).toBe(true);
  closeSync(other);
  rmSync(folder, { recursive: true });
});

test("what cannot be locked is an error", () => {
  expect(() => createFileLock(loadLibc())(-1)).toThrow("flock: EBADF");
});
