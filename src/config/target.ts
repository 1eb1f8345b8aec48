import { isIP } from "node:net";
import { probeTypes, type ProbeType } from "../model/target.ts";
import { type Fault, isFault } from "../text/fault.ts";
import { parseHostPort } from "./host-port.ts";
import { unknownWord } from "../text/nearest.ts";

/** What a target's URL says. */
export type Destination =
  | { readonly type: Extract<ProbeType, `tcp${string}`>; readonly host: string; readonly port: number }
  | { readonly type: Extract<ProbeType, `udp${string}`>; readonly host: string; readonly port: number }
  | { readonly type: "unix"; readonly path: string };

const kinds = probeTypes.join(", ");

/** sun_path of sockaddr_un is 108 bytes with the final NUL, unix(7). */
const longestUnixPath = 107;

const parseUnix = (rest: string): Destination | Fault => {
  const path = rest.startsWith("//") ? rest.slice(2) : rest;
  if (!path.startsWith("/") || path.includes("\0"))
    return { fault: "a unix socket needs an absolute path, as in unix:///run/app.sock" };
  const bytes = new TextEncoder().encode(path).length;
  if (bytes > longestUnixPath)
    return { fault: `the path of a unix socket can have ${longestUnixPath} bytes, this one has ${bytes}` };
  return { type: "unix", path };
};

const familyFault = (type: ProbeType, host: string): string | undefined => {
  const family = isIP(host);
  if (family === 0 || !/[46]$/.test(type) || type.endsWith(String(family))) return undefined;
  return `${type} needs an IPv${type.slice(-1)} address or a name: the host is an IPv${family} address, write ${type.slice(0, -1)}${family}`;
};

const parseInet = (type: Exclude<ProbeType, "unix">, rest: string): Destination | Fault => {
  if (rest === "host:port")
    return { fault: `"${type}://host:port" is a placeholder: write the host and the port to probe` };
  if (/[/?#]/.test(rest)) return { fault: `must end after the port, as in ${type}://db.internal:5432` };
  if (rest.includes("@")) return { fault: `must not hold a user, as in ${type}://db.internal:5432` };
  const ends = parseHostPort(rest, 1);
  if (isFault(ends)) return ends;
  if (ends.host === "") return { fault: `the host is missing: write ${type}://host:port` };
  const fault = familyFault(type, ends.host);
  return fault === undefined ? { type, ...ends } : { fault };
};

/** Reads `tcp://host:port`, `udp://host:port` and `unix:///path`, with 4 or 6 after tcp and udp for one family only. */
export const parseTarget = (url: string): Destination | Fault => {
  const [, scheme, slashes, rest = ""] = /^([A-Za-z][A-Za-z0-9]*):(\/\/)?([^]*)$/.exec(url) ?? [];
  // A name with a port, `db.internal:5432`, may look like a kind; only a path or // after the colon is one.
  if (scheme === undefined || (slashes === undefined && scheme !== "unix"))
    return { fault: `must start with a kind (${kinds}), as in tcp://db.internal:5432` };
  if (scheme === "unix") return parseUnix(url.slice("unix:".length));
  const type = probeTypes.find((known) => known === scheme);
  if (type !== undefined && type !== "unix") return parseInet(type, rest);
  return { fault: unknownWord("kind", scheme, probeTypes) };
};
