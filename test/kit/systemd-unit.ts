import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { cleanEnvironment, followAgent, root } from "./agent.ts";

export const unitFolder = join(root, "deploy/systemd");

/** Settings of a unit and its drop-ins: each value in the order that systemd reads them, an empty one forgets those before. */
export const readUnit = (...files: readonly string[]): ReadonlyMap<string, readonly string[]> => {
  const settings = new Map<string, string[]>();
  for (const line of files.flatMap((file) => readFileSync(join(unitFolder, file), "utf8").split("\n"))) {
    const [, key, value = ""] = /^([A-Z]\w*)=(.*)$/.exec(line) ?? [];
    if (key !== undefined) settings.set(key, value === "" ? [] : [...(settings.get(key) ?? []), value]);
  }
  return settings;
};

const words = (text: string): string[] => text.split(" ").filter((word) => word !== "");

/** What a set of system calls such as @system-service stands for, by this machine's systemd. */
const readCallSets = (): ReadonlyMap<string, readonly string[]> => {
  const sets = new Map<string, string[]>();
  let current: string[] = [];
  const { stdout } = spawnSync("systemd-analyze", ["syscall-filter", "--no-pager"], { encoding: "utf8" });
  for (const line of stdout.split("\n")) {
    if (line.startsWith("@")) sets.set(line.trim(), (current = []));
    else if (/^ +[^ #]/.test(line)) current.push(line.trim());
  }
  return sets;
};

/** The system calls that SystemCallFilter lets through: what an entry with ~ names goes from those before it. */
export const allowedCalls = (filter: readonly string[]): string[] => {
  const sets = readCallSets();
  const expand = (word: string): string[] =>
    word.startsWith("@") ? (sets.get(word) ?? []).flatMap((member) => expand(member)) : [word];
  const allowed = new Set<string>();
  for (const entry of filter) {
    for (const call of words(entry.replace("~", "")).flatMap(expand)) {
      if (entry.startsWith("~")) allowed.delete(call);
      else allowed.add(call);
    }
  }
  return [...allowed];
};

type Place = {
  readonly config: string;
  /** May be written to, beside /dev/shm and the like. */ readonly writable: string;
};

/** The agent under what the unit says, from source instead of from where the unit has it installed. Needs root. */
export const startByUnit = (unit: ReadonlyMap<string, readonly string[]>, { config, writable }: Place) => {
  const last = (key: string): string | undefined => unit.get(key)?.at(-1);
  const command = words((last("ExecStart") ?? "").replace("/etc/sockscope/sockscope.yaml", config));
  const inside = (path: string): string => join("/mnt", path.replace(root, ""));
  const [, , ...rest] = command;
  const settings = {
    root,
    writable,
    proc: last("ProtectProc") === "invisible" ? "invisible" : "off",
    user_namespace: last("PrivateUsers") === "yes",
    capabilities: (unit.get("AmbientCapabilities") ?? []).flatMap(words),
    calls: allowedCalls(unit.get("SystemCallFilter") ?? []),
    families: (unit.get("RestrictAddressFamilies") ?? []).flatMap(words),
  };
  const args = ["-m", "python3", join(root, "test/kit/confine.py"), JSON.stringify(settings)];
  return followAgent(
    spawn("unshare", [...args, inside(process.execPath), "/mnt/src/main.ts", ...rest], {
      env: cleanEnvironment(),
      stdio: ["ignore", "inherit", "pipe"],
    }),
  );
};
