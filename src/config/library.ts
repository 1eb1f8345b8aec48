import { ConfigError } from "../model/errors.ts";
import type { Env } from "./env.ts";
import { type Loaded, loadSource, type Misplaced, readNamed } from "./load.ts";
import type { Written } from "./schema.ts";

/** The configuration as an object: the keys and values of the file, but for those that are the application's own. */
export type SockscopeConfig = Omit<Written, "election" | "export" | "resource">;

const misplaced: Misplaced = {
  election:
    "is for the agent: an application probes its targets whatever others do; remove it, and have the targets of an election in the agents' files",
  export:
    "is for the agent: the application's own readers export, and their exporters say where to; remove it, and give producer to a reader",
  resource:
    "is for the agent: the metrics are of the application's own resource; remove it, and set it on its MeterProvider",
};

/** What the SDK's own exporters and resource are told is none of ours. */
const isForeign = (name: string): boolean => /^OTEL_(?!METRIC_EXPORT_)/.test(name);

const textOf = (config: SockscopeConfig): string => {
  try {
    return JSON.stringify(config) ?? "";
  } catch (error) {
    const message = `must be an object of plain values: ${error instanceof Error ? error.message : String(error)}`;
    throw new ConfigError([{ file: "", line: 1, column: 1, path: "", message: message.split("\n", 1).join("") }]);
  }
};

/**
 * The configuration of an application: an object, or the path of a file. References to environment variables, files of
 * targets and all faults are as in a file. Throws a `ConfigError` with every fault.
 */
export const loadOwn = async (config: SockscopeConfig | string, env: Env): Promise<Loaded> => {
  const own = Object.fromEntries(Object.entries(env).filter(([name]) => !isForeign(name)));
  const source =
    typeof config === "string"
      ? await readNamed(config, "named by the application")
      : // JSON is YAML, so that one parser finds the faults of both.
        { file: "", text: textOf(config) };
  return loadSource(source, own, misplaced);
};
