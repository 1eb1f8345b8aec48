import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createSsCommand } from "../../src/kernel/ss-command.ts";
import { SourceError } from "../../src/model/errors.ts";
import type { SocketProtocol } from "../../src/model/socket.ts";
import { emptyReport, type DumpReport } from "../../src/model/sources.ts";
import { until } from "../kit/until.ts";

/** A folder with an `ss` that is this shell script, after it answered `ss -V`. */
const fakeSs = (script: string) => {
  const folder = mkdtempSync(join(tmpdir(), "sockscope-ss-"));
  const file = join(folder, "ss");
  writeFileSync(
    file,
    `#!/bin/sh\nPATH=/usr/bin:/bin\n[ "$1" = -V ] && { echo ss utility, iproute2-6.1.0; exit; }\n${script}\n`,
  );
  chmodSync(file, 0o755);
  return { folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
};

const dump = async (
  path: string,
  options: { protocols?: SocketProtocol[]; maxBytes?: number; signal?: AbortSignal; registered?: string } = {},
) => {
  const { protocols = ["tcp"], maxBytes = 1_000_000, signal = AbortSignal.timeout(10_000), registered = "" } = options;
  const backend = createSsCommand({ proc: "/proc", readFile: async () => registered, path, maxBytes });
  const report: DumpReport = emptyReport();
  const rows: number[] = [];
  for await (const batch of backend(protocols).read(signal, report))
    for (let row = 0; row < batch.length; row++) rows.push(batch.localPort[row] as number);
  return { rows, skipped: report.skipped, lacking: [...report.lacking] };
};

const row = (port: number): string =>
  `ESTAB 0 0 10.0.0.1:${port} 10.0.0.2:1 ino:1 sk:${port} <->\\n\\t skmem:(r0,d0) cubic cwnd:1\\n`;

/** Waits for the process whose id the script wrote down to be gone, or a zombie, which has no command line. */
const ended = async (folder: string): Promise<void> => {
  const command = `/proc/${readFileSync(join(folder, "pid"), "utf8").trim()}/cmdline`;
  await until("the end of ss", () => !existsSync(command) || readFileSync(command, "utf8") === "");
};

const failure = async (read: Promise<unknown>): Promise<string> => {
  const error: unknown = await read.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(SourceError);
  return (error as SourceError).message;
};

describe("an ss", () => {
  test("is asked once a protocol, in C, without a shell and without our environment", async () => {
    using ss = fakeSs(
      `echo "LISTEN 0 0 10.0.0.1:\${#} 10.0.0.2:\${HOME:+1}\${LC_ALL:+2} ino:1 sk:1 x skmem:(r0)"; case "$*" in *-t*|*-u*) ;; *) exit 3;; esac`,
    );
    expect(await dump(ss.folder, { protocols: ["tcp"] })).toEqual({ rows: [6], skipped: 0, lacking: [] });
  });

  test("that prints garbage costs counted rows, and the good ones stay", async () => {
    using ss = fakeSs(`printf '${row(1)}garbage\\n\\001\\377\\nESTAB x y\\n${row(2)}'`);
    expect(await dump(ss.folder)).toEqual({ rows: [1, 2], skipped: 3, lacking: [] });
  });

  test("that prints much gives it in batches", async () => {
    using ss = fakeSs(
      `i=0; while [ $i -lt 9000 ]; do echo "ESTAB 0 0 10.0.0.1:$i 10.0.0.2:1 sk:1$i skmem:(r0) cwnd:1"; i=$((i+1)); done`,
    );
    expect((await dump(ss.folder)).rows).toHaveLength(9000);
  });

  test("that fails is an error with its code and its first line", async () => {
    using ss = fakeSs("echo first >&2; echo second >&2; exit 1");
    expect(await failure(dump(ss.folder))).toBe("ss -t ended with 1: first");
  });

  test("that is killed, that cannot be started, and that is not there", async () => {
    using killed = fakeSs("kill -9 $$");
    expect(await failure(dump(killed.folder))).toBe("ss ended by SIGKILL");
    using broken = fakeSs("");
    writeFileSync(join(broken.folder, "ss"), "#!/no/such/interpreter\n");
    expect(await failure(dump(broken.folder))).toBe("ss cannot be started: ENOENT");
  });

  test("that prints without end is an error at the bound", async () => {
    using ss = fakeSs("exec yes '10.0.0.1'");
    expect(await failure(dump(ss.folder))).toBe("ss printed more than 1000000 bytes");
  });

  test.each([
    "exec sleep 1000",
    "exec >&- 2>&-; exec sleep 1000",
    "sleep 3 & exit 0",
    "trap '' TERM; while :; do sleep 1; done",
  ])("that hangs ends with the signal and is not left running: %s", async (script) => {
    using ss = fakeSs(`echo $$ > "$(dirname "$0")/pid"\n${script}`);
    const started = performance.now();
    await expect(dump(ss.folder, { signal: AbortSignal.timeout(500) })).rejects.toThrow(/timeout/);
    expect(performance.now() - started).toBeLessThan(2000);
    await ended(ss.folder);
  });

  test("that hangs when asked for its version ends with the signal", async () => {
    const folder = mkdtempSync(join(tmpdir(), "sockscope-ss-"));
    writeFileSync(join(folder, "ss"), "#!/bin/sh\nexec /bin/sleep 1000\n", { mode: 0o755 });
    await expect(dump(folder, { signal: AbortSignal.timeout(300) })).rejects.toThrow(/timeout/);
    rmSync(folder, { recursive: true });
  });

  test("whose reader stops early is not left running", async () => {
    using ss = fakeSs(
      `echo $$ > "$(dirname "$0")/pid"; exec yes '${row(1).replaceAll("\\n", " ").replaceAll("\\t", " ")}'`,
    );
    const backend = createSsCommand({ proc: "/proc", readFile: async () => "", path: ss.folder });
    const report: DumpReport = emptyReport();
    for await (const batch of backend(["tcp"]).read(AbortSignal.timeout(5000), report)) {
      expect(batch.length).toBeLessThanOrEqual(8000);
      break;
    }
    await ended(ss.folder);
  });
});

describe("a protocol is lacking", () => {
  test("where ss does not know its option, whatever its exit code", async () => {
    for (const code of [0, 255]) {
      using ss = fakeSs(`echo "Usage: ss"; echo "ss: invalid option -- 'M'" >&2; exit ${code}`);
      expect(await dump(ss.folder, { protocols: ["mptcp"] })).toEqual({ rows: [], skipped: 0, lacking: ["mptcp"] });
    }
  });
  test("where ss has it from /proc/net", async () => {
    using ss = fakeSs("echo 'UNCONN 0 0 0.0.0.0:1 0.0.0.0:*'; exec yes");
    expect(await dump(ss.folder, { protocols: ["raw"] })).toEqual({ rows: [], skipped: 0, lacking: ["raw"] });
  });
  test("where ss prints nothing and the kernel has not registered it, or ss complains", async () => {
    using quiet = fakeSs("echo 'State Recv-Q Send-Q'");
    const registered = "protocol  size\nSCTP      1000\n";
    expect(await dump(quiet.folder, { protocols: ["sctp", "dccp"], registered })).toMatchObject({ lacking: ["dccp"] });
    using loud = fakeSs("echo 'State Recv-Q Send-Q'; echo RTNETLINK answers: Invalid argument >&2");
    expect(await dump(loud.folder, { protocols: ["sctp"], registered })).toMatchObject({ lacking: ["sctp"] });
    expect(await dump(loud.folder, { protocols: ["tcp"] })).toMatchObject({ lacking: [] });
  });
});
