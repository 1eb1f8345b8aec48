import type { ConfigFault } from "../model/errors.ts";
import type { Finding } from "./explain.ts";
import { formatPath, type Path, pathKey } from "./path.ts";

/** Offsets in the text. */
export type Span = readonly [start: number, end: number];

export const startOfText: Span = [0, 0];

/** A fault with its place in the text. */
export type Located = { readonly span: Span; readonly path: Path; readonly message: string };

/** The document as plain values, and where each of them stands. */
export type Tree = {
  readonly value: unknown;
  /** By `pathKey`; the root has one too. */
  readonly places: ReadonlyMap<string, { readonly key: Span; readonly value: Span }>;
  /** Values from the environment that can be read as text and as what the text is in YAML. */
  readonly ambiguous: ReadonlySet<string>;
  /** Values whose fault is among `faults`, so that what a schema says of them is no news. */
  readonly refused: ReadonlySet<string>;
  readonly faults: readonly Located[];
};

/** A fault is where its key or value is; that of a key that is missing, where the nearest map around it is. */
export const locate = (tree: Tree, { path, at, message }: Finding): Located => {
  for (let depth = path.length; depth >= 0; depth--) {
    const place = tree.places.get(pathKey(path.slice(0, depth)));
    if (place !== undefined) return { span: place[at], path, message };
  }
  return { span: startOfText, path, message };
};

/** The faults of a file, each once, in the order of the text. */
export const faultsIn = (
  file: string,
  faults: readonly Located[],
  positionOf: (offset: number) => { readonly line: number; readonly col: number },
): ConfigFault[] => {
  // An int out of range breaks two rules in one way, and a fault behind aliases is found once for each of them.
  const distinct = new Map(faults.toReversed().map((fault) => [`${fault.span[0]} ${fault.message}`, fault]));
  const sorted = [...distinct.values()].sort((a, b) => a.span[0] - b.span[0]);
  return sorted.map(({ span, path, message }) => {
    const { line, col } = positionOf(span[0]);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1), path: formatPath(path), message };
  });
};
