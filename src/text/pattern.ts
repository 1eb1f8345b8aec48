import { RE2JS } from "re2js";
import type { Fault } from "./fault.ts";

/** Tells whether the expression is found anywhere in the bytes, each a character from U+0000 to U+00FF. */
export type Pattern = (bytes: string) => boolean;

/** Of a pattern's text: a program grows with it, and so does the time of a match. */
const longestPattern = 1000;

/**
 * A regular expression in RE2's syntax, https://github.com/google/re2/wiki/Syntax, over bytes. It is matched in time
 * that is linear in the input: no answer of a target makes it run without end. ^ and $ are those of a line, \A and \z
 * those of all that came. What is not ASCII in it stands for its UTF-8 bytes.
 */
export const compilePattern = (source: string): Pattern | Fault => {
  if (source === "") return { fault: "must not be empty" };
  if (source.length > longestPattern)
    return { fault: `can have ${longestPattern} characters, this one has ${source.length}` };
  try {
    // First as it is: the error of the other call would name its flag.
    RE2JS.compile(source);
    const compiled = RE2JS.compile(Buffer.from(source, "utf8").toString("latin1"), RE2JS.MULTILINE);
    return (bytes) => compiled.test(bytes);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return {
      fault: `is no regular expression in RE2's syntax, which has neither look-around nor back-references: ${reason}`,
    };
  }
};
