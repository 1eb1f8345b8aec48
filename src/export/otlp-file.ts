import { constants } from "node:fs";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Snapshot } from "../model/columns.ts";
import type { FileConfig } from "../model/config.ts";
import type { Log } from "../model/log.ts";
import { encodeJsonRequests } from "./otlp-json.ts";

/**
 * Ticks as OTLP JSON lines: each line is one `ExportMetricsServiceRequest`, as the collector's file exporter writes and
 * its otlpjsonfile receiver reads (https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/).
 */
export type OtlpFile = {
  /** Takes a tick, and does not wait for the disk. */
  readonly export: (snapshot: Snapshot) => void;
  /** Why ticks are lost now; undefined while they are not. */
  readonly trouble: () => string | undefined;
  /** Writes what it has taken and closes, or gives up when the signal aborts. */
  readonly shutdown: (signal: AbortSignal) => Promise<void>;
};

/** A line is below what the collector's receivers take as one request. */
const mostLineBytes = 4 * 1_048_576;
const endOfLine = Buffer.from("\n");

/** Metrics may hold addresses and names of processes, which are not everybody's. */
const mode = 0o640;

/** Reads too, to find a torn end. A pipe or a device that stands in the way fails instead of waiting for a reader. */
const openFlags = constants.O_APPEND | constants.O_CREAT | constants.O_RDWR | constants.O_NONBLOCK;

const begin = '{"resourceMetrics":';

/** The file that is being written. */
type Current = { readonly handle: FileHandle; readonly device: number; readonly inode: number; size: number };

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : error instanceof Error ? error.message : "unknown";

const isAbsent = (error: unknown): boolean => codeOf(error) === "ENOENT";

/**
 * Ends a file at the end of a line, as a process that was killed amid one has not: a line of ours is cut, anything else
 * gets its line feed. Returns the size.
 */
const mend = async (handle: FileHandle, size: number): Promise<number> => {
  const readEnd = async (length: number): Promise<Buffer> =>
    (await handle.read(Buffer.alloc(length), 0, length, size - length)).buffer;
  if (size === 0 || (await readEnd(1)).toString() === "\n") return size;
  const length = Math.min(size, mostLineBytes);
  const buffer = await readEnd(length);
  const lineFeed = buffer.lastIndexOf("\n");
  const torn = size - length + lineFeed + 1;
  if (buffer.subarray(lineFeed + 1).indexOf(begin) === 0) {
    await handle.truncate(torn);
    return torn;
  }
  await handle.appendFile("\n");
  return size + 1;
};

const openCurrent = async (path: string): Promise<Current> => {
  const handle = await open(path, openFlags, mode);
  try {
    const found = await handle.stat();
    if (!found.isFile()) throw new Error("it is no regular file");
    return { handle, device: found.dev, inode: found.ino, size: await mend(handle, found.size) };
  } catch (error) {
    await handle.close();
    throw error;
  }
};

/** Opens nothing before the first tick. */
export const createOtlpFile = ({ path, maxBytes, maxFiles, log }: FileConfig & { readonly log: Log }): OtlpFile => {
  const lineBytes = Math.min(mostLineBytes, maxBytes);
  let current: Current | undefined;
  let waiting: Snapshot | undefined;
  let working: Promise<void> | undefined;
  let trouble: string | undefined;
  let lost = 0;
  let isClosed = false;

  const lose = (reason: string): void => {
    lost += 1;
    if (trouble === undefined) log("warn", `cannot write ${path} (${reason}): its metrics are lost until it can`);
    trouble = reason;
  };

  const close = async (): Promise<void> => {
    const { handle } = current ?? {};
    current = undefined;
    await handle?.close();
  };

  const rotate = async (): Promise<void> => {
    await close();
    if (maxFiles === 1) await rm(path, { force: true });
    for (let place = maxFiles - 1; place > 0; place--) {
      // oxlint-disable-next-line no-await-in-loop -- the oldest first
      await rename(place === 1 ? path : `${path}.${place - 1}`, `${path}.${place}`).catch((error: unknown) => {
        if (!isAbsent(error)) throw error;
      });
    }
    current = await openCurrent(path);
  };

  /** The file at the path, which somebody may have moved or removed. */
  const reopen = async (): Promise<void> => {
    if (current !== undefined) {
      const found = await stat(path).catch((error: unknown) => {
        if (isAbsent(error)) return undefined;
        throw error;
      });
      if (found?.ino !== current.inode || found.dev !== current.device) await close();
    }
    current ??= await openCurrent(path);
  };

  const append = async (line: Buffer): Promise<void> => {
    if (current === undefined || (current.size > 0 && current.size + line.length > maxBytes)) await rotate();
    if (current === undefined) return;
    await current.handle.appendFile(line);
    current.size += line.length;
  };

  /** A disk that has no room for a line may have taken half of it. */
  const abandon = async (): Promise<void> => {
    await current?.handle.truncate(current.size).catch(() => undefined);
    await close().catch(() => undefined);
  };

  const write = async (snapshot: Snapshot): Promise<void> => {
    try {
      await reopen();
      for (const request of encodeJsonRequests(snapshot, { maxBytes: lineBytes - endOfLine.length })) {
        // oxlint-disable-next-line no-await-in-loop -- one line after the other
        await (request === undefined ? nextTurn() : append(Buffer.concat([request.body, endOfLine])));
      }
    } catch (error) {
      await abandon();
      lose(codeOf(error));
      return;
    }
    // While another tick waits, the disk has not caught up.
    if (trouble === undefined || waiting !== undefined) return;
    log("info", `${path} is written again; ${lost} tick${lost === 1 ? " was" : "s were"} lost`);
    trouble = undefined;
    lost = 0;
  };

  const work = async (): Promise<void> => {
    while (waiting !== undefined) {
      const snapshot = waiting;
      waiting = undefined;
      // oxlint-disable-next-line no-await-in-loop -- one tick after the other
      await write(snapshot);
    }
    working = undefined;
  };

  return {
    export: (snapshot) => {
      if (isClosed) return;
      if (waiting !== undefined) lose("the disk is too slow");
      waiting = snapshot;
      working ??= work();
    },
    trouble: () => trouble,
    shutdown: async (signal) => {
      isClosed = true;
      const given = new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        else signal.addEventListener("abort", () => resolve(), { once: true });
      });
      const finish = async (): Promise<void> => {
        await working;
        await current?.handle.sync().catch(() => undefined);
        await close().catch(() => undefined);
      };
      await Promise.race([finish(), given]);
    },
  };
};
