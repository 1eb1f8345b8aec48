import { isIP } from "node:net";
import type { AgentError, Facts, Phase, PhaseSeconds, TargetError, Verdict } from "../model/outcome.ts";
import type { Family, ProbeSockets, Resolution, Resolve } from "../model/sources.ts";
import type { ProbeType, Target } from "../model/target.ts";
import type { Failure } from "./errors.ts";

export type ProbeDeps = {
  readonly resolve: Resolve;
  readonly sockets: ProbeSockets;
  /** Monotonic milliseconds. */
  readonly now: () => number;
};

/** How one kind of target is tested. It may throw what a socket throws; `runProbe` makes an outcome of it. */
export type Probe<T extends ProbeType = ProbeType> = (
  target: Target<T>,
  run: Run,
) => Promise<Verdict | readonly Verdict[]>;

type Found = Extract<Resolution, { readonly kind: "found" }>;

/** Why a step ended before it was done. */
export type Interruption = "deadline" | "cancelled";

/** What a phase ends a run with. `detail` is for people: errno name or one sentence. */
export type Trouble = "cancelled" | { readonly failure: Failure; readonly detail: string };

export const isTrouble = (value: object | Trouble): value is Trouble => value === "cancelled" || "failure" in value;

/** In whole nanoseconds: what is below is noise of the subtraction. */
const secondsOf = (ms: number): number => Math.round(Math.max(0, ms) * 1e6) / 1e9;

/** One attempt of a run: its deadline, and what it has found so far. */
export class Run {
  readonly deps: ProbeDeps;
  readonly signal: AbortSignal;
  /** On the clock of `deps.now`. */
  readonly deadline: number;
  #phases: PhaseSeconds = {};
  #facts: Facts = {};
  /** Time of the phases, and of one that failed. What the agent itself was late is none of it. */
  #ms = 0;
  /** The address in use, or tried last. */
  address: string | undefined;

  constructor(deps: ProbeDeps, deadline: number, signal: AbortSignal) {
    this.deps = deps;
    this.deadline = deadline;
    this.signal = signal;
  }

  /** The same run, going on with one of several addresses. */
  at(address: string): Run {
    const copy = new Run(this.deps, this.deadline, this.signal);
    copy.#phases = this.#phases;
    copy.#facts = this.#facts;
    copy.#ms = this.#ms;
    copy.address = address;
    return copy;
  }

  get leftMs(): number {
    return Math.max(0, this.deadline - this.deps.now());
  }

  /** A phase went through to its end. */
  took(phase: Phase, ms: number): void {
    this.#phases = { ...this.#phases, [phase]: secondsOf((this.#phases[phase] ?? 0) * 1000 + ms) };
    this.#ms += ms;
  }

  /** A phase failed after this long. */
  lost(ms: number): void {
    this.#ms += ms;
  }

  learn(facts: Facts): void {
    this.#facts = { ...this.#facts, ...facts };
  }

  /** The host's addresses, or the verdict that the run ends with. A literal has no resolve phase. */
  async resolve(host: string, family: Family): Promise<Found | Verdict> {
    const start = this.deps.now();
    const resolution = await this.deps.resolve(host, family, this.leftMs, this.signal);
    const ms = this.deps.now() - start - resolution.waitedMs;
    if (resolution.kind !== "found") this.lost(ms);
    if (resolution.kind === "down") return this.down(resolution.error, "resolve", resolution.detail);
    if (resolution.kind === "not_run") return this.notRun(resolution.error, resolution.detail);
    if (isIP(host) === 0) {
      this.took("resolve", ms);
      this.learn({ resolved: resolution.addresses.map(({ address }) => address) });
    }
    return resolution;
  }

  /**
   * Waits until `open` settles, for the deadline, or until the run is cancelled; then releases what `open` opened, by
   * the function that it returned.
   */
  within<R>(open: (settle: (result: R) => void) => () => void): Promise<R | Interruption> {
    if (this.signal.aborted) return Promise.resolve("cancelled");
    const { promise, resolve } = Promise.withResolvers<R | Interruption>();
    const release = open(resolve);
    // After a stall of the event loop timers come first: what had arrived in time comes before setImmediate.
    const timer = setTimeout(() => setImmediate(() => resolve("deadline")), this.leftMs);
    const cancel = (): void => resolve("cancelled");
    this.signal.addEventListener("abort", cancel);
    return promise.finally(() => {
      clearTimeout(timer);
      this.signal.removeEventListener("abort", cancel);
      release();
    });
  }

  up(): Verdict {
    return { kind: "up", ...this.#ran() };
  }

  unanswered(): Verdict {
    return { kind: "unanswered", ...this.#ran() };
  }

  down(error: TargetError, phase: Phase, detail: string): Verdict {
    return { kind: "down", error, phase, detail, ...this.#ran() };
  }

  notRun(error: AgentError, detail: string): Verdict {
    return { kind: "not_run", error, detail, ...this.#ran() };
  }

  cancelled(): Verdict {
    return this.notRun("cancelled", "the run was cancelled");
  }

  late(): Verdict {
    return this.notRun("agent_overloaded", "no socket could be opened before the deadline");
  }

  /** The verdict of a phase that failed after this long. */
  ended(trouble: Trouble, phase: Phase, ms: number): Verdict {
    this.lost(ms);
    return trouble === "cancelled" ? this.cancelled() : this.failed(trouble.failure, phase, trouble.detail);
  }

  failed(failure: Failure, phase: Phase, detail: string): Verdict {
    return failure.kind === "down" ? this.down(failure.error, phase, detail) : this.notRun(failure.error, detail);
  }

  #ran(): Pick<Verdict, "seconds" | "phases" | "facts" | "address"> {
    return {
      seconds: secondsOf(this.#ms),
      phases: this.#phases,
      facts: this.#facts,
      ...(this.address === undefined ? {} : { address: this.address }),
    };
  }
}
