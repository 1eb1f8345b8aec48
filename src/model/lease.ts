/** Who leads, as the backend keeps it. */
export type LeaseRecord = {
  /** Who holds it, as configured; empty: nobody. */
  readonly identity: string;
  /** Of the process that holds it: tells two with one identity apart. */
  readonly session: string;
  /** How long the others wait, each by its own clock, once it no longer changes. */
  readonly durationMs: number;
  /** Counts its holders. */
  readonly term: number;
  /** Let go of by its holder, who has stopped before. One without holder that is not `released` was edited. */
  readonly released: boolean;
  /** The session of a process that has found its own identity in use; empty: none. */
  readonly rival: string;
};

export type Found = {
  /** Another one after each write, whoever wrote. */
  readonly version: string;
  /** undefined: something that sockscope did not write. */
  readonly record: LeaseRecord | undefined;
};

export type Written = { readonly version: string } | "conflict";

/** What is there; undefined: nothing. Rejects with `LeaseError`. */
export type ReadLease = (signal: AbortSignal) => Promise<Found | undefined>;

/**
 * Writes where `expected` is the version that is there, undefined: where nothing is there. Rejects with `LeaseError`
 * where nobody knows whether it was written; it may be so later, too.
 */
export type WriteLease = (record: LeaseRecord, expected: string | undefined, signal: AbortSignal) => Promise<Written>;

/** The backend cannot be reached, refuses, or answers what it should not; the message is for people, without secrets. */
export class LeaseError extends Error {
  override readonly name = "LeaseError";
}
