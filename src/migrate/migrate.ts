import { z } from "zod";
import { readDocument, type Reading, type Source } from "../config/document.ts";
import { mapOf } from "../config/sound.ts";
import type { Path } from "../config/path.ts";
import { ConfigError } from "../model/errors.ts";
import { convertConnectionStatus } from "./connection-status.ts";
import type { Conversion } from "./conversion.ts";
import { convertDatakit } from "./datakit.ts";
import { renderDraft } from "./draft.ts";
import { sockstatDraft } from "./sockstat.ts";
import { convertSsExporter } from "./ss-exporter.ts";
import { convertTelegraf } from "./telegraf.ts";
import { readToml } from "./toml.ts";

/** The tools that have a file. */
export const fileKinds = ["telegraf", "datakit", "ss_exporter", "connection_status"] as const;
export type FileKind = (typeof fileKinds)[number];

type Tool = {
  /** As in `was taken for ...`. */
  readonly title: string;
  readonly form: "toml" | "yaml";
  /** What tells its file from others. */
  readonly mark: string;
  /** Where the mark stands in a file's value; undefined where it does not. */
  readonly markIn: (value: unknown) => Path | undefined;
  readonly convert: (source: Source) => Conversion;
};

const anything = (): z.ZodUnknown => z.unknown();

const inputsOf = (value: unknown): Readonly<Record<string, unknown>> => mapOf(mapOf(value)["inputs"]);

const firstKey = (value: unknown, keys: readonly string[]): Path | undefined => {
  const key = keys.find((name) => Object.hasOwn(mapOf(value), name));
  return key === undefined ? undefined : [key];
};

const telegrafTables = ["agent", "global_tags", "outputs", "processors", "aggregators", "secretstores"];

/** Plugins of both DataKit and Telegraf tell nothing beside one that only the one of them has. */
const telegrafMark = (value: unknown): Path | undefined => {
  const inputs = inputsOf(value);
  const own = ["socketstat", "net_response"].find((name) => Object.hasOwn(inputs, name));
  const found = own === undefined ? firstKey(value, telegrafTables) : ["inputs", own];
  if (found !== undefined || Object.hasOwn(inputs, "socket")) return found;
  const [other] = Object.keys(inputs);
  return other === undefined ? undefined : ["inputs", other];
};

const tools: Readonly<Record<FileKind, Tool>> = {
  telegraf: {
    title: "a Telegraf configuration",
    form: "toml",
    mark: "TOML with [agent], [[inputs.socketstat]] or another plugin",
    markIn: telegrafMark,
    convert: convertTelegraf,
  },
  datakit: {
    title: "a configuration of DataKit's socket input",
    form: "toml",
    mark: "TOML with [[inputs.socket]]",
    markIn: (value) => (Object.hasOwn(inputsOf(value), "socket") ? ["inputs", "socket"] : undefined),
    convert: convertDatakit,
  },
  ss_exporter: {
    title: "a prometheus_ss_exporter configuration",
    form: "yaml",
    mark: "YAML with the key logic",
    markIn: (value) => firstKey(value, ["logic"]),
    convert: convertSsExporter,
  },
  connection_status: {
    title: "a connection-status-exporter configuration",
    form: "yaml",
    mark: "YAML with a list of sockets",
    markIn: (value) => (Array.isArray(mapOf(value)["sockets"]) ? ["sockets"] : undefined),
    convert: convertConnectionStatus,
  },
};

/** A header in brackets, or a key with its equals sign, in the first line that is neither blank nor a comment. */
const tomlLine = /^(?:\[\[?[\w\s."'-]+\]\]?|[\w."'-]+\s*=)/;

const looksLikeToml = ({ file, text }: Source): boolean => {
  if (/\.toml$/i.test(file)) return true;
  const first = text.split("\n").find((line) => /^\s*[^\s#]/.test(line));
  return first !== undefined && tomlLine.test(first.trim());
};

const read = (source: Source): Reading<unknown> =>
  looksLikeToml(source) ? readToml(source, anything) : readDocument(source, undefined, anything, "the file is empty");

/** The kinds whose mark is in the file, and where. */
const marksIn = (source: Source, reading: Reading<unknown>): { readonly kind: FileKind; readonly path: Path }[] =>
  fileKinds.flatMap((kind) => {
    const { form, markIn } = tools[kind];
    const path = (form === "toml") === looksLikeToml(source) ? markIn(reading.value) : undefined;
    return path === undefined ? [] : [{ kind, path }];
  });

const nameOfMark = (path: Path): string => path.join(".");

const noneOfThem =
  "is none of the files that can be migrated: " +
  `${fileKinds.map((kind) => `${tools[kind].title} (${tools[kind].mark})`).join(", ")}; the sockstat recipe has no file (--from sockstat)`;

/** What a file is, by its content. Throws a `ConfigError` for none of the kinds, and for two of them. */
const kindOf = (source: Source, reading: Reading<unknown>): FileKind => {
  if (!reading.whole) throw new ConfigError(reading.faults());
  const [first, second] = marksIn(source, reading);
  if (first === undefined)
    throw new ConfigError([{ file: source.file, line: 1, column: 1, path: "", message: noneOfThem }]);
  if (second === undefined) return first.kind;
  const message =
    `is of two kinds: ${nameOfMark(first.path)} is of ${tools[first.kind].title}, ` +
    `${nameOfMark(second.path)} of ${tools[second.kind].title}; keep them in files of their own, or name one with --from`;
  throw new ConfigError([reading.place({ path: second.path, at: "key", message })]);
};

const textOf = (source: Source, kind: FileKind): string => {
  const { reading, findings, draft } = tools[kind].convert(source);
  const faults = reading.faults(findings);
  if (faults.length > 0 || draft === undefined) throw new ConfigError(faults);
  return renderDraft(draft);
};

/** The sockscope file that replaces the sockstat recipe. */
export const migrateSockstat = (): string => renderDraft(sockstatDraft);

/**
 * The sockscope file that does what a file of another tool says; `from` says which tool's it is, else its content does.
 * Throws a `ConfigError` with every fault.
 */
export const migrate = (source: Source, from?: FileKind): string =>
  textOf(source, from ?? kindOf(source, read(source)));

export type Translated = { readonly text: string; readonly note: string };

/** What a file of one of the YAML kinds has somewhere, so that none but these is read twice. */
const yamlMark = /logic["']?\s*:|sockets["']?\s*:\s*(?:#[^\n]*\n\s*)*[-[&*!]/;

/** The sockscope file that a file of another tool stands for, and what is said of that; undefined for any other file. */
export const translate = (source: Source): Translated | undefined => {
  const isYaml = !looksLikeToml(source);
  if (isYaml && !yamlMark.test(source.text)) return undefined;
  const reading = read(source);
  // A sockscope file with a slip is one all the same, so that its own faults are told.
  const marks = marksIn(source, reading).length;
  const isOwn = !reading.whole || marks === 0 || Object.keys(mapOf(reading.value)).length > marks;
  if (isYaml && isOwn) return undefined;
  const kind = kindOf(source, reading);
  const note = `${source.file} was taken for ${tools[kind].title}: \`sockscope migrate ${source.file}\` prints what it means here.`;
  return { text: textOf(source, kind), note };
};
