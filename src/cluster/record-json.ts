import type { LeaseRecord } from "../model/lease.ts";
import { fieldOf } from "./json-client.ts";

/** What marks a value as one that sockscope wrote. */
const form = "sockscope election 1";

/** No duration of a configuration is longer. */
const longestMs = 604_800_000;

export const recordText = (record: LeaseRecord): string => JSON.stringify({ form, ...record });

const isCount = (value: unknown, most: number): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0 && value <= most;

/** A record of these fields; undefined where one is not what it has to be. */
export const recordOf = (fields: Readonly<Record<keyof LeaseRecord, unknown>>): LeaseRecord | undefined => {
  const { identity, session, durationMs, term, released, rival } = fields;
  if (typeof identity !== "string" || typeof session !== "string" || typeof rival !== "string") return undefined;
  if (!isCount(durationMs, longestMs) || !isCount(term, Number.MAX_SAFE_INTEGER) || typeof released !== "boolean")
    return undefined;
  return { identity, session, durationMs, term, released, rival };
};

/** Reads `recordText`; undefined for anything else. */
export const parseRecord = (text: string): LeaseRecord | undefined => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (fieldOf(value, "form") !== form) return undefined;
  const field = (name: keyof LeaseRecord): unknown => fieldOf(value, name);
  return recordOf({
    identity: field("identity"),
    session: field("session"),
    durationMs: field("durationMs"),
    term: field("term"),
    released: field("released"),
    rival: field("rival"),
  });
};
