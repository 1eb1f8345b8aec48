import type { Source } from "../model/target.ts";
import type { Libc } from "./libc.ts";
import type { EncodeAddress, SocketName } from "./socket-name.ts";

/** <sys/socket.h>, <netinet/in.h>, <linux/tcp.h>, <sys/epoll.h> of Linux; the same on every architecture of `layouts`. */
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_SEQPACKET = 5;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
export const IPPROTO_ICMP = 1;
const IPPROTO_TCP = 6;
export const IPPROTO_ICMPV6 = 58;
export const SOL_IP = 0;
export const SOL_SOCKET = 1;
export const SOL_IPV6 = 41;
export const SOL_RAW = 255;
const SO_ERROR = 4;
const SO_BINDTODEVICE = 25;
const IP_BIND_ADDRESS_NO_PORT = 24;
const TCP_INFO = 11;
export const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
export const EPOLLIN = 0x1;
export const EPOLLOUT = 0x4;
export const EPOLLERR = 0x8;
export const EPOLLRDHUP = 0x2000;
const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;
const CLOCK_REALTIME = 0;
const EINTR = 4;
export const EAGAIN = 11;
export const EINPROGRESS = 115;

const interfaceBytes = 16;
const tcpInfoBytes = 280;
const tcpInfoRtt = 68;

/**
 * `struct epoll_event` is packed on x86-64 alone, for its 32-bit programs' sake. No architecture of 32 bits: structs
 * with pointers are written by hand here.
 */
const layouts: Readonly<Partial<Record<string, { readonly eventBytes: number; readonly eventData: number }>>> = {
  x64: { eventBytes: 12, eventData: 4 },
  arm64: { eventBytes: 16, eventData: 8 },
  riscv64: { eventBytes: 16, eventData: 8 },
  loong64: { eventBytes: 16, eventData: 8 },
};

/** A call that failed; `code` is the name of its errno. */
export class SocketError extends Error {
  readonly code: string;
  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/** Events that one `Poller.wait` finds; more of them are found by the next. */
export const maxEvents = 256;

/**
 * Socket calls of Linux's libc, on nonblocking sockets. Those that return nothing throw `SocketError`.
 * Throws where libc has no such function, or where the structs of this platform are not known.
 */
export const bindSocketCalls = (libc: Libc, platform: string = process.platform, arch: string = process.arch) => {
  const layout = platform === "linux" ? layouts[arch] : undefined;
  if (layout === undefined) throw new Error(`no layout of socket structs for ${platform} on ${arch}`);
  const c = {
    socket: libc.func("int socket(int domain, int type, int protocol)"),
    close: libc.func("int close(int fd)"),
    bind: libc.func("int bind(int fd, const void *name, uint32_t size)"),
    connect: libc.func("int connect(int fd, const void *name, uint32_t size)"),
    send: libc.func("intptr_t send(int fd, const void *data, size_t size, int flags)"),
    getsockopt: libc.func("int getsockopt(int fd, int level, int option, void *value, void *size)"),
    setsockopt: libc.func("int setsockopt(int fd, int level, int option, const void *value, uint32_t size)"),
    getsockname: libc.func("int getsockname(int fd, void *name, void *size)"),
    getpeername: libc.func("int getpeername(int fd, void *name, void *size)"),
    epoll_create1: libc.func("int epoll_create1(int flags)"),
    epoll_ctl: libc.func("int epoll_ctl(int epoll, int operation, int fd, const void *event)"),
    epoll_wait: libc.func("int epoll_wait(int epoll, void *events, int most, int timeout)"),
    eventfd: libc.func("int eventfd(unsigned int value, int flags)"),
    read: libc.func("intptr_t read(int fd, void *data, size_t size)"),
    write: libc.func("intptr_t write(int fd, const void *data, size_t size)"),
    clock_gettime: libc.func("int clock_gettime(int clock, void *time)"),
  };

  // One of each, reused. V8 would have to move arrays of 64 bytes and less out of its heap at their first call.
  const scratch = new DataView(new ArrayBuffer(512));
  const bytes = new Uint8Array(scratch.buffer);
  const size = new Uint32Array(32);
  const ownName = new Uint8Array(128);
  const peerName = new Uint8Array(128);

  const succeed = (result: unknown): number => {
    if (Number(result) < 0) throw new SocketError(libc.errnoName(libc.errno()));
    return Number(result);
  };
  const sizeOf = (most: number): Uint32Array => {
    size[0] = most;
    return size;
  };
  const nameInto = (
    name: Uint8Array,
    call: (fd: number, name: Uint8Array, size: Uint32Array) => unknown,
    fd: number,
  ) => (Number(call(fd, name, sizeOf(name.length))) < 0 ? "" : Buffer.from(name.buffer, 0, size[0]).toString("latin1"));

  const setBytes = (fd: number, level: number, option: number, value: Uint8Array): boolean =>
    Number(c.setsockopt(fd, level, option, value, value.length)) === 0;

  /** Whether the kernel knows the option. */
  const setNumber = (fd: number, level: number, option: number, value: number): boolean => {
    scratch.setInt32(0, value, true);
    return Number(c.setsockopt(fd, level, option, bytes, 4)) === 0;
  };

  const bind = (fd: number, name: SocketName): void => void succeed(c.bind(fd, name.bytes, name.length));

  return {
    layout,
    open: (family: number, type: number, protocol: number): number =>
      succeed(c.socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol)),
    close: (fd: number): void => void c.close(fd),
    /** Binds a unix socket to a name of the kernel's choice (unix(7), autobind). */
    bindUnnamed: (fd: number): void => {
      scratch.setUint16(0, AF_UNIX, true);
      succeed(c.bind(fd, bytes, 2));
    },
    /** Binds to where packets shall leave from; the port is chosen by connect(2), which knows the whole 4-tuple. */
    bindSource: (fd: number, family: 4 | 6, source: Source, encode: EncodeAddress): void => {
      if (source.interface !== undefined) {
        const name = Buffer.from(`${source.interface}\0`);
        // The kernel would cut it off, and take another one.
        if (name.length > interfaceBytes || source.interface.includes("\0")) throw new SocketError("ENODEV");
        succeed(c.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, name.length));
      }
      if (source.address !== undefined) {
        const own = source.address.includes(":") ? 6 : 4;
        if (own !== family) throw new SocketError("EAFNOSUPPORT");
        setNumber(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
        bind(fd, encode({ address: source.address, family, port: 0 }));
      }
    },
    /** errno, or 0. */
    connect: (fd: number, name: SocketName): number =>
      Number(c.connect(fd, name.bytes, name.length)) === 0 ? 0 : libc.errno(),
    /** The socket's own port; of a ping socket, the identifier of its requests. */
    ownPort: (fd: number): number => {
      nameInto(ownName, c.getsockname, fd);
      return (ownName[2]! << 8) | ownName[3]!;
    },
    send: (fd: number, data: Uint8Array): void =>
      void succeed(c.send(fd, data, data.length, MSG_DONTWAIT | MSG_NOSIGNAL)),
    /** The error of the socket, which is cleared; errno, or 0. */
    takeError: (fd: number): number =>
      Number(c.getsockopt(fd, SOL_SOCKET, SO_ERROR, bytes, sizeOf(4))) === 0 ? scratch.getInt32(0, true) : libc.errno(),
    setBytes,
    setNumber,
    /** tcpi_rtt in s; undefined where the kernel has measured none. */
    rtt: (fd: number): number | undefined => {
      if (Number(c.getsockopt(fd, IPPROTO_TCP, TCP_INFO, bytes, sizeOf(tcpInfoBytes))) !== 0) return undefined;
      const rtt = size[0]! >= tcpInfoRtt + 4 ? scratch.getUint32(tcpInfoRtt, true) : 0;
      return rtt === 0 ? undefined : rtt / 1e6;
    },
    /**
     * Whether the kernel took the target's port as the local one, of a host that is this one: the SYN then meets itself
     * and is answered (RFC 9293 section 3.5, simultaneous open) though nobody listens, and a datagram comes back.
     */
    metItself: (fd: number, port: number): boolean => {
      const own = nameInto(ownName, c.getsockname, fd);
      // Hardly any has the port of its peer, so that mostly one call is enough.
      if (ownName[2] !== port >> 8 || ownName[3] !== (port & 0xff)) return false;
      return own === nameInto(peerName, c.getpeername, fd);
    },
    createEvent: (): number => succeed(c.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
    setEvent: (fd: number): void => {
      scratch.setBigUint64(0, 1n, true);
      c.write(fd, bytes, 8);
    },
    clearEvent: (fd: number): void => void c.read(fd, bytes, 8),
    createPoller: (): number => succeed(c.epoll_create1(EPOLL_CLOEXEC)),
    /** `key` comes with the events; a float, which holds it exactly, because it has the 64 bits that there are. */
    watch: (poller: number, fd: number, events: number, key: number): void => {
      scratch.setUint32(0, events, true);
      scratch.setFloat64(layout.eventData, key, true);
      succeed(c.epoll_ctl(poller, EPOLL_CTL_ADD, fd, bytes));
    },
    unwatch: (poller: number, fd: number): void => void c.epoll_ctl(poller, EPOLL_CTL_DEL, fd, bytes),
    /** How many events are in `events`, which has room for `maxEvents`. `timeout` in ms, -1 for none. */
    wait: (poller: number, events: Uint8Array, timeout: number): number => {
      const count = Number(c.epoll_wait(poller, events, maxEvents, timeout));
      if (count >= 0) return count;
      const errno = libc.errno();
      if (errno !== EINTR) throw new SocketError(libc.errnoName(errno));
      return 0;
    },
    /** CLOCK_REALTIME less the given time, in ms. */
    msSince: (seconds: number, nanoseconds: number): number => {
      c.clock_gettime(CLOCK_REALTIME, bytes);
      return (
        (Number(scratch.getBigInt64(0, true)) - seconds) * 1e3 +
        (Number(scratch.getBigInt64(8, true)) - nanoseconds) / 1e6
      );
    },
    errnoName: (errno: number): string => libc.errnoName(errno),
  };
};

export type SocketCalls = ReturnType<typeof bindSocketCalls>;
