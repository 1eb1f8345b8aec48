import { AF_INET, AF_INET6 } from "../netlink/constants.ts";

/** A word of four bytes in network byte order, as it is read on a little-endian host. */
const wordOf = (a: number, b: number, c: number, d: number): number => (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;

const octets = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/;

const ipv4Word = (text: string): number | undefined => {
  const bytes = octets.exec(text)?.slice(1).map(Number);
  if (bytes === undefined || bytes.some((byte) => byte > 255)) return undefined;
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  return wordOf(a, b, c, d);
};

const hexGroup = /^[\da-f]{1,4}$/i;

/** The 16-bit groups on one side of `::`; undefined where one is none. */
const groupsOf = (part: string): number[] | undefined => {
  if (part === "") return [];
  const groups: number[] = [];
  for (const text of part.split(":")) {
    if (!hexGroup.test(text)) return undefined;
    groups.push(Number.parseInt(text, 16));
  }
  return groups;
};

/** An IPv4 address at the end of an IPv6 one, as two groups. */
const withoutDots = (text: string): string | undefined => {
  if (!text.includes(".")) return text;
  const at = text.lastIndexOf(":") + 1;
  const word = ipv4Word(text.slice(at));
  if (word === undefined) return undefined;
  const high = ((word & 0xff) << 8) | ((word >>> 8) & 0xff);
  const low = ((word >>> 8) & 0xff00) | (word >>> 24);
  return `${text.slice(0, at)}${high.toString(16)}:${low.toString(16)}`;
};

const ipv6Groups = (text: string): number[] | undefined => {
  const [head = "", tail, more] = (withoutDots(text) ?? "x").split("::");
  const before = groupsOf(head);
  const after = groupsOf(tail ?? "");
  if (before === undefined || after === undefined || more !== undefined) return undefined;
  const missing = 8 - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  return [...before, ...Array<number>(missing).fill(0), ...after];
};

/**
 * Writes a numeric address, without brackets and zone, into four words at `words[at]` in network byte order; IPv4 uses
 * the first. Gives its family, or 0 and leaves the words alone where it is no address.
 */
export const writeAddress = (text: string, words: Uint32Array, at: number): number => {
  const ipv4 = ipv4Word(text);
  if (ipv4 !== undefined) {
    words.fill(0, at, at + 4);
    words[at] = ipv4;
    return AF_INET;
  }
  // No IPv6 address is longer, and none is without a colon.
  const groups = text.length > 45 || !text.includes(":") ? undefined : ipv6Groups(text);
  if (groups === undefined) return 0;
  for (let word = 0; word < 4; word++) {
    const [high = 0, low = 0] = groups.slice(word * 2, word * 2 + 2);
    words[at + word] = wordOf(high >> 8, high & 255, low >> 8, low & 255);
  }
  return AF_INET6;
};
