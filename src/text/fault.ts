/** What a parser of one value gives instead of the value: what is wrong, and what is allowed. */
export type Fault = { readonly fault: string };

/** Tells a fault from a parsed value. */
export const isFault = (parsed: unknown): parsed is Fault =>
  typeof parsed === "object" && parsed !== null && "fault" in parsed;
