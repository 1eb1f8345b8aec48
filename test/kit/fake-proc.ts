import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What /proc says of a process. */
export type FakeProcess = {
  readonly comm?: string;
  readonly starttime?: number;
  readonly exe?: string;
  readonly cmdline?: string;
  readonly cgroup?: string;
};

export type FakeProc = Disposable & {
  readonly path: string;
  /** A process that starts, or another one with the pid of one that ended. */
  start(pid: number, sockets: readonly number[], process?: FakeProcess): void;
  open(pid: number, inode: number): void;
  close(pid: number, inode: number): void;
  /** Its files are other sockets than before, and as many. */
  swap(pid: number, from: number, to: number): void;
  exec(pid: number, process: FakeProcess): void;
  end(pid: number): void;
};

/** A directory like /proc, of processes that begin and end as the test says: pids and inodes of its own choosing. */
export const createFakeProc = (): FakeProc => {
  // In memory, where the size of a directory tells the number of its files, as that of /proc/PID/fd does.
  const path = mkdtempSync("/dev/shm/sockscope-proc-");
  const files = new Map<number, Map<number, number>>();
  const describe = (pid: number, { comm = "cat", starttime = pid, exe, cmdline = "", cgroup }: FakeProcess): void => {
    const folder = join(path, String(pid));
    writeFileSync(join(folder, "stat"), `${pid} (${comm}) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 ${starttime} 0\n`);
    writeFileSync(join(folder, "cmdline"), cmdline);
    writeFileSync(join(folder, "cgroup"), `0::${cgroup ?? "/"}\n`);
    rmSync(join(folder, "exe"), { force: true });
    if (exe !== undefined) symlinkSync(exe, join(folder, "exe"));
  };
  const linkPath = (pid: number, fd: number): string => join(path, String(pid), "fd", String(fd));
  const filesOf = (pid: number): Map<number, number> => files.get(pid) ?? new Map();
  const open = (pid: number, inode: number): void => {
    let fd = 3;
    while ([...filesOf(pid).values()].includes(fd)) fd++;
    filesOf(pid).set(inode, fd);
    symlinkSync(`socket:[${inode}]`, linkPath(pid, fd));
  };
  const close = (pid: number, inode: number): void => {
    rmSync(linkPath(pid, filesOf(pid).get(inode) ?? -1));
    filesOf(pid).delete(inode);
  };
  const end = (pid: number): void => rmSync(join(path, String(pid)), { recursive: true });
  const fake: FakeProc = {
    path,
    open,
    close,
    end,
    exec: describe,
    swap: (pid, from, to) => {
      close(pid, from);
      open(pid, to);
    },
    start: (pid, sockets, process = {}) => {
      if (readdirSync(path).includes(String(pid))) end(pid);
      mkdirSync(join(path, String(pid), "fd"), { recursive: true });
      symlinkSync("/", join(path, String(pid), "cwd"));
      files.set(pid, new Map());
      describe(pid, process);
      for (const inode of sockets) open(pid, inode);
    },
    [Symbol.dispose]: () => rmSync(path, { recursive: true }),
  };
  fake.start(1, []);
  return fake;
};
