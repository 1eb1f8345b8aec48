import type { LogLevel } from "../model/log.ts";

/** The names of severities in OpenTelemetry's specification, and those that its SDKs add. */
const levels: ReadonlyMap<string, LogLevel> = new Map([
  ["all", "debug"],
  ["verbose", "debug"],
  ["trace", "debug"],
  ["debug", "debug"],
  ["info", "info"],
  ["warn", "warn"],
  ["error", "error"],
  ["fatal", "error"],
]);

/** The level of a severity; `debug2` to `debug4` are `debug`, as with all others. */
export const logLevelOf = (severity: string): LogLevel | undefined =>
  levels.get(severity.toLowerCase().replace(/[234]$/, ""));
