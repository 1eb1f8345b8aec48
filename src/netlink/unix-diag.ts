import { protocolIndex, resetRow } from "../model/socket.ts";
import { peer } from "./address.ts";
import { AF_UNIX, ALL_STATES, SOCK_DIAG_BY_FAMILY } from "./constants.ts";
import {
  bytesOf,
  createRequest,
  type DecodeMessage,
  type DumpRequest,
  headerBytes,
  u64,
  walkAttributes,
} from "./message.ts";

const UDIAG_SHOW_NAME = 0x1;
const UDIAG_SHOW_PEER = 0x4;
const UDIAG_SHOW_RQLEN = 0x10;
const UDIAG_SHOW_UID = 0x40;

const UNIX_DIAG_NAME = 0;
const UNIX_DIAG_PEER = 2;
const UNIX_DIAG_RQLEN = 4;
const UNIX_DIAG_UID = 7;

const unixDiagMsgBytes = 16;
/** sizeof(sockaddr_un.sun_path). */
const longestName = 108;

/**
 * Dump of all unix sockets. Buffer memory (MEMINFO) is not asked for: a unix socket drops nothing, its sender waits.
 *
 *     struct unix_diag_req { __u8 sdiag_family, sdiag_protocol; __u16 pad; __u32 udiag_states, udiag_ino, udiag_show,
 *                            udiag_cookie[2]; };   linux/unix_diag.h
 */
export const encodeUnixDump = (seq: number, peers = false): Uint8Array => {
  const view = createRequest(SOCK_DIAG_BY_FAMILY, seq, 24);
  view.setUint8(headerBytes, AF_UNIX);
  view.setUint32(headerBytes + 4, ALL_STATES, true);
  const show = UDIAG_SHOW_NAME | UDIAG_SHOW_RQLEN | UDIAG_SHOW_UID | (peers ? UDIAG_SHOW_PEER : 0);
  view.setUint32(headerBytes + 12, show, true);
  return bytesOf(view);
};

const utf8 = new TextDecoder("utf-8", { fatal: true });

const escaped = (bytes: Uint8Array): string => {
  let text = "";
  for (const byte of bytes)
    text += byte < 0x80 ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`;
  return text;
};

/**
 * A path ends at its NUL. An abstract name begins with one and may hold more: they are written as `@`, as ss does.
 * A name that is not UTF-8 has its other bytes escaped, so that different names stay different.
 */
const nameOf = (bytes: Uint8Array, at: number, length: number): string | undefined => {
  const most = at + Math.min(length, longestName);
  const abstract = bytes[at] === 0;
  const nul = abstract ? -1 : bytes.indexOf(0, at);
  const end = nul >= 0 && nul < most ? nul : most;
  if (end <= at) return undefined;
  const name = bytes.subarray(at, end);
  let text: string;
  try {
    text = utf8.decode(name);
  } catch {
    text = escaped(name);
  }
  return abstract ? text.replaceAll("\0", "@") : text;
};

/**
 * Reads one unix_diag_msg into the batch's next row.
 *
 *     struct unix_diag_msg { __u8 udiag_family, udiag_type, udiag_state, pad; __u32 udiag_ino, udiag_cookie[2]; };
 *     struct unix_diag_rqlen { __u32 udiag_rqueue, udiag_wqueue; };   linux/unix_diag.h
 *
 * RQLEN of a listener is its connections that wait and its backlog, of others bytes to read and bytes that the peer has
 * not read. A connection that is not accepted yet has no file, and the kernel does not report it.
 */
export const decodeUnix: DecodeMessage = (buffer, at, end, batch) => {
  if (end - at < unixDiagMsgBytes) return false;
  const row = batch.length++;
  const { bytes, words } = buffer;
  const word = at >> 2;
  resetRow(batch, row);
  batch.protocol[row] = protocolIndex.unix;
  batch.family[row] = bytes[at] as number;
  batch.type[row] = bytes[at + 1] as number;
  batch.state[row] = bytes[at + 2] as number;
  batch.inode[row] = words[word + 1] as number;
  batch.cookie[row] = u64(words, word + 2);
  walkAttributes(buffer, at + unixDiagMsgBytes, end, (type, payload, length) => {
    if (type === UNIX_DIAG_NAME) batch.name[row] = nameOf(bytes, payload, length);
    else if (type === UNIX_DIAG_RQLEN && length >= 8) {
      batch.rqueue[row] = words[payload >> 2] as number;
      batch.wqueue[row] = words[(payload >> 2) + 1] as number;
    } else if (type === UNIX_DIAG_PEER && length >= 4) batch.addresses[row * 8 + peer] = words[payload >> 2] as number;
    else if (type === UNIX_DIAG_UID && length >= 4) batch.uid[row] = words[payload >> 2] as number;
  });
  return true;
};

/** What a dump of unix sockets asks for. */
export type UnixDumpOptions = {
  /** The inode of the socket at the other end too. */
  readonly unixPeers?: boolean;
};

export const unixDumps = ({ unixPeers }: UnixDumpOptions = {}): readonly DumpRequest[] => [
  { protocol: "unix", encode: (seq) => encodeUnixDump(seq, unixPeers), decode: decodeUnix },
];
