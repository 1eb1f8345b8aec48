import { spawnSync, type SpawnSyncReturns } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const unshare = (command: string, args: readonly string[]): SpawnSyncReturns<string> =>
  spawnSync("unshare", ["--mount", "--net", "sh", "-ec", command, ...args], { encoding: "utf8", timeout: 60_000 });

/** Whether this process may make mount and network namespaces: root, outside of most containers. */
export const canUnshare = process.getuid?.() === 0 && unshare("ip link set lo up", []).status === 0;

/**
 * Runs a script by this Node in mount and network namespaces of its own, whose only interface is the loopback, with
 * the files given in the place of those of /etc.
 */
export const runWithEtc = (
  script: URL,
  args: readonly string[],
  etc: Readonly<Record<string, string>> = {},
): SpawnSyncReturns<string> => {
  const folder = mkdtempSync(join(tmpdir(), "sockscope-etc-"));
  const mounts = Object.entries(etc).map(([name, text]) => {
    writeFileSync(join(folder, name), text, { mode: 0o644 });
    return `mount --bind ${join(folder, name)} /etc/${name}`;
  });
  const command = ["ip link set lo up", ...mounts, 'exec "$0" "$@"'].join("\n");
  try {
    return unshare(command, [process.execPath, script.pathname, ...args]);
  } finally {
    rmSync(folder, { recursive: true });
  }
};
