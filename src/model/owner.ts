/** What a cgroup's path says of what runs in it. */
export type CgroupInfo = {
  /** Below the mount point, as in /system.slice/nginx.service. */
  readonly path: string;
  /** The last *.service, *.scope or *.socket of the path. */
  readonly unit: string | undefined;
  /** 64 hexadecimal digits, or the name that the container manager gave. */
  readonly containerId: string | undefined;
  readonly podUid: string | undefined;
};

/** A process that holds a socket. */
export type ProcessInfo = {
  readonly pid: number;
  /** Base name of the executable, or the kernel's name of the process where the link cannot be read. */
  readonly executable: string;
  readonly argv: readonly string[];
  /** Where the process runs now, which is not always where its sockets were made. */
  readonly cgroup: CgroupInfo | undefined;
};

/** Lookups in what has been read by then; they never block. Undefined: not known, or not yet. */
export type Owners = {
  readonly process: (inode: number) => ProcessInfo | undefined;
  readonly cgroup: (id: number) => CgroupInfo | undefined;
};

/** Owners that are looked up as they are asked for: what was asked for and is not known is looked for by `refresh`. */
type Source = {
  /** After a dump. Never rejects; an aborted one has done a part of it. */
  readonly refresh: (signal: AbortSignal) => Promise<void>;
};

export type CgroupSource = Source & {
  readonly cgroup: Owners["cgroup"];
  /** 1: the names of all cgroups of the host can be read; 0: of none, or of a part of them. */
  readonly capability: () => 0 | 1;
};

/** Whose processes' sockets can be read: all that there are, some, or none. */
export type ProcessReach = "all" | "own" | "none";

export type ProcessSource = Source & {
  readonly process: Owners["process"];
  readonly capability: () => ProcessReach;
};
