import type { Fault } from "../text/fault.ts";

/** The environment, as an argument. */
export type Env = Readonly<Record<string, string | undefined>>;

export type Substituted = {
  readonly text: string;
  /** The scalar may be a number or a switch: it was one reference and nothing else. */
  readonly whole: boolean;
};

/** Replaces what a scalar refers to; undefined when it refers to nothing. */
export type Substitute = (text: string, env: Env) => Substituted | Fault | undefined;

/** A body ends before the next `${`, which keeps the search linear. */
const reference = /\$\$|\$\{((?:[^}$]|\$(?!\{))*)\}|\$\{/g;
const inner = /^(?:env:)?([A-Za-z_]\w*)(?::-([^]*))?$/;

const malformed =
  'a "${" that is no reference: write ${env:NAME} or ${env:NAME:-default} for an environment variable, $${ for the text itself';

/** Replaces `${env:NAME}`, `${env:NAME:-default}` and `$$` in one scalar; undefined when it holds none of them. */
export const substitute: Substitute = (text, env) => {
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

const specified = /^(?:env:)?([A-Za-z_]\w*)(?::-([^\n]*))?$/;

/** Replaces `${body}` by what `lookUp` makes of the body, which ends at the next brace. */
const replaceBodies = (text: string, lookUp: (body: string) => string): string => {
  let replaced = "";
  let at = 0;
  for (;;) {
    const start = text.indexOf("${", at);
    const end = start < 0 ? -1 : text.indexOf("}", start);
    if (end < 0) return replaced + text.slice(at);
    const body = text.slice(start + 2, end);
    replaced += text.slice(at, start) + (body === "" ? "${}" : lookUp(body));
    at = end + 1;
  }
};

/**
 * The same by the rules of OpenTelemetry's declarative configuration: a variable that is empty takes the default, too,
 * one without either is empty, and the type of a scalar is that of the text which comes out.
 * @see https://opentelemetry.io/docs/specs/otel/configuration/data-model/#environment-variable-substitution
 */
export const substituteAsSpecified: Substitute = (text, env) => {
  let sound = true;
  const lookUp = (body: string): string => {
    const [, name, fallback = ""] = specified.exec(body) ?? [];
    sound &&= name !== undefined;
    const value = name !== undefined && Object.hasOwn(env, name) ? env[name] : undefined;
    return value === undefined || value === "" ? fallback : value;
  };
  const replaced = text
    .split("$$")
    .map((part) => replaceBodies(part, lookUp))
    .join("$");
  if (!sound)
    return {
      fault:
        'a "${" that is no reference: write ${NAME} or ${NAME:-default} for an environment variable, $${ for the text itself',
    };
  return replaced === text ? undefined : { text: replaced, whole: true };
};
