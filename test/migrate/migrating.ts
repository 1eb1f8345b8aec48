import { readFileSync } from "node:fs";
import { parseConfig } from "../../src/config/parse.ts";
import { type FileKind, migrate } from "../../src/migrate/migrate.ts";
import type { Config } from "../../src/model/config.ts";
import { ConfigError } from "../../src/model/errors.ts";

const folder = new URL("../fixtures/migrate/", import.meta.url);

export const fixture = (name: string): string => readFileSync(new URL(name, folder), "utf8");

/** The sockscope file of a text that has no fault. */
export const migrated = (text: string, from?: FileKind): string => migrate({ file: "f", text }, from);

/** The configuration that it makes. */
export const configOf = (text: string, from?: FileKind): Config =>
  parseConfig(migrated(text, from), "m.yaml", {}).config;

/** The faults of a text, a line each. */
export const faultsOf = (text: string, from?: FileKind): string[] => {
  try {
    migrated(text, from);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split("\n");
    throw error;
  }
  throw new Error("no fault was found");
};

/** What the comments say, in one line. */
export const commentsOf = (text: string, from?: FileKind): string =>
  migrated(text, from)
    .split("\n")
    .filter((line) => /^\s*#/.test(line))
    .map((line) => line.replace(/^\s*#\s?/, ""))
    .join(" ");
