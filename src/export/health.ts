import type { OtlpStats } from "./otlp-destination.ts";

/** `undefined` is good; else the reason why not, in one line. */
export type Health = {
  /** The loop turns and ticks happen. */
  readonly live: string | undefined;
  /** The configuration is loaded and one tick is done. */
  readonly ready: string | undefined;
  /** Exports are younger than three intervals. */
  readonly healthy: string | undefined;
  /** Who probes, in one line; undefined without an election. */
  readonly election?: string | undefined;
  readonly destinations: readonly DestinationHealth[];
};

/** How delivery goes, in the words of /healthz. Nothing of it came from outside but the number of a status. */
export type DestinationHealth = {
  readonly destination: string;
  readonly queue: { readonly requests: number; readonly bytes: number; readonly max_bytes: number };
  readonly sent: { readonly points: number; readonly bytes: number };
  /** Points by reason. */
  readonly dropped: OtlpStats["dropped"];
  readonly retries: number;
  /** ISO 8601; null before the first. */
  readonly last_success: string | null;
  /** `type` is a status, a code or a word. */
  readonly last_error: { readonly time: string; readonly type: string } | null;
};

const timeOf = (unixMs: number): string => new Date(unixMs).toISOString();

export const destinationHealth = (stats: OtlpStats): DestinationHealth => ({
  destination: stats.host,
  queue: { requests: stats.queueRequests, bytes: stats.queueBytes, max_bytes: stats.maxQueueBytes },
  sent: { points: stats.sentPoints, bytes: stats.sentBytes },
  dropped: stats.dropped,
  retries: stats.retries,
  last_success: stats.lastSuccessMs === undefined ? null : timeOf(stats.lastSuccessMs),
  last_error: stats.lastError === undefined ? null : { time: timeOf(stats.lastError.atMs), type: stats.lastError.type },
});

const lineOf = (reason: string): string => reason.replace(/\s+/g, " ");

type HealthReply = { readonly status: 200 | 503; readonly body: string };

/** One reason as plain text. */
export const healthText = (reason: string | undefined): HealthReply =>
  reason === undefined ? { status: 200, body: "ok\n" } : { status: 503, body: `${lineOf(reason)}\n` };

/** All of it as JSON; who probes, and the figures of the destinations, only for who may see them. */
export const healthJson = (
  { live, ready, healthy, election, destinations }: Health,
  isAdmitted: boolean,
): HealthReply => {
  const reason = live ?? ready ?? healthy;
  const verdict = reason === undefined ? { status: "ok" } : { status: "unhealthy", reason: lineOf(reason) };
  const body = JSON.stringify({ ...verdict, ...(isAdmitted ? { election, destinations } : {}) }, undefined, 2);
  return { status: reason === undefined ? 200 : 503, body: `${body}\n` };
};
