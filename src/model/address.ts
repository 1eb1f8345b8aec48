import { isIPv4, isIPv6 } from "node:net";

/**
 * An IPv4 or IPv6 network; an address is one whose prefix is its whole length. An IPv4-mapped one (RFC 4291 2.5.5.2)
 * is its IPv4 network.
 */
export type Network = {
  readonly family: 4 | 6;
  /** One word or four as in `SocketBatch.addresses`: network byte order, read little-endian. */
  readonly words: readonly number[];
  /** Bits. */
  readonly prefix: number;
};

/** The third word of ::ffff:a.b.c.d. */
export const mappedWord = 0xffff0000;

const wordOf = (a: number, b: number, c: number, d: number): number => (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;

const ipv4Word = (text: string): number => {
  const [a = 0, b = 0, c = 0, d = 0] = text.split(".").map(Number);
  return wordOf(a, b, c, d);
};

const groupsOf = (text: string): number[] =>
  text === ""
    ? []
    : text.split(":").flatMap((group) => {
        if (!group.includes(".")) return [Number.parseInt(group, 16)];
        const [a = 0, b = 0, c = 0, d = 0] = group.split(".").map(Number);
        return [a * 256 + b, c * 256 + d];
      });

const ipv6Words = (text: string): number[] => {
  const [head = "", tail] = text.split("::");
  const before = groupsOf(head);
  const after = groupsOf(tail ?? "");
  const groups = [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
  return [0, 2, 4, 6].map((at) => {
    const [high = 0, low = 0] = groups.slice(at, at + 2);
    return wordOf(high >> 8, high & 255, low >> 8, low & 255);
  });
};

/** The address, or the network of `prefix` bits that starts with it; undefined for what is none. A zone is not one's. */
export const parseNetwork = (address: string, prefix?: number): Network | undefined => {
  if (isIPv4(address)) {
    if (prefix !== undefined && prefix > 32) return undefined;
    return { family: 4, words: [ipv4Word(address)], prefix: prefix ?? 32 };
  }
  if (!isIPv6(address) || address.includes("%") || (prefix !== undefined && prefix > 128)) return undefined;
  const words = ipv6Words(address);
  const bits = prefix ?? 128;
  return words[0] === 0 && words[1] === 0 && words[2] === mappedWord && bits >= 96
    ? { family: 4, words: words.slice(3), prefix: bits - 96 }
    : { family: 6, words, prefix: bits };
};

/** The bits that all addresses of a network share, a mask for each of its words. */
export const masksOf = ({ family, prefix }: Pick<Network, "family" | "prefix">): number[] =>
  (family === 4 ? [0] : [0, 32, 64, 96]).map((before) => {
    const bits = Math.min(32, Math.max(0, prefix - before));
    const mask = bits === 0 ? 0 : -1 << (32 - bits);
    return wordOf(mask >>> 24, (mask >>> 16) & 255, (mask >>> 8) & 255, mask & 255);
  });

/** The network without the bits behind its prefix. */
export const withoutHostBits = (network: Network): Network => {
  const masks = masksOf(network);
  return { ...network, words: network.words.map((word, at) => (word & (masks[at] ?? 0)) >>> 0) };
};

/** Every address of `inner` is one of `outer`. */
export const contains = (outer: Network, inner: Network): boolean => {
  if (outer.family !== inner.family || outer.prefix > inner.prefix) return false;
  const masks = masksOf(outer);
  return outer.words.every((word, at) => (((inner.words[at] ?? 0) ^ word) & (masks[at] ?? 0)) === 0);
};

/** Two networks have an address in common: one holds the other. */
export const overlap = (a: Network, b: Network): boolean => contains(a, b) || contains(b, a);

const ipv4Text = (word: number): string => `${word & 255}.${(word >>> 8) & 255}.${(word >>> 16) & 255}.${word >>> 24}`;

/** RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups as `::`, the first of equals. */
const ipv6Text = (words: ArrayLike<number>): string => {
  const groups = Array.from(words).flatMap((word) => [
    ((word & 0xff) << 8) | ((word >>> 8) & 0xff),
    ((word >>> 8) & 0xff00) | (word >>> 24),
  ]);
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

/** An address of one word or four, as `Network` has them. */
export const formatAddress = (words: ArrayLike<number>): string =>
  words.length === 1 ? ipv4Text(words[0] ?? 0) : ipv6Text(words);

export const formatNetwork = ({ words, prefix }: Network): string => `${formatAddress(words)}/${prefix}`;
