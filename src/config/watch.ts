import type { Config } from "../model/config.ts";
import { ConfigError, type ConfigFault } from "../model/errors.ts";
import type { Log } from "../model/log.ts";
import { findTargetFiles } from "./files.ts";
import { errorOf, type Loaded, readTargets, type TargetFile, unmatchedNotes, wasRead } from "./load.ts";
import { readConfig } from "./parse.ts";
import { tlsFaults } from "./tls-files.ts";

const pollMs = 5000;

export type WatchOptions = {
  /** What is in force. */
  readonly loaded: Loaded;
  /** Reads everything again. */
  readonly load: () => Promise<Loaded>;
  readonly log: Log;
  /** Puts a configuration in force. */
  readonly apply: (config: Config) => Promise<void>;
  readonly pollMs?: number;
};

export type Watch = {
  /** Reads everything again and puts it in force; a fault leaves everything as it was, and the log says so. */
  reload(): Promise<void>;
  /** Ends the watching, when what is under way is done. */
  stop(): Promise<void>;
};

type Change = {
  readonly loaded: Loaded;
  readonly faults: readonly ConfigFault[];
  /** Of the files with a fault, as they are now. */
  readonly stamps: readonly string[];
  /** Targets came, went or changed. */
  readonly changed: boolean;
};

const same = (one: readonly TargetFile[], other: readonly TargetFile[]): boolean =>
  one.length === other.length &&
  one.every(({ file, text }, index) => other[index]?.file === file && other[index]?.text === text);

/**
 * The configuration in force with its files of targets as they are now; undefined while none has changed. A file with
 * a fault keeps the targets that it has in force. The configuration's own file is not read.
 */
const readChange = async (loaded: Loaded): Promise<Change | undefined> => {
  const { main, targetFiles } = loaded;
  const old = new Map(targetFiles.map((file) => [file.file, file]));
  const { files, unmatched } = await findTargetFiles(main.patterns, [...old.keys()]);
  if (files.length === old.size && files.every(({ file, stamp }) => old.get(file)?.stamp === stamp)) return undefined;

  const fresh = new Map<string, TargetFile>();
  const faults: ConfigFault[] = [];
  const there = new Set<string>();
  for (const found of files) {
    const inForce = old.get(found.file);
    // oxlint-disable-next-line no-await-in-loop -- a few files, one after the other
    const read = inForce?.stamp === found.stamp ? inForce : await readTargets(found);
    if (read === undefined) continue;
    there.add(found.file);
    if (!wasRead(read)) faults.push(read);
    else if (read.text === inForce?.text) old.set(found.file, read);
    else fresh.set(found.file, read);
  }
  const result = (now: Loaded): Change => {
    const faulty = new Set(faults.map(({ file }) => file));
    const stamps = files.filter(({ file }) => faulty.has(file)).map(({ stamp }) => stamp);
    return { loaded: now, faults, stamps, changed: !same(now.targetFiles, targetFiles) };
  };
  for (;;) {
    const next = [...there].flatMap((file) => fresh.get(file) ?? old.get(file) ?? []);
    const { parsed, faults: found, rivals, tlsFiles } = readConfig(main, next);
    // The files that a target in force names for TLS may just be on their way.
    const named = tlsFiles.map((file) => ({ ...file, at: file.fault("").file })).filter(({ at }) => fresh.has(at));
    // oxlint-disable-next-line no-await-in-loop -- each turn has fewer new files than the one before
    const wrong = [...found, ...(await tlsFaults(named))];
    if (wrong.length === 0 && parsed !== undefined) {
      const notes = [...parsed.notes, ...unmatchedNotes(unmatched)];
      return result({ ...loaded, config: parsed.config, notes, targetFiles: next });
    }
    faults.push(...wrong);
    const isFresh = (file: string): boolean => fresh.has(file);
    // A file that takes a name of one behind it makes a fault in that one.
    const rejected = wrong.flatMap(({ file }) => (isFresh(file) ? [file] : (rivals.get(file) ?? []).filter(isFresh)));
    if (rejected.length === 0) return result(loaded);
    for (const file of rejected) fresh.delete(file);
  }
};

/** Watches the files of targets of a configuration: a change of them is in force without a restart. */
export const watchTargets = (options: WatchOptions): Watch => {
  const { load, log, apply } = options;
  let { loaded } = options;
  let complaint = "";
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let work = Promise.resolve();

  const enforce = async (next: Loaded, notes = next.notes): Promise<void> => {
    for (const note of notes) log("info", note);
    loaded = next;
    await apply(next.config);
  };

  const look = async (): Promise<void> => {
    const change = await readChange(loaded);
    if (change === undefined) {
      complaint = "";
      return;
    }
    const { faults, stamps, changed } = change;
    const message = faults.length === 0 ? "" : errorOf(faults, []).message;
    const said = [message, ...stamps].join("\n");
    if (message !== "" && said !== complaint) log("error", `the targets of these files stay as they were:\n${message}`);
    complaint = said;
    const { notes } = loaded;
    if (changed)
      await enforce(
        change.loaded,
        change.loaded.notes.filter((note) => !notes.includes(note)),
      );
    else loaded = change.loaded;
  };

  const reload = async (): Promise<void> => {
    let next: Loaded;
    try {
      next = await load();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      log("error", `the configuration stays as it was:\n${error.message}`);
      return;
    }
    complaint = "";
    await enforce(next);
  };

  const enqueue = (run: () => Promise<void>): Promise<void> => {
    // What nobody foresaw is no reason to watch no more.
    work = work
      .then(run)
      .catch((error: unknown) => log("error", `the configuration could not be changed: ${String(error)}`));
    return work;
  };

  const wait = (): void => {
    timer = setTimeout(() => void enqueue(look).then(() => stopped || wait()), options.pollMs ?? pollMs);
    timer.unref();
  };
  wait();

  return {
    reload: () => enqueue(reload),
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await work;
    },
  };
};
