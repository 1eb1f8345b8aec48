export type Labels = Readonly<Record<string, string>>;
export type ExposedSample = { readonly name: string; readonly labels: Labels; readonly value: number };

const parseValue = (text: string): number =>
  text.endsWith("Inf") ? Number(`${text}inity`.replace("+", "")) : Number(text);

/** What a page in the Prometheus text format of any program shows, read without judging it. */
export const parseExposition = (text: string) => {
  const types = new Map<string, string>();
  const help = new Map<string, string>();
  const samples: ExposedSample[] = [];
  for (const line of text.split("\n")) {
    const [, word, family = "", rest = ""] = /^# (TYPE|HELP) (\S+) ?(.*)$/.exec(line) ?? [];
    if (word !== undefined) (word === "TYPE" ? types : help).set(family, rest);
    if (line === "" || line.startsWith("#")) continue;
    const [, name = "", labels = "", value = ""] = /^([^{ ]+)(?:\{(.*)\})? (\S+)(?: \d+)?$/.exec(line) ?? [];
    if (name === "") throw new Error(`no sample: ${line}`);
    const pairs = [...labels.matchAll(/([^=,]+)="((?:[^"\\]|\\.)*)"/g)].map(([, label, quoted = ""]) => [
      label,
      quoted.replaceAll(/\\(.)/g, (_, escaped: string) => (escaped === "n" ? "\n" : escaped)),
    ]);
    samples.push({ name, labels: Object.fromEntries(pairs) as Labels, value: parseValue(value) });
  }
  const find = (name: string, labels: Labels = {}): ExposedSample[] =>
    samples.filter(
      (sample) =>
        sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
    );
  return {
    types: types as ReadonlyMap<string, string>,
    help: help as ReadonlyMap<string, string>,
    samples: samples as readonly ExposedSample[],
    /** The samples of a name that have these labels, among others. */
    find,
    /** The value of the only such sample; undefined where there is none or more than one. */
    value: (name: string, labels: Labels = {}): number | undefined => {
      const found = find(name, labels);
      return found.length === 1 ? found[0]?.value : undefined;
    },
  };
};

export type Exposition = ReturnType<typeof parseExposition>;
