import { Document, isMap, isScalar, type Node, Pair, Scalar, YAMLMap, YAMLSeq } from "yaml";

/** A value with what is said of it, in lines of comment before its key or its item. */
class Remarked {
  readonly value: Value;
  readonly remarks: readonly string[];
  constructor(value: Value, remarks: readonly string[]) {
    this.value = value;
    this.remarks = remarks;
  }
}

/** Text in which references to the environment stand as sockscope has them. */
class Referring {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** A part of a sockscope file; a key without a value is left out. */
export type Value =
  | string
  | number
  | boolean
  | Remarked
  | Referring
  | readonly Value[]
  | { readonly [key: string]: Value | undefined };

/** A sockscope file and what is said of it as a whole. */
export type Draft = {
  readonly head: readonly string[];
  readonly file: { readonly [key: string]: Value | undefined };
};

/** `value` below these sentences, each in lines of its own, and those that it has; without any it stays as it is. */
export const remark = (value: Value, ...remarks: readonly (string | undefined)[]): Value => {
  const said = remarks.filter((sentence) => sentence !== undefined);
  if (said.length === 0) return value;
  return value instanceof Remarked ? new Remarked(value.value, [...said, ...value.remarks]) : new Remarked(value, said);
};

export const referring = (text: string): Value => new Referring(text);

const columns = 108;

const wrap = (sentence: string): string[] => {
  const lines: string[] = [];
  let line = "";
  for (const word of sentence.split(/[\s\p{Cc}]+/u)) {
    if (line !== "" && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
};

/** As the YAML package takes it: a # is put before each line. */
const commentOf = (sentences: readonly string[]): string =>
  sentences
    .flatMap((sentence) => wrap(sentence))
    .map((line) => ` ${line}`.trimEnd())
    .join("\n");

/** A dollar sign would start a reference where another one or a brace is behind it. */
const literal = (text: string): string => (/\$[${]/.test(text) ? text.replaceAll("$", "$$$$") : text);

const isList = (value: Value): value is readonly Value[] => Array.isArray(value);

const isShort = (node: Node): boolean =>
  isScalar(node) && (node.commentBefore ?? null) === null && String(node.value).length <= 40;

const nodeOf = (value: Value): Node => {
  if (value instanceof Remarked) {
    const node = nodeOf(value.value);
    node.commentBefore = commentOf(value.remarks);
    return node;
  }
  if (value instanceof Referring) return new Scalar(value.text);
  if (isList(value)) {
    const list = new YAMLSeq<Node>();
    list.items = value.map((item) => nodeOf(item));
    list.flow = list.items.every((item) => isShort(item));
    return list;
  }
  if (typeof value === "object") {
    const map = new YAMLMap();
    for (const [key, held] of Object.entries(value)) {
      if (held === undefined) continue;
      const name = new Scalar(key);
      const node = nodeOf(held);
      // Before a value the comment would stand behind its key.
      name.commentBefore = node.commentBefore ?? null;
      node.commentBefore = null;
      map.items.push(new Pair(name, node));
    }
    map.flow = map.items.length === 0;
    return map;
  }
  return new Scalar(typeof value === "string" ? literal(value) : value);
};

/** A blank line before each key of the file, so that what belongs together stands together. */
const space = (contents: Node): void => {
  for (const { key } of isMap(contents) ? contents.items.slice(1) : []) if (isScalar(key)) key.spaceBefore = true;
};

/** The text of a sockscope file. */
export const renderDraft = ({ head, file }: Draft): string => {
  const contents = nodeOf(file);
  space(contents);
  const document = new Document(contents);
  document.commentBefore = commentOf(head);
  return document.toString({ lineWidth: 120, flowCollectionPadding: false });
};
