import type { OutcomeKind, Verdict } from "../model/outcome.ts";
import type { Target } from "../model/target.ts";
import { describePacketCounts, type LineFormat, percent, type Run, Spread, targetKeys } from "./probe-lines.ts";
import { printable } from "./terminal.ts";

/** Runs of a target, or of one of its addresses. */
type Tally = {
  readonly address: string | undefined;
  readonly runs: Record<OutcomeKind, number>;
  readonly latency: Spread;
  sent: number;
  readonly rtts: Spread;
};

const createTally = (address: string | undefined): Tally => ({
  address,
  runs: { up: 0, unanswered: 0, down: 0, not_run: 0 },
  latency: new Spread(),
  sent: 0,
  rtts: new Spread(),
});

const count = (tally: Tally, verdict: Verdict): void => {
  tally.runs[verdict.kind]++;
  if (verdict.kind === "up") tally.latency.add(verdict.seconds);
  const { packets } = verdict.facts;
  tally.sent += packets?.sent ?? 0;
  tally.rtts.add(...(packets?.rtts ?? []));
};

/** Runs that say something of the target. */
const testedOf = ({ up, unanswered, down }: Tally["runs"]): number => up + unanswered + down;

const renderText = ({ url }: Target, { address, runs, latency, sent, rtts }: Tally): string => {
  const tested = testedOf(runs);
  const all = tested + runs.not_run;
  const counts = [
    `${all} run${all === 1 ? "" : "s"}: ${runs.up} up`,
    ...(runs.unanswered === 0 ? [] : [`${runs.unanswered} unanswered`]),
    `${runs.down} down`,
    `${runs.not_run} not_run`,
    ...(tested === 0 ? [] : [`${percent(runs.down, tested)} loss`]),
  ];
  return [
    url,
    counts.join(", "),
    ...latency.describe("latency"),
    ...(sent === 0 ? [] : [describePacketCounts(sent, rtts).join(", ")]),
    ...(address === undefined ? [] : [address]),
  ].join("  ");
};

const renderJson = (target: Target, { address, runs, latency, sent, rtts }: Tally): string => {
  const tested = testedOf(runs);
  const summary = {
    ...targetKeys(target),
    address,
    runs: tested + runs.not_run,
    ...runs,
    loss_percent: tested === 0 ? undefined : (100 * runs.down) / tested,
    latency_seconds: latency,
    packets:
      sent === 0
        ? undefined
        : {
            sent,
            received: rtts.count,
            lost: sent - rtts.count,
            loss_percent: (100 * (sent - rtts.count)) / sent,
            rtt_seconds: rtts,
          },
  };
  return JSON.stringify({ summary });
};

/**
 * Adds up the runs of `sockscope probe` and renders a line a target without line feed, in the order of `targets`; of a
 * target whose runs had addresses, one an address, and one for the runs that failed before there were any. A run that
 * says nothing of the target (`not_run`) is no loss.
 */
export const createProbeSummary = (targets: readonly Target[]) => {
  const tallies = new Map(targets.map((target) => [target, new Map<string | undefined, Tally>()]));

  const tallyOf = (target: Target, address: string | undefined): Tally => {
    const ofTarget = tallies.get(target) ?? new Map<string | undefined, Tally>();
    const tally = ofTarget.get(address) ?? createTally(address);
    tallies.set(target, ofTarget.set(address, tally));
    return tally;
  };

  return {
    add({ target, outcome }: Run): void {
      const { byAddress = [] } = outcome;
      if (byAddress.length === 0) count(tallyOf(target, undefined), outcome);
      for (const verdict of byAddress) count(tallyOf(target, verdict.address), verdict);
    },
    render: ({ json }: LineFormat): string[] =>
      [...tallies].flatMap(([target, ofTarget]) => {
        const all = ofTarget.size === 0 ? [createTally(undefined)] : [...ofTarget.values()];
        return all.map((tally) => printable(json ? renderJson(target, tally) : renderText(target, tally)));
      }),
  };
};
