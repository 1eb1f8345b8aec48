import { closeSync, fstatSync, openSync } from "node:fs";
import { SourceError } from "../model/errors.ts";
import type { Libc } from "./libc.ts";

const CLONE_NEWNET = 0x4000_0000;

export type NetnsSwitch = {
  /** The file of the namespace that this thread is in. */
  readonly path: string;
  /** The file system of namespaces, and the inode of the one that the agent runs in. */
  readonly device: number;
  readonly own: number;
  /** Why this process may not enter others; undefined: it may enter those that it can open. */
  readonly refusal: string | undefined;
  /**
   * Calls `call` with this thread in the namespace of an open file, and only this thread: what it opens there stays
   * there. NB: it must be synchronous, since all that runs on this thread meanwhile is in that namespace.
   */
  readonly enter: <T>(file: number, call: () => T) => T;
  readonly close: () => void;
};

/**
 * The way into other network namespaces and back, setns(2), which needs CAP_SYS_ADMIN. A process that could not come
 * back would mistake their sockets for its own: `fatal` has to end it. Throws where there is no /proc.
 */
export const createNetnsSwitch = (libc: Libc, fatal: (reason: string) => never): NetnsSwitch => {
  const setns = libc.func("int setns(int file, int type)");
  const failureOf = (file: number): string | undefined =>
    Number(setns(file, CLONE_NEWNET)) === 0 ? undefined : libc.errnoName(libc.errno());
  const path = "/proc/thread-self/ns/net";
  const home = openSync(path, "r");
  const { dev, ino } = fstatSync(home);
  let isClosed = false;
  return {
    path,
    device: dev,
    own: ino,
    refusal: failureOf(home),
    enter(file, call) {
      if (isClosed) throw new SourceError("network namespaces are no longer read");
      const refused = failureOf(file);
      if (refused !== undefined) throw new SourceError(`setns() into a network namespace failed: ${refused}`);
      try {
        return call();
      } finally {
        const lost = failureOf(home);
        if (lost !== undefined) fatal(`there is no way back from another network namespace: setns() failed: ${lost}`);
      }
    },
    close() {
      if (!isClosed) closeSync(home);
      isClosed = true;
    },
  };
};
