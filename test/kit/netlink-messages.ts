/** Netlink messages as the kernel would send them. */

/** The request that they answer. */
export const seq = 7;

export const attribute = (type: number, payload: Uint8Array): Buffer => {
  const bytes = Buffer.alloc((4 + payload.length + 3) & ~3);
  bytes.writeUInt16LE(4 + payload.length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(payload, 4);
  return bytes;
};

export const message = (
  type: number,
  body: Uint8Array,
  { sequence = seq, flags = 2 }: { readonly sequence?: number; readonly flags?: number } = {},
): Buffer => {
  const bytes = Buffer.alloc(16 + ((body.length + 3) & ~3));
  bytes.writeUInt32LE(16 + body.length, 0); // nlmsg_len
  bytes.writeUInt16LE(type, 4); // nlmsg_type
  bytes.writeUInt16LE(flags, 6); // nlmsg_flags, by default NLM_F_MULTI
  bytes.writeUInt32LE(sequence, 8); // nlmsg_seq
  bytes.set(body, 16);
  return bytes;
};

/** NLMSG_DONE, or NLMSG_ERROR (2), with its status. */
export const done = (status: number, type = 3, sequence = seq): Buffer => {
  const body = Buffer.alloc(4);
  body.writeInt32LE(status, 0);
  return message(type, body, { sequence });
};

export const words = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [at, value] of values.entries()) bytes.writeUInt32LE(value, at * 4);
  return bytes;
};
