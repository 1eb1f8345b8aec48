import { protocolIndex, resetRow } from "../model/socket.ts";
import { AF_NETLINK, SOCK_DIAG_BY_FAMILY } from "./constants.ts";
import { decodeMemory } from "./memory.ts";
import {
  bytesOf,
  createRequest,
  type DecodeMessage,
  type DumpRequest,
  headerBytes,
  u64,
  walkAttributes,
} from "./message.ts";

const NDIAG_PROTO_ALL = 255;
const NDIAG_SHOW_MEMINFO = 0x1;

const NETLINK_DIAG_MEMINFO = 0;

const netlinkDiagMsgBytes = 28;

/**
 * Dump of the netlink sockets of all protocols, the kernel's own and the one that asks among them.
 *
 *     struct netlink_diag_req { __u8 sdiag_family, sdiag_protocol; __u16 pad; __u32 ndiag_ino, ndiag_show,
 *                               ndiag_cookie[2]; };   linux/netlink_diag.h
 */
export const encodeNetlinkDump = (seq: number): Uint8Array => {
  const view = createRequest(SOCK_DIAG_BY_FAMILY, seq, 20);
  view.setUint8(headerBytes, AF_NETLINK);
  view.setUint8(headerBytes + 1, NDIAG_PROTO_ALL);
  view.setUint32(headerBytes + 8, NDIAG_SHOW_MEMINFO, true);
  return bytesOf(view);
};

/**
 * Reads one netlink_diag_msg into the batch's next row. The state is NETLINK_CONNECTED (1), or what the socket was made
 * with: no state of a connection.
 *
 *     struct netlink_diag_msg { __u8 ndiag_family, ndiag_type, ndiag_protocol, ndiag_state; __u32 ndiag_portid,
 *                               ndiag_dst_portid, ndiag_dst_group, ndiag_ino, ndiag_cookie[2]; };
 */
export const decodeNetlink: DecodeMessage = (buffer, at, end, batch) => {
  if (end - at < netlinkDiagMsgBytes) return false;
  const row = batch.length++;
  const { bytes, words } = buffer;
  const word = at >> 2;
  resetRow(batch, row);
  batch.protocol[row] = protocolIndex.netlink;
  batch.family[row] = bytes[at] as number;
  batch.type[row] = bytes[at + 1] as number;
  batch.state[row] = bytes[at + 3] as number;
  batch.inode[row] = words[word + 4] as number;
  batch.cookie[row] = u64(words, word + 5);
  walkAttributes(buffer, at + netlinkDiagMsgBytes, end, (type, payload, length) => {
    if (type === NETLINK_DIAG_MEMINFO) decodeMemory(buffer, payload, length, batch, row);
  });
  return true;
};

export const netlinkDumps = (): readonly DumpRequest[] => [
  { protocol: "netlink", encode: encodeNetlinkDump, decode: decodeNetlink },
];
