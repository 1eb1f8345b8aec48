import { setTimeout } from "node:timers/promises";
import type { Outcome, OutcomeKind, Verdict } from "../model/outcome.ts";
import type { ProbeType, Target } from "../model/target.ts";
import { codeOf, failureOf } from "./errors.ts";
import { probeIcmp } from "./icmp.ts";
import { type Probe, type ProbeDeps, Run } from "./run.ts";
import { probeTcp } from "./tcp.ts";
import { probeUdp } from "./udp.ts";
import { probeUnix, probeUnixMessage } from "./unix.ts";

const probes: { readonly [T in ProbeType]: Probe<T> } = {
  tcp: probeTcp,
  tcp4: probeTcp,
  tcp6: probeTcp,
  udp: probeUdp,
  udp4: probeUdp,
  udp6: probeUdp,
  icmp: probeIcmp,
  icmp4: probeIcmp,
  icmp6: probeIcmp,
  unix: probeUnix,
  unixgram: probeUnixMessage,
  unixpacket: probeUnixMessage,
};

/** Between two attempts: what refuses now refuses a millisecond later, too. */
const attemptPauseMs = 250;

const worstFirst: readonly OutcomeKind[] = ["down", "not_run", "unanswered", "up"];

const ofAddresses = (verdicts: readonly Verdict[], run: Run): Outcome => {
  const [worst] = verdicts.toSorted((a, b) => worstFirst.indexOf(a.kind) - worstFirst.indexOf(b.kind));
  return worst === undefined ? run.down("_OTHER", "resolve", "no address") : { ...worst, byAddress: verdicts };
};

/** One attempt, which ends by the deadline. */
const attempt = async <T extends ProbeType>(target: Target<T>, run: Run): Promise<Outcome> => {
  if (run.signal.aborted) return run.cancelled();
  try {
    const verdict = await probes[target.type](target, run);
    return "kind" in verdict ? verdict : ofAddresses(verdict, run);
  } catch (error) {
    // What Node throws instead of emitting, as for a descriptor that it cannot open.
    const code = codeOf(error);
    return run.failed(failureOf(code), "connect", code);
  }
};

/**
 * Tests a target once, by as many attempts as it may take. Never rejects; ends within `target.timeoutMs`, of which each
 * attempt has an equal share of what is left, or at once with `cancelled` when the signal aborts, and leaves no socket
 * and no timer behind.
 */
export const runProbe = async <T extends ProbeType>(
  target: Target<T>,
  deps: ProbeDeps,
  signal: AbortSignal,
): Promise<Outcome> => {
  const deadline = deps.now() + target.timeoutMs;
  const failedAttempts: Verdict[] = [];
  for (let left = target.attempts; ; left--) {
    const now = deps.now();
    // oxlint-disable-next-line no-await-in-loop -- one attempt after the other
    const outcome = await attempt(target, new Run(deps, now + (deadline - now) / left, signal));
    const failed = outcome.kind === "down" || outcome.kind === "not_run";
    if (!failed || left <= 1 || signal.aborted || deps.now() >= deadline) {
      return failedAttempts.length === 0 ? outcome : { ...outcome, failedAttempts };
    }
    failedAttempts.push(outcome);
    const pauseMs = Math.min(attemptPauseMs, (deadline - deps.now()) / (2 * left));
    // oxlint-disable-next-line no-await-in-loop -- as above
    await setTimeout(pauseMs, undefined, { signal }).catch(() => undefined);
  }
};
