import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const root = new URL("../..", import.meta.url).pathname;
const main = join(root, "src/main.ts");

export type LogLine = { readonly time: string; readonly level: string; readonly message: string };

/** A folder of its own for a configuration file, gone at the end. */
export const configFile = (text: string) => {
  const folder = mkdtempSync(join(tmpdir(), "sockscope-test-"));
  // An agent that runs as another user must get at it, too.
  chmodSync(folder, 0o755);
  const path = join(folder, "sockscope.yaml");
  const write = (content: string): void => writeFileSync(path, content);
  write(text);
  return { path, write, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
};

/** The environment without anything that configures OpenTelemetry or sockscope. */
export const cleanEnvironment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(?:OTEL_|SOCKSCOPE_|NODE_OPTIONS|VITEST|(?:https?|no)_proxy$)/i.test(name),
    ),
  );

/** Runs the command line to its end. */
export const sockscope = async (args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}) => {
  const child = spawn(process.execPath, [main, ...args], {
    env: cleanEnvironment(),
    stdio: ["ignore", "pipe", "pipe"],
    ...options,
  });
  const [out, err] = [child.stdout, child.stderr].map((stream) => stream.setEncoding("utf8").toArray());
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout: ((await out) ?? []).join(""), stderr: ((await err) ?? []).join("") };
};

/** Follows the log of a running agent. */
export const followAgent = (child: ChildProcess) => {
  const lines: LogLine[] = [];
  const raw: string[] = [];
  let changed = Promise.withResolvers<void>();
  const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once("exit", (code, signal) => {
      resolve({ code, signal });
      changed.resolve();
    });
  });
  if (child.stderr !== null) {
    createInterface({ input: child.stderr }).on("line", (line) => {
      raw.push(line);
      if (line.startsWith("{")) lines.push(JSON.parse(line) as LogLine);
      changed.resolve();
      changed = Promise.withResolvers();
    });
  }
  /** The first line whose message matches; rejects when the agent ends without it or after 15 s. */
  const logged = async (pattern: RegExp): Promise<LogLine> => {
    const deadline = Date.now() + 15_000;
    for (;;) {
      const found = lines.find(({ message }) => pattern.test(message));
      if (found !== undefined) return found;
      if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
        throw new Error(`no log line matches ${pattern}:\n${raw.join("\n")}`);
      }
      await Promise.race([changed.promise, new Promise((resolve) => setTimeout(resolve, 100))]);
    }
  };
  const stop = async (): Promise<{ code: number | null; signal: NodeJS.Signals | null }> => {
    child.kill("SIGTERM");
    return exited;
  };
  return {
    child,
    lines: lines as readonly LogLine[],
    raw: raw as readonly string[],
    logged,
    exited,
    stop,
    /** The page's address, from the log. */
    pageUrl: async (): Promise<string> =>
      /(http:\S+)\/metrics/.exec((await logged(/^metrics: http/)).message)?.[1] ?? "",
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await exited;
    },
  };
};

/** Starts the agent from source, as a process of its own. */
export const startAgent = (file: string, env: NodeJS.ProcessEnv = {}) =>
  followAgent(
    spawn(process.execPath, [main, "run", "-c", file, "--log-format", "json"], {
      env: { ...cleanEnvironment(), ...env },
      stdio: ["ignore", "inherit", "pipe"],
    }),
  );

/** What `startAgent` does, as uid 65534 without any capability; needs root. The mount hides folders that nobody may enter. */
export const startAgentAsNobody = (file: string) => {
  const inside = (path: string): string => (path.startsWith(root) ? join("/mnt", path.slice(root.length)) : path);
  const script = `mount --bind "$0" /mnt && cd / && exec setpriv --reuid=65534 --regid=65534 --clear-groups \\
    --bounding-set=-all --inh-caps=-all --no-new-privs "$1" /mnt/src/main.ts run -c "$2" --log-format json`;
  return followAgent(
    spawn("unshare", ["-m", "sh", "-c", script, root, inside(process.execPath), file], {
      env: cleanEnvironment(),
      stdio: ["ignore", "inherit", "pipe"],
    }),
  );
};
