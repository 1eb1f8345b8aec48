import { u64 } from "./message.ts";

/**
 * struct tcp_info (linux/tcp.h), the payload of INET_DIAG_INFO. The struct only grows: a field beyond the length that
 * the kernel sent is absent, which is not the same as 0.
 */
type Field = {
  readonly offset: number;
  /** Bytes; `bit` is bit 0 of a byte, `low` and `high` are its nibbles. */
  readonly width: 1 | 2 | 4 | 8 | "bit" | "low" | "high";
  /** `counter`: does not fall while the socket lives, but for a wrap at its width. */
  readonly kind: "counter" | "gauge" | "flag";
  /** Kernel that added it. */
  readonly since: string;
};

const gauge = (offset: number, width: Field["width"], since: string) =>
  ({ offset, width, kind: "gauge", since }) as const;
const counter = (offset: number, width: Field["width"], since: string) =>
  ({ offset, width, kind: "counter", since }) as const;
const flag = (offset: number, width: Field["width"], since: string) =>
  ({ offset, width, kind: "flag", since }) as const;

/**
 * The fields that have one meaning on all kernels. Left out: tcpi_fackets and tcpi_last_ack_sent, which are always 0,
 * and the AccECN words at 276, whose layout changed under the same length.
 */
export const tcpInfo = {
  state: flag(0, 1, "2.6"),
  /** 0 Open, 1 Disorder, 2 CWR, 3 Recovery, 4 Loss. */
  ca_state: flag(1, 1, "2.6"),
  /** Timeouts in a row. */
  retransmits: gauge(2, 1, "2.6"),
  probes: gauge(3, 1, "2.6"),
  backoff: gauge(4, 1, "2.6"),
  /** TCPI_OPT_x. */
  options: flag(5, 1, "2.6"),
  snd_wscale: gauge(6, "low", "2.6"),
  rcv_wscale: gauge(6, "high", "2.6"),
  /** 1: the rate was limited by the application. */
  delivery_rate_app_limited: flag(7, "bit", "4.9"),
  /** us. */
  rto: gauge(8, 4, "2.6"),
  /** us. */
  ato: gauge(12, 4, "2.6"),
  /** Bytes. */
  snd_mss: gauge(16, 4, "2.6"),
  rcv_mss: gauge(20, 4, "2.6"),
  /** Segments. */
  unacked: gauge(24, 4, "2.6"),
  sacked: gauge(28, 4, "2.6"),
  lost: gauge(32, 4, "2.6"),
  retrans: gauge(36, 4, "2.6"),
  /** ms. */
  last_data_sent: gauge(44, 4, "2.6"),
  last_data_recv: gauge(52, 4, "2.6"),
  last_ack_recv: gauge(56, 4, "2.6"),
  /** Bytes. */
  pmtu: gauge(60, 4, "2.6"),
  rcv_ssthresh: gauge(64, 4, "2.6"),
  /** us, smoothed; 0: no sample. */
  rtt: gauge(68, 4, "2.6"),
  /** us. */
  rttvar: gauge(72, 4, "2.6"),
  /** Segments; 0x7fffffff and above: no limit yet. */
  snd_ssthresh: gauge(76, 4, "2.6"),
  snd_cwnd: gauge(80, 4, "2.6"),
  /** Bytes. */
  advmss: gauge(84, 4, "2.6"),
  /** Segments. */
  reordering: gauge(88, 4, "2.6"),
  /** us; 0: no sample. */
  rcv_rtt: gauge(92, 4, "2.6"),
  /** Bytes. */
  rcv_space: gauge(96, 4, "2.6"),
  /** Segments. */
  total_retrans: counter(100, 4, "2.6"),
  /** By/s. */
  pacing_rate: gauge(104, 8, "3.15"),
  /** By/s; all bits: no limit. */
  max_pacing_rate: gauge(112, 8, "3.15"),
  /** Counts SYN and FIN. */
  bytes_acked: counter(120, 8, "4.1"),
  /** Counts FIN. */
  bytes_received: counter(128, 8, "4.1"),
  segs_out: counter(136, 4, "4.2"),
  segs_in: counter(140, 4, "4.2"),
  /** Bytes. */
  notsent_bytes: gauge(144, 4, "4.6"),
  /** us; 0xffffffff: no sample. */
  min_rtt: gauge(148, 4, "4.6"),
  data_segs_in: counter(152, 4, "4.6"),
  data_segs_out: counter(156, 4, "4.6"),
  /** By/s. */
  delivery_rate: gauge(160, 8, "4.9"),
  /** us, in steps of a jiffy. */
  busy_time: counter(168, 8, "4.10"),
  rwnd_limited: counter(176, 8, "4.10"),
  sndbuf_limited: counter(184, 8, "4.10"),
  /** Segments. */
  delivered: counter(192, 4, "4.18"),
  delivered_ce: counter(196, 4, "4.18"),
  /** Retransmitted ones too. */
  bytes_sent: counter(200, 8, "4.19"),
  bytes_retrans: counter(208, 8, "4.19"),
  dsack_dups: counter(216, 4, "4.19"),
  reord_seen: counter(220, 4, "4.19"),
  rcv_ooopack: counter(224, 4, "5.4"),
  /** Bytes. */
  snd_wnd: gauge(228, 4, "5.4"),
  rcv_wnd: gauge(232, 4, "6.2"),
  rehash: counter(236, 4, "6.2"),
  total_rto: counter(240, 2, "6.7"),
  total_rto_recoveries: counter(242, 2, "6.7"),
  /** ms. */
  total_rto_time: counter(244, 4, "6.7"),
  /** Segments. */
  received_ce: counter(248, 4, "6.18"),
  delivered_e1_bytes: counter(252, 4, "6.18"),
  delivered_e0_bytes: counter(256, 4, "6.18"),
  delivered_ce_bytes: counter(260, 4, "6.18"),
  received_e1_bytes: counter(264, 4, "6.18"),
  received_e0_bytes: counter(268, 4, "6.18"),
  received_ce_bytes: counter(272, 4, "6.18"),
} as const satisfies Record<string, Field>;

export type TcpInfoField = keyof typeof tcpInfo;

/** What is wanted most often stands first, and is decoded without a plan: it is most of what a dump costs us. */
const front = [
  "rtt",
  "rttvar",
  "min_rtt",
  "snd_cwnd",
  "bytes_acked",
  "bytes_received",
  "segs_out",
  "segs_in",
  "total_retrans",
  "bytes_retrans",
  "delivery_rate",
  "delivery_rate_app_limited",
] as const satisfies readonly TcpInfoField[];
/** From this length on the struct holds all of them. */
const frontBytes = 216;

export const tcpInfoFields: readonly TcpInfoField[] = [
  ...new Set([...front, ...(Object.keys(tcpInfo) as TcpInfoField[])]),
];

/** Position of each field in a row of `SocketBatch.info`. */
export const tcpInfoIndex = Object.fromEntries(tcpInfoFields.map((field, index) => [field, index])) as Readonly<
  Record<TcpInfoField, number>
>;

/** Values a row of `SocketBatch.info`. */
export const tcpInfoStride = tcpInfoFields.length;

/** Which fields are decoded beside those that always are; what nobody asks for stays absent, and costs nothing. */
export type TcpInfoPlan = {
  /** Pairs of the position in a row and the offset in the struct, in words: of u32 fields, and of u64 fields. */
  readonly words: Uint16Array;
  readonly longs: Uint16Array;
  /** Triples of position, offset in bytes, and width, of all others. */
  readonly small: Uint16Array;
  /** From this length on the struct holds all of them. */
  readonly bytes: number;
};

const bytesOf = (field: TcpInfoField): number => {
  const { width } = tcpInfo[field];
  return typeof width === "number" ? width : 1;
};

/** Codes of the widths in `TcpInfoPlan.small`. */
const smallWidth = { 1: 1, 2: 2, bit: 3, low: 4, high: 5 } as const;

const isFront = (field: TcpInfoField): boolean => (front as readonly TcpInfoField[]).includes(field);

const planOf = (wanted: readonly TcpInfoField[]): TcpInfoPlan => {
  const pairs = (width: 4 | 8): number[] =>
    wanted
      .filter((field) => tcpInfo[field].width === width)
      .flatMap((field) => [tcpInfoIndex[field], tcpInfo[field].offset >> 2]);
  const small = wanted.flatMap((field) => {
    const { width, offset } = tcpInfo[field];
    return width === 4 || width === 8 ? [] : [tcpInfoIndex[field], offset, smallWidth[width]];
  });
  return {
    words: Uint16Array.from(pairs(4)),
    longs: Uint16Array.from(pairs(8)),
    small: Uint16Array.from(small),
    bytes: Math.max(0, ...wanted.map((field) => tcpInfo[field].offset + bytesOf(field))),
  };
};

export const planTcpInfo = (fields: Iterable<TcpInfoField>): TcpInfoPlan =>
  planOf([...new Set(fields)].filter((field) => !isFront(field)).sort((a, b) => tcpInfo[a].offset - tcpInfo[b].offset));

const frontPlan = planOf(front);

const decodeSmall = (bytes: Uint8Array, at: number, width: number): number => {
  const byte = bytes[at] as number;
  switch (width) {
    case smallWidth.bit:
      return byte & 1;
    case smallWidth.low:
      return byte & 15;
    case smallWidth.high:
      return byte >> 4;
    case smallWidth[2]:
      return byte | ((bytes[at + 1] as number) << 8);
    default:
      return byte;
  }
};

/** The fields of `front`, in their order. */
const decodeFront = (bytes: Uint8Array, words: Uint32Array, start: number, target: Float64Array, at: number): void => {
  const word = start >> 2;
  target[at] = words[word + 17] as number;
  target[at + 1] = words[word + 18] as number;
  target[at + 2] = words[word + 37] as number;
  target[at + 3] = words[word + 20] as number;
  target[at + 4] = u64(words, word + 30);
  target[at + 5] = u64(words, word + 32);
  target[at + 6] = words[word + 34] as number;
  target[at + 7] = words[word + 35] as number;
  target[at + 8] = words[word + 25] as number;
  target[at + 9] = u64(words, word + 52);
  target[at + 10] = u64(words, word + 40);
  target[at + 11] = (bytes[start + 7] as number) & 1;
};

/**
 * Decodes the plan's fields into `target[at .. at + tcpInfoStride)`; NaN where the kernel's struct is too short.
 * `start` is the payload's byte offset, a multiple of 4; u64 are exact up to 2^53.
 */
export const decodeTcpInfo = (
  plan: TcpInfoPlan,
  bytes: Uint8Array,
  words: Uint32Array,
  start: number,
  length: number,
  target: Float64Array,
  at: number,
): void => {
  decodeFront(bytes, words, start, target, at);
  const { words: singles, longs, small } = plan;
  const base = start >> 2;
  for (let pair = 0; pair < singles.length; pair += 2)
    target[at + (singles[pair] as number)] = words[base + (singles[pair + 1] as number)] as number;
  for (let pair = 0; pair < longs.length; pair += 2)
    target[at + (longs[pair] as number)] = u64(words, base + (longs[pair + 1] as number));
  for (let triple = 0; triple < small.length; triple += 3)
    target[at + (small[triple] as number)] = decodeSmall(
      bytes,
      start + (small[triple + 1] as number),
      small[triple + 2] as number,
    );
  // A field that did not fit was decoded all the same, from what follows.
  if (length < frontBytes) forgetBeyond(frontPlan, length, target, at);
  if (length < plan.bytes) forgetBeyond(plan, length, target, at);
};

/** Makes the fields absent that the kernel's struct is too short for. */
const forgetBeyond = ({ words, longs, small }: TcpInfoPlan, length: number, target: Float64Array, at: number): void => {
  for (let pair = 0; pair < words.length; pair += 2)
    if ((words[pair + 1] as number) * 4 + 4 > length) target[at + (words[pair] as number)] = Number.NaN;
  for (let pair = 0; pair < longs.length; pair += 2)
    if ((longs[pair + 1] as number) * 4 + 8 > length) target[at + (longs[pair] as number)] = Number.NaN;
  for (let triple = 0; triple < small.length; triple += 3) {
    const size = small[triple + 2] === smallWidth[2] ? 2 : 1;
    if ((small[triple + 1] as number) + size > length) target[at + (small[triple] as number)] = Number.NaN;
  }
};
