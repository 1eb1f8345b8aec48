import { z } from "zod";
import { durationFault, durationPattern, parseDuration } from "../text/duration.ts";
import { type Fault, isFault } from "../text/fault.ts";

/** Text that a reference to an environment variable stands in, so that editors accept it where a pattern is asked. */
const orReference = (pattern: RegExp): string => `${pattern.source}|\\$\\{`;

/** Marks a duration in the JSON schema. */
export const durationSource = orReference(durationPattern);

/** Text; `what` says which. */
export const text = (what = "text") =>
  z.string({
    error: ({ input }) =>
      input === undefined
        ? `is missing: it must be ${what}`
        : `must be ${what}${what === "text" && (typeof input === "number" || typeof input === "boolean") ? ": put it in quotes" : ""}`,
  });

/** Text in a form of its own; `parse` gives the value or what is wrong with it. */
export const parsed = <T>(parse: (written: string) => T | Fault, pattern?: RegExp, source = text()) =>
  (pattern === undefined ? source : source.meta({ pattern: orReference(pattern) })).transform((written, context): T => {
    const value = parse(written);
    if (!isFault(value)) return value;
    context.addIssue({ code: "custom", message: value.fault });
    return z.NEVER;
  });

const durationText = z.string({ error: ({ input }) => durationFault(input) });

/** Milliseconds, written as a duration. */
export const duration = (minMs: number) =>
  parsed((written) => parseDuration(written, minMs), durationPattern, durationText);

/** Milliseconds, written as a duration or as a plain 0. */
export const durationOrZero = () =>
  z.union([z.literal(0), duration(0)], { error: ({ input }) => durationFault(input) });

/** A whole number within bounds, both inclusive. */
export const whole = (min: number, max: number) => {
  const error = `must be a whole number from ${min} to ${max}`;
  return z.int({ error }).min(min, { error }).max(max, { error });
};

/** A number within bounds, both inclusive. */
export const decimal = (min: number, max: number) => {
  const error = `must be a number from ${min} to ${max}`;
  return z.number({ error }).min(min, { error }).max(max, { error });
};

/** One of a few words. */
export const oneOf = <const T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(values, { error: `must be ${values.join(", ").replace(/, ([^,]*)$/, " or $1")}` });

/** `on` and `off`; YAML 1.2 reads them as text. */
export const onOff = () =>
  z
    .union([z.enum(["on", "off"]), z.boolean()], { error: "must be on or off" })
    .transform((value) => value === "on" || value === true);

/** A map of known keys. A key without a value counts as absent, as after commenting out all that stood under it. */
export const block = <S extends z.ZodRawShape>(shape: S) =>
  z.preprocess(
    (value: z.input<z.ZodObject<S>>): unknown =>
      typeof value === "object" && value !== null && !Array.isArray(value)
        ? Object.fromEntries(Object.entries(value).filter(([key, held]) => held !== null || !Object.hasOwn(shape, key)))
        : value,
    z.strictObject(shape, {
      // For unknown keys `explain` needs the known ones, and the issue does not name them.
      error: ({ code }) => (code === "unrecognized_keys" ? Object.keys(shape).join(",") : "must be a map of keys"),
    }),
  );

/** A key that may be absent, with what the documentation and the editors show of it. */
export const optional = <T extends z.ZodType>(schema: T, description: string, standard?: unknown) =>
  schema.optional().meta({ description, ...(standard === undefined ? {} : { standard }) });

/** Attributes whose names pass `fault`. */
export const attributes = (fault: (name: string) => string | undefined) => {
  const value = z.union([z.string(), z.number(), z.boolean()], { error: "must be text, a number, true or false" });
  const name = z.string().refine((written) => fault(written) === undefined, {
    error: ({ input }) => fault(String(input)) ?? "",
  });
  return z.record(name, value, { error: "must be a map of attribute names to values" });
};

/** A switch, or a map of keys. */
export const onOffOr = <T extends z.ZodType>(schema: T) =>
  z.union([onOff(), schema], { error: "must be on, off or a map of keys" });

/** A list of different words. */
export const listOf = <T extends z.ZodType<string>>(item: T, error: string) =>
  z.array(item, { error }).superRefine(
    (names, context) => {
      for (const [index, name] of names.entries())
        if (typeof name === "string" && names.indexOf(name) < index)
          context.addIssue({ code: "custom", path: [index], message: `${name} is in the list twice` });
    },
    { when: ({ value }) => Array.isArray(value) },
  );

/** More bounds than this make points that receivers refuse. */
const mostBounds = 160;

/** A bound that is no number has been reported by itself. */
const numberOr0 = (before: unknown): number => (typeof before === "number" ? before : 0);

/** The bounds of a histogram, ascending. */
export const ascending = (unit: string, example: number) => {
  const bound = `must be a number of ${unit} above 0, as in ${example}`;
  return z
    .array(z.number({ error: bound }).positive({ error: bound }), { error: `must be a list of ${unit}` })
    .min(1, { error: "must hold at least one bound" })
    .max(mostBounds, { error: `can hold ${mostBounds} bounds` })
    .superRefine(
      (bounds, context) => {
        for (const [index, value] of bounds.entries())
          if (typeof value === "number" && value > 0 && value <= numberOr0(bounds[index - 1]))
            context.addIssue({ code: "custom", path: [index], message: "must be above the bound before it" });
      },
      { when: ({ value }) => Array.isArray(value) },
    );
};
