import { SourceError } from "../model/errors.ts";
import { createSocketBatch } from "../model/socket.ts";
import type { DestroyEvents } from "../model/sources.ts";
import {
  AF_NETLINK,
  NETLINK_SOCK_DIAG,
  SKNLGRP_INET6_TCP_DESTROY,
  SKNLGRP_INET_TCP_DESTROY,
} from "../netlink/constants.ts";
import { createReceiveBuffer, decodeReceive, type DecodeMessage } from "../netlink/message.ts";
import { tcpInfoStride } from "../netlink/tcp-info.ts";
import type { Libc } from "./libc.ts";

const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const EINTR = 4;
const EAGAIN = 11;
const ENOBUFS = 105;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_RCVBUFFORCE = 33;
const SO_MEMINFO = 55;
const SK_MEMINFO_RCVBUF = 1;
const SK_MEMINFO_DROPS = 8;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;

/**
 * Bytes asked for; the kernel doubles them and charges 1,280 for each event, so that a second's closing of 50,000
 * sockets has room. Without CAP_NET_ADMIN it is at most net.core.rmem_max. Memory is taken for events only.
 */
const receiveBufferBytes = 32 * 1024 * 1024;
/** What the kernel charges an event of TCP, which is 380 bytes long. */
const chargeOfEvent = 1_280;
/** An event of TCP is 380 bytes. */
const eventBytes = 4096;
const rowsOfBatch = 256;

/**
 * Subscribes to the destruction of TCP sockets (NETLINK_SOCK_DIAG, SKNLGRP_INET_TCP_DESTROY and its twin for IPv6),
 * which needs no privilege. Throws `SourceError` where the kernel or the sandbox refuses.
 */
export const subscribeDestroyEvents = (
  libc: Libc,
  decode: DecodeMessage,
  bufferBytes = receiveBufferBytes,
): DestroyEvents => {
  const c = {
    socket: libc.func("int socket(int domain, int type, int protocol)"),
    bind: libc.func("int bind(int fd, const void *address, uint32_t size)"),
    setsockopt: libc.func("int setsockopt(int fd, int level, int name, const void *value, uint32_t size)"),
    getsockopt: libc.func("int getsockopt(int fd, int level, int name, void *value, void *size)"),
    recv: libc.func("intptr_t recv(int fd, void *data, size_t size, int flags)"),
    close: libc.func("int close(int fd)"),
  };
  const fd = c.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG) as number;
  const check = (call: string, result: unknown): void => {
    if (Number(result) >= 0) return;
    const errno = libc.errnoName(libc.errno());
    if (fd >= 0) c.close(fd);
    throw new SourceError(`${call} of a netlink socket for destroy events failed: ${errno}`);
  };
  check("socket()", fd);
  const option = (level: number, name: number, value: number): unknown =>
    c.setsockopt(fd, level, name, Int32Array.of(value), 4);
  // struct sockaddr_nl. Without an address of its own a socket joins the groups and never hears of them.
  check("bind()", c.bind(fd, Uint16Array.of(AF_NETLINK, 0, 0, 0, 0, 0), 12));
  if (Number(option(SOL_SOCKET, SO_RCVBUFFORCE, bufferBytes)) < 0)
    check("SO_RCVBUF", option(SOL_SOCKET, SO_RCVBUF, bufferBytes));
  for (const group of [SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY])
    check("NETLINK_ADD_MEMBERSHIP", option(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group));

  const buffer = createReceiveBuffer(eventBytes);
  const batch = createSocketBatch(rowsOfBatch, tcpInfoStride);
  const memory = new Uint32Array(9);
  const memorySize = Uint32Array.of(memory.byteLength);

  const readMemory = (index: number): number => {
    memorySize[0] = memory.byteLength;
    const failed = Number(c.getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, memorySize)) < 0;
    return failed ? 0 : (memory[index] as number);
  };

  /** One event into the batch; false when there is none to be had now. */
  const receive = (): boolean => {
    for (;;) {
      const length = Number(c.recv(fd, buffer.bytes, eventBytes, MSG_DONTWAIT));
      if (length >= 0) {
        decodeReceive(buffer, length, 0, decode, batch);
        return true;
      }
      const errno = libc.errno();
      if (errno === EAGAIN) return false;
      // ENOBUFS says once that events were lost; how many is in SO_MEMINFO.
      if (errno !== EINTR && errno !== ENOBUFS)
        throw new SourceError(`recv() of destroy events failed: ${libc.errnoName(errno)}`);
    }
  };

  return {
    drain(most, found) {
      let drained = 0;
      for (let more = true; more && drained < most;) {
        batch.length = 0;
        while (more && batch.length < rowsOfBatch && drained < most) {
          more = receive();
          if (more) drained++;
        }
        if (batch.length > 0) found(batch);
      }
      return drained;
    },
    room: Math.floor(readMemory(SK_MEMINFO_RCVBUF) / chargeOfEvent),
    lost: () => readMemory(SK_MEMINFO_DROPS),
    close: () => void c.close(fd),
  };
};
