type YamlScalar = string | number | boolean;
export type YamlMap = { readonly [key: string]: YamlValue };
export type YamlValue = YamlScalar | YamlMap | readonly YamlScalar[] | readonly YamlMap[];

/** Words that YAML, of any version, does not read as text. */
const reserved = /^(?:null|true|false|yes|no|y|n|on|off)$/i;
const switches = /^(?:on|off)$/;

/** Text that needs no quotes: a duration, or what starts with a letter or a slash and holds nothing that YAML knows. */
const plain = /^(?:(?:\d+(?:h|ms|m|s))+|[A-Za-z/][\w./%+-]*(?::[\w./%+-]+)*)$/;

const scalar = (value: YamlScalar): string => {
  if (typeof value !== "string") return String(value);
  if (switches.test(value)) return value;
  // A dollar sign starts a reference to the environment, in quotes too.
  const escaped = value.replaceAll("$", "$$$$");
  return plain.test(escaped) && !reserved.test(escaped) ? escaped : JSON.stringify(escaped);
};

const keyOf = (key: string): string => (plain.test(key) && !reserved.test(key) ? key : JSON.stringify(key));

const isList = (value: YamlValue): value is readonly YamlScalar[] | readonly YamlMap[] => Array.isArray(value);

const isMap = (value: YamlValue): value is YamlMap => typeof value === "object" && !isList(value);

const linesOfMap = (map: YamlMap): string[] =>
  Object.entries(map).flatMap(([key, value]) => {
    const name = `${keyOf(key)}:`;
    if (isMap(value)) {
      const lines = linesOfMap(value).map((line) => `  ${line}`);
      return lines.length === 0 ? [`${name} {}`] : [name, ...lines];
    }
    if (!isList(value)) return [`${name} ${scalar(value)}`];
    const items = value.filter((item) => isMap(item));
    if (items.length === 0) return [`${name} [${value.map((item) => (isMap(item) ? "" : scalar(item))).join(", ")}]`];
    return [
      name,
      ...items.flatMap((item) => linesOfMap(item).map((line, index) => `  ${index === 0 ? "- " : "  "}${line}`)),
    ];
  });

/** YAML in block style, with `$` escaped as a configuration file needs it. */
export const renderYaml = (map: YamlMap): string =>
  linesOfMap(map)
    .map((line) => `${line}\n`)
    .join("");
