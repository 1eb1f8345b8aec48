import type { Target } from "../../src/model/target.ts";

/** What `inside/accuracy.ts` and `inside/blackbox.ts` print, in us. */
export type Accuracy = { readonly p50: number; readonly p99: number; readonly rtt: number; readonly cpu: number };

/** What `inside/holes.ts` prints: medians and 99th percentiles in us. */
export type Beside = {
  readonly runs: number;
  readonly latency: readonly [number, number];
  readonly lag: readonly [number, number];
  /** How the runs of targets that never answer ended. */
  readonly holes: readonly string[];
};

/** An address of loopback of its own for each, so that no two share their ports. */
export const addressOf = (index: number): string => `127.1.${index >> 8}.${index & 255}`;

/** Where `holes.ts` has an interface that swallows what is sent. */
export const holeNetwork = "10.99.0.0/16";

const target = (name: string, host: string, port: number, intervalMs: number): Target<"tcp"> => ({
  type: "tcp",
  name,
  url: `tcp://${host}:${port}`,
  host,
  port,
  intervalMs,
  timeoutMs: Math.min(5000, intervalMs * 0.9),
  attempts: 1,
  attributes: {},
  allAddresses: false,
  source: { address: undefined, interface: undefined },
  tls: undefined,
  steps: [],
});

export const tcpTarget = (index: number, port: number, intervalMs: number): Target<"tcp"> =>
  target(`up ${index}`, addressOf(index), port, intervalMs);

export const holeTarget = (index: number, port: number, intervalMs: number): Target<"tcp"> =>
  target(`hole ${index}`, `10.99.${index >> 8}.${index & 255}`, port, intervalMs);

/** NaN of none. */
export const quantile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN;

/** User and system time in us, from the text of /proc/PID/stat (proc_pid_stat(5)); ticks are 10 ms everywhere. */
export const cpuOfProcess = (stat: string): number => {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
};
