import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { cleanEnvironment, root } from "./agent.ts";

export const isRoot = process.platform === "linux" && process.getuid?.() === 0;

/** Runs a script of test/system in a network namespace of its own with loopback up; its stdout is one JSON value. Needs root. */
export const inNamespace = async <T>(script: string, ...args: readonly string[]): Promise<T> => {
  const command = 'ip link set lo up && exec "$0" "$@"';
  const child = spawn(
    "unshare",
    ["-n", "sh", "-c", command, process.execPath, join(root, "test/system", script), ...args],
    {
      env: cleanEnvironment(),
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const out = child.stdout.setEncoding("utf8").toArray();
  const err = child.stderr.setEncoding("utf8").toArray();
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`${script} ended with ${code}:\n${(await err).join("")}`);
  return JSON.parse((await out).join("")) as T;
};
