import { z } from "zod";

/** A part of the file as its schema reads it; undefined when it is faulty, which has been said by then. */
export const sound = <S extends z.ZodType>(schema: S, value: unknown): z.output<S> | undefined =>
  schema.safeParse(value ?? {}).data;

const anyMap = z.record(z.string(), z.unknown());

/** A map of the file; an empty one for whatever is none. */
export const mapOf = (value: unknown): Readonly<Record<string, unknown>> => anyMap.safeParse(value).data ?? {};
