import { fileURLToPath } from "node:url";
import { ConfigError, type ConfigFault, formatFault } from "../model/errors.ts";
import { isFault } from "../text/fault.ts";
import type { Source } from "./document.ts";
import type { Env } from "./env.ts";
import { declarativeFile } from "./environment.ts";
import { absent, findTargetFiles, folderFault, type FoundFile, readText } from "./files.ts";
import type { PageAddress, Parsed } from "./normalise.ts";
import { outputFaults } from "./output-files.ts";
import { type Main, readConfig, readMain } from "./parse.ts";
import { mapOf } from "./sound.ts";
import { tlsFaults } from "./tls-files.ts";

/** Where a configuration is looked for that neither the command line nor the environment names; the last is the one shipped. */
export const searchPlaces: readonly string[] = [
  "config/sockscope.yaml",
  "/etc/sockscope/sockscope.yaml",
  fileURLToPath(new URL("../../config/sockscope.yaml", import.meta.url)),
];

/** A file of targets as it was read. */
export type TargetFile = FoundFile & Source;

export type Loaded = Parsed & {
  readonly file: string;
  readonly text: string;
  readonly main: Main;
  /** Those whose targets are in force. */
  readonly targetFiles: readonly TargetFile[];
};

export type LoadOptions = {
  /** As `-c` names it. */
  readonly file: string | undefined;
  readonly env: Env;
  readonly places?: readonly string[];
  readonly listen?: PageAddress | undefined;
  /** The sockscope file that a file of another tool stands for, and what is said of that; undefined for any other file. */
  readonly translate?: (source: Source) => { readonly text: string; readonly note: string } | undefined;
};

const faultAt = (file: string, message: string): ConfigFault => ({ file, line: 1, column: 1, path: "", message });

const cannotRead = (fault: string, origin: string): string => `cannot read: ${fault} (${origin})`;

/** Reads a configuration file; `origin` says who names it. */
export const readNamed = async (file: string, origin: string): Promise<Source> => {
  const text = await readText(file, true);
  if (isFault(text)) throw new ConfigError([faultAt(file, cannotRead(text.fault, origin))]);
  return { file, text };
};

const find = async (places: readonly string[]): Promise<Source> => {
  for (const file of places) {
    // oxlint-disable-next-line no-await-in-loop -- the first that is there
    const text = await readText(file, true);
    if (!isFault(text)) return { file, text };
    if (!absent.has(text.code)) throw new ConfigError([faultAt(file, cannotRead(text.fault, "found by default"))]);
  }
  throw new ConfigError([
    faultAt(
      places[0] ?? "",
      `no configuration file: looked for ${places.join(", ")}; write one there, or name one with -c FILE or $SOCKSCOPE_CONFIG`,
    ),
  ]);
};

const findMain = ({ file, env, places = searchPlaces }: LoadOptions): Promise<Source> => {
  const named = env["SOCKSCOPE_CONFIG"] ?? "";
  if (file !== undefined) return readNamed(file, "named by -c");
  return named === "" ? find(places) : readNamed(named, "named by $SOCKSCOPE_CONFIG");
};

/** Reads a file of targets; undefined where it has gone since it was found. */
export const readTargets = async (found: FoundFile): Promise<TargetFile | ConfigFault | undefined> => {
  const text = await readText(found.file);
  if (!isFault(text)) return { ...found, text };
  const message = cannotRead(text.fault, "named by probes.targets_file");
  return absent.has(text.code) ? undefined : faultAt(found.file, message);
};

/** Tells a file that was read from the fault of one that was not. */
export const wasRead = (read: TargetFile | ConfigFault): read is TargetFile => "stamp" in read;

export const unmatchedNotes = (patterns: readonly string[]): string[] =>
  patterns.map((pattern) => `probes.targets_file: no file is there for ${pattern}; its targets come when one is.`);

/** All faults as one error, each once: by file, the configuration's first, and in the order of the text. */
export const errorOf = (faults: readonly ConfigFault[], order: readonly string[]): ConfigError => {
  const distinct = [...new Map(faults.map((fault) => [formatFault(fault), fault])).values()];
  return new ConfigError(
    distinct.sort((a, b) => order.indexOf(a.file) - order.indexOf(b.file) || a.line - b.line || a.column - b.column),
  );
};

/** The folder for requests must be one, or none yet. */
const storageFaults = async ({ document }: Main): Promise<ConfigFault[]> => {
  const written = document.data?.export?.otlp ?? [];
  const folders = (Array.isArray(written) ? written : [written]).map(({ sending_queue: queue }) => queue?.storage);
  const messages = await Promise.all(folders.map(async (folder) => folder && folderFault(folder)));
  return messages.flatMap((message, index) => {
    const item = Array.isArray(written) ? [index] : [];
    const path = ["export", "otlp", ...item, "sending_queue", "storage"];
    return message === undefined ? [] : [document.place({ path, at: "value", message })];
  });
};

/** Keys of the file that do not go where it is loaded, each with what is said of it. */
export type Misplaced = Readonly<Record<string, string>>;

const misplacedFaults = ({ document }: Main, misplaced: Misplaced): ConfigFault[] =>
  Object.entries(misplaced).flatMap(([key, message]) =>
    document.whole && Object.hasOwn(mapOf(document.value), key)
      ? document.place({ path: [key], at: "key", message })
      : [],
  );

/**
 * Parses a configuration with its files of targets, and looks at the files that they name. Throws a `ConfigError` with
 * every fault of all of them.
 */
export const loadSource = async (
  source: Source,
  env: Env,
  misplaced: Misplaced = {},
  listen?: PageAddress,
): Promise<Loaded> => {
  const named = declarativeFile(env);
  const declared = named && (await readNamed(named.value, `named by $${named.origin}`));
  const main = readMain(source, env, declared, listen);
  const { files, unmatched } = await findTargetFiles(main.patterns);
  const read = (await Promise.all(files.map(readTargets))).filter((file) => file !== undefined);
  const targetFiles = read.filter(wasRead);
  const unread = read.flatMap((file) => (wasRead(file) ? [] : [file]));
  const { parsed, faults, tlsFiles, outputFiles } = readConfig(main, targetFiles);
  const others = await Promise.all([tlsFaults(tlsFiles), outputFaults(outputFiles), storageFaults(main)]);
  const all = [...faults, ...misplacedFaults(main, misplaced), ...unread, ...others.flat()];
  if (all.length > 0 || parsed === undefined)
    throw errorOf(all, [source.file, ...(declared ? [declared.file] : []), ...files.map(({ file }) => file)]);
  const notes = [...parsed.notes, ...unmatchedNotes(unmatched)];
  return { ...parsed, notes, ...source, main, targetFiles };
};

/** The fault of a file that was translated is in no line of that. */
const asMigrated = (error: unknown, file: string): unknown => {
  if (!(error instanceof ConfigError)) return error;
  const own = `${file} as migrated`;
  return new ConfigError(error.faults.map((fault) => (fault.file === file ? { ...fault, file: own } : fault)));
};

/** Finds and reads the configuration, also that of another tool, and then does as `loadSource`. */
export const loadConfig = async ({ translate, listen, ...options }: LoadOptions): Promise<Loaded> => {
  const source = await findMain(options);
  const translated = translate?.(source);
  if (translated === undefined) return loadSource(source, options.env, {}, listen);
  const { text, note } = translated;
  try {
    const loaded = await loadSource({ ...source, text }, options.env, {}, listen);
    return { ...loaded, notes: [note, ...loaded.notes] };
  } catch (error) {
    throw asMigrated(error, source.file);
  }
};
