import type { Network } from "../model/address.ts";
import { AF_INET, AF_INET6 } from "./constants.ts";

/**
 * Filters in the bytecode of INET_DIAG_REQ_BYTECODE (linux/inet_diag.h, run by inet_diag_bc_run of net/ipv4/inet_diag.c):
 * a sequence of operations, each followed by its argument.
 *
 *     struct inet_diag_bc_op { __u8 code, yes; __u16 no; };
 *     struct inet_diag_hostcond { __u8 family, prefix_len; int port; __be32 addr[]; };
 *
 * What is true goes on `yes` bytes further, what is not `no` bytes. A program that arrives at its end accepts the
 * socket; one that arrives 4 bytes behind it rejects the socket.
 */
export type Filter =
  | { readonly kind: "all" | "any"; readonly of: readonly Filter[] }
  | { readonly kind: "not"; readonly of: Filter }
  | { readonly kind: "ports"; readonly end: "local" | "peer"; readonly from: number; readonly to: number }
  /** A condition of IPv4 is true of IPv4-mapped addresses too, one of IPv6 is true of them where it holds them. */
  | { readonly kind: "network"; readonly end: "local" | "peer"; readonly network: Network };

/** INET_DIAG_BC_x. */
const JMP = 1;
const GE = { local: 2, peer: 4 } as const;
const LE = { local: 3, peer: 5 } as const;
const COND = { local: 7, peer: 8 } as const;
const EQ = { local: 11, peer: 12 } as const;

const opBytes = 4;
const hostCondBytes = 8;
/** `no` is 16 bits wide. */
const farthest = 65_535;
const highestPort = 65_535;

type Fragment = Uint8Array<ArrayBuffer>;

const op = (fragment: Fragment, at: number, code: number, yes: number, no: number): void => {
  if (no > farthest) throw new RangeError("a filter is too long for the jumps of its program");
  fragment[at] = code;
  fragment[at + 1] = yes;
  fragment[at + 2] = no & 255;
  fragment[at + 3] = no >> 8;
};

/** True falls off the end of the leaf, false 4 bytes behind it. */
const leaf = (code: number, argument: Uint8Array): Fragment => {
  const fragment = new Uint8Array(opBytes + argument.length);
  op(fragment, 0, code, fragment.length, fragment.length + opBytes);
  fragment.set(argument, opBytes);
  return fragment;
};

/** A port stands, in host order, in the `no` of an operation that is never run. */
const portLeaf = (code: number, port: number): Fragment => leaf(code, Uint8Array.of(0, 0, port & 255, port >> 8));

const networkLeaf = (code: number, { family, words, prefix }: Network): Fragment => {
  const argument = new Uint8Array(hostCondBytes + words.length * 4);
  argument[0] = family === 4 ? AF_INET : AF_INET6;
  argument[1] = prefix;
  argument.fill(255, 4, hostCondBytes); // any port
  const view = new DataView(argument.buffer);
  for (const [at, word] of words.entries()) view.setUint32(hostCondBytes + at * 4, word, true);
  return leaf(code, argument);
};

const joined = (...fragments: readonly Uint8Array[]): Fragment => {
  const whole = new Uint8Array(fragments.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const fragment of fragments) {
    whole.set(fragment, at);
    at += fragment.length;
  }
  return whole;
};

const jump = (no: number): Fragment => {
  const fragment = new Uint8Array(opBytes);
  op(fragment, 0, JMP, opBytes, no);
  return fragment;
};

/** What `first` rejects jumps behind `second` too. */
const both = (first: Fragment, second: Fragment): Fragment => {
  const moved = first.slice();
  for (let at = 0; at < first.length; at += first[at + 1] as number) {
    const no = (first[at + 2] as number) | ((first[at + 3] as number) << 8);
    if (at + no === first.length + opBytes)
      op(moved, at, first[at] as number, first[at + 1] as number, no + second.length);
  }
  return joined(moved, second);
};

/** What `first` rejects arrives at `second`; what it accepts meets the jump over it. */
const either = (first: Fragment, second: Fragment): Fragment => joined(first, jump(opBytes + second.length), second);

/** What the fragment accepts meets a jump to the reject; what it rejects arrives behind that jump. */
const neither = (fragment: Fragment): Fragment => joined(fragment, jump(2 * opBytes));

/** Rejects all. */
const nothing = (): Fragment => jump(2 * opBytes);

const fragmentOf = (filter: Filter): Fragment => {
  switch (filter.kind) {
    case "ports": {
      const { end, from, to } = filter;
      if (from === to) return portLeaf(EQ[end], from);
      if (from === 0) return portLeaf(LE[end], to);
      const low = portLeaf(GE[end], from);
      return to === highestPort ? low : both(low, portLeaf(LE[end], to));
    }
    case "network":
      return networkLeaf(COND[filter.end], filter.network);
    case "not":
      return neither(fragmentOf(filter.of));
    case "all":
      return filter.of.length === 0 ? neither(nothing()) : filter.of.map(fragmentOf).reduce(both);
    default:
      return filter.of.length === 0 ? nothing() : filter.of.map(fragmentOf).reduce(either);
  }
};

/** The program that accepts what the filter is true of. Throws `RangeError` for one that 16 bits cannot jump over. */
export const assemble = (filter: Filter): Uint8Array => fragmentOf(filter);

/** The conditions that the kernel may have to test for a socket; each costs it some 20 ns. */
export const leavesOf = (filter: Filter): number => {
  switch (filter.kind) {
    case "ports":
      return filter.from === filter.to || filter.from === 0 || filter.to === highestPort ? 1 : 2;
    case "network":
      return 1;
    case "not":
      return leavesOf(filter.of);
    default:
      return filter.of.reduce((sum, each) => sum + leavesOf(each), 0);
  }
};
