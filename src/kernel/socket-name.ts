import type { SocketAddress } from "../model/sources.ts";
import type { Libc } from "./libc.ts";
import { AF_INET, AF_INET6, AF_UNIX, SocketError } from "./socket-calls.ts";

/** A `struct sockaddr`. */
export type SocketName = {
  readonly bytes: Uint8Array;
  readonly length: number;
};

/** The name is valid until the next call. Throws `SocketError`. */
export type EncodeAddress = (address: SocketAddress) => SocketName;

/** `struct sockaddr_in`, `sockaddr_in6` and `sockaddr_un`. */
const inetLength = 16;
const inet6Length = 28;
const pathStart = 2;
const pathBytes = 108;

/** Encodes addresses; of IPv6 the zone is an interface's name or index. */
export const bindEncodeAddress = (libc: Libc): EncodeAddress => {
  const c = {
    inet_pton: libc.func("int inet_pton(int family, const char *text, void *address)"),
    if_nametoindex: libc.func("unsigned int if_nametoindex(const char *name)"),
  };
  const view = new DataView(new ArrayBuffer(128));
  const name = { bytes: new Uint8Array(view.buffer), length: 0 };
  const binary = new Uint8Array(128);

  const encodePath = (path: string): SocketName => {
    const bytes = Buffer.from(path);
    // The kernel would read it to there, and find another one.
    if (bytes.includes(0)) throw new SocketError("EINVAL");
    if (bytes.length > pathBytes) throw new SocketError("ENAMETOOLONG");
    view.setUint16(0, AF_UNIX, true);
    name.bytes.set(bytes, pathStart);
    name.bytes.fill(0, pathStart + bytes.length);
    // Of 108 bytes there is no room for a NUL, and unix(7) needs none.
    name.length = pathStart + Math.min(pathBytes, bytes.length + 1);
    return name;
  };

  const indexOf = (zone: string): number => {
    if (/^\d+$/.test(zone)) return Number(zone);
    const index = zone.includes("\0") ? 0 : Number(c.if_nametoindex(zone));
    if (index === 0) throw new SocketError("ENODEV");
    return index;
  };

  return (address) => {
    if ("path" in address) return encodePath(address.path);
    const [host = "", zone] = address.address.split("%");
    const family = address.family === 6 ? AF_INET6 : AF_INET;
    if (host.includes("\0") || Number(c.inet_pton(family, host, binary)) !== 1) throw new SocketError("EINVAL");
    name.bytes.fill(0, 0, inet6Length);
    view.setUint16(0, family, true);
    view.setUint16(2, address.port);
    if (address.family === 4) {
      name.bytes.set(binary.subarray(0, 4), 4);
      name.length = inetLength;
    } else {
      name.bytes.set(binary.subarray(0, 16), 8);
      if (zone !== undefined) view.setUint32(24, indexOf(zone), true);
      name.length = inet6Length;
    }
    return name;
  };
};
