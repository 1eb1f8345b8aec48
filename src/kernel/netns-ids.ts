import { SourceError } from "../model/errors.ts";
import { AF_NETLINK, NETLINK_ROUTE } from "../netlink/constants.ts";
import { createReceiveBuffer } from "../netlink/message.ts";
import { decodeNetnsId, encodeGetNetnsId, encodeNewNetnsId, type NetnsIdReply } from "../netlink/netns-id.ts";
import type { Libc } from "./libc.ts";

const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const EEXIST = 17;

/**
 * The first id that is given. Far from those of the kernel, which takes the lowest free one: it would give the id of a
 * namespace that has ended to the next one, whose events would then pass for the other's.
 */
const firstId = 0x2000_0000;
/** Ids that are tried before a namespace goes without: those that an agent before this one gave may be in use. */
const mostTries = 4_096;

export type NetnsIds = {
  /** The id of the namespace of an open file; undefined: it has none. Throws `SourceError`. */
  readonly knownId: (file: number) => number | undefined;
  /** The same; it is given one where it has none. */
  readonly idOf: (file: number) => number;
  readonly close: () => void;
};

/**
 * Ids of network namespaces as the agent's own numbers them (rtnetlink): without one, nothing of what happens in a
 * namespace is told outside of it. Giving one needs CAP_NET_ADMIN, and it stays as long as the namespace does.
 */
export const createNetnsIds = (libc: Libc): NetnsIds => {
  const c = {
    socket: libc.func("int socket(int domain, int type, int protocol)"),
    send: libc.func("intptr_t send(int fd, const void *data, size_t size, int flags)"),
    recv: libc.func("intptr_t recv(int fd, void *data, size_t size, int flags)"),
    close: libc.func("int close(int fd)"),
  };
  const failed = (what: string, errno: number): SourceError =>
    new SourceError(`${what} of a network namespace failed: ${libc.errnoName(errno)}`);
  const buffer = createReceiveBuffer(4096);
  let fd = -1;
  let seq = 0;
  let next = firstId;

  const ask = (what: string, request: Uint8Array): NetnsIdReply => {
    if (fd < 0) fd = Number(c.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (fd < 0 || Number(c.send(fd, request, request.length, 0)) < 0) throw failed(what, libc.errno());
    for (;;) {
      // The kernel has answered when send returns.
      const length = Number(c.recv(fd, buffer.bytes, buffer.bytes.length, MSG_DONTWAIT));
      if (length < 0) throw failed(what, libc.errno());
      const reply = decodeNetnsId(buffer, length, seq);
      if (reply !== undefined) return reply;
    }
  };

  const get = (file: number): number => {
    const reply = ask("RTM_GETNSID", encodeGetNetnsId(++seq, file));
    if ("errno" in reply) throw failed("RTM_GETNSID", reply.errno);
    return reply.id;
  };

  const give = (file: number): number => {
    for (let tries = 0; tries < mostTries; tries++) {
      const id = next++;
      const reply = ask("RTM_NEWNSID", encodeNewNetnsId(++seq, file, id));
      const errno = "errno" in reply ? reply.errno : 0;
      if (errno === 0) return id;
      if (errno !== EEXIST) throw failed("RTM_NEWNSID", errno);
      // The id is another's, or somebody has given the namespace one since.
      const given = get(file);
      if (given >= 0) return given;
    }
    throw failed("RTM_NEWNSID", EEXIST);
  };

  return {
    knownId: (file) => {
      const given = get(file);
      return given >= 0 ? given : undefined;
    },
    idOf: (file) => {
      const given = get(file);
      return given >= 0 ? given : give(file);
    },
    close: () => {
      if (fd >= 0) c.close(fd);
      fd = -1;
    },
  };
};
