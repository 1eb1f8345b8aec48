const samples = 16;

/** Milliseconds of CLOCK_MONOTONIC, which all threads share. */
const monotonic = (): number => Number(process.hrtime.bigint()) / 1e6;

/**
 * What a clock is ahead of CLOCK_MONOTONIC, in ms: of readings amid two of the other clock, the one whose two lie
 * closest together. It is wrong by at most half of what lies between them, some 0.1 us.
 */
export const aheadOfMonotonic = (clock: () => number): number => {
  let narrowest = Infinity;
  let ahead = 0;
  for (let sample = 0; sample < samples; sample++) {
    const before = monotonic();
    const reading = clock();
    const after = monotonic();
    if (after - before >= narrowest) continue;
    narrowest = after - before;
    ahead = reading - (before + after) / 2;
  }
  return ahead;
};
