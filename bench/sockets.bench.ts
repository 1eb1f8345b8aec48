import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const sockets = 20_000;
/** Of a process: the hard limit of open files is 20,000 on some machines. */
const holders = 4;
/**
 * Other work on the machine only adds to the delay: the quietest round shows what the slices cost, and what a loop in
 * short slices suffers in the same run is not theirs.
 */
const bars = { ratio: 1.5, delayMs: 5 };

const here = (name: string): string => new URL(name, import.meta.url).pathname;

type Result = {
  readonly walked: number;
  readonly peer: number;
  readonly cpu: number;
  readonly ratio: number;
  readonly delay: Readonly<Record<"quietest" | "median" | "worst" | "idle", number>>;
};

/** Starts the holder in a namespace of its own, measures beside it, a process for each grouping, and ends it. */
const measure = async (peer: string, groupings: readonly string[]): Promise<Result[]> => {
  const hold = 'ip link set lo up && exec "$0" hold "$1" "$2"';
  const holder = spawn("unshare", ["-n", "sh", "-c", hold, peer, String(sockets), String(holders)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  try {
    const [ready] = (await once(holder.stdout, "data")) as [Buffer];
    if (!ready.toString().includes("ready")) throw new Error(`the holder said ${ready.toString()}`);
    return groupings.map((groupBy) => {
      const inside = [`--net=/proc/${holder.pid}/ns/net`, process.execPath, here("sockets-inside.ts"), peer, groupBy];
      return JSON.parse(
        execFileSync("nsenter", inside, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }),
      ) as Result;
    });
  } finally {
    holder.stdin.end();
    if (holder.exitCode === null) await once(holder, "exit");
  }
};

const lineOf = (name: string, { walked, peer, cpu, ratio, delay }: Result): string =>
  `sockets by ${name.padEnd(8)} ${(cpu / 1000).toFixed(2)} ms CPU a dump of ${walked}, ${ratio.toFixed(2)} x the C program's ${(peer / 1000).toFixed(2)} ms; ` +
  `event loop held ${delay.quietest.toFixed(2)} ms at most in the quietest round (median ${delay.median.toFixed(2)}, worst ${delay.worst.toFixed(2)}, idle ${delay.idle.toFixed(2)})\n`;

/**
 * One dump of 20,000 established loopback sockets with decode and grouping, against a C program that sends the same
 * requests and walks the same replies. Needs root (a network namespace) and gcc. False beyond a bar.
 */
export const benchSockets = async (): Promise<boolean> => {
  const folder = mkdtempSync(join(tmpdir(), "sockscope-bench-"));
  try {
    const peer = join(folder, "sock_diag");
    execFileSync("gcc", ["-O2", "-o", peer, here("peer/sock_diag.c")], { stdio: "inherit" });
    const groupings = ["endpoint", "socket"];
    const results = await measure(peer, groupings);
    for (const [at, result] of results.entries()) process.stdout.write(lineOf(groupings[at] as string, result));
    const [endpoint] = results as [Result];
    const { ratio, delay, walked } = endpoint;
    const good = ratio <= bars.ratio && delay.quietest <= bars.delayMs + delay.idle && walked >= sockets;
    process.stdout.write(
      `sockets bar: by endpoint at most ${bars.ratio} x, and ${bars.delayMs} ms beyond an idle loop here: ${good ? "held" : "MISSED"}\n`,
    );
    return good;
  } finally {
    rmSync(folder, { recursive: true });
  }
};
