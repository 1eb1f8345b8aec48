import { type ChildProcessByStdio, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";

/** Ends its stdin, and waits for the end. */
const end = async (child: ChildProcessByStdio<Writable, Readable, null>): Promise<void> => {
  child.stdin.end();
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
};

/** What a script in `inside/` prints: one JSON value. */
export type Inside = "scale" | "memory" | "selection" | "events" | "owners" | "scan" | "collect";

/** Sockets that `selected` of have this port and network at one end. */
export const selection = { sockets: 50, port: 7777, network: ["127.77.0.0", 16] } as const;

/** Of one process, below the hard limit of open files of some machines, 20,000. */
const socketsOfHolder = 10_000;

export const scriptOf = (name: Inside): string => new URL(`inside/${name}.ts`, import.meta.url).pathname;

const ready = async (stdout: Readable, who: string): Promise<void> => {
  const [said] = (await Promise.race([once(stdout, "data"), once(stdout, "end")])) as [Buffer | undefined];
  if (said?.toString() !== "ready\n") throw new Error(`${who} ended, or said ${said?.toString()}`);
};

/**
 * A network namespace of the benchmark's own, with loopback up and no TIME_WAIT: entries of that cost each dump on the
 * host. Needs root.
 */
export const createNamespace = async (peer: string) => {
  const setUp = "ip link set lo up && echo 0 >/proc/sys/net/ipv4/tcp_max_tw_buckets && echo ready && exec cat";
  const keeper = spawn("unshare", ["-n", "sh", "-c", setUp], { stdio: ["pipe", "pipe", "inherit"] });
  await ready(keeper.stdout, "the namespace's keeper");
  const inside = (command: readonly string[]): string[] => [`--net=/proc/${keeper.pid}/ns/net`, "--", ...command];
  const node = (name: Inside, args: readonly string[]): string[] =>
    inside([process.execPath, "--expose-gc", scriptOf(name), ...args]);

  /** Starts a program that says `ready`, and goes on until its stdin ends. */
  const start = async (command: string[]) => {
    const program = spawn("nsenter", command, { stdio: ["pipe", "pipe", "inherit"] });
    await ready(program.stdout, command.join(" "));
    return {
      program,
      [Symbol.asyncDispose]: () => end(program),
    };
  };

  return {
    /** Established loopback sockets, `selected` of them with the selection's port and network at one end. */
    hold: (sockets: number, selected = 0): Promise<AsyncDisposable> => {
      const some = selected > 0 ? [String(selected), String(selection.port)] : [];
      const processes = Math.ceil(sockets / socketsOfHolder);
      return start(inside([peer, "hold", String(sockets), String(processes), ...some]));
    },
    /** The stdout of a program. */
    run: (...command: readonly string[]): string =>
      execFileSync("nsenter", inside(command), { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }),
    /** The result of a script, in a process of its own. */
    measure: (name: Inside, ...args: readonly (string | number)[]): unknown =>
      JSON.parse(
        execFileSync("nsenter", node(name, [peer, ...args.map(String)]), {
          encoding: "utf8",
          stdio: ["ignore", "pipe", "inherit"],
        }),
      ),
    /** The result of a script that first does its part before something happens, and the rest after it. */
    measureAround: async (
      name: Inside,
      args: readonly (string | number)[],
      happens: () => Promise<AsyncDisposable>,
    ): Promise<unknown> => {
      await using script = await start(node(name, [peer, ...args.map(String)]));
      await using _ = await happens();
      const said = script.program.stdout.setEncoding("utf8").toArray();
      script.program.stdin.end();
      return JSON.parse((await said).join(""));
    },
    [Symbol.asyncDispose]: () => end(keeper),
  };
};

export type Namespace = Awaited<ReturnType<typeof createNamespace>>;
