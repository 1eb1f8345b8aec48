import type { Address, Family } from "../model/sources.ts";
import type { Libc } from "./libc.ts";

/** What getaddrinfo(3) said: addresses, or the name of its error code and of errno where it set one. */
export type Answer =
  | { readonly addresses: readonly Address[] }
  | { readonly failed: string; readonly errno: string | undefined };

export type GetAddrInfo = (host: string, family: Family) => Answer;

type Layout = {
  readonly AF_INET6: number;
  readonly NI_NUMERICHOST: number;
  /** The two members of `struct addrinfo` whose order differs. */
  readonly addrinfo: readonly [string, string];
  readonly errors: Readonly<Record<number, string>>;
};

/** <netdb.h> and <sys/socket.h>; glibc and musl agree. */
const layouts: Readonly<Partial<Record<string, Layout>>> = {
  linux: {
    AF_INET6: 10,
    NI_NUMERICHOST: 1,
    addrinfo: ["ai_addr", "ai_canonname"],
    errors: {
      [-1]: "EAI_BADFLAGS",
      [-2]: "EAI_NONAME",
      [-3]: "EAI_AGAIN",
      [-4]: "EAI_FAIL",
      [-5]: "EAI_NODATA",
      [-6]: "EAI_FAMILY",
      [-7]: "EAI_SOCKTYPE",
      [-8]: "EAI_SERVICE",
      [-9]: "EAI_ADDRFAMILY",
      [-10]: "EAI_MEMORY",
      [-11]: "EAI_SYSTEM",
      [-12]: "EAI_OVERFLOW",
    },
  },
  darwin: {
    AF_INET6: 30,
    NI_NUMERICHOST: 2,
    addrinfo: ["ai_canonname", "ai_addr"],
    errors: {
      1: "EAI_ADDRFAMILY",
      2: "EAI_AGAIN",
      3: "EAI_BADFLAGS",
      4: "EAI_FAIL",
      5: "EAI_FAMILY",
      6: "EAI_MEMORY",
      7: "EAI_NODATA",
      8: "EAI_NONAME",
      9: "EAI_SERVICE",
      10: "EAI_SOCKTYPE",
      11: "EAI_SYSTEM",
      14: "EAI_OVERFLOW",
    },
  },
};

const AF_UNSPEC = 0;
const AF_INET = 2;
const SOCK_STREAM = 1;
/** An IPv6 address with a scope: INET6_ADDRSTRLEN + IF_NAMESIZE. */
const hostBytes = 64;
/** `struct addrinfo` is 48 bytes, or 32; what follows the first three members is 0. */
const hintsLength = 12;

type AddrInfo = {
  readonly ai_family: number;
  readonly ai_addrlen: number;
  readonly ai_addr: bigint;
  readonly ai_next: bigint | null;
};

/**
 * Binds getaddrinfo(3), which blocks the calling thread for as long as the system's resolver takes. The hints ask for
 * SOCK_STREAM, since every address would come once a socket type otherwise, and set no flag: AI_ADDRCONFIG would hide
 * the addresses of a family that only the loopback interface has.
 * Throws where there is no layout of this platform's structs.
 */
export const bindGetAddrInfo = (libc: Libc, platform: string = process.platform): GetAddrInfo => {
  const layout = layouts[platform];
  if (layout === undefined) throw new Error(`no layout of struct addrinfo for ${platform}`);
  const c = {
    getaddrinfo: libc.func("int getaddrinfo(const char *host, void *service, const void *hints, _Out_ void **list)"),
    freeaddrinfo: libc.func("void freeaddrinfo(void *list)"),
    getnameinfo: libc.func(
      "int getnameinfo(const void *address, uint32_t size, void *host, uint32_t bytes, void *service, uint32_t none, int flags)",
    ),
  };
  const addrinfo = libc.struct({
    ai_flags: "int",
    ai_family: "int",
    ai_socktype: "int",
    ai_protocol: "int",
    ai_addrlen: "uint32_t",
    [layout.addrinfo[0]]: "void *",
    [layout.addrinfo[1]]: "void *",
    ai_next: "void *",
  });
  const families: Readonly<Record<Family, number>> = { 0: AF_UNSPEC, 4: AF_INET, 6: layout.AF_INET6 };

  /** By getnameinfo(3), which writes the zone's name as connecting needs it, and knows this platform's sockaddr. */
  const addressOf = (info: AddrInfo): Address | undefined => {
    const host = new Uint8Array(hostBytes);
    const code = c.getnameinfo(info.ai_addr, info.ai_addrlen, host, hostBytes, null, 0, layout.NI_NUMERICHOST);
    if (Number(code) !== 0) return undefined;
    const address = Buffer.from(host.buffer, 0, host.indexOf(0)).toString("latin1");
    return { address, family: info.ai_family === layout.AF_INET6 ? 6 : 4 };
  };

  const readList = (head: bigint): Address[] => {
    const found = new Map<string, Address>();
    for (let next: bigint | null = head; next !== null;) {
      const info: AddrInfo = libc.decode(next, addrinfo);
      const address = addressOf(info);
      if (address !== undefined && !found.has(address.address)) found.set(address.address, address);
      next = info.ai_next;
    }
    return [...found.values()];
  };

  return (host, family) => {
    // C would read the name to there, and find another host.
    if (host.includes("\0")) return { failed: "EAI_NONAME", errno: undefined };
    const hints = new Int32Array(hintsLength);
    hints.set([0, families[family], SOCK_STREAM]);
    const list: [bigint | null] = [null];
    libc.clearErrno();
    const code = Number(c.getaddrinfo(host, null, hints, list));
    const errno = libc.errno();
    const [head] = list;
    if (code !== 0 || head === null) {
      return { failed: layout.errors[code] ?? `EAI ${code}`, errno: errno === 0 ? undefined : libc.errnoName(errno) };
    }
    const addresses = readList(head);
    c.freeaddrinfo(head);
    return addresses.length > 0 ? { addresses } : { failed: "EAI_NODATA", errno: undefined };
  };
};
