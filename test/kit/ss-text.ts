import { addressText, local, peer } from "../../src/netlink/address.ts";
import { createSocketBatch, type SocketBatch, type SocketProtocol } from "../../src/model/socket.ts";
import { type TcpInfoField, tcpInfoFields, tcpInfoIndex, tcpInfoStride } from "../../src/netlink/tcp-info.ts";
import { type SsFormat, ssFormat } from "../../src/text/ss-info.ts";
import { readSsRecord, withSendColumn } from "../../src/text/ss-output.ts";
import { createSsRecords, type SsRecord } from "../../src/text/ss-records.ts";

/** One row of a batch, as a test compares it; the fields of tcp_info that are absent are left out. */
export const rowOf = (batch: SocketBatch, row: number) => ({
  family: batch.family[row],
  type: batch.type[row],
  state: batch.state[row],
  local: `${addressText(batch, row, local)} ${batch.localPort[row]}`,
  peer: `${addressText(batch, row, peer)} ${batch.peerPort[row]}`,
  rqueue: batch.rqueue[row],
  wqueue: batch.wqueue[row],
  cookie: batch.cookie[row] as number,
  uid: batch.uid[row],
  inode: batch.inode[row],
  drops: batch.drops[row],
  full: batch.full[row],
  congestion: batch.congestionNames[batch.congestion[row] as number],
  name: batch.name[row],
  info: Object.fromEntries(
    tcpInfoFields
      .map((field) => [field, batch.info[row * tcpInfoStride + tcpInfoIndex[field]] as number] as const)
      .filter(([, value]) => !Number.isNaN(value)),
  ) as Partial<Record<TcpInfoField, number>>,
});

export type Row = ReturnType<typeof rowOf>;

export const rowsOf = (batch: SocketBatch): Row[] =>
  Array.from({ length: batch.length }, (_, row) => rowOf(batch, row));

type Reading = {
  readonly protocol?: SocketProtocol;
  readonly format?: SsFormat;
  readonly states?: number;
  readonly memory?: boolean;
  /** Characters a piece of the text. */
  readonly piece?: number;
};

/** The sockets in a text of ss, and what became of the rest. */
export const readSs = (text: string, options: Reading = {}) => {
  const { protocol = "tcp", states = 0xffff, memory = false, piece = text.length || 1 } = options;
  const format = options.format ?? ssFormat("iproute2-7.1.0", "6.18.0");
  const batch = createSocketBatch(1000, tcpInfoStride);
  const records = createSsRecords();
  const verdicts = { row: 0, unwanted: 0, skipped: 0, from_proc: 0 };
  const take = (record: SsRecord): void => {
    const reading = { protocol, states, memory, format };
    let verdict = readSsRecord(record, reading, batch);
    if (verdict === "skipped" && records.sendColumn > 0)
      verdict = readSsRecord(withSendColumn(record, records.sendColumn), reading, batch);
    verdicts[verdict]++;
  };
  for (let at = 0; at < text.length; at += piece)
    for (const each of records.push(text.slice(at, at + piece))) take(each);
  for (const each of records.end()) take(each);
  verdicts.skipped += records.skipped;
  return { rows: rowsOf(batch), ...verdicts };
};
