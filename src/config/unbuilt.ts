import { patternOf, type Path } from "./path.ts";

/** Keys of the design that this version does not have, each with what to do instead. A row goes when its feature comes. */
export const unbuiltKeys: Readonly<Record<string, string>> = {
  "paths.sys": "remove it",
  "host.netstat": "remove it",
};

const refusal = (what: string, remedy: string): string =>
  `${what} is not supported by this version of sockscope: ${remedy}`;

/** Why a key of a later version is refused; undefined for a key that is merely unknown. */
export const unbuiltKey = (path: Path): string | undefined => {
  const pattern = patternOf(path);
  const remedy = Object.hasOwn(unbuiltKeys, pattern) ? unbuiltKeys[pattern] : undefined;
  return remedy === undefined ? undefined : refusal(JSON.stringify(path.at(-1)), remedy);
};
