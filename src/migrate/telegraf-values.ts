import type { Path } from "../config/path.ts";
import type { Report } from "./conversion.ts";
import { referring, type Value } from "./draft.ts";
import { parseGoDuration } from "./go-duration.ts";

const days = /(\d+(?:\.\d+)?)d/g;

/** Milliseconds of a duration of Telegraf's: as Go has them, with days, or a number of seconds, also in quotes. */
export const parseSpan = (written: string | number): number | undefined => {
  if (written === "") return 0;
  if (typeof written === "number" || /^[+-]?(?:\d+\.?\d*|\.\d+)$/.test(written)) return Number(written) * 1000;
  return parseGoDuration(written.replace(days, (_, count: string) => `${Number(count) * 24}h`));
};

/** The same of what stands at this place; `otherwise` where nothing does, or 0, which Telegraf takes for that. */
export const readSpan = (
  written: string | number | undefined,
  otherwise: number,
  path: Path,
  report: Report,
): number => {
  const ms = written === undefined ? 0 : parseSpan(written);
  if (ms === undefined || !Number.isFinite(ms))
    report(path, 'must be a duration such as "10s", or a number of seconds: Telegraf does not start with it');
  else if (ms < 0) report(path, "must not be negative: Telegraf would have had everything fail at once");
  else if (ms > 0) return ms;
  return otherwise;
};

const reference = /\$\$|\$\{(\w+)(:-[^}]*)?[^}]*\}|\$(\w+)/g;

/** Whether a text names a variable of the environment, which Telegraf replaces in any text, or has $$ for a dollar sign. */
export const refers = (text: string): boolean => /\$\$|\$\{\w|\$[A-Za-z_]/.test(text);

/** Text of Telegraf's: `$NAME` and `${NAME:-default}` become references as sockscope has them. */
export const textOf = (text: string): Value => {
  if (!refers(text)) return text;
  const replaced = text.replace(
    reference,
    (match: string, braced: string | undefined, fallback: string | undefined, bare: string | undefined) => {
      const name = braced ?? bare;
      if (name === undefined || !/^[A-Za-z_]/.test(name)) return match === "$$" ? match : `$$${match}`;
      return `\${env:${name}${fallback ?? ""}}`;
    },
  );
  return referring(replaced);
};

export const mapOfTexts = (map: Readonly<Record<string, string>>): Record<string, Value> =>
  Object.fromEntries(Object.entries(map).map(([name, value]) => [name, textOf(value)]));
