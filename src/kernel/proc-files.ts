import { readFile } from "node:fs/promises";
import { SourceError } from "../model/errors.ts";
import type { ReadProcFile } from "../model/sources.ts";

const codeOf = (error: unknown): string => String((error as NodeJS.ErrnoException).code ?? error);

/** Reads a file under /proc whole. */
export const readProcFile: ReadProcFile = async (path) => {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT") return undefined;
    throw new SourceError(`cannot read ${path}: ${code}`, { cause: error });
  }
};
