import { isIP, isIPv6 } from "node:net";
import type { Fault } from "../text/fault.ts";

export type HostPort = { readonly host: string; readonly port: number };

const label = /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/;

/** What is wrong with the name or address of a host. */
export const hostFault = (host: string): string | undefined => {
  if (isIP(host) !== 0) return undefined;
  if (host.includes(":")) return "the host is not an IPv6 address; with its port it is written as in [2001:db8::1]:443";
  if (/^[\d.]+$/.test(host)) return "the host is not an IPv4 address";
  const labels = host.replace(/\.$/, "").split(".");
  if (host.length > 253 || !labels.every((part) => label.test(part)))
    return "the host is neither a name (letters, digits, - and _ between dots) nor an IP address";
  return undefined;
};

/**
 * Splits `host:port`. An IPv6 address may stand in brackets or without them, as the last colon is the port's.
 * An empty host is the caller's to judge.
 */
export const parseHostPort = (text: string, lowestPort: 0 | 1): HostPort | Fault => {
  const colon = text.lastIndexOf(":");
  if (colon < 0 || text.endsWith("]")) return { fault: "the port is missing: write host:port" };
  const digits = text.slice(colon + 1);
  const port = Number(digits);
  if (!/^\d{1,5}$/.test(digits) || port < lowestPort || port > 65_535)
    return { fault: `the port must be a whole number from ${lowestPort} to 65535` };
  const written = text.slice(0, colon);
  if (written === "") return { host: "", port };
  const bracketed = /^\[(.*)\]$/s.exec(written)?.[1];
  if (bracketed !== undefined && !isIPv6(bracketed)) return { fault: "what stands in [ ] is not an IPv6 address" };
  const host = bracketed ?? written;
  const fault = hostFault(host);
  return fault === undefined ? { host, port } : { fault };
};

/** The text that `parseHostPort` reads as these. */
export const formatHostPort = ({ host, port }: HostPort): string =>
  `${host.includes(":") ? `[${host}]` : host}:${port}`;
