import type { Fault } from "../text/fault.ts";

/** The environment, as an argument. */
export type Env = Readonly<Record<string, string | undefined>>;

export type Substituted = {
  readonly text: string;
  /** The scalar was one reference and nothing else, so that its value may be a number or a switch. */
  readonly whole: boolean;
};

/** A body ends before the next `${`, which keeps the search linear. */
const reference = /\$\$|\$\{((?:[^}$]|\$(?!\{))*)\}|\$\{/g;
const inner = /^(?:env:)?([A-Za-z_]\w*)(?::-([^]*))?$/;

const malformed =
  'a "${" that is no reference: write ${env:NAME} or ${env:NAME:-default} for an environment variable, $${ for the text itself';

/** Replaces `${env:NAME}`, `${env:NAME:-default}` and `$$` in one scalar; undefined when it holds none of them. */
export const substitute = (text: string, env: Env): Substituted | Fault | undefined => {
  if (!text.includes("$$") && !text.includes("${")) return undefined;
  const faults: string[] = [];
  let whole = false;
  const replaced = text.replace(reference, (match, body: string | undefined) => {
    if (match === "$$") return "$";
    const [, name, fallback] = inner.exec(body ?? "") ?? [];
    if (name === undefined) {
      faults.push(malformed);
      return "";
    }
    whole = match === text;
    const value = (Object.hasOwn(env, name) ? env[name] : undefined) ?? fallback;
    if (value === undefined)
      faults.push(
        `the environment variable ${name} is not set: set it, or write \${env:${name}:-default} to give it a default`,
      );
    return value ?? "";
  });
  if (faults.length === 0) return { text: replaced, whole };
  return { fault: faults.includes(malformed) ? malformed : [...new Set(faults)].join("; ") };
};
