import { loadLibc } from "../../src/kernel/libc.ts";

/** Sockets that node:net cannot make: listeners that never accept, and unix sockets of other types. */

const libc = loadLibc();
const c = {
  socket: libc.func("int socket(int domain, int type, int protocol)"),
  bind: libc.func("int bind(int fd, const void *address, uint32_t size)"),
  listen: libc.func("int listen(int fd, int backlog)"),
  accept: libc.func("int accept(int fd, void *address, void *size)"),
  getsockname: libc.func("int getsockname(int fd, void *address, void *size)"),
  close: libc.func("int close(int fd)"),
};

const AF_UNIX = 1;
const AF_INET = 2;
const SOCK_RAW = 3;
const IPPROTO_ICMP = 1;
const SOCK_CLOEXEC = 0o2000000;
export const socketTypes = { stream: 1, dgram: 2, seqpacket: 5 } as const;

const checked = (result: unknown): number => {
  if (typeof result !== "number" || result < 0) throw new Error(libc.errnoName(libc.errno()));
  return result;
};

export type RawSocket = Disposable & { readonly port: number; accept(): void };

const bound = (family: number, type: number, address: Uint8Array, backlog: number | undefined): RawSocket => {
  const fd = checked(c.socket(family, type | SOCK_CLOEXEC, 0));
  const accepted: number[] = [];
  checked(c.bind(fd, address, address.length));
  if (backlog !== undefined) checked(c.listen(fd, backlog));
  const name = new Uint8Array(128);
  checked(c.getsockname(fd, name, Uint32Array.of(name.length)));
  return {
    port: new DataView(name.buffer).getUint16(2),
    /** Blocks until there is a connection. */
    accept: () => void accepted.push(checked(c.accept(fd, null, null))),
    [Symbol.dispose]: () => {
      for (const each of [...accepted, fd]) c.close(each);
    },
  };
};

/** A raw socket of IPv4 and ICMP, which needs CAP_NET_RAW. */
export const openRawIcmp = (): Disposable => {
  const fd = checked(c.socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
  return { [Symbol.dispose]: () => void c.close(fd) };
};

/** A TCP listener that accepts nothing of its own accord: with backlog 0 one connection waits, and the next SYN is dropped. */
export const listenRaw = (address: readonly [number, number, number, number]): RawSocket =>
  bound(AF_INET, socketTypes.stream, Uint8Array.of(AF_INET, 0, 0, 0, ...address, 0, 0, 0, 0, 0, 0, 0, 0), 0);

export const bindUnix = (path: string, type: keyof typeof socketTypes, backlog?: number): RawSocket =>
  bound(AF_UNIX, socketTypes[type], Uint8Array.of(AF_UNIX, 0, ...Buffer.from(`${path}\0`)), backlog);

/** A UDP socket on a port of 127.0.0.1 that reads nothing: its queue fills, and what comes then is dropped. */
export const bindUdpRaw = (): RawSocket =>
  bound(AF_INET, socketTypes.dgram, Uint8Array.of(AF_INET, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0), undefined);
