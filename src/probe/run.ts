import { isIP } from "node:net";
import type { AgentError, Outcome, Phase, PhaseSeconds, TargetError } from "../model/outcome.ts";
import type { Family, Resolution, Resolve } from "../model/sources.ts";
import type { ProbeType, Target } from "../model/target.ts";
import type { Failure } from "./errors.ts";

export type ProbeDeps = {
  readonly resolve: Resolve;
  /** Monotonic milliseconds. */
  readonly now: () => number;
};

/** How one kind of target is tested. It may throw what a socket throws; `runProbe` makes an outcome of it. */
export type Probe<T extends ProbeType = ProbeType> = (target: Target<T>, run: Run) => Promise<Outcome>;

type Found = Extract<Resolution, { readonly kind: "found" }>;

/** Why a step ended before it was done. */
export type Interruption = "deadline" | "cancelled";

/**
 * A timer that lets go first what had already happened: after a stall of the event loop the timers come before the
 * sockets, and a connection that stood in time would be taken for one that did not.
 */
export const lastCall = (callback: () => void, ms: number): NodeJS.Timeout =>
  setTimeout(() => setImmediate(callback), ms);

/** In whole nanoseconds: what is below is noise of the subtraction. */
const secondsOf = (ms: number): number => Math.round(ms * 1e6) / 1e9;

/** The clock of one run, and what the run has found so far. */
export class Run {
  readonly #deps: ProbeDeps;
  readonly #signal: AbortSignal;
  readonly #deadline: number;
  #start: number;
  #phases: PhaseSeconds = {};
  /** The address in use, or tried last. */
  address: string | undefined;

  constructor(deps: ProbeDeps, timeoutMs: number, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
    this.#start = deps.now();
    this.#deadline = this.#start + timeoutMs;
  }

  get leftMs(): number {
    return Math.max(0, this.#deadline - this.#deps.now());
  }

  /** Starts a phase; the function that it returns ends it. A phase that is not ended has no duration. */
  begin(phase: Phase): () => void {
    const start = this.#deps.now();
    return () => {
      this.#phases = { ...this.#phases, [phase]: secondsOf(this.#deps.now() - start) };
    };
  }

  /** The host's addresses, or the outcome that the run ends with. A literal has no resolve phase. */
  async resolve(host: string, family: Family): Promise<Found | Outcome> {
    const start = this.#deps.now();
    const resolution = await this.#deps.resolve(host, family, this.leftMs, this.#signal);
    // The wait for a thread is the agent's: the run's time starts that much later, though its deadline stays.
    this.#start += resolution.waitedMs;
    if (resolution.kind === "down") return this.down(resolution.error, "resolve", resolution.detail);
    if (resolution.kind === "not_run") return this.notRun(resolution.error, resolution.detail);
    if (isIP(host) === 0) {
      this.#phases = { ...this.#phases, resolve: secondsOf(this.#deps.now() - start - resolution.waitedMs) };
    }
    return resolution;
  }

  /**
   * Waits until `open` settles, for the deadline, or until the run is cancelled; then releases what `open` opened,
   * by the function that it returned.
   */
  within<R>(open: (settle: (result: R) => void) => () => void): Promise<R | Interruption> {
    if (this.#signal.aborted) return Promise.resolve("cancelled");
    const { promise, resolve } = Promise.withResolvers<R | Interruption>();
    const release = open(resolve);
    const timer = lastCall(() => resolve("deadline"), this.leftMs);
    const cancel = (): void => resolve("cancelled");
    this.#signal.addEventListener("abort", cancel);
    return promise.finally(() => {
      clearTimeout(timer);
      this.#signal.removeEventListener("abort", cancel);
      release();
    });
  }

  up(): Outcome {
    return { kind: "up", ...this.#ran() };
  }

  unanswered(): Outcome {
    return { kind: "unanswered", ...this.#ran() };
  }

  down(error: TargetError, phase: Phase, detail: string): Outcome {
    return { kind: "down", error, phase, detail, ...this.#ran() };
  }

  notRun(error: AgentError, detail: string): Outcome {
    return { kind: "not_run", error, detail, ...this.#ran() };
  }

  cancelled(): Outcome {
    return this.notRun("cancelled", "the run was cancelled");
  }

  failed(failure: Failure, phase: Phase, code: string): Outcome {
    return failure.kind === "down" ? this.down(failure.error, phase, code) : this.notRun(failure.error, code);
  }

  #ran(): Pick<Outcome, "seconds" | "phases" | "address"> {
    const seconds = secondsOf(Math.max(0, this.#deps.now() - this.#start));
    return { seconds, phases: this.#phases, ...(this.address === undefined ? {} : { address: this.address }) };
  }
}
