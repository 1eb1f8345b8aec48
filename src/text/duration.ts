import type { Fault } from "./fault.ts";

const units = [
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1],
] as const;

/** The written form, for the JSON schema too. */
export const durationPattern = /^(?=\d)(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?$/;

/** Within what a timer of the runtime can wait. */
export const longestMs = 168 * 3_600_000;

const grammar = "must be a duration such as 250ms, 10s, 2m, 1h or 1m30s";

/** What is wrong with a duration that is not text; a bare number gets the unit that it lacks. */
export const durationFault = (value: unknown): string =>
  (typeof value === "number" || typeof value === "string") && /^\d{1,9}$/.test(String(value))
    ? `a duration needs its unit: write ${value}s for seconds or ${value}ms for milliseconds`
    : grammar;

/** Milliseconds of `250ms`, `10s`, `2m`, `1h` or `1m30s`. */
export const parseDuration = (text: string, minMs: number): number | Fault => {
  const amounts = durationPattern.exec(text);
  if (amounts === null) return { fault: durationFault(text) };
  const ms = units.reduce((sum, [, scale], index) => sum + Number(amounts[index + 1] ?? 0) * scale, 0);
  if (ms < minMs) return { fault: `must be at least ${formatDuration(minMs)}` };
  if (ms > longestMs) return { fault: `must be at most ${formatDuration(longestMs)}` };
  return ms;
};

/** The shortest text that `parseDuration` reads as these milliseconds. */
export const formatDuration = (ms: number): string => {
  let rest = ms;
  let text = "";
  for (const [unit, scale] of units) {
    const amount = Math.floor(rest / scale);
    rest -= amount * scale;
    if (amount > 0) text += `${amount}${unit}`;
  }
  return text === "" ? "0s" : text;
};
