import { type Dirent, existsSync, readdirSync, statSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import type { Log } from "../model/log.ts";
import type { CgroupInfo, CgroupSource } from "../model/owner.ts";
import { parseCgroupPath } from "../text/cgroup-path.ts";

export type CgroupsOptions = {
  /** Where cgroups are mounted: version 2 itself, or on a hybrid host what holds it as `unified`. */
  readonly root: string;
  readonly log: Log;
  /** Cgroups that are remembered, and ids that were not found, at most. */
  readonly limit?: number;
};

export type CgroupStats = {
  readonly known: number;
  /** Ids that were asked for and are in no directory. */
  readonly unknown: number;
  readonly walks: number;
  /** Directories that the walks have visited. */
  readonly directories: number;
};

export type Cgroups = CgroupSource & { readonly stats: () => CgroupStats };

type Known = {
  readonly path: string;
  /** Made when it is asked for: most cgroups of a host have no sockets. */
  info: CgroupInfo | undefined;
  /** The tick in which it was last asked for, or found. */
  asked: number;
};

type Unknown = { asked: number; /** The tick from which on it is looked for. */ due: number };

/** Directories between two turns of the event loop, 3 to 12 us each. */
const directoriesOfSlice = 200;
/** Ticks until an id that a walk did not find is looked for again. */
const retryTicks = 10;
/** Ticks that an id which was not found is kept without being asked for. */
const forgetTicks = 20;
/** The id of the root of cgroup v2, in whatever place it is mounted; a cgroup namespace has another root. */
const rootId = 1;

const idOf = (directory: string): { id: number; leaf: boolean } | undefined => {
  try {
    // The kernel counts ids up from 1, so that they are exact as numbers.
    const { ino, nlink } = statSync(directory);
    return { id: ino, leaf: nlink === 2 };
  } catch {
    return undefined;
  }
};

const entriesOf = (directory: string): readonly Dirent[] => {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    // Removed since its parent was read, or not ours to read.
    return [];
  }
};

/**
 * Whether version 2 is the only one that `root` holds. Where version 1 is beside it (hybrid), processes are in cgroups of
 * that, and their sockets all have the root of version 2.
 */
export const isUnified = (root: string): boolean => existsSync(`${root}/cgroup.controllers`);

/**
 * Names of cgroups by their ids, which are the inode numbers of their directories: sock_diag gives the one that a socket
 * was made in. Needs no privilege. The tree is walked when an id was asked for that is not known, once a tick at most. A
 * cgroup that was removed keeps its name, since its sockets keep its id.
 */
export const createCgroups = ({ root, log, limit = 20_000 }: CgroupsOptions): Cgroups => {
  const known = new Map<number, Known>();
  const unknown = new Map<number, Unknown>();
  let tick = 0; // counts the refreshes
  let walks = 0;
  let directories = 0;
  let reason: string | undefined;
  let said = false;

  /** The root of cgroup v2, if it can be seen. */
  const locate = (): string | undefined => {
    const mount = [root, `${root}/unified`].find((path) => existsSync(`${path}/cgroup.controllers`));
    if (mount === undefined) reason = `there is no cgroup v2 in ${root}`;
    else if (idOf(mount)?.id !== rootId) reason = `${mount} holds the cgroups of one container, not the host's`;
    else reason = undefined;
    if (reason !== undefined && !said) {
      said = true;
      log("info", `not every socket's cgroup has a name: ${reason}; paths.cgroup is where the host's is mounted`);
    }
    return mount;
  };

  const found = (id: number, path: string): void => {
    const wanted = unknown.delete(id);
    if (known.has(id) || (!wanted && known.size >= limit)) return;
    known.set(id, { path, info: undefined, asked: tick });
  };

  /** Leaves room for what the next walks find on their way. */
  const forgetOldest = (): void => {
    const oldest = [...known].toSorted(([, a], [, b]) => a.asked - b.asked);
    for (const [id] of oldest.slice(0, known.size - Math.floor(limit * 0.75))) known.delete(id);
  };

  /** False: it was aborted on the way. */
  const walk = async (mount: string, signal: AbortSignal): Promise<boolean> => {
    walks++;
    const paths = [""];
    for (let path = paths.pop(); path !== undefined; path = paths.pop()) {
      const directory = idOf(`${mount}${path}`);
      if (directory === undefined) continue;
      found(directory.id, path === "" ? "/" : path);
      // A directory's links are its name, its `.` and the `..` of those in it; to list one costs more than all else.
      if (!directory.leaf)
        for (const entry of entriesOf(`${mount}${path}`)) if (entry.isDirectory()) paths.push(`${path}/${entry.name}`);
      if (++directories % directoriesOfSlice !== 0) continue;
      await setImmediate();
      if (signal.aborted) return false;
    }
    return true;
  };

  const isDue = (): boolean => {
    let due = false;
    for (const [id, entry] of unknown) {
      if (entry.asked < tick - forgetTicks) unknown.delete(id);
      else if (entry.due <= tick && entry.asked >= tick - 1) due = true;
    }
    return due;
  };

  return {
    cgroup(id) {
      const entry = known.get(id);
      if (entry !== undefined) {
        entry.asked = tick;
        return (entry.info ??= parseCgroupPath(entry.path));
      }
      if (id === 0) return undefined;
      const missing = unknown.get(id);
      if (missing !== undefined) missing.asked = tick;
      else if (unknown.size < limit) unknown.set(id, { asked: tick, due: tick + 1 });
      return undefined;
    },
    async refresh(signal) {
      tick++;
      if (tick > 1 && !isDue()) return;
      const mount = locate();
      if (mount === undefined || !isDue() || signal.aborted) return;
      const before = tick;
      if (!(await walk(mount, signal))) return;
      for (const entry of unknown.values()) if (entry.due <= before) entry.due = before + retryTicks;
      if (known.size >= limit) forgetOldest();
    },
    capability: () => (reason === undefined && tick > 0 ? 1 : 0),
    stats: () => ({ known: known.size, unknown: unknown.size, walks, directories }),
  };
};
