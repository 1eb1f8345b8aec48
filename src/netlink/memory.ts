import type { SocketBatch } from "../model/socket.ts";
import { SK_MEMINFO_DROPS, SK_MEMINFO_RMEM_ALLOC, SK_MEMINFO_WMEM_ALLOC } from "./constants.ts";
import type { ReceiveBuffer } from "./message.ts";

/**
 * Reads buffer memory (bytes, with the kernel's overhead) as the queues of a family that gives no others, and drops.
 *
 *     __u32 meminfo[SK_MEMINFO_VARS];   linux/sock_diag.h; older kernels give fewer
 */
export const decodeMemory = (
  { words }: ReceiveBuffer,
  at: number,
  length: number,
  batch: SocketBatch,
  row: number,
): void => {
  const word = at >> 2;
  const given = length >> 2;
  if (given > SK_MEMINFO_RMEM_ALLOC) batch.rqueue[row] = words[word + SK_MEMINFO_RMEM_ALLOC] as number;
  if (given > SK_MEMINFO_WMEM_ALLOC) batch.wqueue[row] = words[word + SK_MEMINFO_WMEM_ALLOC] as number;
  if (given > SK_MEMINFO_DROPS) batch.drops[row] = words[word + SK_MEMINFO_DROPS] as number;
};
