import type { Libc } from "./libc.ts";

const exclusively = 2;
const withoutWaiting = 4;

/**
 * flock(2): takes the lock of an open file and returns whether nobody else has it. The kernel lets go of it when the
 * file is closed, and when the process ends, however it does. Throws where the file system has no locks.
 */
export const createFileLock = (libc: Libc): ((fd: number) => boolean) => {
  const flock = libc.func("int flock(int fd, int operation)");
  return (fd) => {
    if (flock(fd, exclusively | withoutWaiting) === 0) return true;
    const reason = libc.errnoName(libc.errno());
    if (reason === "EAGAIN" || reason === "EWOULDBLOCK") return false;
    throw new Error(`flock: ${reason}`);
  };
};
