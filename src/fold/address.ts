import type { SocketBatch } from "../model/socket.ts";
import { AF_INET } from "../netlink/constants.ts";

/** The third word of ::ffff:a.b.c.d as it is read on a little-endian host. */
const mappedWord = 0xffff0000;

/** Where the words of an address are. */
export type End = 0 | 4;
export const local: End = 0;
export const peer: End = 4;

/** True for IPv4 addresses and IPv4-mapped ones (RFC 4291 2.5.5.2). */
export const isIpv4 = (batch: SocketBatch, row: number, end: End): boolean => {
  if (batch.family[row] === AF_INET) return true;
  const at = row * 8 + end;
  return batch.addresses[at] === 0 && batch.addresses[at + 1] === 0 && batch.addresses[at + 2] === mappedWord;
};

const ipv4Text = (word: number): string => `${word & 255}.${(word >>> 8) & 255}.${(word >>> 16) & 255}.${word >>> 24}`;

const groupsOf = (words: Uint32Array): number[] =>
  [...words].flatMap((word) => [((word & 0xff) << 8) | ((word >>> 8) & 0xff), ((word >>> 8) & 0xff00) | (word >>> 24)]);

/** RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups as `::`, the first of equals. */
const ipv6Text = (words: Uint32Array): string => {
  const groups = groupsOf(words);
  let start = -1;
  let length = 1;
  for (let from = 0; from < 8; from++) {
    let to = from;
    while (to < 8 && groups[to] === 0) to++;
    if (to - from > length) [start, length] = [from, to - from];
  }
  const hex = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(":");
  return start < 0 ? hex(groups) : `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
};

/** The address at one end; IPv4-mapped ones as IPv4. */
export const addressText = (batch: SocketBatch, row: number, end: End): string => {
  const at = row * 8 + end;
  if (!isIpv4(batch, row, end)) return ipv6Text(batch.addresses.subarray(at, at + 4));
  return ipv4Text(batch.addresses[batch.family[row] === AF_INET ? at : at + 3] as number);
};

/** `network.type` of the socket: what its local address is. */
export const networkType = (batch: SocketBatch, row: number): "ipv4" | "ipv6" =>
  isIpv4(batch, row, local) ? "ipv4" : "ipv6";
