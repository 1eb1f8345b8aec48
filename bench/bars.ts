/** One line of a benchmark: what was measured, and the bar that it is held to. */
export type Figure = { readonly text: string; readonly bar: string | undefined; readonly held: boolean };

export const atMost = (text: string, value: number, bar: number, unit: string): Figure => ({
  text,
  bar: `at most ${bar} ${unit}`,
  held: value <= bar,
});

export const atLeast = (text: string, value: number, bar: number, unit: string): Figure => ({
  text,
  bar: `at least ${bar} ${unit}`,
  held: value >= bar,
});

/** `aim`: what is wanted, where the bar only keeps what has been reached. */
export const aiming = (figure: Figure, aim: string): Figure => ({ ...figure, text: `${figure.text} (aim: ${aim})` });

/** A figure that nothing is asked of. */
export const only = (text: string): Figure => ({ text, bar: undefined, held: true });

/** False where a bar is missed. */
export const print = (figures: readonly Figure[]): boolean => {
  for (const { text, bar, held } of figures)
    process.stdout.write(`${text}; ${bar === undefined ? "no bar" : `bar ${bar}: ${held ? "held" : "MISSED"}`}\n`);
  return figures.every(({ held }) => held);
};

/** A part that cannot run is a failure of the benchmark; the others run all the same. */
export const figuresOf = async (name: string, bench: () => Promise<Figure[]>): Promise<Figure[]> => {
  try {
    return await bench();
  } catch (error) {
    return [{ text: `${name}: ${error instanceof Error ? error.message : String(error)}`, bar: "to run", held: false }];
  }
};

/** NaN of none. */
export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

export const milliseconds = (us: number): string => `${(us / 1000).toFixed(2)} ms`;
export const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MB`;
