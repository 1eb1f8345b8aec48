import type { Libc } from "./libc.ts";
import { MSG_DONTWAIT, SOL_IP, SOL_IPV6, SOL_SOCKET, type SocketCalls } from "./socket-calls.ts";

/** <sys/socket.h>, <linux/errqueue.h>. */
const SO_TIMESTAMPNS = 35;
const IP_TTL = 2;
const IP_RECVERR = 11;
const IP_RECVTTL = 12;
const IPV6_RECVERR = 25;
const IPV6_RECVHOPLIMIT = 51;
const IPV6_HOPLIMIT = 52;
const MSG_ERRQUEUE = 0x2000;

const packetBytes = 65_536;
/** Timestamp, TTL and extended error with the address of who sent it: 32 + 24 + 64 bytes. */
const controlBytes = 256;
const controlHeaderBytes = 16;
/** `struct iovec` { base, len }, the control messages and the packet, behind `struct msghdr`. */
const vectorAt = 64;
const controlAt = 128;
const packetAt = controlAt + controlBytes;

export type Receiver = {
  /** Asks the kernel for what comes with a packet; what it does not know stays away. */
  prepare(fd: number): void;
  /** Bytes of the next packet, those beyond the buffer left out; or less than 0: an errno, negated. */
  receive(fd: number): number;
  /** The same of the packets that errors are about, as they were sent. */
  receiveError(fd: number): number;
  /** What the last call received, and its control messages. */
  readonly bytes: Uint8Array;
  readonly control: {
    /** TTL or hop limit. */
    ttl: number | undefined;
    /** When the kernel received it: ms before the end of the call. */
    ageMs: number | undefined;
    /** Of an error. */
    errno: number | undefined;
  };
};

/**
 * Receives by recvmsg(2) into one buffer of 64 KiB, with its control messages. Their layouts are those of 64 bits:
 * `struct msghdr` { name, namelen, iov, iovlen, control, controllen, flags }, `struct cmsghdr` { len, level, type }.
 */
export const bindReceiver = (libc: Libc, calls: SocketCalls): Receiver => {
  const recvmsg = libc.func("intptr_t recvmsg(int fd, void *message, int flags)");
  // NB: one block, which recvmsg gets as an argument. Of an array that only an address in another one leads to, V8 knows
  // no use, and frees it.
  const block = new Uint8Array(packetAt + packetBytes);
  const message = new DataView(block.buffer);
  const controls = new DataView(block.buffer, controlAt);
  const address = libc.address(block);
  message.setBigUint64(vectorAt, address + BigInt(packetAt), true);
  message.setBigUint64(vectorAt + 8, BigInt(packetBytes), true);
  const control: Receiver["control"] = { ttl: undefined, ageMs: undefined, errno: undefined };

  const decode = (at: number): void => {
    const level = controls.getInt32(at + 8, true);
    const type = controls.getInt32(at + 12, true);
    const data = at + controlHeaderBytes;
    if (level === SOL_SOCKET && type === SO_TIMESTAMPNS) {
      control.ageMs = calls.msSince(
        Number(controls.getBigInt64(data, true)),
        Number(controls.getBigInt64(data + 8, true)),
      );
    } else if ((level === SOL_IP && type === IP_TTL) || (level === SOL_IPV6 && type === IPV6_HOPLIMIT)) {
      control.ttl = controls.getInt32(data, true);
    } else if ((level === SOL_IP && type === IP_RECVERR) || (level === SOL_IPV6 && type === IPV6_RECVERR)) {
      control.errno = controls.getUint32(data, true);
    }
  };

  const receive = (fd: number, flags: number): number => {
    // The kernel leaves its own lengths there.
    message.setBigUint64(16, address + BigInt(vectorAt), true);
    message.setBigUint64(24, 1n, true);
    message.setBigUint64(32, address + BigInt(controlAt), true);
    message.setBigUint64(40, BigInt(controlBytes), true);
    const length = Number(recvmsg(fd, block, flags | MSG_DONTWAIT));
    if (length < 0) return -libc.errno();
    control.ttl = undefined;
    control.ageMs = undefined;
    control.errno = undefined;
    const end = Number(message.getBigUint64(40, true));
    for (let at = 0; at + controlHeaderBytes <= end;) {
      const size = Number(controls.getBigUint64(at, true));
      if (size < controlHeaderBytes) break;
      decode(at);
      at += Math.ceil(size / 8) * 8;
    }
    return length;
  };

  return {
    prepare: (fd) => {
      calls.setNumber(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
      calls.setNumber(fd, SOL_IP, IP_RECVTTL, 1);
      calls.setNumber(fd, SOL_IP, IP_RECVERR, 1);
      calls.setNumber(fd, SOL_IPV6, IPV6_RECVHOPLIMIT, 1);
      calls.setNumber(fd, SOL_IPV6, IPV6_RECVERR, 1);
    },
    receive: (fd) => receive(fd, 0),
    receiveError: (fd) => receive(fd, MSG_ERRQUEUE),
    bytes: block.subarray(packetAt),
    control,
  };
};
