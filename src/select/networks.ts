import { masksOf, type Network } from "../model/address.ts";
import type { SocketBatch } from "../model/socket.ts";
import { type End, isIpv4 } from "../netlink/address.ts";
import { AF_INET } from "../netlink/constants.ts";

/** Networks to look addresses up in. */
export type NetworkTable = {
  /** A word and its mask each. */
  readonly ipv4: Uint32Array;
  /** Four words and their masks each. */
  readonly ipv6: Uint32Array;
};

export const createNetworkTable = (networks: readonly Network[]): NetworkTable => {
  const of = (family: 4 | 6): Uint32Array =>
    Uint32Array.from(
      networks
        .filter((network) => network.family === family)
        .flatMap((network) => [...network.words, ...masksOf(network)]),
    );
  return { ipv4: of(4), ipv6: of(6) };
};

/** The address at one end of an IPv4 or IPv6 socket is in one of the networks; an IPv4-mapped one is IPv4. */
export const holdsAddress = ({ ipv4, ipv6 }: NetworkTable, batch: SocketBatch, row: number, end: End): boolean => {
  const { addresses } = batch;
  const at = row * 8 + end;
  if (isIpv4(batch, row, end)) {
    const word = addresses[batch.family[row] === AF_INET ? at : at + 3] as number;
    for (let index = 0; index < ipv4.length; index += 2)
      if (((word ^ (ipv4[index] as number)) & (ipv4[index + 1] as number)) === 0) return true;
    return false;
  }
  for (let index = 0; index < ipv6.length; index += 8) {
    let differing = 0;
    for (let word = 0; word < 4; word++)
      differing |=
        ((addresses[at + word] as number) ^ (ipv6[index + word] as number)) & (ipv6[index + 4 + word] as number);
    if (differing === 0) return true;
  }
  return false;
};
