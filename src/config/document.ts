import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
  type Alias,
  type Document,
  type Node,
  type Pair,
  type Scalar,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";
import type { z } from "zod";
import type { ConfigFault } from "../model/errors.ts";
import { isFault } from "../text/fault.ts";
import { type Env, type Substitute, substitute } from "./env.ts";
import { explain, type Finding } from "./explain.ts";
import { faultsIn, type Located, locate, type Span, startOfText, type Tree } from "./located.ts";
import { type Path, pathKey } from "./path.ts";
import { syntaxFault } from "./syntax.ts";

type Walk = {
  readonly env: Env | undefined;
  readonly substitute: Substitute;
  readonly lines: LineCounter;
  /** What each alias stands for: the value with the last anchor of that name before it. */
  readonly aliases: ReadonlyMap<Alias, Node>;
  /** Ambiguous values of which the second reading is wanted. */
  readonly reread: ReadonlySet<string>;
  readonly places: Map<string, { readonly key: Span; readonly value: Span }>;
  readonly ambiguous: Set<string>;
  /** Paths of values that are `unreadable`. */
  readonly refused: Set<string>;
  readonly faults: Located[];
  /** What is being read, through aliases too. */
  readonly open: Set<unknown>;
  /** Aliases that are being followed. */
  following: number;
  /** Values read through aliases so far: a few lines of aliases of aliases can stand for billions. */
  aliased: number;
};

const mostAliased = 300_000;
/** Far more than the schema has, and far less than the stack has. */
const deepest = 64;

/** Stands for a value whose fault is known, so that no schema accepts it as absent. */
const unreadable = Symbol("unreadable");

const options = { uniqueKeys: false, stringKeys: true, prettyErrors: false } as const;

const spanOf = (node: unknown): Span | undefined => {
  const range = (isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? node.range : undefined) ?? undefined;
  return range === undefined ? undefined : [range[0], range[1]];
};

const report = (walk: Walk, node: unknown, path: Path, message: string): void => {
  walk.faults.push({ span: spanOf(node) ?? walk.places.get(pathKey(path))?.value ?? startOfText, path, message });
};

const refuse = (walk: Walk, node: unknown, path: Path, message: string): typeof unreadable => {
  report(walk, node, path, message);
  walk.refused.add(pathKey(path));
  return unreadable;
};

/** What `${env:PORT}` stands for when it is more than text: a number, a switch or nothing. */
const readPlain = (text: string): number | boolean | null | undefined => {
  if (text.trim() === "") return null;
  const { contents } = parseDocument(text, options);
  if (!isScalar(contents) || contents.source !== text.trim()) return undefined;
  const { value } = contents;
  return typeof value === "number" || typeof value === "boolean" || value === null ? value : undefined;
};

const readScalar = (walk: Walk, scalar: Scalar, path: Path): unknown => {
  const { value } = scalar;
  if (value === null || typeof value === "number" || typeof value === "boolean") return value;
  if (typeof value !== "string")
    return refuse(walk, scalar, path, "must be text, a number, true or false: remove the tag");
  const substituted = walk.env && walk.substitute(value, walk.env);
  if (substituted === undefined) return value;
  if (isFault(substituted)) return refuse(walk, scalar, path, substituted.fault);
  const plain = substituted.whole ? readPlain(substituted.text) : undefined;
  if (plain === undefined) return substituted.text;
  const key = pathKey(path);
  walk.ambiguous.add(key);
  const textFirst = scalar.type !== "PLAIN";
  return textFirst === walk.reread.has(key) ? plain : substituted.text;
};

const within = <T>(walk: Walk, node: unknown, run: () => T): T => {
  if (walk.open.has(node)) return run();
  walk.open.add(node);
  const value = run();
  walk.open.delete(node);
  return value;
};

const followAlias = <T>(walk: Walk, alias: Alias, path: Path, read: (source: Node) => T): T | typeof unreadable => {
  const source = walk.aliases.get(alias);
  if (source === undefined)
    return refuse(walk, alias, path, "no anchor stands before this alias: put text that starts with * in quotes");
  if (walk.open.has(source)) return refuse(walk, alias, path, "the alias stands inside of what it refers to");
  if (walk.aliased > mostAliased)
    return refuse(walk, alias, path, `the aliases of the file stand for more than ${mostAliased} values`);
  walk.aliased += 1;
  walk.following += 1;
  const value = within(walk, source, () => read(source));
  walk.following -= 1;
  return value;
};

type Pairs = Map<string, Pair>;

const mergedPairs = (walk: Walk, node: unknown, path: Path): Pairs => {
  if (isMap(node)) return pairsOf(walk, node, path);
  if (isAlias(node)) {
    const followed = followAlias(walk, node, path, (source) => mergedPairs(walk, source, path));
    return followed === unreadable ? new Map() : followed;
  }
  if (isSeq(node)) return new Map(node.items.toReversed().flatMap((item) => [...mergedPairs(walk, item, path)]));
  report(walk, node, path, "<< needs an alias of a map, or a list of them");
  return new Map();
};

/** The pairs of a map by key, those that `<<` merges into it last. */
const pairsOf = (walk: Walk, map: YAMLMap, path: Path): Pairs => {
  const own: Pairs = new Map();
  const merged: Pair[] = [];
  for (const pair of map.items) {
    const { key } = pair;
    if (!isScalar(key) || typeof key.value !== "string") continue;
    const name = key.value;
    const first = spanOf(own.get(name)?.key);
    if (name === "<<" && key.type === "PLAIN") merged.push(pair);
    else if (name === "__proto__") report(walk, key, [...path, name], "cannot be a key");
    else if (first === undefined) own.set(name, pair);
    else {
      const { line } = walk.lines.linePos(first[0]);
      report(walk, key, [...path, name], `the key ${JSON.stringify(name)} is set twice, first in line ${line}`);
    }
  }
  for (const { value } of merged)
    for (const [name, pair] of mergedPairs(walk, value, path)) if (!own.has(name)) own.set(name, pair);
  return own;
};

const readMap = (walk: Walk, map: YAMLMap, path: Path): Record<string, unknown> => {
  const value: Record<string, unknown> = {};
  for (const [name, pair] of pairsOf(walk, map, path)) {
    const at = [...path, name];
    const key = spanOf(pair.key) ?? startOfText;
    walk.places.set(pathKey(at), { key, value: spanOf(pair.value) ?? key });
    value[name] = read(walk, pair.value, at);
  }
  return value;
};

const readList = (walk: Walk, list: YAMLSeq, path: Path): unknown[] =>
  list.items.map((item, index) => {
    const at = [...path, index];
    const span = spanOf(item) ?? spanOf(list) ?? startOfText;
    walk.places.set(pathKey(at), { key: span, value: span });
    return read(walk, item, at);
  });

const read = (walk: Walk, node: unknown, path: Path): unknown => {
  if (walk.following > 0) walk.aliased += 1;
  if (path.length > deepest) return refuse(walk, node, path.slice(0, deepest), "nested too deeply");
  if (isAlias(node)) return followAlias(walk, node, path, (source) => read(walk, source, path));
  if (isMap(node)) return within(walk, node, () => readMap(walk, node, path));
  if (isSeq(node)) return within(walk, node, () => readList(walk, node, path));
  if (isScalar(node)) return readScalar(walk, node, path);
  return node === null || node === undefined ? null : refuse(walk, node, path, "must be a value: remove the tag");
};

const aliasesOf = (document: Document.Parsed): Map<Alias, Node> => {
  const aliases = new Map<Alias, Node>();
  const anchors = new Map<string, Node>();
  visit(document, {
    Node: (_, node) => {
      if (!isAlias(node)) {
        if (node.anchor !== undefined) anchors.set(node.anchor, node);
        return;
      }
      const source = anchors.get(node.source);
      if (source !== undefined) aliases.set(node, source);
    },
  });
  return aliases;
};

const readTree = (
  document: Document.Parsed,
  { reread, ...given }: Pick<Walk, "env" | "substitute" | "lines" | "reread">,
): Tree => {
  const span = spanOf(document.contents) ?? startOfText;
  const places = new Map([[pathKey([]), { key: span, value: span }]]);
  const walk: Walk = {
    ...given,
    aliases: aliasesOf(document),
    reread,
    places,
    ambiguous: new Set(),
    refused: new Set(),
    faults: [],
    open: new Set(),
    following: 0,
    aliased: 0,
  };
  return { ...walk, value: read(walk, document.contents, []) };
};

/** Where the quote opens that the end of the text finds open: the fault is there, and not at the end. */
const unclosedQuote = (document: Document.Parsed, text: string): Span | undefined => {
  let span: Span | undefined;
  visit(document, {
    Scalar: (_, { type, range }) => {
      if (range?.[1] !== text.length || (type !== "QUOTE_DOUBLE" && type !== "QUOTE_SINGLE")) return undefined;
      span = [range[0], range[1]];
      return visit.BREAK;
    },
  });
  return span;
};

/** Faults that leave the structure around them as it was meant. */
const local = new Set(["NON_STRING_KEY", "TAG_RESOLVE_FAILED", "BAD_DIRECTIVE"]);

/**
 * The faults of the YAML itself, without those that follow from another: one a line, and one token out of place.
 * What stands behind `known` is a guess.
 */
const readSyntax = (document: Document.Parsed, text: string, lines: LineCounter) => {
  const kept = new Map<number | string, Located>();
  let known = Infinity;
  for (const { code, pos } of [...document.errors, ...document.warnings].sort((a, b) => a.pos[0] - b.pos[0])) {
    const quote = code === "MISSING_CHAR" && pos[0] >= text.length ? unclosedQuote(document, text) : undefined;
    const span = quote ?? pos;
    if (!local.has(code)) known = Math.min(known, span[0]);
    const { line } = lines.linePos(span[0]);
    const key = code === "UNEXPECTED_TOKEN" ? code : line;
    const message = quote === undefined ? syntaxFault(code) : "the quote that opens here is not closed";
    if (!kept.has(key) && !kept.has(line)) kept.set(key, { span, path: [], message });
  }
  return { faults: [...kept.values()], known };
};

const isEmpty = ({ contents }: Document.Parsed): boolean =>
  contents === null || (isScalar(contents) && contents.value === null);

/** A file's name, for its faults and for what it names beside itself, and its text. */
export type Source = { readonly file: string; readonly text: string };

/** A text as its schema reads it. */
export type Reading<T> = {
  /** Its plain values, of which any may be faulty. */
  readonly value: unknown;
  /** undefined when the schema finds a fault. */
  readonly data: T | undefined;
  /** Its structure is as it was meant, so that more can be found out about it. */
  readonly whole: boolean;
  /** The faults of YAML, references and schema, and these, in the order of the text. */
  faults(findings?: readonly Finding[]): ConfigFault[];
  /** The same for findings of a value that has no fault so far. */
  place(finding: Finding): ConfigFault;
};

/**
 * Reads YAML or JSON by the schema that its value chooses; `empty` is what is said of a text that holds nothing, and
 * `replace` has the rules of references; without `env` one is text like any other. No message holds a value that may be a
 * secret.
 */
export const readDocument = <T>(
  { file, text }: Source,
  env: Env | undefined,
  schemaOf: (value: unknown) => z.ZodType<T>,
  empty: string,
  replace: Substitute = substitute,
): Reading<T> => {
  const lines = new LineCounter();
  const positionOf = (offset: number) => lines.linePos(offset);
  const document = parseDocument(text, { ...options, lineCounter: lines });
  const syntax = readSyntax(document, text, lines);
  const check = (reread: ReadonlySet<string>) => {
    const tree = readTree(document, { env, substitute: replace, lines, reread });
    const { data, error } = schemaOf(tree.value).safeParse(tree.value, { reportInput: true });
    return { tree, data, findings: (error?.issues ?? []).flatMap((issue) => explain(issue)) };
  };
  const first = check(new Set());
  const keys = first.findings.map(({ path }) => pathKey(path)).filter((key) => first.tree.ambiguous.has(key));
  const { tree, data, findings } = keys.length === 0 ? first : check(new Set(keys));
  const place = (finding: Finding): ConfigFault[] => faultsIn(file, [locate(tree, finding)], positionOf);
  const nothing = syntax.faults.length === 0 && isEmpty(document);
  return {
    value: tree.value,
    data: nothing ? undefined : data,
    whole: syntax.known === Infinity && !nothing,
    faults(more = []) {
      if (nothing) return faultsIn(file, [{ span: startOfText, path: [], message: empty }], positionOf);
      const located = [...findings, ...more]
        .filter(({ path, at }) => at === "key" || !tree.refused.has(pathKey(path)))
        .map((finding) => locate(tree, finding));
      const sure = [...tree.faults, ...located].filter(({ span }) => span[1] <= syntax.known);
      return faultsIn(file, [...syntax.faults, ...sure], positionOf);
    },
    place: (finding) => place(finding)[0] ?? { file, line: 1, column: 1, path: "", message: finding.message },
  };
};
