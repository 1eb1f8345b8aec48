import { parseArgs } from "node:util";
import { UsageError } from "./model/errors.ts";
import { logLevels, type LogLevel } from "./model/log.ts";
import { parseHostPort } from "./config/host-port.ts";
import { parseDuration } from "./text/duration.ts";
import { isFault } from "./text/fault.ts";
import { nearest } from "./text/nearest.ts";
import {
  commandNames,
  commandTable,
  globalOptions,
  logFormats,
  metricsFormats,
  onceFormats,
  optionTable,
  tools,
  type CommandName,
  type CommandRow,
  type OptionName,
  type OptionRow,
} from "./commands.ts";

type Logging = {
  /** undefined where none was given. */
  readonly logLevel: LogLevel | undefined;
  /** undefined: text on a terminal, else json. */
  readonly logFormat: (typeof logFormats)[number] | undefined;
};

/** Where the page listens instead of where the file says; without a host on the file's. */
export type Listen = { readonly host: string | undefined; readonly port: number };

/** `config` is undefined where none was given. */
export type Command =
  | ({ readonly kind: "run"; readonly config: string | undefined; readonly listen: Listen | undefined } & Logging)
  | ({
      readonly kind: "once";
      readonly config: string | undefined;
      readonly format: (typeof onceFormats)[number];
      readonly forMs: number;
    } & Logging)
  | ({
      readonly kind: "check";
      readonly config: string | undefined;
      readonly listen: Listen | undefined;
      readonly print: boolean;
    } & Logging)
  | ({
      readonly kind: "migrate";
      readonly file: string | undefined;
      readonly from: (typeof tools)[number] | undefined;
    } & Logging)
  | ({
      readonly kind: "probe";
      readonly urls: readonly string[];
      readonly timeoutMs: number;
      readonly count: number;
      /** From the start of a round to that of the next, at least. */
      readonly intervalMs: number;
      readonly tls: boolean;
      readonly json: boolean;
    } & Logging)
  | ({ readonly kind: "metrics"; readonly format: (typeof metricsFormats)[number] } & Logging)
  | { readonly kind: "help"; readonly command: CommandName | undefined }
  | { readonly kind: "version" };

const usageError = (message: string): UsageError => new UsageError(`${message}\nSee sockscope --help`);

const didYouMean = (word: string, known: readonly string[]): string => {
  const near = nearest(word, known);
  return near === undefined ? `there are ${known.join(", ")}` : `did you mean ${near}?`;
};

const isCommand = (word: string): word is CommandName => Object.hasOwn(commandTable, word);
const isOption = (name: string): name is OptionName => Object.hasOwn(optionTable, name);

const commandOf = (word: string): CommandName => {
  if (isCommand(word)) return word;
  if (word.includes("://")) throw usageError(`unknown command ${word}: did you mean sockscope probe ${word}?`);
  throw usageError(`unknown command ${word}: ${didYouMean(word, commandNames)}`);
};

const optionsOf = (command: CommandName): readonly OptionName[] => [...commandTable[command].options, ...globalOptions];

type OptionToken = {
  readonly name: string;
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
};

/** The option's value, checked for being there at all; `true` for a switch. */
const valueOf = (token: OptionToken, name: OptionName): string | true => {
  const row: OptionRow = optionTable[name];
  if (row.type === "boolean") {
    if (token.value !== undefined) throw usageError(`${token.rawName} takes no value`);
    return true;
  }
  const isNextOption = token.inlineValue === false && /^-./.test(token.value ?? "");
  if (token.value === undefined || token.value === "" || isNextOption)
    throw usageError(`${token.rawName} needs a value: ${token.rawName} ${row.value}`);
  return token.value;
};

/** The last of repeated options wins. */
const valuesOf = (command: CommandName, tokens: readonly OptionToken[]): ReadonlyMap<OptionName, string | true> => {
  const allowed = optionsOf(command);
  const values = new Map<OptionName, string | true>();
  for (const token of tokens) {
    const { name, rawName } = token;
    if (!isOption(name)) {
      const hint = didYouMean(
        rawName,
        allowed.map((option) => `--${option}`),
      );
      throw usageError(`unknown option ${rawName}: ${hint}`);
    }
    if (!allowed.includes(name)) {
      const owners = commandNames.filter((each) => optionsOf(each).includes(name));
      throw usageError(`${rawName} is an option of ${owners.join(", ")}, not of ${command}`);
    }
    const row: OptionRow = optionTable[name];
    values.set(row.of ?? name, valueOf(token, name));
  }
  return values;
};

const parseTime = (option: OptionName, text: string, minMs = 1): number => {
  const ms = parseDuration(text, minMs);
  if (isFault(ms)) throw usageError(`--${option} ${text}: ${ms.fault}`);
  return ms;
};

const parseCount = (text: string): number => {
  const count = /^\d{1,7}$/.test(text) ? Number(text) : 0;
  if (count > 0) return count;
  throw usageError(`--count ${text} is no whole number from 1 to 9999999`);
};

type Text = (option: OptionName) => string | undefined;

const parsePort = (text: string): number => {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 65_536;
  if (port <= 65_535) return port;
  throw usageError(`--port ${text} is no whole number from 0 to 65535`);
};

const listenOf = (text: Text): Listen | undefined => {
  const [address, port] = [text("listen-address"), text("port")];
  if (address === undefined) return port === undefined ? undefined : { host: undefined, port: parsePort(port) };
  if (port !== undefined) throw usageError("--port stands beside --listen-address: give one of the two");
  const listen = parseHostPort(address, 0);
  if (isFault(listen)) throw usageError(`--listen-address ${address}: ${listen.fault}`);
  return listen;
};

const parseChoice = <T extends string>(option: OptionName, text: string, choices: readonly T[]): T => {
  const choice = choices.find((each) => each === text);
  if (choice !== undefined) return choice;
  throw usageError(`--${option} ${text} is unknown: ${didYouMean(text, choices)}`);
};

const loggingOf = (text: Text): Logging => {
  const [level, format] = [text("log-level"), text("log-format")];
  return {
    logLevel: level === undefined ? undefined : parseChoice("log-level", level, logLevels),
    logFormat: format === undefined ? undefined : parseChoice("log-format", format, logFormats),
  };
};

/** The recipe has no file, everything else needs one. */
const fileOf = ([file, ...more]: readonly string[], from: (typeof tools)[number] | undefined): string | undefined => {
  if (from === "sockstat") {
    if (file !== undefined) throw usageError(`the sockstat recipe has no file, and got ${file}`);
  } else if (file === undefined) throw usageError("migrate needs an argument: migrate FILE, or --from sockstat");
  if (more.length > 0) throw usageError(`migrate takes one file, and got ${more[0]} too`);
  return file;
};

const buildCommand = (
  command: CommandName,
  words: readonly string[],
  values: ReadonlyMap<OptionName, string | true>,
): Command => {
  const text: Text = (option) => {
    const value = values.get(option);
    return value === true ? undefined : value;
  };
  const config = text("config");
  const logging = loggingOf(text);
  switch (command) {
    case "run":
      return { kind: "run", config, listen: listenOf(text), ...logging };
    case "once": {
      const forMs = parseTime("for", text("for") ?? "1s");
      return {
        kind: "once",
        config,
        format: parseChoice("format", text("format") ?? "table", onceFormats),
        forMs,
        ...logging,
      };
    }
    case "check":
      return { kind: "check", config, listen: listenOf(text), print: values.has("print"), ...logging };
    case "migrate": {
      const written = text("from");
      const from = written === undefined ? undefined : parseChoice("from", written, tools);
      return { kind: "migrate", file: fileOf(words, from), from, ...logging };
    }
    case "probe": {
      const timeoutMs = parseTime("timeout", text("timeout") ?? "2s");
      const count = parseCount(text("count") ?? "1");
      const intervalMs = parseTime("interval", text("interval") ?? "0s", 0);
      const switches = { tls: values.has("tls"), json: values.has("json") };
      return { kind: "probe", urls: words, timeoutMs, count, intervalMs, ...switches, ...logging };
    }
    case "metrics":
      return { kind: "metrics", format: parseChoice("format", text("format") ?? "md", metricsFormats), ...logging };
  }
  return command satisfies never;
};

const checkWords = (command: CommandName, words: readonly string[]): void => {
  const row: CommandRow = commandTable[command];
  if (row.words === undefined && words.length > 0)
    throw usageError(`${command} takes no argument, and got ${words[0]}`);
  if (row.words?.startsWith("[") === false && words.length === 0)
    throw usageError(`${command} needs an argument: ${command} ${row.words}`);
};

/** Reads the command line, without node and script. Throws a `UsageError` that names the nearest thing that exists. */
export const parseCommand = (argv: readonly string[]): Command => {
  // Not strict: its errors name no nearest option. The tokens are checked against the tables instead.
  const { tokens } = parseArgs({
    args: [...argv],
    options: optionTable,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const options = tokens.filter((token) => token.kind === "option");
  const words = tokens.filter((token) => token.kind === "positional").map(({ value }) => value);
  const asksHelp = words[0] === "help" || options.some(({ name }) => name === "help");
  if (words[0] === "help") words.shift();
  const [word, ...rest] = words;
  const command = word === undefined ? undefined : commandOf(word);
  if (asksHelp) return { kind: "help", command };
  if (options.some(({ name }) => name === "version")) return { kind: "version" };
  const values = valuesOf(command ?? "run", options);
  checkWords(command ?? "run", rest);
  return buildCommand(command ?? "run", rest, values);
};

const alignPairs = (pairs: readonly (readonly [string, string])[]): string => {
  const width = Math.max(...pairs.map(([left]) => left.length));
  return pairs.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join("");
};

const optionLines = (names: readonly OptionName[], formats: readonly string[] | undefined): string =>
  alignPairs(
    names.map((name) => {
      const row: OptionRow = optionTable[name];
      const left = `${row.short === undefined ? "    " : `-${row.short}, `}--${name}${row.value === undefined ? "" : ` ${row.value}`}`;
      const choices =
        name === "format" && formats !== undefined ? `${formats.join(", ")} (default: ${formats[0]})` : row.help;
      return [left, choices] as const;
    }),
  );

const exampleLines = (examples: readonly string[]): string => examples.map((example) => `  ${example}\n`).join("");

const commandHelp = (command: CommandName): string => {
  const { summary, options, words, formats, examples, exit }: CommandRow = commandTable[command];
  return (
    `sockscope ${command}: ${summary}\n\n` +
    `Usage: sockscope ${command}${words === undefined ? "" : ` ${words}`} [OPTIONS]\n\n` +
    `Options:\n${optionLines(options, formats)}\n` +
    `Global options:\n${optionLines(globalOptions, undefined)}\n` +
    `Examples:\n${exampleLines(examples)}\n` +
    `Exit codes: ${exit}\n`
  );
};

/** The help of a command, or of the whole program. */
export const helpText = (command?: CommandName): string => {
  if (command !== undefined) return commandHelp(command);
  const rows = commandNames.map((name) => {
    const { words, summary }: CommandRow = commandTable[name];
    return [words === undefined ? name : `${name} ${words}`, summary] as const;
  });
  return (
    "sockscope measures sockets and endpoints and exports them as OpenTelemetry metrics.\n\n" +
    "Usage: sockscope [COMMAND] [OPTIONS]\n\n" +
    `Commands:\n${alignPairs(rows)}\n` +
    `Global options:\n${optionLines(globalOptions, undefined)}\n` +
    `Examples:\n${exampleLines(commandNames.map((name) => commandTable[name].examples[0]))}\n` +
    "Exit codes: 0 success; 1 fatal, or a probed target is down; 2 wrong usage or configuration\n"
  );
};
