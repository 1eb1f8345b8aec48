import { createSocket } from "node:dgram";
import { once } from "node:events";

/** What the server knows of a name: its addresses, or the way in which it fails. */
export type Zone = Readonly<Record<string, { readonly a?: string; readonly aaaa?: string } | "servfail" | "silent">>;

const typeA = 1;
const typeAaaa = 28;
const rcodes = { none: 0, servfail: 2, nxdomain: 3 } as const;

const nameAt = (message: Buffer, start: number): { name: string; end: number } => {
  const labels: string[] = [];
  let offset = start;
  for (let length = message.readUInt8(offset); length > 0; length = message.readUInt8(offset)) {
    labels.push(message.toString("latin1", offset + 1, offset + 1 + length));
    offset += 1 + length;
  }
  return { name: labels.join("."), end: offset + 1 };
};

const bytesOf = (address: string): Buffer => {
  if (!address.includes(":")) return Buffer.from(address.split(".").map(Number));
  const [left = "", right = ""] = address.split("::");
  const groups = (text: string): number[] => (text === "" ? [] : text.split(":").map((group) => parseInt(group, 16)));
  const bytes = Buffer.alloc(16);
  for (const [index, group] of groups(left).entries()) bytes.writeUInt16BE(group, index * 2);
  const tail = groups(right);
  for (const [index, group] of tail.entries()) bytes.writeUInt16BE(group, 16 - (tail.length - index) * 2);
  return bytes;
};

/** RFC 1035 section 4: the reply to a query of one question, undefined where the zone is silent. */
const replyTo = (query: Buffer, zone: Zone): Buffer | undefined => {
  const { name, end } = nameAt(query, 12);
  const type = query.readUInt16BE(end);
  const record = name.startsWith("slow-") ? "silent" : zone[name.toLowerCase()];
  if (record === "silent") return undefined;
  const addresses = record === undefined || record === "servfail" ? {} : record;
  const address = type === typeA ? addresses.a : type === typeAaaa ? addresses.aaaa : undefined;
  const rcode = record === "servfail" ? rcodes.servfail : record === undefined ? rcodes.nxdomain : rcodes.none;
  const header = Buffer.from(query.subarray(0, 12));
  header.writeUInt16BE(0x8180 | rcode, 2);
  header.writeUInt16BE(address === undefined ? 0 : 1, 6);
  header.writeUInt32BE(0, 8);
  const question = query.subarray(12, end + 4);
  if (address === undefined) return Buffer.concat([header, question]);
  const data = bytesOf(address);
  const answer = Buffer.from([0xc0, 12, 0, type, 0, 1, 0, 0, 0, 0, 0, data.length]);
  return Buffer.concat([header, question, answer, data]);
};

/** A name server on 127.0.0.1:53 that answers from the zone, NXDOMAIN for what it lacks, and `slow-*` never. */
export const serveNames = async (zone: Zone): Promise<Disposable> => {
  const socket = createSocket("udp4");
  socket.on("message", (query, peer) => {
    const reply = replyTo(query, zone);
    if (reply !== undefined) socket.send(reply, peer.port, peer.address);
  });
  socket.bind(53, "127.0.0.1");
  await once(socket, "listening");
  return { [Symbol.dispose]: () => void socket.close() };
};
