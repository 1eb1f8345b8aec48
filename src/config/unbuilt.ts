import { patternOf, type Path } from "./path.ts";

/** Keys of the design that this version does not have, each with what to do instead. A row goes when its feature comes. */
export const unbuiltKeys: Readonly<Record<string, string>> = {
  compat: "remove it",
  election: "remove it, each agent runs its own probes",
  "paths.sys": "remove it",
  "host.netstat": "remove it",
};

type UnbuiltValues = { readonly at: string; readonly values: readonly string[]; readonly remedy: string };

/** Values of the design that this version does not have. */
export const unbuiltValues: readonly UnbuiltValues[] = [
  { at: "export.otlp.protocol", values: ["grpc"], remedy: "use http/protobuf" },
];

const refusal = (what: string, remedy: string): string =>
  `${what} is not supported by this version of sockscope: ${remedy}`;

/** What a destination cannot do yet, it cannot do as an item of a list either. */
const placeOf = (path: Path): string => patternOf(path).replace(/^export\.otlp\[\]/, "export.otlp");

/** Why a key of a later version is refused; undefined for a key that is merely unknown. */
export const unbuiltKey = (path: Path): string | undefined => {
  const pattern = placeOf(path);
  const remedy = Object.hasOwn(unbuiltKeys, pattern) ? unbuiltKeys[pattern] : undefined;
  return remedy === undefined ? undefined : refusal(JSON.stringify(path.at(-1)), remedy);
};

/** Why a value of a later version is refused; undefined for a value that is merely wrong. */
export const unbuiltValue = (path: Path, value: unknown): string | undefined => {
  if (typeof value !== "string") return undefined;
  const place = placeOf(path);
  const row = unbuiltValues.find(({ at, values }) => at === place && values.includes(value));
  return row && refusal(JSON.stringify(value), row.remedy);
};
