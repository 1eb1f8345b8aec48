import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cleanEnvironment } from "./agent.ts";
import { fetchText, until } from "./until.ts";

/** A folder for what a program writes, gone at the end. */
export const scratchFolder = () => {
  const path = mkdtempSync(join(tmpdir(), "sockscope-real-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
};

type Program = { readonly path: string; readonly args: readonly string[]; readonly env?: NodeJS.ProcessEnv };

/** Starts a program and waits until a page of it answers with 200. Ends it with `stop` or `await using`. */
export const startProgram = async ({ path, args, env = {} }: Program, readyUrl: string) => {
  const child = spawn(path, args, { env: { ...cleanEnvironment(), ...env }, stdio: ["ignore", "pipe", "pipe"] });
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => output.push(text));
  }
  let hasEnded = false;
  const ended = new Promise<void>((resolve) => {
    child.once("close", resolve);
    child.once("error", (error) => output.push(String(error)));
  }).then(() => {
    hasEnded = true;
  });
  const stop = async (signal: NodeJS.Signals = "SIGTERM"): Promise<void> => {
    if (hasEnded) return;
    child.kill(signal);
    const last = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await ended;
    clearTimeout(last);
  };
  const program = { child, output: () => output.join(""), stop, [Symbol.asyncDispose]: () => stop("SIGKILL") };
  try {
    await until(`${readyUrl} answers`, async () => {
      if (hasEnded) throw new Error("it has ended");
      return fetchText(readyUrl);
    });
  } catch (error) {
    await stop("SIGKILL");
    throw new Error(`${path} does not start:\n${program.output()}`, { cause: error });
  }
  return program;
};
