import { createHash } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, readFile, stat, unlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "../model/log.ts";
import { orAborted } from "./otlp-abort.ts";
import type { StoredRequest } from "./otlp-queue.ts";
import { countRequests } from "./otlp-report.ts";
import { type Content, decodeRecord, encodeHeader, headerBytes } from "./otlp-record.ts";

/**
 * Takes the lock of an open file, which ends with the file or the process; false where another process has it. Throws
 * where there are no locks.
 */
export type FileLock = (fd: number) => boolean;

type StorageParts = {
  /** Of this destination alone. */
  readonly folder: string;
  /** undefined where this platform has none: then nothing is stored. */
  readonly lock: FileLock | undefined;
  readonly log: Log;
  /** Is given what an earlier process left, from the oldest to the newest. */
  readonly recover: (requests: readonly StoredRequest[]) => void;
};

/** A request whose file cannot be read: now, or ever. */
export type Unread = "later" | "damaged";

/** What a disk may take before requests no longer wait for it. */
const patienceMs = 2000;

/** What a loss of power may cost. */
const syncMs = 1000;

/** File systems give a file whole blocks. */
const blockBytes = 4096;

/** Numbers that JavaScript counts exactly. */
const fileName = /^(0\d{15})-(\d{1,10})\.otlp$/;
const nameOf = (sequence: number, points: number): string => `${String(sequence).padStart(16, "0")}-${points}.otlp`;

/** What a body takes of the disk. */
export const diskBytes = (bodyBytes: number): number => Math.ceil((headerBytes + bodyBytes) / blockBytes) * blockBytes;

/** The folder below `directory` in which the requests for a URL wait, whatever its credentials are. */
export const storageFolder = (directory: string, { host, origin, pathname, search }: URL): string => {
  const digest = createHash("sha256").update(`${origin}${pathname}${search}`).digest("hex").slice(0, 16);
  return join(directory, `${host.replaceAll(/[^\w.-]/g, "_").slice(0, 100)}-${digest}`);
};

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : error instanceof Error ? error.message : "unknown";

const remedies: Readonly<Record<string, string>> = {
  EACCES: "let the user that sockscope runs as write there",
  EPERM: "let the user that sockscope runs as write there",
  EROFS: "mount it writable",
  ENOSPC: "make room there, or lower export.otlp.sending_queue.max_mib",
  EDQUOT: "make room there, or lower export.otlp.sending_queue.max_mib",
};

/** Not `recursive`: where the system lets nobody make folders, as in /proc, Node's turns in a circle for ever. */
const makeFolder = async (path: string): Promise<void> => {
  const attempt = (): Promise<void> => mkdir(path, 0o700);
  const orThere = (error: unknown): void => {
    if (codeOf(error) !== "EEXIST") throw error;
  };
  await attempt().catch(async (error: unknown) => {
    if (codeOf(error) !== "ENOENT" || dirname(path) === path) return orThere(error);
    await makeFolder(dirname(path));
    return attempt().catch(orThere);
  });
};

/** Errors of a process that is out of something for a moment, and say nothing of the file. */
const passing: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOMEM", "EAGAIN"]);

/**
 * The requests of a queue as files, one each, which are written when they are queued and removed when they are settled.
 * One operation goes after the other, so that a disk that hangs holds one thread. What cannot be written stays in
 * memory, as one line in the log says; it is tried again with each request.
 */
export class OtlpStorage {
  readonly #parts: StorageParts;
  #work: Promise<unknown> = Promise.resolve();
  #lock: FileHandle | undefined;
  #isClosed = false;
  /** Of the newest file. */
  #sequence = 0;
  /** An operation takes longer than anybody waits. */
  #isStuck = false;
  #trouble = "";
  /** Said once and no more. */
  readonly #said = new Set<string>();
  readonly #unsynced = new Set<StoredRequest>();
  #syncTimer: NodeJS.Timeout | undefined;
  #syncing = Promise.resolve();
  /** Resolves when what was left is recovered, or cannot be had in time. */
  readonly ready: Promise<void>;

  /** Begins after `earlier`, which holds the folder until then. */
  constructor(parts: StorageParts, earlier: Promise<unknown>) {
    this.#parts = parts;
    const opened = this.#do(async () => {
      await earlier.catch(() => undefined);
      await this.#open();
    });
    const overdue = new AbortController();
    const late = sleep(3 * patienceMs, undefined, { signal: overdue.signal, ref: false }).catch(() => undefined);
    this.ready = Promise.race([opened, late]).then(() => overdue.abort());
  }

  /** Writes a request. Resolves when the kernel has it, or cannot take it in time; then it stays in memory. */
  async add(request: StoredRequest, signal: AbortSignal | undefined): Promise<void> {
    const written = this.#do(() => this.#write(request));
    if (this.#isStuck) return;
    const patience = AbortSignal.timeout(patienceMs);
    await orAborted(written, signal === undefined ? patience : AbortSignal.any([signal, patience])).catch(() => {
      if (!patience.aborted) return;
      this.#isStuck = true;
      this.#complain(`no answer in ${patienceMs} ms`);
    });
  }

  /** What a request holds. */
  read(request: StoredRequest): Promise<Content | Unread> {
    return this.#do(async () => {
      const { content, file } = request;
      if (content !== undefined) return content;
      try {
        const record = decodeRecord(await readFile(join(this.#parts.folder, file ?? "")));
        if (record !== undefined && nameOf(record.sequence, record.points) === file) return record;
        return this.#damaged(file, "its checksum is wrong");
      } catch (error) {
        return passing.has(codeOf(error)) ? "later" : this.#damaged(file, codeOf(error));
      }
    });
  }

  /** A request is delivered or dropped. */
  settle(request: StoredRequest): void {
    request.isSettled = true;
    request.content = undefined;
    void this.#do(() => this.#remove(request));
  }

  /** Writes what waits for it, lets go of the folder and syncs it; resolves soon in any case. */
  async close(): Promise<void> {
    clearTimeout(this.#syncTimer);
    const closing = this.#do(async () => {
      this.#isClosed = true;
      await this.#lock?.close();
      this.#lock = undefined;
      await this.#sync();
    });
    await orAborted(closing, AbortSignal.timeout(patienceMs)).catch(() => undefined);
  }

  async #do<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#work.then(work);
    this.#work = done.then(
      () => (this.#isStuck = false),
      () => (this.#isStuck = false),
    );
    return done;
  }

  /** Takes the folder, unless it is taken; tells whether it is. */
  async #open(): Promise<boolean> {
    const { folder, lock, recover } = this.#parts;
    if (this.#lock !== undefined) return true;
    if (this.#isClosed) return false;
    let file: FileHandle | undefined;
    try {
      if (lock === undefined) throw new Error("no file can be locked without the C library");
      await makeFolder(folder);
      file = await open(join(folder, "lock"), "a", 0o600);
      if (!lock(file.fd)) throw new Error("another agent, or another destination with this URL, uses it");
      const left = await this.#list();
      this.#lock = file;
      this.#well();
      if (left.length > 0) {
        this.#parts.log("info", `found in ${folder}: ${countRequests(left.length)}, sent before newer ones`);
        recover(left);
      }
      return true;
    } catch (error) {
      await file?.close();
      this.#complain(codeOf(error));
      return false;
    }
  }

  /** Names and sizes, from the oldest to the newest: what is in the files shows when it is their turn. */
  async #list(): Promise<StoredRequest[]> {
    const { folder } = this.#parts;
    const names = (await readdir(folder)).filter((name) => fileName.test(name)).sort();
    const requests: StoredRequest[] = [];
    for (const file of names) {
      // oxlint-disable-next-line no-await-in-loop -- one operation at a time
      const found = await stat(join(folder, file));
      const [, sequence, points] = fileName.exec(file) ?? [];
      this.#sequence = Math.max(this.#sequence, Number(sequence));
      const bytes = diskBytes(Math.max(0, found.size - headerBytes));
      if (found.isFile()) requests.push({ file, content: undefined, bytes, points: Number(points) });
    }
    return requests;
  }

  async #write(request: StoredRequest): Promise<void> {
    if (request.isSettled === true || !(await this.#open())) return;
    const { content, points } = request;
    if (content === undefined) return;
    const sequence = ++this.#sequence;
    const file = nameOf(sequence, points);
    const path = join(this.#parts.folder, file);
    try {
      const header = encodeHeader({ ...content, sequence, points });
      await writeFile(path, Buffer.concat([header, content.body]), { flag: "wx", mode: 0o600 });
    } catch (error) {
      await unlink(path).catch(() => undefined);
      this.#complain(codeOf(error));
      return;
    }
    this.#well();
    request.file = file;
    request.content = undefined;
    this.#unsynced.add(request);
    this.#syncTimer ??= setTimeout(() => void this.#sync(), syncMs).unref();
  }

  async #remove(request: StoredRequest): Promise<void> {
    this.#unsynced.delete(request);
    if (request.file === undefined) return;
    await unlink(join(this.#parts.folder, request.file)).catch((error: unknown) => {
      if (codeOf(error) !== "ENOENT") this.#complain(codeOf(error));
    });
  }

  /** Brings to the disk what still waits; not in the order of the operations, which would wait for it. */
  #sync(): Promise<void> {
    this.#syncTimer = undefined;
    const files = [...this.#unsynced].flatMap(({ file }) => file ?? []);
    this.#unsynced.clear();
    this.#syncing = this.#syncing.then(async () => {
      // Then the names: a file without one is lost, too.
      if (files.length > 0) for (const file of [...files, ""]) await this.#syncFile(file);
    });
    return this.#syncing;
  }

  async #syncFile(file: string): Promise<void> {
    try {
      await using opened = await open(join(this.#parts.folder, file), "r");
      await opened.sync();
    } catch (error) {
      // It may have been delivered by now.
      if (codeOf(error) !== "ENOENT")
        this.#once("sync", `a loss of power may lose what is stored in ${this.#parts.folder}: ${codeOf(error)}`);
    }
  }

  #damaged(file: string | undefined, reason: string): "damaged" {
    const path = join(this.#parts.folder, file ?? "");
    this.#once("damaged", `a stored request is dropped: ${path} (${reason}); more of them are only counted`);
    return "damaged";
  }

  #once(about: "damaged" | "sync", line: string): void {
    if (!this.#said.has(about)) this.#parts.log("warn", line);
    this.#said.add(about);
  }

  #complain(reason: string): void {
    if (this.#trouble === reason) return;
    this.#trouble = reason;
    const remedy = remedies[reason];
    this.#parts.log(
      "warn",
      `requests cannot be stored in ${this.#parts.folder} (${reason}): they wait in memory${remedy === undefined ? "" : `; ${remedy}`}`,
    );
  }

  #well(): void {
    if (this.#trouble !== "") this.#parts.log("info", `requests are stored in ${this.#parts.folder} again`);
    this.#trouble = "";
  }
}
