import { closeSync, opendirSync, openSync, readdirSync, readlinkSync, readSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { setImmediate } from "node:timers/promises";
import type { Log } from "../model/log.ts";
import type { ProcessInfo, ProcessReach, ProcessSource } from "../model/owner.ts";
import { parseCgroupPath } from "../text/cgroup-path.ts";
import {
  parseCmdline,
  parseExeLink,
  parseProcCgroup,
  parseProcStat,
  parseSocketLink,
  type ProcStat,
} from "../text/proc-pid.ts";

export type ProcessesOptions = {
  /** Mount point of procfs. */
  readonly proc: string;
  readonly log: Log;
  /** Links of open files that a tick may read. */
  readonly budget?: number;
};

export type ProcessStats = {
  /** Inodes that are remembered. */
  readonly sockets: number;
  /** Those of them that are looked for. */
  readonly wanted: number;
  readonly processes: number;
  /** Processes whose files could not be read. */
  readonly unreadable: number;
  /** Links of open files that were read since the start to find sockets, */
  readonly links: number;
  /** and to make sure of those that were found. */
  readonly checks: number;
};

export type Processes = ProcessSource & { readonly stats: () => ProcessStats };

/** A process that was met, with what is remembered of its files. */
type Known = {
  readonly pid: number;
  /** Undefined until it was found to hold a socket that was asked for. */
  identity: ProcStat | undefined;
  info: ProcessInfo | undefined;
  /** The reading in which it was last made sure of. */
  identified: number;
  /** Size of /proc/PID/fd: how many files it has, or always 0 before Linux 6.2. -1 until it was looked at. */
  size: number;
  /** The size is another than when its files were last read. */
  changed: boolean;
  /** The last sweep for which all its files have been read. */
  sweep: number;
  /** The next reading takes the descriptors below this one: less than all if a tick's budget ended amid its files. */
  below: number;
  /** Undefined until it was tried. */
  readable: boolean | undefined;
  /** The tick in which its files were last tried. */
  tried: number;
  /** Inodes of the sockets that it is known by. */
  readonly holds: Set<number>;
};

/** An inode that was asked for. */
type Socket = {
  process: Known | undefined;
  /** The descriptor that the process has it by. */
  fd: number;
  /** The ticks in which it was first and last asked for. */
  readonly since: number;
  asked: number;
  /** The reading that last met it at its process. */
  seen: number;
  /** The sweep that looks for it, and how many have not found it. */
  sweep: number;
  misses: number;
  /** Given up until this tick. */
  until: number;
};

/** Links and processes between two turns of the event loop, 5 us each. */
const workOfSlice = 400;
/** A directory with more files than this is listed on another thread. */
const listedAtOnce = 400;
/** Sweeps over all processes that look for an inode: one, and another for what moved meanwhile. */
const sweepsOfInode = 2;
/** Ticks that what is not asked for is kept. */
const keepTicks = 10;
/** Ticks that an inode stays given up, and a process unreadable. */
const retryTicks = 40;
/** Bytes of /proc/PID/cmdline: what tells processes apart stands at its beginning. */
const startBytes = 4096;
const everything = Number.POSITIVE_INFINITY;

const buffer = Buffer.allocUnsafe(startBytes);

/** The beginning of a file under /proc; undefined where it cannot be read. */
const readStart = (path: string): string | undefined => {
  let file: number | undefined;
  try {
    file = openSync(path, "r");
    return buffer.toString("utf8", 0, readSync(file, buffer, 0, startBytes, null));
  } catch {
    return undefined;
  } finally {
    if (file !== undefined) closeSync(file);
  }
};

/** Says that a process may not be looked into; other errors are those of one that has ended. */
const isRefusal = (error: unknown): boolean =>
  ["EACCES", "EPERM"].includes((error as NodeJS.ErrnoException).code ?? "");

/** A link's text, or undefined where there is none any more. Throws where it may not be read. */
const linkOf = (path: string): string | undefined => {
  try {
    return readlinkSync(path);
  } catch (error) {
    if (isRefusal(error)) throw error;
    return undefined;
  }
};

const identityOf = (folder: string): ProcStat | undefined => parseProcStat(readStart(`${folder}/stat`) ?? "");

const executableOf = (folder: string, comm: string): string => {
  try {
    const link = linkOf(`${folder}/exe`);
    return link === undefined ? comm : parseExeLink(link);
  } catch {
    return comm;
  }
};

const infoOf = (pid: number, folder: string, comm: string): ProcessInfo => {
  const cgroup = parseProcCgroup(readStart(`${folder}/cgroup`) ?? "");
  return {
    pid,
    executable: executableOf(folder, comm),
    argv: parseCmdline(readStart(`${folder}/cmdline`) ?? ""),
    cgroup: cgroup === undefined ? undefined : parseCgroupPath(cgroup),
  };
};

/** How many files a process has, if the kernel tells; 0 for one that has ended. */
const sizeOf = (folder: string): number => {
  try {
    return statSync(`${folder}/fd`).size;
  } catch {
    return 0;
  }
};

/** Whether its files could be read; undefined for a process that has ended. */
const canRead = (folder: string): boolean | undefined => {
  try {
    opendirSync(`${folder}/fd`).closeSync();
    // Listing the files takes their owner or CAP_DAC_READ_SEARCH; a link, CAP_SYS_PTRACE, as it does here.
    return linkOf(`${folder}/cwd`) === undefined ? undefined : true;
  } catch (error) {
    return isRefusal(error) ? false : undefined;
  }
};

const createKnown = (pid: number): Known => ({
  pid,
  identity: undefined,
  info: undefined,
  identified: 0,
  size: -1,
  changed: true,
  sweep: 0,
  below: everything,
  readable: undefined,
  tried: 0,
  holds: new Set(),
});

/**
 * Processes by the inodes of their sockets, from the links of /proc/PID/fd (proc_pid_fd(5)). Files are read only while an
 * inode is looked for, and no more than `budget` a tick: first those of processes that are new or have another number of
 * files than before; then, for an inode that lasts, all others. One that is nowhere is given up for a while. Of several
 * processes that hold a socket it is the lowest pid of those that have been read. The processes of other users need
 * CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH.
 */
export const createProcesses = ({ proc, log, budget = 20_000 }: ProcessesOptions): Processes => {
  const processes = new Map<number, Known>();
  const sockets = new Map<number, Socket>();
  /** Those of them that are looked for. */
  const wanted = new Map<number, Socket>();
  /** Inodes that were found in the last tick. */
  let unsure: number[] = [];
  let tick = 0; // counts the refreshes
  let sweep = 0;
  let sweeping = false;
  let readings = 0;
  let links = 0;
  let checks = 0;
  let work = 0;
  let left = 0; // of the tick's budget
  let reach: ProcessReach = "none";
  let said = false;

  const folderOf = ({ pid }: Known): string => `${proc}/${pid}`;

  /** Lets the event loop turn where a slice is full; false when the tick was aborted. */
  const breathe = async (signal: AbortSignal): Promise<boolean> => {
    if (work >= workOfSlice) {
      work = 0;
      await setImmediate();
    }
    return !signal.aborted;
  };

  /** Its sockets are nobody's until they are asked for again. */
  const disown = (process: Known): void => {
    for (const inode of process.holds) sockets.delete(inode);
    process.holds.clear();
  };

  /**
   * Makes sure that a process is still the one that is remembered; false where it has ended. The next one with its pid
   * owns nothing of it; after an exec it has another name.
   */
  const identify = (process: Known): boolean => {
    const before = process.identity;
    const now = identityOf(folderOf(process));
    work++;
    process.identity = now;
    if (before !== undefined && now?.starttime !== before.starttime) {
      disown(process);
      process.changed = true;
      process.sweep = 0;
      process.below = everything;
    }
    if (now !== undefined && (now.starttime !== before?.starttime || now.comm !== before.comm))
      process.info = infoOf(process.pid, folderOf(process), now.comm);
    return now !== undefined;
  };

  const identifyOnce = (process: Known): boolean => {
    if (process.identified === readings) return true;
    if (!identify(process)) return false;
    process.identified = readings;
    return true;
  };

  /** A link to a socket, in the files of a process. */
  const meet = (process: Known, inode: number, fd: number): void => {
    const socket = sockets.get(inode);
    if (socket === undefined) return;
    const owner = socket.process;
    if (owner !== undefined && owner.pid < process.pid) return;
    if (owner !== process) {
      if (!identifyOnce(process)) return;
      owner?.holds.delete(inode);
      socket.process = process;
      process.holds.add(inode);
      wanted.delete(inode);
      unsure.push(inode);
    }
    socket.fd = fd;
    socket.seen = readings;
  };

  const holdsStill = (process: Known, inode: number, fd: number): boolean => {
    try {
      return parseSocketLink(linkOf(`${folderOf(process)}/fd/${fd}`) ?? "") === inode;
    } catch {
      return true;
    }
  };

  /** A server that accepts, forks and closes has a connection for a moment, which is its child's then. */
  const check = async (signal: AbortSignal): Promise<void> => {
    const found = unsure;
    unsure = found.slice(budget);
    for (const inode of found.slice(0, budget)) {
      const socket = sockets.get(inode);
      if (socket?.process === undefined) continue;
      checks++;
      work++;
      if (!holdsStill(socket.process, inode, socket.fd)) {
        socket.process.holds.delete(inode);
        sockets.delete(inode);
      }
      if (!(await breathe(signal))) return;
    }
  };

  /** The highest first: a new socket is among them more often than not. */
  const descriptorsOf = async (process: Known): Promise<number[]> => {
    const folder = `${folderOf(process)}/fd`;
    const names = process.size > listedAtOnce ? await readdir(folder) : readdirSync(folder);
    const below = process.below;
    return names
      .map(Number)
      .filter((fd) => fd < below)
      .toSorted((a, b) => b - a);
  };

  /** After all files were read: a socket that was not among them was closed there. */
  const forgetClosed = (process: Known): void => {
    for (const inode of process.holds) {
      if (sockets.get(inode)?.seen === readings) continue;
      sockets.delete(inode);
      process.holds.delete(inode);
    }
  };

  /** Until all is found, or the budget is spent. Throws what the file system does. */
  const readFiles = async (process: Known, signal: AbortSignal): Promise<void> => {
    const whole = process.below === everything;
    const folder = `${folderOf(process)}/fd/`;
    const descriptors = await descriptorsOf(process);
    readings++;
    process.changed = false;
    for (const fd of descriptors) {
      if (wanted.size === 0 || left === 0 || (work >= workOfSlice && !(await breathe(signal)))) {
        process.below = wanted.size === 0 ? everything : fd + 1;
        return;
      }
      const link = linkOf(`${folder}${fd}`);
      links++;
      left--;
      work++;
      const inode = link === undefined ? 0 : parseSocketLink(link);
      if (inode !== 0) meet(process, inode, fd);
    }
    process.sweep = sweep;
    process.below = everything;
    if (whole) forgetClosed(process);
  };

  const read = async (process: Known, signal: AbortSignal): Promise<void> => {
    work++;
    process.tried = tick;
    try {
      await readFiles(process, signal);
      process.readable = true;
    } catch (error) {
      if (isRefusal(error)) process.readable = false;
      else disown(process);
      process.changed = false;
      process.sweep = sweep;
      process.below = everything;
    }
  };

  /** Brings the list of processes up to date, in the order of their pids; undefined where there is none to be had. */
  const list = async (signal: AbortSignal): Promise<readonly Known[] | undefined> => {
    let names: string[];
    try {
      names = readdirSync(proc);
    } catch {
      return undefined;
    }
    const pids = new Set(names.filter((name) => /^\d+$/.test(name)).map(Number));
    for (const [pid, process] of processes) {
      if (pids.has(pid)) continue;
      disown(process);
      processes.delete(pid);
    }
    const listed: Known[] = [];
    for (const pid of [...pids].toSorted((a, b) => a - b)) {
      const process = processes.get(pid) ?? createKnown(pid);
      processes.set(pid, process);
      listed.push(process);
      const size = sizeOf(folderOf(process));
      if (size !== process.size) process.changed = true;
      process.size = size;
      work++;
      if (!(await breathe(signal))) break;
    }
    return listed;
  };

  const beginSweep = (): void => {
    sweeping = true;
    sweep++;
    for (const socket of wanted.values()) socket.sweep = sweep;
  };

  const endSweep = (): void => {
    sweeping = false;
    for (const [inode, socket] of wanted) {
      if (socket.sweep !== sweep || ++socket.misses < sweepsOfInode) continue;
      wanted.delete(inode);
      socket.until = tick + retryTicks;
    }
  };

  const lookFor = async (listed: readonly Known[], signal: AbortSignal): Promise<void> => {
    const lasting = [...wanted.values()].some(({ since, asked }) => asked > since);
    if (lasting && !sweeping) beginSweep();
    const isNew = ({ changed, below }: Known): boolean => changed || below !== everything;
    const rest = (process: Known): boolean =>
      !isNew(process) && process.sweep < sweep && (process.readable !== false || process.tried <= tick - retryTicks);
    const queue = [...listed.filter(isNew), ...(sweeping ? listed.filter(rest) : [])];
    for (const process of queue) {
      if (wanted.size === 0 || left === 0 || !(await breathe(signal))) break;
      await read(process, signal);
    }
    if (wanted.size === 0) sweeping = false;
    else if (sweeping && left > 0 && !signal.aborted) endSweep();
  };

  /** What nobody asked for lately, and what was given up for long enough. */
  const forget = (): void => {
    for (const [inode, { asked }] of wanted) {
      // It was closed since: its next tick has not seen it.
      if (asked < tick - 1) {
        wanted.delete(inode);
        sockets.delete(inode);
      }
    }
    if (tick % keepTicks !== 0) return;
    for (const [inode, socket] of sockets) {
      const retried = socket.process === undefined && !wanted.has(inode) && socket.until <= tick;
      if (socket.asked >= tick - keepTicks && !retried) continue;
      sockets.delete(inode);
      wanted.delete(inode);
      socket.process?.holds.delete(inode);
    }
  };

  const settleReach = (listed: readonly Known[] | undefined): void => {
    const refused = listed?.filter(({ readable }) => readable === false).length ?? 0;
    // Where processes are hidden (hidepid of procfs), so is the first one.
    const hidden = listed !== undefined && !processes.has(1);
    if (listed === undefined || listed.length === refused) reach = "none";
    else reach = refused > 0 || hidden ? "own" : "all";
    if (reach === "all" || said) return;
    said = true;
    const what = reach === "none" ? `no processes can be read in ${proc}` : "processes of other users cannot be read";
    log(
      "info",
      `not every socket's process is known: ${what}; it takes CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH and the host's pid namespace`,
    );
  };

  return {
    process(inode) {
      if (inode === 0) return undefined;
      const socket = sockets.get(inode);
      if (socket !== undefined) {
        socket.asked = tick;
        return socket.process?.info;
      }
      const added: Socket = {
        process: undefined,
        fd: -1,
        since: tick,
        asked: tick,
        seen: 0,
        sweep: 0,
        misses: 0,
        until: 0,
      };
      sockets.set(inode, added);
      wanted.set(inode, added);
      return undefined;
    },
    async refresh(signal) {
      tick++;
      left = budget;
      for (const process of processes.values()) {
        if (process.holds.size > 0) identify(process);
        if (!(await breathe(signal))) return;
      }
      await check(signal);
      forget();
      if (tick > 1 && wanted.size === 0) return;
      const listed = await list(signal);
      if (listed !== undefined) await lookFor(listed, signal);
      if (tick === 1) {
        for (const process of listed ?? []) {
          process.readable ??= canRead(folderOf(process));
          work++;
          if (!(await breathe(signal))) break;
        }
      }
      if (!signal.aborted) settleReach(listed);
    },
    capability: () => reach,
    stats: () => ({
      sockets: sockets.size,
      wanted: wanted.size,
      processes: processes.size,
      unreadable: [...processes.values()].filter(({ readable }) => readable === false).length,
      links,
      checks,
    }),
  };
};
