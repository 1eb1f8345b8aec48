import type { Outcome } from "../model/outcome.ts";
import type { ProbeType, Target } from "../model/target.ts";
import { codeOf, failureOf } from "./errors.ts";
import { type Probe, type ProbeDeps, Run } from "./run.ts";
import { probeTcp } from "./tcp.ts";
import { probeUdp } from "./udp.ts";
import { probeUnix } from "./unix.ts";

const probes: { readonly [T in ProbeType]: Probe<T> } = {
  tcp: probeTcp(0),
  tcp4: probeTcp(4),
  tcp6: probeTcp(6),
  udp: probeUdp(0),
  udp4: probeUdp(4),
  udp6: probeUdp(6),
  unix: probeUnix,
};

/**
 * Tests a target once. Never rejects; ends within `target.timeoutMs`, or at once with `cancelled` when the signal
 * aborts, and leaves no socket and no timer behind.
 */
export const runProbe = async <T extends ProbeType>(
  target: Target<T>,
  deps: ProbeDeps,
  signal: AbortSignal,
): Promise<Outcome> => {
  const run = new Run(deps, target.timeoutMs, signal);
  if (signal.aborted) return run.cancelled();
  try {
    return await probes[target.type](target, run);
  } catch (error) {
    // What Node throws instead of emitting, as for a descriptor that it cannot open.
    const code = codeOf(error);
    return run.failed(failureOf(code), "connect", code);
  }
};
