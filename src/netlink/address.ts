import { formatAddress, mappedWord } from "../model/address.ts";
import type { SocketBatch } from "../model/socket.ts";
import { AF_INET } from "./constants.ts";

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

/** The address at one end; IPv4-mapped ones as IPv4. */
export const addressText = (batch: SocketBatch, row: number, end: End): string => {
  const at = row * 8 + end;
  if (!isIpv4(batch, row, end)) return formatAddress(batch.addresses.subarray(at, at + 4));
  const word = batch.family[row] === AF_INET ? at : at + 3;
  return formatAddress(batch.addresses.subarray(word, word + 1));
};

/** `network.type` of the socket: what its local address is. */
export const networkType = (batch: SocketBatch, row: number): "ipv4" | "ipv6" =>
  isIpv4(batch, row, local) ? "ipv4" : "ipv6";
