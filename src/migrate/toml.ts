import { type AST, getStaticTOMLValue, ParseError, parseTOML, traverseNodes } from "toml-eslint-parser";
import type { z } from "zod";
import type { Reading, Source } from "../config/document.ts";
import { explain, type Finding } from "../config/explain.ts";
import { faultsIn, locate, type Span, startOfText, type Tree } from "../config/located.ts";
import { type Path, pathKey } from "../config/path.ts";
import { type Fault, isFault } from "../text/fault.ts";

type Places = Map<string, { readonly key: Span; readonly value: Span }>;

/** Where the text cannot be read, and why. */
type SyntaxFault = Fault & { readonly span: Span };

const spanOf = ({ range }: AST.TOMLNode): Span => [range[0], range[1]];

const nameOf = (part: AST.TOMLKey["keys"][number]): string => (part.type === "TOMLBare" ? part.name : part.value);

/** Each step of a path is where it is named first; a list's item is where its table begins. */
const place = (places: Places, path: Path, key: Span, value: Span): void => {
  const at = pathKey(path);
  if (!places.has(at)) places.set(at, { key, value });
};

const placeValue = (places: Places, node: AST.TOMLContentNode, path: Path): void => {
  if (node.type === "TOMLInlineTable") for (const pair of node.body) placePair(places, pair, path);
  if (node.type !== "TOMLArray") return;
  for (const [index, element] of node.elements.entries()) {
    place(places, [...path, index], spanOf(element), spanOf(element));
    placeValue(places, element, [...path, index]);
  }
};

const placePair = (places: Places, { key, value }: AST.TOMLKeyValue, base: Path): void => {
  let path = base;
  for (const [index, part] of key.keys.entries()) {
    path = [...path, nameOf(part)];
    place(places, path, spanOf(part), index === key.keys.length - 1 ? spanOf(value) : spanOf(part));
  }
  placeValue(places, value, path);
};

/** A table that a header in brackets begins: the indexes of its path are in no key. */
const placeTable = (places: Places, table: AST.TOMLTable): void => {
  let part = -1;
  for (const [depth, step] of table.resolvedKey.entries()) {
    if (typeof step === "string") part += 1;
    const named = table.key.keys[part] ?? table.key;
    place(places, table.resolvedKey.slice(0, depth + 1), spanOf(named), spanOf(named));
  }
  for (const pair of table.body) placePair(places, pair, table.resolvedKey);
};

/** What would be no plain key of a map. */
const unusable = (program: AST.TOMLProgram): SyntaxFault | undefined => {
  let fault: SyntaxFault | undefined;
  traverseNodes(program, {
    enterNode(node) {
      if ((node.type === "TOMLBare" || node.type === "TOMLQuoted") && nameOf(node) === "__proto__")
        fault ??= { fault: "__proto__ cannot be a key", span: spanOf(node) };
    },
    leaveNode: () => undefined,
  });
  return fault;
};

const parse = (text: string): AST.TOMLProgram | SyntaxFault => {
  try {
    const program = parseTOML(text);
    return unusable(program) ?? program;
  } catch (error) {
    if (error instanceof RangeError) return { fault: "nested too deeply", span: startOfText };
    if (!(error instanceof ParseError)) throw error;
    const hint = text[error.index] === "$" ? ": put a reference to the environment in quotes" : "";
    const message = error.message.replace(/^./, (first) => first.toLowerCase());
    // What is missing at the end is missed behind it.
    const at = Math.min(error.index, text.length);
    return { fault: `no valid TOML: ${message}${hint}`, span: [at, at] };
  }
};

const treeOf = (program: AST.TOMLProgram): Tree => {
  const places: Places = new Map();
  place(places, [], spanOf(program), spanOf(program));
  for (const node of program.body[0].body)
    if (node.type === "TOMLKeyValue") placePair(places, node, []);
    else placeTable(places, node);
  return { value: getStaticTOMLValue(program), places, ambiguous: new Set(), refused: new Set(), faults: [] };
};

/** Line and column of an offset, both from 1. */
const positionsIn = (text: string) => {
  const starts = [0];
  for (const { index } of text.matchAll(/\n/g)) starts.push(index + 1);
  return (offset: number): { readonly line: number; readonly col: number } => {
    const line = starts.findLastIndex((start) => start <= offset);
    return { line: line + 1, col: offset - (starts[line] ?? 0) + 1 };
  };
};

/** Reads TOML by the schema that its value chooses. No message holds a value, which may be a secret. */
export const readToml = <T>({ file, text }: Source, schemaOf: (value: unknown) => z.ZodType<T>): Reading<T> => {
  const positionOf = positionsIn(text);
  const program = parse(text);
  if (isFault(program)) {
    const { fault: message, span } = program;
    const faults = faultsIn(file, [{ span, path: [], message }], positionOf);
    const placed = ({ message: said }: Finding) => ({ file, line: 1, column: 1, path: "", message: said });
    return { value: undefined, data: undefined, whole: false, faults: () => faults, place: placed };
  }
  const tree = treeOf(program);
  const { data, error } = schemaOf(tree.value).safeParse(tree.value, { reportInput: true });
  const findings = (error?.issues ?? []).flatMap((issue) => explain(issue));
  const faults = (all: readonly Finding[]) =>
    faultsIn(
      file,
      all.map((finding) => locate(tree, finding)),
      positionOf,
    );
  return {
    value: tree.value,
    data,
    whole: true,
    faults: (more = []) => faults([...findings, ...more]),
    place: (finding) => faults([finding])[0] ?? { file, line: 1, column: 1, path: "", message: finding.message },
  };
};
