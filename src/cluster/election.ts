import type { Found, LeaseRecord, Written } from "../model/lease.ts";

export type ElectionSettings = {
  readonly identity: string;
  /** Of this process and no other, ever. */
  readonly session: string;
  readonly leaseDurationMs: number;
  /** Below `leaseDurationMs`. */
  readonly renewDeadlineMs: number;
  readonly retryPeriodMs: number;
};

/** What is to be done next. */
export type Action =
  | { readonly do: "wait"; readonly until: number }
  | { readonly do: "read" }
  | { readonly do: "write"; readonly record: LeaseRecord; readonly expected: string | undefined };

export type Answer = { readonly found: Found | undefined } | { readonly written: Written } | "failed";

/** Until when this process may probe, from when on. */
export type Term = { readonly from: number; readonly until: number };

/** As in client-go: candidates wait up to 2.2 periods, so that they do not all come at once. */
const jitter = 1.2;

const nobody = { identity: "", session: "" };

/**
 * A leader election by client-go's rules. All times are ms of one clock that runs through suspension; another process's
 * clock is of no account: what does not change for the lease's duration, as seen here, is held by nobody.
 *
 * A holder may probe for `renewDeadlineMs` from when it began the write that succeeded. Whoever takes over has seen that
 * write, or a later one, and then nothing for `leaseDurationMs`, which is longer. What tells nothing of a holder - no
 * record, or an edited one without holder - may have had one until just now: whoever writes the next record waits for
 * that long before it probes.
 */
export class Election {
  readonly #settings: ElectionSettings;
  readonly #random: () => number;
  /** The record that was seen last, and when it was seen first. */
  #seen: { readonly found: Found; readonly record: LeaseRecord; readonly at: number } | undefined;
  #term: Term | undefined;
  /** No probe before that, whatever is held. */
  #notBefore = -Infinity;
  #nextAt = -Infinity;
  #plan: Extract<Action, { do: "write" }> | undefined;
  #isForeign = false;
  #rivals = 0;
  #isContested = false;

  constructor(settings: ElectionSettings, random: () => number) {
    this.#settings = settings;
    this.#random = random;
  }

  /** When this process may probe, as far as it knows; undefined: not before it has written. */
  get term(): Term | undefined {
    return this.#term;
  }

  mayProbe(now: number): boolean {
    return this.#term !== undefined && now >= this.#term.from && now < this.#term.until;
  }

  /** Who holds the lease as far as is known; undefined: nobody. */
  get holder(): string | undefined {
    return this.#seen?.record.identity || undefined;
  }

  /** What is there was not written by an election. */
  get isForeign(): boolean {
    return this.#isForeign;
  }

  /** Another process has this one's identity. */
  get isContested(): boolean {
    return this.#isContested;
  }

  next(now: number): Action {
    if (this.#term !== undefined && now >= this.#term.until) this.#term = undefined;
    if (now < this.#nextAt) return { do: "wait", until: this.#nextAt };
    return this.#plan ?? { do: "read" };
  }

  /** What came of an action that was begun at `startedAt`; `now` is after the answer came. */
  answered(action: Action, startedAt: number, now: number, answer: Answer): void {
    this.#plan = undefined;
    if (answer === "failed") this.#retry(now);
    else if ("found" in answer) this.#read(answer.found, now);
    else if (action.do === "write") this.#wrote(action.record, answer.written, startedAt, now);
  }

  /** Stops at once; the write that lets the others know, where something is held. */
  release(): Extract<Action, { do: "write" }> | undefined {
    this.#term = undefined;
    this.#plan = undefined;
    if (this.#seen === undefined || !this.#isOwn(this.#seen.record)) return undefined;
    const { found, record } = this.#seen;
    return { do: "write", record: { ...record, ...nobody, released: true, rival: "" }, expected: found.version };
  }

  #isOwn({ session }: LeaseRecord): boolean {
    return session === this.#settings.session;
  }

  #retry(now: number): void {
    const { retryPeriodMs } = this.#settings;
    // Who leads does not wait for longer than it has to.
    this.#nextAt = now + retryPeriodMs * (this.#term === undefined ? 1 + jitter * this.#random() : 1);
  }

  #write(expected: string | undefined, term: number): void {
    const { identity, session, leaseDurationMs } = this.#settings;
    const record = { identity, session, durationMs: leaseDurationMs, term, released: false, rival: "" };
    this.#plan = { do: "write", record, expected };
  }

  #read(found: Found | undefined, now: number): void {
    this.#isForeign = found !== undefined && found.record === undefined;
    if (found?.record === undefined) {
      this.#seen = undefined;
      this.#term = undefined;
      if (found !== undefined) return this.#retry(now);
      this.#waitOut(now);
      return this.#write(undefined, 1);
    }
    const { record, version } = found;
    const last = this.#seen;
    if (last?.found.version !== version) {
      this.#noteRival(record, last?.record);
      this.#seen = { found, record, at: now };
    }
    if (this.#isOwn(record)) return this.#write(version, record.term);
    this.#term = undefined;
    return this.#takeOver(record, version, this.#seen?.at ?? now, now);
  }

  /** NB: by the longer of two durations, so that a setting that differs, or an edited record, shortens nobody's term. */
  #takeOver(record: LeaseRecord, version: string, seenAt: number, now: number): void {
    if (record.session === "") {
      if (!record.released) this.#waitOut(now);
      return this.#write(version, record.term + 1);
    }
    if (this.#rivals === 1) {
      this.#plan = { do: "write", record: { ...record, rival: this.#settings.session }, expected: version };
      this.#rivals++;
      return;
    }
    const expiry = seenAt + Math.max(this.#settings.leaseDurationMs, record.durationMs);
    if (now >= expiry) return this.#write(version, record.term + 1);
    this.#retry(now);
    this.#nextAt = Math.min(this.#nextAt, expiry);
  }

  /** Another session under this identity that goes on writing is no predecessor of this process. */
  #noteRival({ identity, session, rival }: LeaseRecord, last: LeaseRecord | undefined): void {
    if (session === this.#settings.session) this.#isContested ||= rival !== "";
    else if (identity === this.#settings.identity && session === last?.session && rival === last.rival) {
      this.#isContested = true;
      this.#rivals++;
    }
  }

  /** Whoever led until now may not know yet that its record is gone. */
  #waitOut(now: number): void {
    this.#notBefore = Math.max(this.#notBefore, now + this.#settings.leaseDurationMs);
  }

  #wrote(record: LeaseRecord, written: Written, startedAt: number, now: number): void {
    // To be read at once.
    if (written === "conflict") return;
    this.#seen = { found: { version: written.version, record }, record, at: now };
    if (this.#isOwn(record)) {
      const until = startedAt + this.#settings.renewDeadlineMs;
      this.#term = { from: Math.max(this.#notBefore, startedAt), until };
      this.#write(written.version, record.term);
    }
    this.#retry(now);
  }
}
