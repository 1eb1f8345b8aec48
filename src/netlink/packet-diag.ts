import { protocolIndex, resetRow } from "../model/socket.ts";
import { AF_PACKET, SOCK_DIAG_BY_FAMILY } from "./constants.ts";
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

const PACKET_SHOW_INFO = 0x1;
const PACKET_SHOW_MEMINFO = 0x10;

const PACKET_DIAG_INFO = 0;
const PACKET_DIAG_UID = 5;
const PACKET_DIAG_MEMINFO = 6;

const packetDiagMsgBytes = 16;

/**
 * Dump of all packet sockets; INFO brings the device and the uid.
 *
 *     struct packet_diag_req { __u8 sdiag_family, sdiag_protocol; __u16 pad; __u32 pdiag_ino, pdiag_show,
 *                              pdiag_cookie[2]; };   linux/packet_diag.h
 */
export const encodePacketDump = (seq: number): Uint8Array => {
  const view = createRequest(SOCK_DIAG_BY_FAMILY, seq, 20);
  view.setUint8(headerBytes, AF_PACKET);
  view.setUint32(headerBytes + 8, PACKET_SHOW_INFO | PACKET_SHOW_MEMINFO, true);
  return bytesOf(view);
};

/**
 * Reads one packet_diag_msg into the batch's next row. Packet sockets have no states; their port is the number
 * of their protocol (ETH_P_x).
 *
 *     struct packet_diag_msg { __u8 pdiag_family, pdiag_type; __u16 pdiag_num; __u32 pdiag_ino, pdiag_cookie[2]; };
 *     struct packet_diag_info { __u32 pdi_index, pdi_version, pdi_reserve, pdi_copy_thresh, pdi_tstamp, pdi_flags; };
 */
export const decodePacket: DecodeMessage = (buffer, at, end, batch) => {
  if (end - at < packetDiagMsgBytes) return false;
  const row = batch.length++;
  const { bytes, halves, words } = buffer;
  const word = at >> 2;
  resetRow(batch, row);
  batch.protocol[row] = protocolIndex.packet;
  batch.family[row] = bytes[at] as number;
  batch.type[row] = bytes[at + 1] as number;
  batch.localPort[row] = halves[(at >> 1) + 1] as number;
  batch.inode[row] = words[word + 1] as number;
  batch.cookie[row] = u64(words, word + 2);
  walkAttributes(buffer, at + packetDiagMsgBytes, end, (type, payload, length) => {
    if (type === PACKET_DIAG_MEMINFO) decodeMemory(buffer, payload, length, batch, row);
    else if (type === PACKET_DIAG_INFO && length >= 4) batch.ifindex[row] = words[payload >> 2] as number;
    else if (type === PACKET_DIAG_UID && length >= 4) batch.uid[row] = words[payload >> 2] as number;
  });
  return true;
};

export const packetDumps = (): readonly DumpRequest[] => [
  { protocol: "packet", encode: encodePacketDump, decode: decodePacket },
];
