import { setImmediate, setTimeout } from "node:timers/promises";
import { SourceError } from "../model/errors.ts";
import type { DumpReport, ReadSockets } from "../model/sources.ts";
import { createSocketBatch, type SocketBatch, type SocketProtocol } from "../model/socket.ts";
import { AF_NETLINK, NETLINK_SOCK_DIAG } from "../netlink/constants.ts";
import { isLacking } from "../netlink/dumps.ts";
import { createReceiveBuffer, decodeReceive, type DumpRequest } from "../netlink/message.ts";
import { tcpInfoStride } from "../netlink/tcp-info.ts";
import type { Libc } from "./libc.ts";

const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
/** The length of the whole datagram is returned, even where the buffer holds but a part of it. */
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;
const EINTR = 4;
const EAGAIN = 11;
const ENOMEM = 12;
const EBUSY = 16;
const ENOBUFS = 105;

/** The kernel packs at most 32,448 bytes into one receive, whatever the buffer. */
const receiveBytes = 32_768;
/** The smallest socket message is one of a unix socket: a header and 16 bytes. */
const rowsOfReceive = Math.ceil(receiveBytes / 32);
/** Receives between two yields to the event loop. */
const receivesOfSlice = 8;
/** 8 receives of inet sockets have room, and at least 4 of unix sockets. */
const rowsOfBatch = 4 * rowsOfReceive;

export type SockDiagOptions = {
  /** Calls what opens the socket, where that is to happen in another network namespace. */
  readonly within?: (open: () => void) => void;
  /** Asked before each dump: whether the protocol has no more sockets than those that dumps have given so far. */
  readonly isEnough?: (protocol: SocketProtocol, sockets: number) => boolean;
};

export type SockDiag = { readonly read: ReadSockets; readonly close: () => void };

/** What a dump has given so far cannot be trusted; one on a new socket may be whole. */
class FaultyDump extends Error {}

/**
 * The dumps, one after the other, by NETLINK_SOCK_DIAG (sock_diag(7)), which needs no privilege. A batch holds the
 * sockets of at most 8 receives, all of one protocol. The dumps of a protocol are made once more where one is faulty.
 * `read` throws `SourceError` where that is of no use, where the kernel refuses, or the sandbox has no such socket.
 */
export const createSockDiag = (
  libc: Libc,
  requests: readonly DumpRequest[],
  { within = (open) => open(), isEnough = () => false }: SockDiagOptions = {},
): SockDiag => {
  const c = {
    socket: libc.func("int socket(int domain, int type, int protocol)"),
    send: libc.func("intptr_t send(int fd, const void *data, size_t size, int flags)"),
    recv: libc.func("intptr_t recv(int fd, void *data, size_t size, int flags)"),
    close: libc.func("int close(int fd)"),
  };
  const failed = (call: string, errno: number): Error => {
    const message = `${call} of a sock_diag netlink socket failed: ${libc.errnoName(errno)}`;
    return errno === ENOBUFS || errno === ENOMEM ? new FaultyDump(message) : new SourceError(message);
  };

  let fd = -1;
  const open = (): void =>
    within(() => {
      fd = c.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG) as number;
      if (fd < 0) throw failed("socket()", libc.errno());
    });
  const close = (): void => {
    if (fd >= 0) c.close(fd);
    fd = -1;
  };

  const buffer = createReceiveBuffer(receiveBytes);
  const batch = createSocketBatch(rowsOfBatch, tcpInfoStride);
  let seq = 0;
  /** Sockets of the protocol that is being read. */
  let given = 0;

  /** Bytes received. The kernel fills a dump inside send and recv, so that there is nothing to wait for but a full receive queue. */
  const receive = async (signal: AbortSignal): Promise<number> => {
    for (;;) {
      const length = Number(c.recv(fd, buffer.bytes, receiveBytes, MSG_DONTWAIT | MSG_TRUNC));
      if (length > receiveBytes) throw new FaultyDump(`a datagram of ${length} bytes is truncated`);
      if (length >= 0) return length;
      const errno = libc.errno();
      if (errno !== EAGAIN && errno !== EINTR) throw failed("recv()", errno);
      await setTimeout(1, undefined, { signal });
    }
  };

  /** True where the kernel has such sockets. */
  async function* dump(
    request: DumpRequest,
    signal: AbortSignal,
    report: DumpReport,
  ): AsyncGenerator<SocketBatch, boolean> {
    const message = request.encode(++seq);
    if (Number(c.send(fd, message, message.length, 0)) < 0) throw failed("send()", libc.errno());
    for (;;) {
      batch.length = 0;
      for (let count = 0; count < receivesOfSlice && batch.length + rowsOfReceive <= rowsOfBatch; count++) {
        const result = decodeReceive(buffer, await receive(signal), seq, request.decode, batch);
        report.skipped += result.skipped;
        if (result.fault !== undefined) throw new FaultyDump(result.fault);
        if (!result.done) continue;
        if (result.errno === EBUSY) throw new FaultyDump("EBUSY");
        if (result.errno !== 0 && !isLacking(request.protocol, result.errno)) throw failed("a dump", result.errno);
        given += batch.length;
        if (batch.length > 0) yield batch;
        return result.errno === 0;
      }
      given += batch.length;
      yield batch;
      await setImmediate();
      signal.throwIfAborted();
    }
  }

  /** All dumps of one protocol. One that answers for IPv4 alone is there: this host has no IPv6. */
  async function* dumpAll(
    dumps: readonly DumpRequest[],
    signal: AbortSignal,
    report: DumpReport,
  ): AsyncGenerator<SocketBatch, boolean> {
    let answered = false;
    given = 0;
    for (const request of dumps) {
      signal.throwIfAborted();
      if (isEnough(request.protocol, given)) return true;
      if (fd < 0) open();
      if (yield* dump(request, signal, report)) answered = true;
    }
    return answered;
  }

  async function* dumpTwice(
    protocol: SocketProtocol,
    dumps: readonly DumpRequest[],
    signal: AbortSignal,
    report: DumpReport,
  ): AsyncGenerator<SocketBatch, boolean> {
    for (let retried = false; ; retried = true) {
      try {
        return yield* dumpAll(dumps, signal, report);
      } catch (error) {
        if (!(error instanceof FaultyDump)) throw error;
        if (retried) throw new SourceError(`two dumps of ${protocol} sockets in a row are faulty: ${error.message}`);
        close();
        report.retries++;
        report.restart(protocol);
      }
    }
  }

  async function* read(signal: AbortSignal, report: DumpReport): AsyncGenerator<SocketBatch> {
    let complete = false;
    try {
      for (const [protocol, dumps] of Map.groupBy(requests, (request) => request.protocol)) {
        if (!(yield* dumpTwice(protocol, dumps, signal, report))) report.lacking.add(protocol);
      }
      complete = true;
    } finally {
      // A dump that was left half-way keeps its socket busy (EBUSY): the next one starts on a new socket.
      if (!complete) close();
    }
  }

  return { read, close };
};
