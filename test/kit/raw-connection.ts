import { loadLibc } from "../../src/kernel/libc.ts";

const libc = loadLibc();
const c = {
  socket: libc.func("int socket(int domain, int type, int protocol)"),
  connect: libc.func("int connect(int fd, const void *address, uint32_t size)"),
  send: libc.func("intptr_t send(int fd, const void *data, size_t size, int flags)"),
  setsockopt: libc.func("int setsockopt(int fd, int level, int name, const void *value, uint32_t size)"),
  close: libc.func("int close(int fd)"),
};

const AF_UNSPEC = 0;
const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_LINGER = 13;

const checked = (result: unknown, fd = -1): number => {
  const value = Number(result);
  if (value >= 0) return value;
  const name = libc.errnoName(libc.errno());
  if (fd >= 0) c.close(fd);
  throw new Error(name);
};

const loopback = (port: number): Uint8Array =>
  Uint8Array.of(AF_INET, 0, port >> 8, port & 255, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0);

/** A TCP client of 127.0.0.1 that does what node:net cannot: each call blocks until it is done. */
export const connectRaw = (port: number) => {
  const fd = checked(c.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const connectTo = (to: number): void => void checked(c.connect(fd, loopback(to), 16), fd);
  connectTo(port);
  return {
    send: (bytes: number): void => void checked(c.send(fd, new Uint8Array(bytes), bytes, 0)),
    /** connect(AF_UNSPEC): the same socket, unconnected. */
    disconnect: (): void => void checked(c.connect(fd, Uint8Array.of(AF_UNSPEC, 0, ...Array(14).fill(0)), 16)),
    connectTo,
    /** With SO_LINGER 0 the kernel resets the connection, and erases what it counted. */
    reset: (): void => {
      checked(c.setsockopt(fd, SOL_SOCKET, SO_LINGER, Int32Array.of(1, 0), 8));
      checked(c.close(fd));
    },
    close: (): void => void checked(c.close(fd)),
  };
};
