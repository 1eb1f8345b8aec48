/** ICMP echo, RFC 792 and RFC 4443 section 4: type, code, checksum, identifier, sequence number, payload. */

const headerBytes = 8;
/** There is one request a socket. */
const sequence = 1;

export type EchoTypes = { readonly request: number; readonly reply: number };
export const echoTypes: Readonly<Record<4 | 6, EchoTypes>> = {
  4: { request: 8, reply: 0 },
  6: { request: 128, reply: 129 },
};

/** RFC 1071: the ones' complement of the ones' complement sum of all 16-bit words. */
const checksumOf = (bytes: Uint8Array): number => {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += (bytes[at]! << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
};

/** A request with its checksum, which is ICMP's; the kernel writes that of ICMPv6, and those of its ping sockets. */
export const encodeEcho = (type: number, identifier: number, payload: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(headerBytes + payload.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = type;
  view.setUint16(4, identifier);
  view.setUint16(6, sequence);
  bytes.set(payload, headerBytes);
  view.setUint16(2, checksumOf(bytes));
  return bytes;
};

/** Where the ICMP message starts of a packet that begins with an IPv4 header. */
export const ipv4HeaderBytes = (packet: Uint8Array): number => ((packet[0] ?? 0) & 0xf) * 4;

/**
 * The payload of the echo message of this type that belongs to the request; undefined of any other message. It may be
 * cut short, as some routers do, but not differ.
 */
export const payloadOf = (message: Uint8Array, type: number, request: Uint8Array): Uint8Array | undefined => {
  if (message.length < headerBytes || message[0] !== type || message[1] !== 0) return undefined;
  // Identifier, sequence number and payload.
  const length = Math.min(message.length, request.length);
  for (let at = 4; at < length; at++) if (message[at] !== request[at]) return undefined;
  return message.subarray(headerBytes);
};
