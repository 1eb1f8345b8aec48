import { type Facts, phases, type Outcome, type Verdict } from "../model/outcome.ts";
import type { Target } from "../model/target.ts";
import { printable } from "./terminal.ts";

export type Run = { readonly target: Target; readonly outcome: Outcome };
export type LineFormat = { readonly json: boolean };

/** Some durations in s, of which only the least, the mean and the greatest are kept. */
export class Spread {
  count = 0;
  #sum = 0;
  #min = Infinity;
  #max = -Infinity;

  add(...seconds: readonly number[]): this {
    for (const each of seconds) {
      this.count++;
      this.#sum += each;
      this.#min = Math.min(this.#min, each);
      this.#max = Math.max(this.#max, each);
    }
    return this;
  }

  /** Undefined of none. */
  toJSON(): { readonly min: number; readonly avg: number; readonly max: number } | undefined {
    return this.count === 0 ? undefined : { min: this.#min, avg: this.#sum / this.count, max: this.#max };
  }

  /** With a label, or nothing of none. */
  describe(label: string): string[] {
    if (this.count === 0) return [];
    const values = [this.#min, this.#sum / this.count, this.#max].map((seconds) => (seconds * 1000).toFixed(3));
    return [`${label} min/avg/max ${values.join("/")} ms`];
  }
}

const milliseconds = (seconds: number): string => `${(seconds * 1000).toFixed(3)} ms`;

/** A part in percent with at most one digit after the point; what is some is not shown as none, nor what is not all as all. */
export const percent = (part: number, whole: number): string => {
  const value = (100 * part) / whole;
  if (part > 0 && value < 0.1) return "<0.1%";
  if (part < whole && value > 99.9) return ">99.9%";
  return `${Number(value.toFixed(1))}%`;
};

/** The keys that tell a target from others. */
export const targetKeys = ({ name, type, url }: Target) => ({ target: url, name, type });

const phaseSeconds = (verdict: Verdict): [string, number][] =>
  phases.flatMap((phase): [string, number][] => {
    const seconds = verdict.phases[phase];
    return seconds === undefined ? [] : [[phase, seconds]];
  });

const timing = (verdict: Verdict): string[] => {
  const steps = phaseSeconds(verdict).map(([phase, seconds]) => `${phase} ${milliseconds(seconds)}`);
  return [milliseconds(verdict.seconds), ...(steps.length === 0 ? [] : [`(${steps.join(", ")})`])];
};

const detail = (text: string): string => (text === "" ? "" : ` (${text})`);

const describe = (verdict: Verdict): string[] => {
  switch (verdict.kind) {
    case "up":
      return timing(verdict);
    case "unanswered":
      return [...timing(verdict), "no reply and no ICMP error"];
    case "down":
      return [`${verdict.error} at ${verdict.phase}${detail(verdict.detail)}`, milliseconds(verdict.seconds)];
    case "not_run":
      return [`${verdict.error}${detail(verdict.detail)}`];
  }
  return verdict satisfies never;
};

export const describePacketCounts = (sent: number, rtts: Spread): string[] => [
  `${rtts.count} of ${sent} packets answered`,
  `${percent(sent - rtts.count, sent)} loss`,
  ...rtts.describe("rtt"),
];

/** What several packets tell beside the latency; of one they tell nothing more. */
const describePackets = ({ sent, rtts }: NonNullable<Facts["packets"]>): string[] => {
  if (sent < 2) return [];
  return describePacketCounts(sent, new Spread().add(...rtts));
};

const describeCertificate = (seconds: number): string => {
  const days = `${(Math.abs(seconds) / 86_400).toFixed(1)} days`;
  return seconds < 0 ? `certificate expired ${days} ago` : `certificate expires in ${days}`;
};

const describeFacts = ({ tcpRtt, packets, ttl, certificateExpiry }: Facts): string[] => {
  const facts = [
    ...(packets === undefined ? [] : describePackets(packets)),
    ...(tcpRtt === undefined ? [] : [`tcp rtt ${milliseconds(tcpRtt)}`]),
    ...(ttl === undefined ? [] : [`ttl ${ttl}`]),
    ...(certificateExpiry === undefined ? [] : [describeCertificate(certificateExpiry)]),
  ];
  return facts.length === 0 ? [] : [facts.join(", ")];
};

const describeAttempt = (verdict: Verdict): string => {
  if (verdict.kind === "down") return `${verdict.error} at ${verdict.phase}`;
  return verdict.kind === "not_run" ? verdict.error : verdict.kind;
};

const describeAttempts = (failed: readonly Verdict[] = []): string[] => {
  if (failed.length === 0) return [];
  const count = failed.length === 1 ? "1 failed attempt" : `${failed.length} failed attempts`;
  return [`after ${count}: ${failed.map(describeAttempt).join(", ")}`];
};

const verdictKeys = (verdict: Verdict) => {
  const failed = verdict.kind === "down" || verdict.kind === "not_run";
  const { resolved, tcpRtt, certificateExpiry, packets, ttl } = verdict.facts;
  return {
    outcome: verdict.kind,
    seconds: verdict.seconds,
    phase_seconds: Object.fromEntries(phaseSeconds(verdict)),
    address: verdict.address,
    error_type: failed ? verdict.error : undefined,
    failed_phase: verdict.kind === "down" ? verdict.phase : undefined,
    detail: failed ? verdict.detail : undefined,
    resolved_addresses: resolved,
    tcp_rtt_seconds: tcpRtt,
    packets: packets && {
      sent: packets.sent,
      received: packets.rtts.length,
      lost: packets.sent - packets.rtts.length,
      rtt_seconds: packets.rtts,
    },
    ttl,
    certificate_expiry_seconds: certificateExpiry,
  };
};

const renderJson = ({ target, outcome }: Run): string =>
  JSON.stringify({
    ...targetKeys(target),
    ...verdictKeys(outcome),
    failed_attempts: outcome.failedAttempts?.map(verdictKeys),
    by_address: outcome.byAddress?.map(verdictKeys),
  });

/**
 * Renders one run for `sockscope probe`, lines without line feed: for people one, or one an address; as JSON (seconds,
 * snake_case keys) one object.
 */
export const renderProbeLines = (run: Run, { json }: LineFormat): string[] => {
  if (json) return [printable(renderJson(run))];
  const { target, outcome } = run;
  const { byAddress = [], failedAttempts } = outcome;
  return (byAddress.length > 0 ? byAddress : [outcome]).map((verdict, at) =>
    printable(
      [
        target.url,
        verdict.kind,
        ...describe(verdict),
        ...(verdict.address === undefined ? [] : [verdict.address]),
        ...describeFacts(verdict.facts),
        // Attempts are of the whole run.
        ...(at === 0 ? describeAttempts(failedAttempts) : []),
      ].join("  "),
    ),
  );
};
