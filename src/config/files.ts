import { codeOf } from "../model/errors.ts";
import { glob, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Fault, isFault } from "../text/fault.ts";
import type { TargetPattern } from "./parse.ts";

/** Why a file cannot be read; `code` is that of the system's error, undefined where its content is at fault. */
export type ReadFault = Fault & { readonly code?: string | undefined };

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  ENOTDIR: "a part of the path is not a directory",
  EACCES: "permission denied: let the user that sockscope runs as read it",
  EISDIR: "it is a directory: name the file in it",
};

/** Far more than any configuration has. */
const mostBytes = 64 * 1_048_576;

/** A file's bytes. A pipe or a device is read only when `anyKind` is set: it may never end. */
export const readBytes = async (file: string, anyKind = false): Promise<Buffer | ReadFault> => {
  try {
    const found = await stat(file);
    if (!anyKind && !found.isFile() && !found.isDirectory()) return { fault: "it is a pipe, a socket or a device" };
    if (found.size > mostBytes) return { fault: "it is larger than 64 MiB" };
    return await readFile(file);
  } catch (error) {
    const code = codeOf(error);
    return { fault: reasons[code] ?? code, code };
  }
};

/** A file's text, which must be UTF-8; `anyKind` as in `readBytes`. */
export const readText = async (file: string, anyKind = false): Promise<string | ReadFault> => {
  const bytes = await readBytes(file, anyKind);
  if (isFault(bytes)) return bytes;
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return { fault: "it is not UTF-8 text" };
  }
  return text.includes("\0") ? { fault: "it is a binary file, not YAML text" } : text;
};

/** Why a path cannot be a folder that is made where it is missing. What only permissions prevent may change. */
export const folderFault = async (path: string): Promise<string | undefined> => {
  try {
    return (await stat(path)).isDirectory() ? undefined : `${path} is no folder`;
  } catch (error) {
    return codeOf(error) === "ENOTDIR" ? `a part of ${path} is no folder` : undefined;
  }
};

/** A file that is there, and what changes when it does; its name may stay that of a link to another one. */
export type FoundFile = { readonly file: string; readonly stamp: string };

/** What a missing file or folder gives. */
export const absent: ReadonlySet<string | undefined> = new Set(["ENOENT", "ENOTDIR"]);

const stampOf = async (file: string): Promise<FoundFile[]> => {
  try {
    const { mtimeMs, ctimeMs, size, ino } = await stat(file);
    return [{ file, stamp: [mtimeMs, ctimeMs, size, ino].join(" ") }];
  } catch (error) {
    const code = codeOf(error);
    return absent.has(code) ? [] : [{ file, stamp: code }];
  }
};

const matchesOf = async ({ pattern, folder }: TargetPattern): Promise<string[]> => {
  const files: string[] = [];
  try {
    for await (const file of glob(pattern, { cwd: folder === "" ? "." : folder }))
      files.push(file.startsWith("/") ? file : join(folder, file));
  } catch {
    // What cannot be listed has no files that could be read.
  }
  return files;
};

/**
 * The files that fit the patterns, each once and in the order of their names, and the patterns that none fits. A file
 * that is `known` to fit counts while it is there: a folder that cannot be read for a moment looks like an empty one.
 */
export const findTargetFiles = async (
  patterns: readonly TargetPattern[],
  known: readonly string[] = [],
): Promise<{ readonly files: readonly FoundFile[]; readonly unmatched: readonly string[] }> => {
  const files = new Map<string, FoundFile>();
  const note = async (names: readonly string[]): Promise<number> => {
    const found = (await Promise.all(names.map(stampOf))).flat();
    for (const file of found) files.set(file.file, file);
    return found.length;
  };
  const unmatched: string[] = [];
  for (const pattern of patterns) {
    // oxlint-disable-next-line no-await-in-loop -- a few patterns, one after the other
    if ((await note(await matchesOf(pattern))) === 0) unmatched.push(pattern.pattern);
  }
  await note(known.filter((file) => !files.has(file)));
  return { files: [...files.values()].sort((a, b) => (a.file < b.file ? -1 : 1)), unmatched };
};
