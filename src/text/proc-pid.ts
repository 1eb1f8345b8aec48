import { parseCgroupPath } from "./cgroup-path.ts";

/** Of /proc/PID/stat, what tells one process from the next with its pid, and from what it was before an exec. */
export type ProcStat = {
  /** At most 15 bytes; any character may be in it, spaces and parentheses too. */
  readonly comm: string;
  /** Clock ticks from boot. */
  readonly starttime: number;
};

/** Fields from the closing parenthesis of comm to starttime, the 22nd of proc_pid_stat(5). */
const starttimeField = 19;

/** /proc/PID/stat; undefined for what is no such text. */
export const parseProcStat = (text: string): ProcStat | undefined => {
  const from = text.indexOf("(");
  const to = text.lastIndexOf(")");
  if (from < 0 || to < from) return undefined;
  const field = text.slice(to + 2).split(" ", starttimeField + 1)[starttimeField];
  if (field === undefined || !/^\d+$/.test(field)) return undefined;
  return { comm: text.slice(from + 1, to), starttime: Number(field) };
};

/** The arguments of /proc/PID/cmdline; those after a text that was cut are missing. Empty for a kernel thread. */
export const parseCmdline = (text: string): string[] => {
  // A process that writes its title there leaves the rest of the area zero.
  const end = text.replace(/\0+$/, "");
  return end === "" ? [] : end.split("\0");
};

/** N of `socket:[N]`, what a link of /proc/PID/fd says of a socket; 0 for any other file. */
export const parseSocketLink = (link: string): number => {
  if (!link.startsWith("socket:[") || !link.endsWith("]")) return 0;
  const inode = Number(link.slice("socket:[".length, -1));
  return Number.isSafeInteger(inode) && inode > 0 ? inode : 0;
};

/** N of `net:[N]`, what the link /proc/PID/ns/net says of a network namespace; 0 for any other text. */
export const parseNetnsLink = (link: string): number => Number(/^net:\[(\d{1,10})\]$/.exec(link)?.[1] ?? 0);

/** The base name of what /proc/PID/exe links to, also of a file that was replaced since. */
export const parseExeLink = (link: string): string => {
  const path = link.replace(/ \(deleted\)$/, "");
  return path.slice(path.lastIndexOf("/") + 1);
};

/** `ID:CONTROLLERS:PATH`; version 2 has the id 0 and no controllers. */
const cgroupLine = /^(\d+):([^:]*):(\/.*)$/;

/**
 * The path of a process in /proc/PID/cgroup (cgroups(7)): of version 2, else of systemd's hierarchy. Where one of version
 * 1 is in a container and those are not, as with Docker's cgroupfs driver on a hybrid host, it is the longest of them.
 */
export const parseProcCgroup = (text: string): string | undefined => {
  const lines = text.split("\n").flatMap((line) => {
    const [, id, controllers, path = ""] = cgroupLine.exec(line) ?? [];
    return id === undefined ? [] : [{ id, controllers, path: path.replace(/ \(deleted\)$/, "") }];
  });
  const unified = lines.find(({ id }) => id === "0")?.path;
  const systemd = lines.find(({ controllers }) => controllers === "name=systemd")?.path;
  const others = lines.map(({ path }) => path).toSorted((a, b) => b.length - a.length);
  const paths = [unified, systemd, ...others].filter((path) => path !== undefined);
  const inContainer = paths.find((path) => {
    const { containerId, podUid } = parseCgroupPath(path);
    return containerId !== undefined || podUid !== undefined;
  });
  return inContainer ?? [unified, systemd].find((path) => path !== undefined && path !== "/") ?? paths[0];
};
