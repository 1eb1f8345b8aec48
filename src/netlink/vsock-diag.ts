import { protocolIndex, resetRow } from "../model/socket.ts";
import { AF_VSOCK, ALL_STATES, SOCK_DIAG_BY_FAMILY } from "./constants.ts";
import { bytesOf, createRequest, type DecodeMessage, type DumpRequest, headerBytes, u64 } from "./message.ts";

const vsockDiagMsgBytes = 32;

/**
 * Dump of all vsock sockets.
 *
 *     struct vsock_diag_req { __u8 sdiag_family, sdiag_protocol; __u16 pad; __u32 vdiag_states, vdiag_ino, vdiag_show,
 *                             vdiag_cookie[2]; };   linux/vm_sockets_diag.h
 */
export const encodeVsockDump = (seq: number): Uint8Array => {
  const view = createRequest(SOCK_DIAG_BY_FAMILY, seq, 24);
  view.setUint8(headerBytes, AF_VSOCK);
  view.setUint32(headerBytes + 4, ALL_STATES, true);
  return bytesOf(view);
};

/**
 * Reads one vsock_diag_msg into the batch's next row; there are no attributes. States are TCP_x.
 *
 *     struct vsock_diag_msg { __u8 vdiag_family, vdiag_type, vdiag_state, vdiag_shutdown; __u32 vdiag_src_cid,
 *                             vdiag_src_port, vdiag_dst_cid, vdiag_dst_port, vdiag_ino, vdiag_cookie[2]; };
 */
export const decodeVsock: DecodeMessage = (buffer, at, end, batch) => {
  if (end - at < vsockDiagMsgBytes) return false;
  const row = batch.length++;
  const { bytes, words } = buffer;
  const word = at >> 2;
  resetRow(batch, row);
  batch.protocol[row] = protocolIndex.vsock;
  batch.family[row] = bytes[at] as number;
  batch.type[row] = bytes[at + 1] as number;
  batch.state[row] = bytes[at + 2] as number;
  batch.inode[row] = words[word + 5] as number;
  batch.cookie[row] = u64(words, word + 6);
  return true;
};

export const vsockDumps = (): readonly DumpRequest[] => [
  { protocol: "vsock", encode: encodeVsockDump, decode: decodeVsock },
];
