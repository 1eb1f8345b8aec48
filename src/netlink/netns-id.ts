import { AF_UNSPEC, NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR, RTM_GETNSID, RTM_NEWNSID } from "./constants.ts";
import { bytesOf, headerBytes, type ReceiveBuffer, walkAttributes } from "./message.ts";

/** linux/net_namespace.h */
const NETNSA_NSID = 1;
const NETNSA_FD = 3;

/** struct rtgenmsg { unsigned char rtgen_family; };   padded to 4 */
const bodyBytes = 4;

const encode = (type: number, flags: number, seq: number, attributes: readonly (readonly [number, number])[]) => {
  const view = new DataView(new ArrayBuffer(headerBytes + bodyBytes + attributes.length * 8));
  view.setUint32(0, view.byteLength, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  view.setUint32(8, seq, true);
  view.setUint8(headerBytes, AF_UNSPEC);
  for (const [index, [name, value]] of attributes.entries()) {
    const at = headerBytes + bodyBytes + index * 8;
    view.setUint16(at, 8, true);
    view.setUint16(at + 2, name, true);
    view.setInt32(at + 4, value, true);
  }
  return bytesOf(view);
};

/** Asks rtnetlink for the id of the namespace of an open file. */
export const encodeGetNetnsId = (seq: number, file: number): Uint8Array =>
  encode(RTM_GETNSID, NLM_F_REQUEST, seq, [[NETNSA_FD, file]]);

/** Gives it this id. */
export const encodeNewNetnsId = (seq: number, file: number, id: number): Uint8Array =>
  encode(RTM_NEWNSID, NLM_F_REQUEST | NLM_F_ACK, seq, [
    [NETNSA_NSID, id],
    [NETNSA_FD, file],
  ]);

/** The reply to either: an errno, which is 0 for what was done, or the id, which is -1 where there is none. */
export type NetnsIdReply = { readonly errno: number } | { readonly id: number };

/** Undefined for what is no such reply. */
export const decodeNetnsId = (buffer: ReceiveBuffer, length: number, seq: number): NetnsIdReply | undefined => {
  if (length < headerBytes + 4 || buffer.words[2] !== seq) return undefined;
  const type = buffer.halves[2];
  if (type === NLMSG_ERROR) return { errno: 0 - ((buffer.words[headerBytes >> 2] as number) | 0) };
  if (type !== RTM_NEWNSID) return undefined;
  let id: number | undefined;
  walkAttributes(buffer, headerBytes + bodyBytes, length, (name, at, size) => {
    if (name === NETNSA_NSID && size === 4) id = (buffer.words[at >> 2] as number) | 0;
  });
  return id === undefined ? undefined : { id };
};
