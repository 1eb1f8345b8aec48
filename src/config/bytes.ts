import type { Fault } from "../text/fault.ts";

const named: Readonly<Record<string, string>> = { r: "\r", n: "\n", t: "\t", "0": "\0", "\\": "\\" };

const escape = /\\(?:x([0-9A-Fa-f]{2})|([^x]|x|$))/gs;

const utf8 = new TextEncoder();

const byteText = (text: string): string => Array.from(utf8.encode(text), (byte) => String.fromCharCode(byte)).join("");

/**
 * The bytes of a text with the escapes \r \n \t \0 \\ \xHH, each a character from U+0000 to U+00FF; what is not ASCII
 * stands for its UTF-8 bytes.
 */
export const parseBytes = (text: string): string | Fault => {
  let bytes = "";
  let from = 0;
  for (const match of text.matchAll(escape)) {
    const [written, hex, name = ""] = match;
    const byte = hex === undefined ? named[name] : String.fromCharCode(Number.parseInt(hex, 16));
    if (byte === undefined) {
      const unknown =
        name === ""
          ? "a backslash stands at the end"
          : `there is no escape ${/[ -~]/.test(name) ? written : JSON.stringify(written)}`;
      return {
        fault: `${unknown}: there are \\r, \\n, \\t, \\0, \\xHH with two hexadecimal digits, and \\\\ for a backslash`,
      };
    }
    bytes += byteText(text.slice(from, match.index)) + byte;
    from = match.index + written.length;
  }
  return bytes + byteText(text.slice(from));
};

const names = new Map(Object.entries(named).map(([name, byte]) => [byte, name]));

/** The text, all of it printable ASCII, that `parseBytes` reads as these bytes. */
export const formatBytes = (bytes: string): string =>
  bytes.replace(
    /[^ -[\]-~]/g,
    (byte) => `\\${names.get(byte) ?? `x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`}`,
  );
