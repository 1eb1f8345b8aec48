import { z } from "zod";
import type { Reading } from "../config/document.ts";
import type { Finding } from "../config/explain.ts";
import type { Path } from "../config/path.ts";
import { formatDuration, longestMs } from "../text/duration.ts";
import type { Draft } from "./draft.ts";

/** Notes a fault; without `at` it is the value's. */
export type Report = (path: Path, message: string, at?: Finding["at"]) => void;

/** A tool's file as it was read, and as sockscope has it. */
export type Conversion = {
  readonly reading: Reading<unknown>;
  readonly findings: readonly Finding[];
  /** undefined where the file is none of the tool's. */
  readonly draft: Draft | undefined;
};

/** `into` makes a draft even where it reports faults. */
export const convert = <T>(reading: Reading<T>, into: (data: T, report: Report) => Draft): Conversion => {
  const findings: Finding[] = [];
  const { data } = reading;
  if (data === undefined) return { reading, findings, draft: undefined };
  const draft = into(data, (path, message, at = "value") => void findings.push({ path, at, message }));
  return { reading, findings, draft };
};

/** How a migrated file begins. */
export const headOf = (what: string, ...differences: readonly (string | undefined)[]): string[] => [
  `Made of ${what} by sockscope migrate. Comments say what is not one to one; docs/MIGRATING.md has all of it.`,
  ...differences.filter((sentence) => sentence !== undefined).flatMap((sentence) => ["", sentence]),
];

/** A duration of another tool, in ms, as sockscope writes it: in whole milliseconds. */
export const spanOf = (ms: number): string => formatDuration(Math.min(Math.max(Math.ceil(ms), 1), longestMs));

/** What is said of a duration that sockscope cannot have as it is. */
export const spanRemark = (ms: number): string | undefined => {
  if (ms > longestMs) return `It was longer than sockscope's longest, ${formatDuration(longestMs)}.`;
  return Number.isInteger(ms) ? undefined : "Rounded up to a whole millisecond.";
};

/** Text and its place in a list; what is no text is a fault. */
export const texts = (what: string) =>
  z.array(z.string({ error: "must be text" }), { error: `must be a list of ${what}` });

/** A map of text. */
export const textMap = (what: string) =>
  z.record(z.string(), z.string({ error: "must be text: put it in quotes" }), { error: `must be a map of ${what}` });

/** Series that a tool without a bound may have here, each; a host with more connections than this has them elsewhere, too. */
export const mostSeries = 50_000;
export const sayMostSeries =
  "Flows with series of their own: the tool knows no bound. What is beyond shares one overflow series; with fewer (2000 is the default) a database has less to bear.";

/** Words one after the other, as in `a, b and c`. */
export const listed = (words: readonly string[]): string => words.join(", ").replace(/, ([^,]*)$/, " and $1");
