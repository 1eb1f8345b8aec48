import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { ConfigError } from "../model/errors.ts";
import type { Env } from "./env.ts";
import type { Parsed } from "./normalise.ts";
import { parseConfig } from "./parse.ts";

/** Where a configuration is looked for that neither the command line nor the environment names; the last is the one shipped. */
export const searchPlaces: readonly string[] = [
  "config/sockscope.yaml",
  "/etc/sockscope/sockscope.yaml",
  fileURLToPath(new URL("../../config/sockscope.yaml", import.meta.url)),
];

export type Loaded = Parsed & { readonly file: string; readonly text: string };

export type LoadOptions = {
  /** As `-c` names it. */
  readonly file: string | undefined;
  readonly env: Env;
  readonly places?: readonly string[];
};

const fail = (file: string, message: string, cause?: unknown): ConfigError => {
  const error = new ConfigError([{ file, line: 1, column: 1, path: "", message }]);
  if (cause !== undefined) error.cause = cause;
  return error;
};

const codeOf = (error: unknown): string =>
  error instanceof Error && "code" in error ? String(error.code) : "an unknown error";

const absent = new Set(["ENOENT", "ENOTDIR"]);

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  ENOTDIR: "a part of the path is not a directory",
  EACCES: "permission denied: let the user that sockscope runs as read it",
  EISDIR: "it is a directory: name the file in it",
};

const read = async (file: string, origin: string): Promise<string> => {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (error) {
    const code = codeOf(error);
    throw fail(file, `cannot read: ${reasons[code] ?? code} (${origin})`, error);
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw fail(file, `cannot read: it is not UTF-8 text (${origin})`, error);
  }
  if (text.includes("\0")) throw fail(file, `cannot read: it is a binary file, not YAML text (${origin})`);
  return text;
};

const find = async (places: readonly string[]): Promise<{ file: string; text: string }> => {
  for (const file of places) {
    try {
      return { file, text: await read(file, "found by default") };
    } catch (error) {
      if (!(error instanceof ConfigError && absent.has(codeOf(error.cause)))) throw error;
    }
  }
  throw fail(
    places[0] ?? "",
    `no configuration file: looked for ${places.join(", ")}; write one there, or name one with -c FILE or $SOCKSCOPE_CONFIG`,
  );
};

/** Finds, reads and parses the configuration. Throws a `ConfigError` for a file that is missing, unreadable or faulty. */
export const loadConfig = async ({ file, env, places = searchPlaces }: LoadOptions): Promise<Loaded> => {
  const named = env["SOCKSCOPE_CONFIG"] ?? "";
  let found;
  if (file !== undefined) found = { file, text: await read(file, "named by -c") };
  else if (named !== "") found = { file: named, text: await read(named, "named by $SOCKSCOPE_CONFIG") };
  else found = await find(places);
  return { ...parseConfig(found.text, found.file, env), ...found };
};
