/**
 * A strict reader of OpenMetrics 1.0 and the Prometheus text format 0.0.4, written from their specifications and not
 * from the renderer. It throws at the first fault.
 */

export type Sample = { readonly name: string; readonly labels: ReadonlyMap<string, string>; readonly value: number };

export type ParsedFamily = { type: string; unit: string | undefined; help: string | undefined; samples: Sample[] };

type Format = "openmetrics" | "text";

const fault = (line: string, reason: string): never => {
  throw new Error(`${reason}: ${line}`);
};

const unescape = (text: string, allowed: string, line: string): string => {
  let out = "";
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== "\\") {
      if (text[at] === '"' && allowed.includes('"')) fault(line, "bare quote");
      out += text[at];
      continue;
    }
    const next = text[++at] ?? "";
    if (next === "" || !allowed.includes(next)) fault(line, `unknown escape \\${next}`);
    out += next === "n" ? "\n" : next;
  }
  return out;
};

/** Reads `{a="b",c="d"}` from its brace; returns what follows it. */
const parseLabels = (text: string, line: string): { labels: Map<string, string>; rest: string } => {
  const labels = new Map<string, string>();
  let rest = text.slice(1);
  while (!rest.startsWith("}")) {
    const name = /^[a-zA-Z][a-zA-Z0-9_]*/.exec(rest)?.[0] ?? fault(line, "bad label name");
    const quoted = /^="((?:[^"\\\n]|\\.)*)"/s.exec(rest.slice(name.length)) ?? fault(line, "bad label value");
    if (labels.has(name)) fault(line, `label ${name} twice`);
    labels.set(name, unescape(quoted[1] ?? "", '\\n"', line));
    rest = rest.slice(name.length + quoted[0].length);
    if (rest.startsWith(",")) rest = rest.slice(1);
    else if (!rest.startsWith("}")) fault(line, "no comma between labels");
  }
  return { labels, rest: rest.slice(1) };
};

const parseNumber = (text: string, line: string): number => {
  if (text === "+Inf") return Infinity;
  if (text === "-Inf") return -Infinity;
  if (!/^-?\d+(\.\d+)?(e[+-]?\d+)?$/.test(text)) fault(line, "bad number");
  return Number(text);
};

const parseSample = (line: string): Sample => {
  const name = /^[a-zA-Z_:][a-zA-Z0-9_:]*/.exec(line)?.[0] ?? fault(line, "bad metric name");
  const after = line.slice(name.length);
  const { labels, rest } = after.startsWith("{")
    ? parseLabels(after, line)
    : { labels: new Map<string, string>(), rest: after };
  if (!rest.startsWith(" ")) fault(line, "no space before the value");
  return { name, labels, value: parseNumber(rest.slice(1), line) };
};

const suffixes: Readonly<Record<Format, Readonly<Record<string, readonly string[]>>>> = {
  openmetrics: {
    counter: ["_total", "_created"],
    gauge: [""],
    histogram: ["_bucket", "_sum", "_count", "_created"],
    info: ["_info"],
    unknown: [""],
  },
  text: { counter: [""], gauge: [""], histogram: ["_bucket", "_sum", "_count"] },
};

const byName = ([a]: readonly [string, string], [b]: readonly [string, string]): number => (a < b ? -1 : 1);

const keyOf = ({ name, labels }: Sample): string => `${name}${JSON.stringify([...labels].sort(byName))}`;

const checkHistogram = (name: string, samples: readonly Sample[]): void => {
  let series = "";
  let le = -Infinity;
  let count = 0;
  let open = false;
  for (const sample of samples) {
    const others = [...sample.labels].filter(([label]) => label !== "le").sort(byName);
    const key = JSON.stringify(others);
    if (sample.name === `${name}_bucket`) {
      if (!open) [series, le, count, open] = [key, -Infinity, 0, true];
      const text = sample.labels.get("le") ?? fault(keyOf(sample), "no le");
      if (!/^(\+Inf|-?\d+\.\d+|-?\d(\.\d+)?e[+-]\d{2,})$/.test(text)) fault(text, "le is no canonical number");
      const bound = parseNumber(text, text);
      if (bound <= le || sample.value < count) fault(keyOf(sample), "buckets do not rise");
      [le, count] = [bound, sample.value];
    } else {
      if (le !== Infinity) fault(keyOf(sample), "no +Inf bucket");
      if (sample.name === `${name}_count` && sample.value !== count)
        fault(keyOf(sample), "_count is not the +Inf bucket");
      open = false;
    }
    if (key !== series) fault(keyOf(sample), "histograms are mixed up");
  }
};

const checkFamily = (name: string, family: ParsedFamily, format: Format): void => {
  const { type, unit, samples } = family;
  const allowed = (suffixes[format][type] ?? fault(name, `bad type ${type}`)).map((suffix) => name + suffix);
  for (const sample of samples) {
    if (!allowed.includes(sample.name)) fault(sample.name, `no sample of ${type} ${name}`);
    if (type === "counter" && sample.value < 0) fault(sample.name, "negative counter");
  }
  if (unit !== undefined && !name.endsWith(`_${unit}`)) fault(name, `does not end with its unit ${unit}`);
  if (type === "histogram") checkHistogram(name, samples);
};

/** Parses a page, or throws. */
export const parsePage = (page: string, format: Format): Map<string, ParsedFamily> => {
  if (page === "" && format === "text") return new Map();
  if (!page.endsWith("\n")) fault(page.slice(-50), "no line feed at the end");
  const lines = page.slice(0, -1).split("\n");
  if (format === "openmetrics" && lines.pop() !== "# EOF") fault(page.slice(-50), "no EOF");
  const families = new Map<string, ParsedFamily>();
  const seen = new Set<string>();
  let current: [name: string, family: ParsedFamily] | undefined;
  for (const line of lines) {
    const [, word, name = "", text = ""] = /^# (TYPE|UNIT|HELP) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/s.exec(line) ?? [];
    if (word === undefined) {
      const sample = line.startsWith("#") ? fault(line, "bad metadata") : parseSample(line);
      const key = keyOf(sample);
      if (seen.has(key)) fault(line, "duplicate series");
      seen.add(key);
      (current ?? fault(line, "no family"))[1].samples.push(sample);
      continue;
    }
    if (current?.[0] !== name) {
      if (families.has(name)) fault(line, "a family comes twice");
      current = [name, { type: "", unit: undefined, help: undefined, samples: [] }];
      families.set(...current);
    }
    const [, family] = current;
    if (family.samples.length > 0) fault(line, "metadata after samples");
    if (word === "TYPE" && family.type === "") family.type = text;
    else if (word === "UNIT" && format === "openmetrics" && family.unit === undefined) family.unit = text;
    else if (word === "HELP" && family.help === undefined)
      family.help = unescape(text, format === "openmetrics" ? '\\n"' : "\\n", line);
    else fault(line, "metadata twice");
  }
  for (const [name, family] of families) checkFamily(name, family, format);
  return families;
};
