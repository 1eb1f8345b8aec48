import { logLevels, type Log, type LogLevel } from "../model/log.ts";
import { printable } from "./terminal.ts";

export type LogOptions = {
  /** The least level that is written. */
  readonly level: LogLevel;
  /** `text` for a terminal, `json` for everything else. */
  readonly format: "text" | "json";
  /** Takes one line with its line feed. */
  readonly write: (line: string) => void;
  readonly now: () => Date;
};

type Fields = Parameters<Log>[2];

const renderJson = (time: Date, level: LogLevel, message: string, fields: Fields): string => {
  const head = { time: time.toISOString(), level, message };
  // Twice: the first sets the order, the last wins over fields of the same names.
  return printable(JSON.stringify({ ...head, ...fields, ...head }));
};

const renderValue = (value: string | number | boolean): string =>
  typeof value === "string" && !/^[^\s"=]+$/.test(value) ? JSON.stringify(value) : String(value);

const renderText = (time: Date, level: LogLevel, message: string, fields: Fields): string => {
  const pairs = Object.entries(fields ?? {}).map(([key, value]) => ` ${key}=${printable(renderValue(value))}`);
  return `${time.toTimeString().slice(0, 8)} ${level.toUpperCase().padEnd(5)} ${printable(message)}${pairs.join("")}`;
};

/** Makes the agent's log: one line an entry, in which no message or field can forge another line or drive a terminal. */
export const createLog = ({ level: least, format, write, now }: LogOptions): Log => {
  const render = format === "json" ? renderJson : renderText;
  return (level, message, fields) => {
    if (logLevels.indexOf(level) >= logLevels.indexOf(least)) write(`${render(now(), level, message, fields)}\n`);
  };
};
