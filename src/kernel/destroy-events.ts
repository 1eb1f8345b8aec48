import { SourceError } from "../model/errors.ts";
import { createSocketBatch, type SocketBatch } from "../model/socket.ts";
import type { DestroyEvents } from "../model/sources.ts";
import {
  AF_NETLINK,
  NETLINK_SOCK_DIAG,
  SKNLGRP_INET6_TCP_DESTROY,
  SKNLGRP_INET_TCP_DESTROY,
} from "../netlink/constants.ts";
import { decodeReceive, type DecodeMessage } from "../netlink/message.ts";
import { tcpInfoStride } from "../netlink/tcp-info.ts";
import { createNetnsReceiver, createReceiver } from "./event-receive.ts";
import type { Libc } from "./libc.ts";

const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
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
const NETLINK_LISTEN_ALL_NSID = 8;

/**
 * Bytes asked for; the kernel doubles them and charges 1,280 for each event, so that a second's closing of 50,000
 * sockets has room. Without CAP_NET_ADMIN it is at most net.core.rmem_max. Memory is taken for events only.
 */
const receiveBufferBytes = 32 * 1024 * 1024;
/** What the kernel charges an event of TCP, which is 380 bytes long. */
const chargeOfEvent = 1_280;
const rowsOfBatch = 256;

/** What the events of other network namespaces are to their receiver. */
export type EventsOfNetns = {
  /** Said once, before the first event: why there are none; undefined: there are. Needs CAP_NET_BROADCAST. */
  readonly heard: (refusal: string | undefined) => void;
  /** Marks rows as those of the namespace with this id, undefined for the agent's own; false: they are not wanted. */
  readonly mark: (batch: SocketBatch, from: number, id: number | undefined) => boolean;
};

export type EventOptions = {
  readonly bufferBytes?: number;
  /** Undefined: the agent's own namespace is the only one. */
  readonly netns?: EventsOfNetns | undefined;
};

/**
 * Subscribes to the destruction of TCP sockets (NETLINK_SOCK_DIAG, SKNLGRP_INET_TCP_DESTROY and its twin for IPv6),
 * which needs no privilege. With `netns` those of other network namespaces come, too, of all that have an id in this one.
 * Throws `SourceError` where the kernel or the sandbox refuses.
 */
export const subscribeDestroyEvents = (
  libc: Libc,
  decode: DecodeMessage,
  { bufferBytes = receiveBufferBytes, netns }: EventOptions = {},
): DestroyEvents => {
  const c = {
    socket: libc.func("int socket(int domain, int type, int protocol)"),
    bind: libc.func("int bind(int fd, const void *address, uint32_t size)"),
    setsockopt: libc.func("int setsockopt(int fd, int level, int name, const void *value, uint32_t size)"),
    getsockopt: libc.func("int getsockopt(int fd, int level, int name, void *value, void *size)"),
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
  if (netns !== undefined) {
    const refused = Number(option(SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, 1)) < 0;
    netns.heard(refused ? `NETLINK_LISTEN_ALL_NSID failed: ${libc.errnoName(libc.errno())}` : undefined);
  }
  for (const group of [SKNLGRP_INET_TCP_DESTROY, SKNLGRP_INET6_TCP_DESTROY])
    check("NETLINK_ADD_MEMBERSHIP", option(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group));

  const receiver = netns === undefined ? createReceiver(libc) : createNetnsReceiver(libc);
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
      const length = receiver.receive(fd);
      if (length >= 0) {
        const before = batch.length;
        decodeReceive(receiver.buffer, length, 0, decode, batch);
        if (netns?.mark(batch, before, receiver.netnsId()) === false) batch.length = before;
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
