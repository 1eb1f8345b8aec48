/** Errors whose message is enough for the user: `main.ts` prints it without a stack. */

/** One fault of a configuration file. `line` and `column` count from 1. */
export type ConfigFault = {
  /** Empty where the configuration is an object, which has no lines. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** As in `probes.targets[2].timeout`; empty for a fault of the file as a whole. */
  readonly path: string;
  /** What is wrong, and what is allowed. */
  readonly message: string;
};

export const formatFault = ({ file, line, column, path, message }: ConfigFault): string =>
  [file === "" ? [] : `${file}:${line}:${column}`, path === "" ? [] : path, message].flat().join(": ");

/** Every fault of a configuration at once. Exit code 2. */
export class ConfigError extends Error {
  readonly faults: readonly ConfigFault[];
  constructor(faults: readonly ConfigFault[]) {
    super(faults.map(formatFault).join("\n"));
    this.name = "ConfigError";
    this.faults = faults;
  }
}

/** A wrong command line. Exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The agent cannot go on, for a reason that the message explains with its remedy. Exit code 1. */
export class FatalError extends Error {
  override readonly name = "FatalError";
}

/** A source that cannot be read on this machine or in this sandbox: said once, the other sources go on. */
export class SourceError extends Error {
  override readonly name = "SourceError";
}

/** The code of an error of the system's or Node's, such as ENOENT; `otherwise` of one that has none. */
export const codeOf = (error: unknown, otherwise = "an unknown error"): string =>
  error instanceof Error && "code" in error ? String(error.code) : otherwise;
