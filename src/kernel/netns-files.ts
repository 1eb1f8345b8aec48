import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import type { NetnsSelection } from "../model/config.ts";
import type { CgroupInfo } from "../model/owner.ts";
import { parseCgroupPath } from "../text/cgroup-path.ts";
import { parseNetnsLink, parseProcCgroup } from "../text/proc-pid.ts";
import type { NetnsSwitch } from "./netns-switch.ts";

export type NetnsFilesOptions = Pick<NetnsSwitch, "device" | "own"> & {
  /** Mount point of procfs. */
  readonly proc: string;
  readonly selection: "all" | NetnsSelection;
  /** Whether a process that runs there is in one of `selection.containers`. */
  readonly isWanted: (cgroup: CgroupInfo) => boolean;
  /** Processes that one scan may look at. */
  readonly budget?: number;
  /** Where namespaces are kept by name: of ip-netns(8), and of managers whose names are none. */
  readonly folders?: { readonly named: readonly string[]; readonly others: readonly string[] };
};

export type FoundNetns = {
  /** In the first of the folders that has one. */
  name: string | undefined;
  /** Files that lead to it, the steadiest first. */
  readonly paths: string[];
  /** It is one of those that are asked for. */
  wanted: boolean;
};

export type NetnsScan = {
  /** All processes have been looked at: what is not among these is gone. */
  readonly complete: boolean;
  /** By inode, the agent's own too. */
  readonly found: ReadonlyMap<number, FoundNetns>;
  /** Processes that may not be looked at. */
  readonly refused: number;
};

/** Links between two turns of the event loop, some 5 us each. */
const workOfSlice = 200;
/** Processes of one namespace that may end before it is entered. */
const mostPaths = 4;

const standardFolders = {
  named: ["/run/netns", "/var/run/netns"],
  others: ["/run/docker/netns", "/var/run/docker/netns"],
};

const entriesOf = (folder: string): string[] => {
  try {
    return readdirSync(folder).toSorted();
  } catch {
    return [];
  }
};

/** In a container the host's folders are where its first process is in sight. */
const rootsOf = (proc: string): string[] => (proc === "/proc" ? [""] : ["", `${proc}/1/root`]);

const namesOf = (
  roots: readonly string[],
  folders: readonly string[],
): { readonly name: string; readonly path: string }[] =>
  roots
    .flatMap((root) => folders.map((folder) => `${root}${folder}`))
    .flatMap((folder) => entriesOf(folder).map((name) => ({ name, path: `${folder}/${name}` })));

/** One of digits would pass for the inode of another. */
const isTelling = (name: string): boolean => !/^\d+$/.test(name);

/** What the agent's own namespace is called: its name, or else the number of its inode; undefined where there is no /proc. */
export const readOwnNetns = (proc: string, folders = standardFolders): string | undefined => {
  try {
    const { dev, ino } = statSync("/proc/thread-self/ns/net");
    const named = namesOf(rootsOf(proc), folders.named).find(({ name, path }) => {
      const found = isTelling(name) ? statSync(path, { throwIfNoEntry: false }) : undefined;
      return found?.dev === dev && found.ino === ino;
    });
    return named?.name ?? String(ino);
  } catch {
    return undefined;
  }
};

const isRefusal = (error: unknown): boolean =>
  ["EACCES", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "");

/**
 * Network namespaces by the files that lead to them: those with a name, and those of processes (/proc/PID/ns/net,
 * network_namespaces(7)), which need CAP_SYS_PTRACE where they are another user's. The links of processes are only read
 * where the selection asks for them, and no more than `budget` a scan; the next scan goes on with the rest.
 */
export const createNetnsFiles = (options: NetnsFilesOptions) => {
  const { proc, device, own, selection, isWanted, budget = 20_000 } = options;
  const roots = rootsOf(proc);
  const { named, others } = options.folders ?? standardFolders;
  const walksAll = selection === "all" || selection.containers.length > 0;
  let found = new Map<number, FoundNetns>();
  let refused = 0;
  /** The last process that this round has looked at. */
  let cursor = 0;

  const meet = (inode: number, path: string, wanted: boolean): FoundNetns => {
    let netns = found.get(inode);
    if (netns === undefined) {
      netns = { name: undefined, paths: [], wanted: selection === "all" };
      found.set(inode, netns);
    }
    if (netns.paths.length < mostPaths) netns.paths.push(path);
    if (wanted) netns.wanted = true;
    return netns;
  };

  /** `name` is undefined where it is none. */
  const lookAtFile = (path: string, name: string | undefined): void => {
    try {
      const { dev, ino } = statSync(path);
      // What is left of a name whose namespace is gone is an empty file.
      if (dev !== device) return;
      const isNamed = name !== undefined && selection !== "all" && selection.names.includes(name);
      const netns = meet(ino, path, isNamed);
      if (name !== undefined && isTelling(name)) netns.name ??= name;
    } catch {
      // It went while it was looked at, or is not this user's to see.
    }
  };

  const lookAtNames = (): void => {
    for (const { name, path } of namesOf(roots, named)) lookAtFile(path, name);
    for (const { path } of namesOf(roots, others)) lookAtFile(path, undefined);
  };

  const isInContainer = (pid: number): boolean => {
    try {
      const path = parseProcCgroup(readFileSync(`${proc}/${pid}/cgroup`, "utf8"));
      return path !== undefined && isWanted(parseCgroupPath(path));
    } catch {
      return false;
    }
  };

  const lookAtProcess = (pid: number, wanted: boolean): void => {
    const path = `${proc}/${pid}/ns/net`;
    try {
      const inode = parseNetnsLink(readlinkSync(path));
      if (inode === 0 || inode === own) return;
      const netns = meet(inode, path, wanted);
      if (!netns.wanted && selection !== "all" && selection.containers.length > 0) netns.wanted = isInContainer(pid);
    } catch (error) {
      if (isRefusal(error)) refused++;
    }
  };

  /** True when all have been looked at. */
  const walk = async (signal: AbortSignal): Promise<boolean> => {
    const pids = readdirSync(proc)
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => pid > cursor)
      .toSorted((a, b) => a - b);
    for (const [index, pid] of pids.entries()) {
      if (index === budget) return false;
      cursor = pid;
      lookAtProcess(pid, false);
      if (index % workOfSlice !== workOfSlice - 1) continue;
      await setImmediate();
      if (signal.aborted) return false;
    }
    return true;
  };

  return {
    scan: async (signal: AbortSignal): Promise<NetnsScan> => {
      if (cursor === 0) {
        found = new Map();
        refused = 0;
        lookAtNames();
        if (selection !== "all") for (const pid of selection.pids) lookAtProcess(pid, true);
      }
      const complete = !walksAll || (await walk(signal));
      if (complete) cursor = 0;
      return { complete, found, refused };
    },
  };
};
