import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { release } from "node:os";
import { isAbsolute, join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { SourceError } from "../model/errors.ts";
import { createSocketBatch, type SocketBatch, type SocketProtocol } from "../model/socket.ts";
import type { DumpReport, ReadProcFile, SocketBackend } from "../model/sources.ts";
import { tcpInfoStride } from "../netlink/tcp-info.ts";
import { type SsFormat, ssFormat } from "../text/ss-info.ts";
import { readSsRecord, type SsReading, withSendColumn } from "../text/ss-output.ts";
import { createSsRecords, type SsRecord } from "../text/ss-records.ts";
import { wantedStates } from "../text/wanted-states.ts";

/** All states, by number, with what the kernel knows of a socket. `-e` has timers, too, which tell TIME_WAIT. */
const common = ["-n", "-a", "-e", "-m", "-i"];

/**
 * Not the form with a line a socket (`-O`, since iproute2 5.2): a line of its own for tcp_info keeps it apart from the
 * path of the cgroup, which a user can name as he likes.
 */
const protocolArguments: Readonly<Record<SocketProtocol, readonly string[]>> = {
  tcp: ["-t"],
  udp: ["-u"],
  raw: ["-w"],
  unix: ["-x"],
  packet: ["-0"],
  sctp: ["-S"],
  dccp: ["-d"],
  mptcp: ["-M"],
  vsock: ["--vsock"],
  netlink: ["-A", "netlink"],
};

/**
 * Of these ss has no file to fall back on, and prints nothing at all where the kernel has no such protocol or does not
 * list it: what /proc/net/protocols calls them, where they are registered. Registered but without a module for
 * sock_diag, they read as zero sockets if ss did not complain.
 */
const registered: Readonly<Partial<Record<SocketProtocol, RegExp>>> = {
  sctp: /^SCTP /m,
  dccp: /^DCCP /m,
  mptcp: /^MPTCP /m,
  vsock: /^AF_VSOCK /m,
};

/** Of getopt_long(3). */
const unknownOption = /(?:invalid|unrecognized) option/;

const rowsOfBatch = 4096;
const systemFolders = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

export type SsOptions = {
  /** Where /proc is mounted. */
  readonly proc: string;
  readonly readFile: ReadProcFile;
  /** As in the variable PATH; relative folders do not count. The system's folders come after it. */
  readonly path: string;
  /** Connected UDP sockets too. */
  readonly connectedUdp?: boolean;
  /** How much one run may print. */
  readonly maxBytes?: number;
};

const findSs = async (path: string): Promise<string> => {
  for (const folder of [...path.split(":").filter(isAbsolute), ...systemFolders]) {
    const file = join(folder, "ss");
    try {
      await access(file, constants.X_OK);
      if ((await stat(file)).isFile()) return file;
    } catch {
      // The next folder may have one.
    }
  }
  throw new SourceError("there is no ss (iproute2)");
};

/** How a run ended: its exit code, or why there is none, and the first line that it wrote to stderr. */
type Ending = { readonly code: number | undefined; readonly reason: string; readonly complaint: string };

/** Starts ss. Whoever stops reading its text before the end ends the process; so does the signal. */
const startSs = (file: string, words: readonly string[], signal: AbortSignal, maxBytes: number) => {
  const child = spawn(file, words, { env: { LC_ALL: "C" }, stdio: ["ignore", "pipe", "pipe"] });
  let errors = "";
  child.stderr
    .setEncoding("utf8")
    .on("data", (text: string) => (errors += text.slice(0, Math.max(0, 1000 - errors.length))))
    .on("error", () => undefined);
  const firstLine = (): string => errors.trim().split("\n", 1).join("").slice(0, 200);
  const ended = new Promise<Ending>((resolve) => {
    child.once("error", (error: NodeJS.ErrnoException) =>
      resolve({ code: undefined, reason: `cannot be started: ${error.code ?? error.message}`, complaint: "" }),
    );
    child.once("close", (code, by) =>
      resolve({ code: code ?? undefined, reason: `ended by ${by ?? "nothing"}`, complaint: firstLine() }),
    );
  });

  async function* pieces(): AsyncGenerator<string> {
    let length = 0;
    const abort = (): void => void child.stdout.destroy();
    signal.addEventListener("abort", abort, { once: true });
    try {
      signal.throwIfAborted();
      for await (const piece of child.stdout.setEncoding("utf8") as AsyncIterable<string>) {
        length += piece.length;
        if (length > maxBytes) throw new SourceError(`ss printed more than ${maxBytes} bytes`);
        yield piece;
      }
      signal.throwIfAborted();
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof SourceError) throw error;
      // The pipe was closed early, as by a process that could not be started: its ending says why.
    } finally {
      signal.removeEventListener("abort", abort);
      if (child.stdout.readableEnded) signal.addEventListener("abort", stop, { once: true });
      else stop();
    }
  }

  /** Closes what the process writes to as well: a child of its own can hold that open. */
  const stop = (): void => {
    child.kill("SIGKILL");
    child.stdout.destroy();
    child.stderr.destroy();
  };
  void ended.then(() => signal.removeEventListener("abort", stop));
  return { text: pieces(), ended };
};

/** What a run for one protocol found beside the sockets. */
type Found = { rows: number; skipped: number; fromProc: boolean };

/**
 * Reads sockets from the text that ss(8) prints, one run a protocol. The pipes of that run are four unix sockets, which
 * ss sees as well.
 */
export const createSsCommand = (options: SsOptions): SocketBackend => {
  const { proc, readFile, path, connectedUdp, maxBytes = 268_435_456 } = options;
  let known: { readonly file: string; readonly format: SsFormat } | undefined;

  const find = async (signal: AbortSignal) => {
    const file = await findSs(path);
    const { text, ended } = startSs(file, ["-V"], signal, 10_000);
    let answer = "";
    for await (const piece of text) answer += piece;
    const { code, reason } = await ended;
    signal.throwIfAborted();
    if (code === undefined) throw new SourceError(`ss ${reason}`);
    return { file, format: ssFormat(answer, release()) };
  };

  return (protocols) => {
    const batch = createSocketBatch(rowsOfBatch, tcpInfoStride);

    /** Appends a socket; true where the batch is full. */
    const append = (record: SsRecord, sendColumn: number, reading: SsReading, found: Found): boolean => {
      let verdict = readSsRecord(record, reading, batch);
      if (verdict === "skipped" && sendColumn > 0)
        verdict = readSsRecord(withSendColumn(record, sendColumn), reading, batch);
      if (verdict === "skipped") found.skipped++;
      else found.rows++;
      if (verdict === "from_proc") found.fromProc = true;
      return batch.length === rowsOfBatch;
    };

    async function* readProtocol(
      { file, format }: NonNullable<typeof known>,
      protocol: SocketProtocol,
      signal: AbortSignal,
      report: DumpReport,
    ): AsyncGenerator<SocketBatch> {
      const words = [...common, ...protocolArguments[protocol]];
      const reading: SsReading = { protocol, states: wantedStates(protocol, connectedUdp), format, memory: true };
      const records = createSsRecords();
      const found: Found = { rows: 0, skipped: 0, fromProc: false };
      const { text, ended } = startSs(file, words, signal, maxBytes);
      batch.length = 0;
      for await (const piece of text) {
        for (const record of records.push(piece)) {
          if (!append(record, records.sendColumn, reading, found) || found.fromProc) continue;
          yield batch;
          batch.length = 0;
          await setImmediate();
          signal.throwIfAborted();
        }
        if (found.fromProc) {
          // ss gave no more of it than /proc/net has, and left out some of that.
          report.lacking.add(protocol);
          return;
        }
      }
      const { code, reason, complaint } = await ended;
      signal.throwIfAborted();
      if (code === undefined) throw new SourceError(`ss ${reason}`);
      if (unknownOption.test(complaint)) {
        // An ss from before this protocol, which says how it is used, and may still end with 0.
        report.lacking.add(protocol);
        return;
      }
      if (code !== 0)
        throw new SourceError(`ss ${protocolArguments[protocol].join(" ")} ended with ${code}: ${complaint}`);
      for (const record of records.end()) append(record, records.sendColumn, reading, found);
      report.skipped += records.skipped + found.skipped;
      const mark = registered[protocol];
      const isThere = async () => mark?.test((await readFile(`${proc}/net/protocols`)) ?? "") === true;
      if (found.fromProc || (found.rows === 0 && mark !== undefined && (complaint !== "" || !(await isThere()))))
        report.lacking.add(protocol);
      else if (batch.length > 0) yield batch;
    }

    return {
      async *read(signal, report) {
        known ??= await find(signal);
        // TCP first: its listeners tell which end a flow was opened from.
        for (const protocol of protocols.toSorted((a, b) => Number(b === "tcp") - Number(a === "tcp"))) {
          signal.throwIfAborted();
          yield* readProtocol(known, protocol, signal, report);
        }
      },
      close: () => undefined,
    };
  };
};
