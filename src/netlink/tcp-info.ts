/**
 * struct tcp_info (linux/tcp.h), the payload of INET_DIAG_INFO. The struct only grows: a field beyond the length that
 * the kernel sent is absent, which is not the same as 0.
 */
type Field = {
  readonly offset: number;
  /** Bytes; `bit` is bit 0 of a byte. */
  readonly width: 4 | 8 | "bit";
  /** Kernel that added it. */
  readonly since: string;
};

export const tcpInfo = {
  /** 1: the rate was limited by the application. */
  delivery_rate_app_limited: { offset: 7, width: "bit", since: "4.9" },
  /** us, smoothed; 0: no sample. */
  rtt: { offset: 68, width: 4, since: "2.6" },
  /** us. */
  rttvar: { offset: 72, width: 4, since: "2.6" },
  /** Segments. */
  snd_cwnd: { offset: 80, width: 4, since: "2.6" },
  /** Counter, u32. */
  total_retrans: { offset: 100, width: 4, since: "2.6" },
  /** Counter, u64. Counts SYN and FIN. */
  bytes_acked: { offset: 120, width: 8, since: "4.1" },
  /** Counter, u64. Counts FIN. */
  bytes_received: { offset: 128, width: 8, since: "4.1" },
  /** Counter, u32. */
  segs_out: { offset: 136, width: 4, since: "4.2" },
  /** Counter, u32. */
  segs_in: { offset: 140, width: 4, since: "4.2" },
  /** us; 0xffffffff: no sample. */
  min_rtt: { offset: 148, width: 4, since: "4.6" },
  /** By/s. */
  delivery_rate: { offset: 160, width: 8, since: "4.9" },
} as const satisfies Record<string, Field>;

export type TcpInfoField = keyof typeof tcpInfo;

export const tcpInfoFields = Object.keys(tcpInfo) as readonly TcpInfoField[];

/** Position of each field in a row of `SocketBatch.info`. */
export const tcpInfoIndex = Object.fromEntries(tcpInfoFields.map((field, index) => [field, index])) as Readonly<
  Record<TcpInfoField, number>
>;

/** Values a row of `SocketBatch.info`. */
export const tcpInfoStride = tcpInfoFields.length;

const offsets = Uint16Array.from(tcpInfoFields, (field) => tcpInfo[field].offset);
const widths = Uint8Array.from(tcpInfoFields, (field) => {
  const { width } = tcpInfo[field];
  return width === "bit" ? 1 : width;
});

/**
 * Decodes the fields into `target[at .. at + tcpInfoStride)`; NaN where the kernel's struct is too short.
 * `start` is the payload's byte offset, a multiple of 4; u64 are exact up to 2^53.
 */
export const decodeTcpInfo = (
  bytes: Uint8Array,
  words: Uint32Array,
  start: number,
  length: number,
  target: Float64Array,
  at: number,
): void => {
  for (let field = 0; field < tcpInfoStride; field++) {
    const offset = offsets[field] as number;
    const width = widths[field] as number;
    let value = Number.NaN;
    if (offset + width <= length) {
      const word = (start + offset) >> 2;
      if (width === 4) value = words[word] as number;
      else if (width === 8) value = (words[word] as number) + (words[word + 1] as number) * 4294967296;
      else value = (bytes[start + offset] as number) & 1;
    }
    target[at + field] = value;
  }
};
