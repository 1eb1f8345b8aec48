import { masksOf, type Network } from "../model/address.ts";
import type { SocketBatch } from "../model/socket.ts";
import { type End, isIpv4 } from "./address.ts";
import { AF_INET } from "./constants.ts";

type Family = {
  /** The words of each network, then as many masks. */
  readonly words: Uint32Array;
  /** Their places in the list that the table was made of. */
  readonly places: readonly number[];
};

/** Networks to look the addresses of sockets up in. */
export type NetworkTable = { readonly ipv4: Family; readonly ipv6: Family };

export const createNetworkTable = (networks: readonly Network[]): NetworkTable => {
  const of = (family: 4 | 6): Family => {
    const places = [...networks.keys()].filter((place) => networks[place]?.family === family);
    const own = networks.filter((network) => network.family === family);
    return { words: Uint32Array.from(own.flatMap((network) => [...network.words, ...masksOf(network)])), places };
  };
  return { ipv4: of(4), ipv6: of(6) };
};

/**
 * The place in the table's list of the first network that holds the address at one end of an IPv4 or IPv6 socket, or
 * -1. An IPv4-mapped address is IPv4.
 */
export const placeOfAddress = ({ ipv4, ipv6 }: NetworkTable, batch: SocketBatch, row: number, end: End): number => {
  const { addresses } = batch;
  const at = row * 8 + end;
  if (isIpv4(batch, row, end)) {
    const { words, places } = ipv4;
    const word = addresses[batch.family[row] === AF_INET ? at : at + 3] as number;
    for (let index = 0; index < words.length; index += 2)
      if (((word ^ (words[index] as number)) & (words[index + 1] as number)) === 0) return places[index >> 1] as number;
    return -1;
  }
  const { words, places } = ipv6;
  for (let index = 0; index < words.length; index += 8) {
    let differing = 0;
    for (let word = 0; word < 4; word++)
      differing |=
        ((addresses[at + word] as number) ^ (words[index + word] as number)) & (words[index + 4 + word] as number);
    if (differing === 0) return places[index >> 3] as number;
  }
  return -1;
};
