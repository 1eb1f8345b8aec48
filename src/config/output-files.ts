import { access, constants, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { codeOf, type ConfigFault } from "../model/errors.ts";
import type { OutputFile } from "./parse.ts";

const reasons: Readonly<Record<string, string>> = {
  ENOTDIR: "a part of the path is not a directory",
  EACCES: "permission denied: let the user that sockscope runs as write there",
  EROFS: "the file system is read-only",
  ELOOP: "it is a link to itself",
};

const reasonOf = (error: unknown): string => reasons[codeOf(error)] ?? codeOf(error);

const folderFault = async (folder: string): Promise<string | undefined> => {
  try {
    if (!(await stat(folder)).isDirectory()) return `${folder} is not a directory`;
    await access(folder, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return codeOf(error) === "ENOENT" ? `the directory ${folder} does not exist: create it` : reasonOf(error);
  }
};

const fileFault = async (file: string): Promise<string | undefined> => {
  try {
    const found = await stat(file);
    if (found.isDirectory()) return "it is a directory: name a file in it";
    if (!found.isFile()) return "it is a pipe, a socket or a device";
    await access(file, constants.W_OK);
    return undefined;
  } catch (error) {
    // Of these its folder says more.
    return ["ENOENT", "ENOTDIR"].includes(codeOf(error)) ? undefined : reasonOf(error);
  }
};

/** Looks whether files can be written, without writing them, and gives a fault for each place that names another one. */
export const outputFaults = async (files: readonly OutputFile[]): Promise<ConfigFault[]> => {
  const faults = await Promise.all(
    files.map(async ({ file, fault }) => {
      const message = (await fileFault(file)) ?? (await folderFault(dirname(file)));
      return message === undefined ? [] : [fault(`cannot write ${file}: ${message}`)];
    }),
  );
  return faults.flat();
};
