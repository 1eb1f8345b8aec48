import { z } from "zod";
import type { Attributes } from "../model/columns.ts";
import { type Fault, isFault } from "../text/fault.ts";
import { type Reading, readDocument, type Source } from "./document.ts";
import type { Env } from "./env.ts";
import { block, optional, parsed, text } from "./kinds.ts";
import { mapOf, sound } from "./sound.ts";
import { parseTarget } from "./target.ts";
import type { Written } from "./target-checks.ts";
import { probeAttributeFault, target } from "./target-schema.ts";

/** Of Prometheus itself: they say how it scrapes, not what the target is. */
const isInternal = (name: string): boolean => name.startsWith("__");

/** Prometheus writes `host:port`. */
const urlOf = (written: string): string =>
  written.includes("://") || written.startsWith("unix") ? written : `tcp://${written}`;

const listedTarget = parsed<string>(
  (written): string | Fault => {
    const destination = parseTarget(urlOf(written));
    return isFault(destination) ? destination : urlOf(written);
  },
  undefined,
  text("host:port or a URL such as tcp://db.internal:5432"),
);

const label = z
  .union([z.string(), z.number(), z.boolean()], { error: "must be text" })
  .transform((value) => String(value));

const labels = z.record(
  z.string().refine((name) => isInternal(name) || probeAttributeFault(name) === undefined, {
    error: ({ input }) => probeAttributeFault(String(input)) ?? "",
  }),
  label,
  { error: "must be a map of label names to text" },
);

/** An entry of Prometheus' file_sd. */
const group = block({
  targets: optional(z.array(listedTarget, { error: "must be a list of targets" }), "host:port each, or a URL."),
  labels: optional(labels, "Attributes of these targets' metrics."),
});

const groups = z.array(group);
const targets = z.array(target, { error: "must be a list of targets" });
const map = block({ targets: optional(targets, "The targets.") });

/** Whether a file is in Prometheus' form, which the key of its entries tells. */
const isFileSd = (value: unknown): value is readonly unknown[] =>
  Array.isArray(value) && value.some((item) => Object.hasOwn(mapOf(item), "targets"));

const schemaOf = (value: unknown): z.ZodType =>
  isFileSd(value)
    ? groups
    : z.union([targets, map], { error: "must be a list of targets, or a map with the key targets" });

const attributesOf = (held: unknown): Attributes =>
  Object.fromEntries(Object.entries(sound(labels, held) ?? {}).filter(([name]) => !isInternal(name)));

/** The targets of a list as they are written; of anything else none. */
export const writtenIn = (list: unknown, ...path: Written["path"]): Written[] =>
  Array.isArray(list) ? list.map((raw: unknown, index) => ({ path: [...path, index], raw })) : [];

const listedIn = (item: unknown, at: number): Written[] => {
  const { targets: listed, labels: own } = mapOf(item);
  const attributes = attributesOf(own);
  return writtenIn(listed, at, "targets").flatMap(({ path, raw }) =>
    typeof raw === "string" ? [{ path, raw: urlOf(raw), labels: attributes }] : [],
  );
};

export type TargetFileReading = { readonly reading: Reading<unknown>; readonly targets: readonly Written[] };

/**
 * Reads a file of targets: a list as in `probes.targets`, a map with the key `targets`, or the file_sd form of
 * Prometheus.
 */
export const readTargetFile = (source: Source, env: Env): TargetFileReading => {
  const reading = readDocument(source, env, schemaOf, "the file is empty: write a list of targets, or [] for none");
  const { value, whole } = reading;
  if (!whole) return { reading, targets: [] };
  if (isFileSd(value)) return { reading, targets: value.flatMap(listedIn) };
  if (Array.isArray(value)) return { reading, targets: writtenIn(value) };
  return { reading, targets: writtenIn(mapOf(value)["targets"], "targets") };
};
