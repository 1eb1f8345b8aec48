import type { z } from "zod";
import { unknownWord } from "../text/nearest.ts";
import type { Path } from "./path.ts";
import { unbuiltKey } from "./unbuilt.ts";

/** A fault before it has a line: where in the configuration, and whether its key or its value is at fault. */
export type Finding = { readonly path: Path; readonly at: "key" | "value"; readonly message: string };

type Issue = z.core.$ZodIssue;

/** The value is not what this branch of a union is about at all, so that the branch's own words would mislead. */
const isOfOtherKind = (issue: Issue): boolean =>
  issue.path.length === 0 &&
  (issue.code === "invalid_type" ||
    issue.code === "invalid_value" ||
    (issue.code === "invalid_union" && issue.errors.every((branch) => branch.some(isOfOtherKind))));

const extend = (path: Path, more: readonly PropertyKey[]): Path => [
  ...path,
  ...more.map((step) => (typeof step === "number" ? step : String(step))),
];

/** What a schema found, in words and places of the file. */
export const explain = (issue: Issue, base: Path = []): Finding[] => {
  const path = extend(base, issue.path);
  if (issue.code === "unrecognized_keys") {
    const known = issue.message.split(",");
    return issue.keys.map((key) => {
      const at = [...path, key];
      return { path: at, at: "key", message: unbuiltKey(at) ?? unknownWord("key", key, known) };
    });
  }
  if (issue.code === "invalid_key") return [{ path, at: "key", message: issue.issues[0]?.message ?? issue.message }];
  // No value of it would do.
  if (issue.code === "invalid_type" && issue.expected === "never") return [{ path, at: "key", message: issue.message }];
  if (issue.code === "invalid_union") {
    const branch = issue.errors.find((issues) => !issues.some(isOfOtherKind));
    if (branch !== undefined) return branch.flatMap((inner) => explain(inner, path));
  }
  return [{ path, at: "value", message: issue.message }];
};
