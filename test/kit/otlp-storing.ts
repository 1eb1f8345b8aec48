import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFileLock } from "../../src/kernel/file-lock.ts";
import { loadLibc } from "../../src/kernel/libc.ts";

/** As the agent has it. */
export const lock = createFileLock(loadLibc());

/** A folder for `storage`, gone at the end. */
export const storageFolder = () => {
  const path = mkdtempSync(join(tmpdir(), "sockscope-storage-"));
  return {
    path,
    /** The files of requests of all destinations, from the oldest to the newest of each. */
    files: (): string[] =>
      readdirSync(path, { recursive: true, encoding: "utf8" })
        .filter((name) => name.endsWith(".otlp"))
        .sort()
        .map((name) => join(path, name)),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
};
