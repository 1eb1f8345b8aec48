import { isIP } from "node:net";
import { createGlob, isGlob } from "../text/glob.ts";
import { listed } from "./conversion.ts";
import type { Value } from "./draft.ts";
import type { Plugin } from "./telegraf-schema.ts";

/** Whether namepass and namedrop let a measurement through. */
export const passes = ({ namepass, namedrop }: Plugin, measurement: string): boolean => {
  const fits = (patterns: readonly string[] | undefined): boolean =>
    patterns?.some((pattern) => createGlob(pattern)(measurement)) === true;
  return ((namepass ?? []).length === 0 || fits(namepass)) && !fits(namedrop);
};

const renames = ["name_override", "name_prefix", "name_suffix"] as const;
const cuts = [
  "fieldpass",
  "fieldinclude",
  "pass",
  "fielddrop",
  "fieldexclude",
  "drop",
  "tagexclude",
  "taginclude",
  "metricpass",
] as const;

/** The keys of filters that have no counterpart, whoever's they are. */
export const cutsOf = (plugin: Plugin, ...more: readonly (keyof Plugin)[]): string[] =>
  [...renames, ...cuts, ...more].filter((key) => plugin[key] !== undefined);

export const sayCuts = (keys: readonly string[]): string | undefined =>
  keys.length === 0
    ? undefined
    : `${listed(keys)} ${keys.length === 1 ? "has" : "have"} no counterpart: drop or rename where the metrics arrive, in the collector or in Prometheus' metric_relabel_configs.`;

type Entry = Readonly<Record<string, Value>>;

const octets = /^(\d{1,3}(?:\.\d{1,3}){0,2})\.\*$/;

/** `10.1.*` is 10.1.0.0/16; undefined for what no network says. */
const networkOf = (pattern: string): string | undefined => {
  const [, head] = octets.exec(pattern) ?? [];
  if (head === undefined) return undefined;
  const count = head.split(".").length;
  const address = `${head}${".0".repeat(4 - count)}`;
  return isIP(address) === 4 ? `${address}/${count * 8}` : undefined;
};

const portOf = (pattern: string): number | undefined => {
  const port = /^\d{1,5}$/.test(pattern) ? Number(pattern) : 0;
  return port >= 1 && port <= 65_535 ? port : undefined;
};

const addressOf = (pattern: string): string | undefined => {
  const address = pattern.replace(/^\[(.*)\]$/s, "$1");
  return isIP(address) !== 0 && !address.includes("%") ? address : undefined;
};

const all = <T>(values: readonly (T | undefined)[]): readonly T[] | undefined =>
  values.every((value) => value !== undefined) ? values : undefined;

/** The entries of sockets.select that match where one of the patterns fits the tag; undefined where none says it. */
const entriesOf = (tag: string, patterns: readonly string[], read: readonly string[]): readonly Entry[] | undefined => {
  const [, end, what] = /^(local|remote)_(port|addr)$/.exec(tag) ?? [];
  if (tag === "proto") {
    const fitting = read.filter((protocol) => patterns.some((pattern) => createGlob(pattern)(protocol)));
    return fitting.length === 0 ? [] : [{ protocols: fitting }];
  }
  if (end === undefined || patterns.length === 0) return undefined;
  if (what === "port") {
    const ports = all(patterns.map((pattern) => portOf(pattern)));
    return ports && [{ ports, side: end }];
  }
  const [globs, plain] = [
    patterns.filter((pattern) => isGlob(pattern)),
    patterns.filter((pattern) => !isGlob(pattern)),
  ];
  const networks = all(globs.map((pattern) => networkOf(pattern)));
  const addresses = all(plain.map((pattern) => addressOf(pattern)));
  if (networks === undefined || addresses === undefined) return undefined;
  return [
    ...(addresses.length === 0 ? [] : [{ addresses, side: end }]),
    ...(networks.length === 0 ? [] : [{ networks, side: end }]),
  ];
};

export type Filtered = { readonly entries: readonly Entry[]; readonly left: readonly string[] };

/** A filter by tags as entries, one for each way to fit, and the tags of which nothing can be said; `read` are the protocols. */
export const filterOf = (filter: Readonly<Record<string, readonly string[]>>, read: readonly string[]): Filtered => {
  const entries: Entry[] = [];
  const left: string[] = [];
  for (const [tag, patterns] of Object.entries(filter)) {
    const found = entriesOf(tag, patterns, read);
    if (found === undefined) left.push(tag);
    else entries.push(...found);
  }
  return { entries, left };
};
