import { AF_INET, AF_INET6 } from "../netlink/constants.ts";
import { tcpInfo, type TcpInfoField, tcpInfoFields, tcpInfoIndex, tcpInfoStride } from "../netlink/tcp-info.ts";

/** A version as one number: 1000 * major + minor. */
const version = (text: string): number => {
  const [major = 0, minor = 0] = text.split(".").map(Number);
  return major * 1000 + minor;
};

type Word = {
  readonly field: TcpInfoField;
  /** What one of the printed unit is in the field's; ss prints times in ms. */
  readonly scale: 1 | 1000;
};

const ms = 1000;
const word = (field: TcpInfoField, scale: Word["scale"] = 1): Word => ({ field, scale });

/** `word:value` of tcp_stats_print() in misc/ss.c of iproute2, and how they are fields of struct tcp_info. */
const words: ReadonlyMap<string, Word> = new Map([
  ["rto", word("rto", ms)],
  ["backoff", word("backoff")],
  ["ato", word("ato", ms)],
  ["mss", word("snd_mss")],
  ["pmtu", word("pmtu")],
  ["rcvmss", word("rcv_mss")],
  ["advmss", word("advmss")],
  ["cwnd", word("snd_cwnd")],
  ["ssthresh", word("snd_ssthresh")],
  ["bytes_sent", word("bytes_sent")],
  ["bytes_retrans", word("bytes_retrans")],
  ["bytes_acked", word("bytes_acked")],
  ["bytes_received", word("bytes_received")],
  ["segs_out", word("segs_out")],
  ["segs_in", word("segs_in")],
  ["data_segs_out", word("data_segs_out")],
  ["data_segs_in", word("data_segs_in")],
  ["lastsnd", word("last_data_sent")],
  ["lastrcv", word("last_data_recv")],
  ["lastack", word("last_ack_recv")],
  ["delivered", word("delivered")],
  ["delivered_ce", word("delivered_ce")],
  ["busy", word("busy_time", ms)],
  ["rwnd_limited", word("rwnd_limited", ms)],
  ["sndbuf_limited", word("sndbuf_limited", ms)],
  ["unacked", word("unacked")],
  ["lost", word("lost")],
  ["sacked", word("sacked")],
  ["dsack_dups", word("dsack_dups")],
  ["reordering", word("reordering")],
  ["reord_seen", word("reord_seen")],
  ["rcv_rtt", word("rcv_rtt", ms)],
  ["rcv_space", word("rcv_space")],
  ["rcv_ssthresh", word("rcv_ssthresh")],
  ["notsent", word("notsent_bytes")],
  ["minrtt", word("min_rtt", ms)],
  ["rcv_ooopack", word("rcv_ooopack")],
  ["snd_wnd", word("snd_wnd")],
  ["rcv_wnd", word("rcv_wnd")],
  ["rehash", word("rehash")],
]);

/** `word:first/second`. */
const pairs: ReadonlyMap<string, readonly [Word, Word]> = new Map([
  ["rtt", [word("rtt", ms), word("rttvar", ms)]],
  ["retrans", [word("retrans"), word("total_retrans")]],
  ["wscale", [word("snd_wscale"), word("rcv_wscale")]],
]);

/** Words without a value that stand before the name of the congestion control algorithm. */
const options: ReadonlySet<string> = new Set(["ts", "usec_ts", "sack", "ecn", "ecnseen", "fastopen"]);

/**
 * The fields that ss leaves out when they are 0, and the iproute2 that first printed them. Not here are those whose
 * absence has more than one meaning: rto (0 or 3 s), ssthresh (65,535 and above), cwnd (2 in old versions), minrtt and
 * the pacing rates (no sample, or no limit).
 */
const zeroWhenMissing: Readonly<Partial<Record<TcpInfoField, string>>> = {
  backoff: "3.17",
  snd_wscale: "3.12",
  rcv_wscale: "3.12",
  ato: "3.12",
  snd_mss: "3.12",
  pmtu: "4.15",
  rcv_mss: "4.10",
  advmss: "4.10",
  rtt: "3.12",
  retrans: "3.12",
  total_retrans: "3.12",
  unacked: "3.12",
  sacked: "3.12",
  lost: "3.12",
  rcv_rtt: "3.12",
  rcv_space: "3.12",
  last_data_sent: "3.17",
  last_data_recv: "3.17",
  last_ack_recv: "3.17",
  bytes_acked: "4.2",
  bytes_received: "4.2",
  segs_out: "4.2",
  segs_in: "4.2",
  notsent_bytes: "4.6",
  data_segs_in: "4.7",
  data_segs_out: "4.7",
  delivery_rate: "4.10",
  delivery_rate_app_limited: "4.10",
  busy_time: "4.10",
  rwnd_limited: "4.10",
  sndbuf_limited: "4.10",
  rcv_ssthresh: "4.15",
  delivered: "4.20",
  delivered_ce: "4.20",
  bytes_sent: "4.20",
  bytes_retrans: "4.20",
  dsack_dups: "4.20",
  reord_seen: "4.20",
  rcv_ooopack: "5.18",
  snd_wnd: "5.18",
  rcv_wnd: "6.6",
  rehash: "6.6",
};

/** Until 5.7 `ss -V` named the day of the release. */
const releases: readonly (readonly [number, string])[] = [
  [131_122, "3.12"],
  [140_804, "3.16"],
  [141_224, "3.18"],
  [150_626, "4.1"],
  [150_831, "4.2"],
  [160_518, "4.6"],
  [160_808, "4.7"],
  [170_220, "4.10"],
  [171_113, "4.14"],
  [180_129, "4.15"],
  [190_107, "4.20"],
  [190_319, "5.0"],
  [190_708, "5.2"],
  [200_127, "5.5"],
  [200_602, "5.7"],
];

/** The version in the answer to `ss -V`: `iproute2-6.1.0`, or `iproute2-ss190107`; undefined where there is none. */
const versionOf = (answer: string): number | undefined => {
  const [, day, number] = /iproute2-(?:ss(\d{6})|v?(\d+\.\d+))/.exec(answer) ?? [];
  if (number !== undefined) return version(number);
  if (day === undefined) return undefined;
  return version(releases.findLast(([first]) => first <= Number(day))?.[1] ?? "3.10");
};

/** What the text of an ss means that it does not say. */
export type SsFormat = {
  /** A row of tcp_info for what an information part leaves out: 0, or NaN where that ss or that kernel has no such field. */
  readonly missing: Float64Array;
  /** The family of `*:port`: any IPv4 address in old versions, any address of both families in new ones. */
  readonly wildcard: typeof AF_INET | typeof AF_INET6;
};

/** From the answer to `ss -V` and the kernel's release. Of a version that is not known, only what all print is taken for 0. */
export const ssFormat = (answer: string, kernel: string): SsFormat => {
  const iproute = versionOf(answer);
  const running = version(/^\d+\.\d+/.exec(kernel)?.[0] ?? "2.6");
  const missing = new Float64Array(tcpInfoStride).fill(Number.NaN);
  for (const field of tcpInfoFields) {
    const since = zeroWhenMissing[field];
    if (since === undefined || version(since) > (iproute ?? version("3.12"))) continue;
    if (version(tcpInfo[field].since) <= running) missing[tcpInfoIndex[field]] = 0;
  }
  missing[tcpInfoIndex.reordering] = 3;
  return { missing, wildcard: iproute !== undefined && iproute < version("4.14") ? AF_INET : AF_INET6 };
};

const decimal = /^\d+(?:\.\d+)?(?:e[+-]?\d+)?$/;

/** A number as %u and %g print it; NaN for anything else. */
const numberOf = (text: string): number => (decimal.test(text) ? Number(text) : Number.NaN);

const units: Readonly<Record<string, number>> = { "": 1, k: 1e3, K: 1e3, M: 1e6, G: 1e9, T: 1e12 };

/** Bytes a second of `1234bps` or `12.3Mbps`. */
const rateOf = (text: string): number => {
  const [, amount, unit = ""] = /^([\d.e+]+)([kKMGT]?)bps$/.exec(text) ?? [];
  return amount === undefined ? Number.NaN : (numberOf(amount) * (units[unit] ?? 1)) / 8;
};

const set = (info: Float64Array, at: number, { field, scale }: Word, text: string): boolean => {
  // A number ends where a unit or a share in brackets begins: 12ms(3.4%).
  const value = numberOf(scale === ms ? text.replace(/ms(?:\(.*)?$/, "") : text);
  if (Number.isNaN(value)) return false;
  info[at + tcpInfoIndex[field]] = scale === ms ? Math.round(value * ms) : value;
  return true;
};

/**
 * Reads the information part of a TCP socket into `info[at .. at + tcpInfoStride)`; words that are not known are passed
 * over. Gives the name of the congestion control algorithm, empty where none is printed; undefined where there is no
 * information at all, and then the row stays as it was.
 */
export const readSsInfo = (text: string, { missing }: SsFormat, info: Float64Array, at: number): string | undefined => {
  const parts = text.split(" ");
  let congestion = "";
  let named = false;
  let found = false;
  const begin = (): void => {
    if (!found) info.set(missing, at);
    found = true;
  };
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index] ?? "";
    if (part === "") continue;
    const colon = part.indexOf(":");
    if (colon >= 0) {
      const key = part.slice(0, colon);
      const value = part.slice(colon + 1);
      const single = words.get(key);
      const double = pairs.get(key);
      if (single === undefined && double === undefined) continue;
      begin();
      named = true;
      if (single !== undefined) set(info, at, single, value);
      if (double === undefined) continue;
      const [first = "", second = ""] = value.split(/[/,]/, 2);
      set(info, at, double[0], first);
      set(info, at, double[1], second);
    } else if (part === "app_limited") {
      begin();
      info[at + tcpInfoIndex.delivery_rate_app_limited] = 1;
    } else if (part === "pacing_rate" || part === "delivery_rate") {
      begin();
      named = true;
      const [rate = "", most = ""] = (parts[++index] ?? "").split("/", 2);
      info[at + tcpInfoIndex[part]] = rateOf(rate);
      if (most !== "") info[at + tcpInfoIndex.max_pacing_rate] = rateOf(most);
    } else if (!named && !options.has(part) && /^[a-z][\w.-]{0,15}$/i.test(part)) {
      begin();
      named = true;
      congestion = part;
    }
  }
  return found ? congestion : undefined;
};
