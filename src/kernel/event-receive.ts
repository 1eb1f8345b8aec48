import { createReceiveBuffer, type ReceiveBuffer } from "../netlink/message.ts";
import type { Libc } from "./libc.ts";

const MSG_DONTWAIT = 0x40;
const SOL_NETLINK = 270;
/** The type of the control message that names the namespace of what was received. */
const NETLINK_LISTEN_ALL_NSID = 8;

/** An event of TCP is 380 bytes. */
const eventBytes = 4096;

export type EventReceiver = {
  /** What the last call received. */
  readonly buffer: ReceiveBuffer;
  /** Bytes of the next event, or less than 0 where there is an errno. */
  readonly receive: (fd: number) => number;
  /** The id of the network namespace that it is of; undefined: the agent's own. */
  readonly netnsId: () => number | undefined;
};

/** Receives by recv(2), which is all that events of one namespace need. */
export const createReceiver = (libc: Libc): EventReceiver => {
  const recv = libc.func("intptr_t recv(int fd, void *data, size_t size, int flags)");
  const buffer = createReceiveBuffer(eventBytes);
  return {
    buffer,
    receive: (fd) => Number(recv(fd, buffer.bytes, eventBytes, MSG_DONTWAIT)),
    netnsId: () => undefined,
  };
};

/** `struct iovec` { base, len }, a control message and the event, behind `struct msghdr`. */
const vectorAt = 64;
const controlAt = 128;
const controlBytes = 64;
const controlHeaderBytes = 16;
const eventAt = controlAt + controlBytes;

/**
 * Receives by recvmsg(2), with the id of the event's network namespace. The layouts are those of 64 bits: `struct msghdr`
 * { name, namelen, iov, iovlen, control, controllen, flags }, `struct cmsghdr` { len, level, type }.
 */
export const createNetnsReceiver = (libc: Libc): EventReceiver => {
  const recvmsg = libc.func("intptr_t recvmsg(int fd, void *message, int flags)");
  // NB: one block, as in packet-receive.ts: V8 would free what only an address in another array leads to.
  const block = new Uint8Array(eventAt + eventBytes);
  const message = new DataView(block.buffer);
  const address = libc.address(block);
  message.setBigUint64(vectorAt, address + BigInt(eventAt), true);
  message.setBigUint64(vectorAt + 8, BigInt(eventBytes), true);
  message.setBigUint64(16, address + BigInt(vectorAt), true);
  message.setBigUint64(24, 1n, true);
  message.setBigUint64(32, address + BigInt(controlAt), true);
  const isGiven = (): boolean =>
    message.getUint32(40, true) >= controlHeaderBytes + 4 &&
    message.getInt32(controlAt + 8, true) === SOL_NETLINK &&
    message.getInt32(controlAt + 12, true) === NETLINK_LISTEN_ALL_NSID;
  return {
    buffer: {
      bytes: new Uint8Array(block.buffer, eventAt, eventBytes),
      halves: new Uint16Array(block.buffer, eventAt, eventBytes / 2),
      words: new Uint32Array(block.buffer, eventAt, eventBytes / 4),
    },
    receive: (fd) => {
      // The kernel leaves its own length there.
      message.setUint32(40, controlBytes, true);
      return Number(recvmsg(fd, block, MSG_DONTWAIT));
    },
    netnsId: () => (isGiven() ? message.getInt32(controlAt + controlHeaderBytes, true) : undefined),
  };
};
