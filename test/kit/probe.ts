import { isIP } from "node:net";
import { setImmediate } from "node:timers/promises";
import { loadLibc } from "../../src/kernel/libc.ts";
import { createProbeSockets } from "../../src/kernel/probe-sockets.ts";
import type { Address, Resolution, Resolve } from "../../src/model/sources.ts";
import type { Target } from "../../src/model/target.ts";
import type { ProbeDeps } from "../../src/probe/run.ts";

const addressOf = (address: string): Address => ({ address, family: isIP(address) === 6 ? 6 : 4 });

export const foundAt = (...addresses: readonly string[]): Resolution => ({
  kind: "found",
  addresses: addresses.map(addressOf),
  waitedMs: 0,
});

const now = (): number => performance.now();
const sockets = createProbeSockets({ libc: loadLibc(), now });

/** Names are those of the record; anything else is a literal. */
export const depsOf = (names: Readonly<Record<string, Resolution>> = {}): ProbeDeps => {
  const resolve: Resolve = async (host) => names[host] ?? foundAt(host);
  return { resolve, sockets, now };
};

const common = { name: "target", url: "", intervalMs: 30_000, timeoutMs: 5000, attempts: 1, attributes: {} };
const anywhere = { allAddresses: false, source: { address: undefined, interface: undefined } };
const stream = { tls: undefined, steps: [] };
const message = { send: undefined, expect: undefined };

export const tcpTarget = (host: string, port: number, more: Partial<Target<"tcp">> = {}): Target<"tcp"> => ({
  ...common,
  ...anywhere,
  ...stream,
  type: "tcp",
  host,
  port,
  ...more,
});

export const udpTarget = (host: string, port: number, more: Partial<Target<"udp">> = {}): Target<"udp"> => ({
  ...common,
  ...anywhere,
  ...message,
  type: "udp",
  host,
  port,
  count: 1,
  packetIntervalMs: 200,
  silenceMs: 1000,
  ...more,
});

export const icmpTarget = (host: string, more: Partial<Target<"icmp" | "icmp6">> = {}): Target => ({
  ...common,
  ...anywhere,
  host,
  count: 1,
  packetIntervalMs: 200,
  type: "icmp",
  ...more,
});

export const unixTarget = (path: string, more: Partial<Target<"unix">> = {}): Target<"unix"> => ({
  ...common,
  ...stream,
  type: "unix",
  path,
  ...more,
});

export const messageTarget = (
  type: "unixgram" | "unixpacket",
  path: string,
  more: Partial<Target<"unixgram">> = {},
): Target => ({ ...common, ...message, path, silenceMs: 1000, ...more, type });

/** What keeps the event loop alive, by kind. */
export const openResources = (): string[] => process.getActiveResourcesInfo();

/** What is open beyond `before`, once handles that were closed have gone. */
export const leftOpen = async (before: readonly string[]): Promise<string[]> => {
  for (let turn = 0; turn < 3; turn++) await setImmediate();
  const known = [...before];
  return openResources().filter((kind) => {
    const index = known.indexOf(kind);
    if (index >= 0) known.splice(index, 1);
    return index < 0;
  });
};

export const never = new AbortController().signal;
