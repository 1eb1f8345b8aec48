import { isIP, isIPv6 } from "node:net";
import { type ProbeType, probeTypes } from "../model/target.ts";
import { type Fault, isFault } from "../text/fault.ts";
import { unknownWord } from "../text/nearest.ts";
import { hostFault, parseHostPort } from "./host-port.ts";

type Stream = Extract<ProbeType, `tcp${string}`>;
type Datagram = Extract<ProbeType, `udp${string}`>;
type Echo = Extract<ProbeType, `icmp${string}`>;
type Message = "unixgram" | "unixpacket";

/** What a target's URL, or the map instead of it, says. */
export type Destination =
  | { readonly type: Stream; readonly host: string; readonly port: number }
  | { readonly type: Datagram; readonly host: string; readonly port: number }
  | { readonly type: Echo; readonly host: string }
  | { readonly type: "unix"; readonly path: string }
  | { readonly type: Message; readonly path: string };

const otherNames = { ip: "icmp", ip4: "icmp4", ip6: "icmp6" } as const;

/** The words for a kind: its name, and those that other tools have for ICMP. */
export const protocols = [...probeTypes, "ip", "ip4", "ip6"] as const;
export type Protocol = (typeof protocols)[number];

const typeOf = (protocol: Protocol): ProbeType =>
  protocol === "ip" || protocol === "ip4" || protocol === "ip6" ? otherNames[protocol] : protocol;

const isUnix = (type: ProbeType): type is Extract<ProbeType, `unix${string}`> => type.startsWith("unix");
const isEcho = (type: ProbeType): type is Echo => type.startsWith("icmp");

/** sun_path of sockaddr_un is 108 bytes with the final NUL, unix(7). */
const longestUnixPath = 107;

const unixPathFault = (type: ProbeType, path: string): string | undefined => {
  if (!path.startsWith("/") || path.includes("\0"))
    return `a unix socket needs an absolute path, as in ${type}:///run/app.sock`;
  const bytes = new TextEncoder().encode(path).length;
  if (bytes > longestUnixPath)
    return `the path of a unix socket can have ${longestUnixPath} bytes, this one has ${bytes}`;
  return undefined;
};

const familyFault = (type: ProbeType, host: string): string | undefined => {
  const family = isIP(host);
  if (family === 0 || !/[46]$/.test(type) || type.endsWith(String(family))) return undefined;
  return `${type} needs an IPv${type.slice(-1)} address or a name: the host is an IPv${family} address, write ${type.slice(0, -1)}${family}`;
};

/** A URL has % as %25 before a zone (RFC 6874); few write it so, and as few mean the zone 25eth0. */
const decodeZone = (written: string): string => written.replace(/%25(?=[^\]:])/, "%");

const encodeZone = (host: string): string => host.replace(/%(?=25.)/, "%25");

/** Reads a host that stands alone; an IPv6 address may stand in brackets. */
const parseHost = (type: ProbeType, written: string): string | Fault => {
  const bracketed = /^\[(.*)\]$/s.exec(written)?.[1];
  const host = decodeZone(bracketed ?? written);
  if (host === "") return { fault: "must not be empty: write the name or the address of a host" };
  if (bracketed !== undefined && !isIPv6(host)) return { fault: "what stands in [ ] is not an IPv6 address" };
  if (/^[^:]*:\d+$/.test(host)) return { fault: "must be a host without a port: write the port as port" };
  if (isIP(host) === 0 && host.includes(":")) return { fault: "the host is not an IPv6 address" };
  const fault = hostFault(host) ?? familyFault(type, host);
  return fault === undefined ? host : { fault };
};

const parseInet = (type: Stream | Datagram, rest: string): Destination | Fault => {
  if (rest === "host:port")
    return { fault: `"${type}://host:port" is a placeholder: write the host and the port to probe` };
  if (/[/?#]/.test(rest)) return { fault: `must end after the port, as in ${type}://db.internal:5432` };
  if (rest.includes("@")) return { fault: `must not hold a user, as in ${type}://db.internal:5432` };
  const ends = parseHostPort(decodeZone(rest), 1);
  if (isFault(ends)) return ends;
  if (ends.host === "") return { fault: `the host is missing: write ${type}://host:port` };
  const fault = familyFault(type, ends.host);
  return fault === undefined ? { type, ...ends } : { fault };
};

const parseEcho = (type: Echo, rest: string): Destination | Fault => {
  if (/[/?#]/.test(rest)) return { fault: `must end after the host, as in ${type}://gateway.internal` };
  if (rest.includes("@")) return { fault: `must not hold a user, as in ${type}://gateway.internal` };
  if (rest === "") return { fault: `the host is missing: write ${type}://host` };
  const beforePort = /^(\[.*\]|[^:]*):[^:]*$/s.exec(rest)?.[1];
  if (beforePort !== undefined) return { fault: `ICMP has no port: write ${type}://${beforePort || "host"}` };
  const host = parseHost(type, rest);
  return isFault(host) ? host : { type, host };
};

const parseUnix = (type: Extract<ProbeType, `unix${string}`>, rest: string): Destination | Fault => {
  const path = rest.startsWith("//") ? rest.slice(2) : rest;
  const fault = unixPathFault(type, path);
  return fault === undefined ? { type, path } : { fault };
};

/**
 * Reads `tcp://host:port`, `udp://host:port`, `icmp://host` (or `ip://host`), with 4 or 6 after the kind for one family
 * only, and `unix:///path`, `unixgram:///path` and `unixpacket:///path`.
 */
export const parseTarget = (url: string): Destination | Fault => {
  const [, scheme, slashes, rest = ""] = /^([A-Za-z][A-Za-z0-9]*):(\/\/)?([^]*)$/.exec(url) ?? [];
  const protocol = protocols.find((known) => known === scheme);
  const type = protocol && typeOf(protocol);
  // A name with a port, `db.internal:5432`, may look like a kind; only a path or // after the colon is one.
  if (scheme === undefined || (slashes === undefined && (type === undefined || !isUnix(type))))
    return { fault: `must start with a kind (${probeTypes.join(", ")}), as in tcp://db.internal:5432` };
  if (type === undefined) return { fault: unknownWord("kind", scheme, probeTypes) };
  if (isUnix(type)) return parseUnix(type, url.slice(scheme.length + 1));
  return isEcho(type) ? parseEcho(type, rest) : parseInet(type, rest);
};

/** A target's destination, and the URL that says it. */
export type End = { readonly url: string; readonly destination: Destination };

/** The keys of the map that a target may have instead of a URL. */
export const endKeys = ["protocol", "host", "port", "path"] as const;
export type EndKey = (typeof endKeys)[number];

type EndFields = {
  readonly protocol?: Protocol | undefined;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly path?: string | undefined;
};

/**
 * What is wrong with such a map, by key; of a key whose own value is no text or no port, which is said elsewhere,
 * only whether it may be there.
 */
export const endFaults = (map: Readonly<Partial<Record<EndKey, unknown>>>): readonly (readonly [EndKey, string])[] => {
  const protocol = protocols.find((known) => known === (map.protocol ?? "tcp"));
  if (protocol === undefined) return [];
  const type = typeOf(protocol);
  const { host, port, path } = map;
  const faults: [EndKey, string][] = [];
  const refuse = (key: EndKey, message: string | undefined): void => {
    if (message !== undefined) faults.push([key, message]);
  };
  if (isUnix(type)) {
    if (port !== undefined) refuse("port", "a unix socket has no port: remove it");
    if (path !== undefined && host !== undefined) refuse("host", "stands beside path: set one of the two");
    const [key, written] = path === undefined ? (["host", host] as const) : (["path", path] as const);
    if (written === undefined) refuse("path", "is missing: it must be the absolute path of a unix socket");
    else if (typeof written === "string") refuse(key, unixPathFault(type, written));
    return faults;
  }
  if (path !== undefined) refuse("path", "is for unix, unixgram and unixpacket targets only: remove it");
  if (host === undefined) refuse("host", "is missing: it must be the name or the address of a host");
  else if (typeof host === "string") {
    const parsed = parseHost(type, host);
    refuse("host", isFault(parsed) ? parsed.fault : undefined);
  }
  if (isEcho(type) && port !== undefined) refuse("port", "ICMP has no port: remove it");
  if (!isEcho(type) && port === undefined) refuse("port", "is missing: it must be a whole number from 1 to 65535");
  return faults;
};

/** What a map without `endFaults` says. */
export const endOf = ({ protocol = "tcp", host = "", port = 0, path }: EndFields): End => {
  const type = typeOf(protocol);
  if (isUnix(type)) {
    const destination = { type, path: path ?? host };
    return { url: `${type}://${destination.path}`, destination };
  }
  const parsed = parseHost(type, host);
  const name = isFault(parsed) ? host : parsed;
  const written = name.includes(":") ? `[${encodeZone(name)}]` : name;
  return isEcho(type)
    ? { url: `${type}://${written}`, destination: { type, host: name } }
    : { url: `${type}://${written}:${port}`, destination: { type, host: name, port } };
};
