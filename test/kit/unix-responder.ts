import { setInterval } from "node:timers";
import { loadLibc } from "../../src/kernel/libc.ts";

const libc = loadLibc();
const c = {
  socket: libc.func("int socket(int domain, int type, int protocol)"),
  bind: libc.func("int bind(int fd, const void *address, uint32_t size)"),
  listen: libc.func("int listen(int fd, int backlog)"),
  accept: libc.func("int accept(int fd, void *address, void *size)"),
  recvfrom: libc.func("intptr_t recvfrom(int fd, void *data, size_t size, int flags, void *address, void *length)"),
  sendto: libc.func(
    "intptr_t sendto(int fd, const void *data, size_t size, int flags, const void *address, uint32_t length)",
  ),
  close: libc.func("int close(int fd)"),
};
const AF_UNIX = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const types = { dgram: 2, seqpacket: 5 };

/** A unix socket that sends `answers` to whoever sends a packet; without any it closes the connection. */
export const respondUnix = (
  path: string,
  type: keyof typeof types,
  answers: readonly string[],
): Disposable & { readonly heard: readonly string[] } => {
  const fd = Number(c.socket(AF_UNIX, types[type] | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const name = Uint8Array.of(AF_UNIX, 0, ...Buffer.from(`${path}\0`));
  if (Number(c.bind(fd, name, name.length)) !== 0) throw new Error(libc.errnoName(libc.errno()));
  if (type === "seqpacket") c.listen(fd, 16);
  const peers = new Set<number>(type === "seqpacket" ? [] : [fd]);
  const heard: string[] = [];
  const data = new Uint8Array(4096);
  const from = new Uint8Array(128);
  const timer = setInterval(() => {
    if (type === "seqpacket") {
      const peer = Number(c.accept(fd, null, null));
      if (peer >= 0) peers.add(peer);
    }
    for (const peer of peers) {
      const size = Uint32Array.of(from.length);
      const length = Number(c.recvfrom(peer, data, data.length, MSG_DONTWAIT, from, size));
      if (length < 0) continue;
      heard.push(Buffer.from(data.subarray(0, length)).toString());
      for (const answer of answers) {
        const bytes = Buffer.from(answer);
        c.sendto(
          peer,
          bytes,
          bytes.length,
          MSG_DONTWAIT,
          type === "dgram" ? from : null,
          type === "dgram" ? size[0] : 0,
        );
      }
      if (answers.length === 0 || length === 0) {
        c.close(peer);
        peers.delete(peer);
      }
    }
  }, 1);
  return {
    heard,
    [Symbol.dispose]: () => {
      clearInterval(timer);
      for (const each of new Set([...peers, fd])) c.close(each);
    },
  };
};
