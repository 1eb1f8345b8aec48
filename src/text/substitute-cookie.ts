import { protocolIndex, type SocketBatch } from "../model/socket.ts";

/*
 * Numbers in the place of cookies, for sources that have none. They are negative, which no cookie is: -1 to -2^32 from
 * an inode, what lies below from a hash of 52 bits.
 */

const ofInode = (inode: number): number => -inode;
const belowInodes = 4_294_967_297;

/** Two rounds of FNV-1a with different offsets, folded into 52 bits. */
const createHash = () => {
  let a = 0x811c9dc5;
  let b = 0x01000193;
  const add = (word: number): void => {
    a = Math.imul(a ^ word, 0x01000193);
    a ^= a >>> 15;
    b = Math.imul(b ^ word, 0x85ebca6b);
    b ^= b >>> 13;
  };
  return { add, cookie: (): number => -belowInodes - ((a >>> 0) * 1_048_576 + (b >>> 12)) };
};

/** The same number for the same text. */
export const textCookie = (text: string): number => {
  const hash = createHash();
  for (let at = 0; at < text.length; at++) hash.add(text.charCodeAt(at));
  return hash.cookie();
};

const ofTuple = (batch: SocketBatch, row: number): number => {
  const hash = createHash();
  hash.add((batch.protocol[row] ?? 0) | ((batch.family[row] ?? 0) << 8));
  hash.add(((batch.localPort[row] ?? 0) << 16) | (batch.peerPort[row] ?? 0));
  for (const word of batch.addresses.subarray(row * 8, row * 8 + 8)) hash.add(word);
  return hash.cookie();
};

/**
 * Sets the cookie of a row that has all else. A TCP connection goes by its addresses and ports, which it has to itself:
 * its inode comes with accept(2) and goes with close(2), and the subflows of MPTCP share one. All others go by their
 * inode, since sockets can share an address.
 */
export const setSubstituteCookie = (batch: SocketBatch, row: number): void => {
  const inode = batch.inode[row] ?? 0;
  const connection = batch.protocol[row] === protocolIndex.tcp && batch.peerPort[row] !== 0;
  batch.cookie[row] = connection || inode === 0 ? ofTuple(batch, row) : ofInode(inode);
};
