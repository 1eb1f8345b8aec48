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
