import { createReadStream } from "node:fs";
import { SourceError } from "../model/errors.ts";
import { createSocketBatch, type SocketBatch } from "../model/socket.ts";
import type { DumpReport, SocketBackend } from "../model/sources.ts";
import { tcpInfoStride } from "../netlink/tcp-info.ts";
import { procFiles, type ProcProtocol, type ReadProcLine } from "../text/proc-net.ts";
import { wantedStates } from "../text/wanted-states.ts";

const rowsOfBatch = 4096;
/** The longest line is one of a unix socket, whose path has at most 108 bytes. */
const longestLine = 4096;

const isProcProtocol = (protocol: string): protocol is ProcProtocol => Object.hasOwn(procFiles, protocol);

/**
 * Reads sockets from the files in `proc`/net, which give addresses, states, queues, owners and drops, but nothing of
 * struct tcp_info. Each read of the kernel's few KiB is a turn of the event loop.
 */
export const createProcSockets =
  (proc: string, connectedUdp = false): SocketBackend =>
  (protocols) => {
    const batch = createSocketBatch(rowsOfBatch, tcpInfoStride);

    /** Yields whenever the batch is full; false where there is no such file. */
    async function* readFile(
      path: string,
      readLine: ReadProcLine,
      states: number,
      signal: AbortSignal,
      report: DumpReport,
    ): AsyncGenerator<SocketBatch, boolean> {
      let rest = "";
      const take = (line: string): void => {
        if (line.length > longestLine || readLine(line, states, batch) === "skipped") report.skipped++;
      };
      try {
        for await (const piece of createReadStream(path, { encoding: "utf8", signal }) as AsyncIterable<string>) {
          const lines = (rest + piece).split("\n");
          rest = lines.pop() ?? "";
          // Of an endless line enough is kept to see that it is one.
          if (rest.length > longestLine) rest = rest.slice(0, longestLine + 1);
          for (const line of lines) {
            take(line);
            if (batch.length < rowsOfBatch) continue;
            yield batch;
            batch.length = 0;
          }
        }
      } catch (error) {
        signal.throwIfAborted();
        const code = String((error as NodeJS.ErrnoException).code ?? error);
        if (code === "ENOENT") return false;
        throw new SourceError(`cannot read ${path}: ${code}`, { cause: error });
      }
      if (rest !== "") take(rest);
      return true;
    }

    async function* read(signal: AbortSignal, report: DumpReport): AsyncGenerator<SocketBatch> {
      // TCP first: its listeners tell which end a flow was opened from.
      for (const protocol of protocols.toSorted((a, b) => Number(b === "tcp") - Number(a === "tcp"))) {
        let found = false;
        batch.length = 0;
        if (isProcProtocol(protocol)) {
          const { files, read: readLine } = procFiles[protocol];
          for (const file of files) {
            signal.throwIfAborted();
            const path = `${proc}/net/${file}`;
            if (yield* readFile(path, readLine, wantedStates(protocol, connectedUdp), signal, report)) found = true;
            if (batch.length > 0) yield batch;
            batch.length = 0;
          }
        }
        if (!found) report.lacking.add(protocol);
      }
    }

    return { read, close: () => undefined };
  };
