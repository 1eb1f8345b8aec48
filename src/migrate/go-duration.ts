const units: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  "\u00b5s": 1e-3,
  "\u03bcs": 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

const amount = String.raw`(?:\d+\.?\d*|\.\d+)(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h)`;
const grammar = new RegExp(`^([+-]?)((?:${amount})+|0)$`);
const parts = /(\d+\.?\d*|\.\d+)([a-z\u00b5\u03bc]+)/g;

/** Milliseconds, with fractions, of what Go's time.ParseDuration reads; undefined of anything else. */
export const parseGoDuration = (text: string): number | undefined => {
  const [, sign, body] = grammar.exec(text) ?? [];
  if (body === undefined) return undefined;
  let ms = 0;
  for (const [, number, unit = ""] of body.matchAll(parts)) ms += Number(number) * (units[unit] ?? 0);
  return sign === "-" ? -ms : ms;
};
