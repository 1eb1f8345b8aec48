import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import type { Outcome } from "../../src/model/outcome.ts";

const script = new URL("../kit/few-files.ts", import.meta.url).pathname;

test("without descriptors to open, every probe is not_run, and works again later", () => {
  const child = spawnSync("sh", ["-c", 'ulimit -n 64; exec "$0" "$1"', process.execPath, script], {
    encoding: "utf8",
    timeout: 15_000,
  });
  expect(child.stderr).toBe("");
  const outcomes = JSON.parse(child.stdout) as Record<string, Outcome>;
  for (const probe of ["tcp", "udp", "unix", "warm", "cold", "coldSockets"]) {
    expect({ probe, ...outcomes[probe] }).toMatchObject({ probe, kind: "not_run", error: "too_many_files" });
  }
  expect(outcomes["after"]).toMatchObject({ kind: "up", address: "127.0.0.1" });
});
