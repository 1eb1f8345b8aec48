import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";

/** Ends its stdin, and waits for the end. */
const end = async (child: ChildProcessByStdio<Writable, Readable, null>): Promise<void> => {
  child.stdin.end();
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
};

const ready = async (stdout: Readable, who: string): Promise<void> => {
  const [said] = (await Promise.race([once(stdout, "data"), once(stdout, "end")])) as [Buffer | undefined];
  if (said?.toString() !== "ready\n") throw new Error(`${who} ended, or said ${said?.toString()}`);
};

/**
 * A network namespace of the benchmark's own, with loopback up and no TIME_WAIT: entries of that cost each dump on the
 * host. `setUp` is what a shell does in it first. Needs root.
 */
export const createNetwork = async (setUp = "true") => {
  const script = `ip link set lo up && echo 0 >/proc/sys/net/ipv4/tcp_max_tw_buckets && ${setUp} && echo ready && exec cat`;
  const keeper = spawn("unshare", ["-n", "sh", "-c", script], { stdio: ["pipe", "pipe", "inherit"] });
  await ready(keeper.stdout, "the namespace's keeper");
  const inside = (command: readonly string[]): string[] => [`--net=/proc/${keeper.pid}/ns/net`, "--", ...command];
  return {
    /** Starts a program that says `ready`, and goes on until its stdin ends. */
    start: async (...command: readonly string[]) => {
      const program = spawn("nsenter", inside(command), { stdio: ["pipe", "pipe", "inherit"] });
      await ready(program.stdout, command.join(" "));
      return { program, [Symbol.asyncDispose]: () => end(program) };
    },
    /** Starts a program that goes on until it is told to end; what it prints is dropped. */
    spawn: (...command: readonly string[]) => spawn("nsenter", inside(command), { stdio: "ignore" }),
    /** The stdout of a program. */
    run: (...command: readonly string[]): string =>
      execFileSync("nsenter", inside(command), {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "inherit"],
        // A page of 10,000 targets has some 30 MB.
        maxBuffer: 2 ** 28,
      }),
    [Symbol.asyncDispose]: () => end(keeper),
  };
};

export type Network = Awaited<ReturnType<typeof createNetwork>>;
