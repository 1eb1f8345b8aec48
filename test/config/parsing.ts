import type { Config } from "../../src/model/config.ts";
import { ConfigError } from "../../src/model/errors.ts";
import { parseConfig } from "../../src/config/parse.ts";
import type { Env } from "../../src/config/env.ts";

/** The configuration of a text that has no fault. */
export const configOf = (text: string, env: Env = {}): Config => parseConfig(text, "f.yaml", env).config;

/** The message of the error that a faulty text gives. */
export const messageOf = (text: string, env: Env = {}, file = "f.yaml"): string => {
  try {
    parseConfig(text, file, env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error("no fault was found");
};
