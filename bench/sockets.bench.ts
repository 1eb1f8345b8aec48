import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const sockets = 20_000;
/** Of a process: the hard limit of open files is 20,000 on some machines. */
const holders = 4;
/** Other work on the machine only adds to the delay: the quietest round shows what the slices cost. */
const bars = { ratio: 1.5, delayMs: 5 };

const here = (name: string): string => new URL(name, import.meta.url).pathname;

type Ours = {
  readonly cpu: number;
  readonly ratio: number;
  readonly delay: number;
  readonly quietDelay: number;
  readonly worstDelay: number;
};
type Result = {
  readonly walked: number;
  readonly peer: number;
  readonly ours: Readonly<Record<"endpoint" | "socket", Ours>>;
};

/** Starts the holder in a namespace of its own, measures beside it, and ends it. */
const measure = async (peer: string): Promise<Result> => {
  const holder = spawn(
    "unshare",
    ["-n", "sh", "-c", 'ip link set lo up && exec "$0" hold "$1" "$2"', peer, String(sockets), String(holders)],
    {
      stdio: ["pipe", "pipe", "inherit"],
    },
  );
  try {
    const [ready] = (await once(holder.stdout, "data")) as [Buffer];
    if (!ready.toString().includes("ready")) throw new Error(`the holder said ${ready.toString()}`);
    const inside = [
      `--net=/proc/${holder.pid}/ns/net`,
      process.execPath,
      here("sockets-inside.ts"),
      peer,
      String(sockets),
    ];
    return JSON.parse(
      execFileSync("nsenter", inside, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }),
    ) as Result;
  } finally {
    holder.stdin.end();
    if (holder.exitCode === null) await once(holder, "exit");
  }
};

/**
 * One dump of 20,000 established loopback sockets with decode and grouping, against a C program that sends the same
 * requests and walks the same replies. Needs root (a network namespace) and gcc. False beyond a bar.
 */
export const benchSockets = async (): Promise<boolean> => {
  const folder = mkdtempSync(join(tmpdir(), "sockscope-bench-"));
  try {
    const peer = join(folder, "sock_diag");
    execFileSync("gcc", ["-O2", "-o", peer, here("peer/sock_diag.c")], { stdio: "inherit" });
    const { walked, peer: peerCpu, ours } = await measure(peer);
    const line = (name: string, { cpu, ratio, delay, quietDelay, worstDelay }: Ours): string =>
      `sockets ${name.padEnd(8)} ${(cpu / 1000).toFixed(2).padStart(7)} ms CPU a dump, ${ratio.toFixed(2)} x the C program; ` +
      `event loop held ${quietDelay.toFixed(2)} ms at most in the quietest round (median ${delay.toFixed(2)}, worst ${worstDelay.toFixed(2)})\n`;
    process.stdout.write(
      `sockets C walk   ${(peerCpu / 1000).toFixed(2).padStart(7)} ms CPU a dump of ${walked} sockets\n`,
    );
    process.stdout.write(line("endpoint", ours.endpoint) + line("socket", ours.socket));
    const good = ours.endpoint.ratio <= bars.ratio && ours.endpoint.quietDelay <= bars.delayMs && walked >= sockets;
    process.stdout.write(
      `sockets bar: endpoint at most ${bars.ratio} x and ${bars.delayMs} ms: ${good ? "held" : "MISSED"}\n`,
    );
    return good;
  } finally {
    rmSync(folder, { recursive: true });
  }
};
