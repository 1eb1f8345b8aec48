/** The command line as data: `cli.ts` parses by it and prints the help from it. */

export type OptionRow = {
  readonly type: "string" | "boolean";
  readonly short?: string;
  /** What stands for the value in the help. */
  readonly value?: string;
  readonly help: string;
  /** Another name of this option. */
  readonly of?: "config";
};

/** Every option of every command; no two commands mean different things by one name. */
export const optionTable = {
  config: {
    type: "string",
    short: "c",
    value: "FILE",
    help: "default: $SOCKSCOPE_CONFIG, config/sockscope.yaml or in /etc/sockscope, or the shipped one",
  },
  "config-file": { type: "string", value: "FILE", help: "the same as --config", of: "config" },
  "listen-address": { type: "string", value: "ADDR", help: "host:port of the page, instead of the file's" },
  port: { type: "string", value: "PORT", help: "port of the page, instead of the file's" },
  from: {
    type: "string",
    value: "TOOL",
    help: "whose file it is: telegraf, datakit, ss_exporter, connection_status or sockstat, which has none",
  },
  format: { type: "string", value: "FORMAT", help: "how to print it" },
  for: { type: "string", value: "DURATION", help: "time between the two collections (default: 1s)" },
  print: { type: "boolean", help: "print the effective configuration, secrets masked" },
  timeout: { type: "string", value: "DURATION", help: "bound of a run, name resolution included (default: 2s)" },
  count: { type: "string", value: "N", help: "runs of each target (default: 1)" },
  interval: {
    type: "string",
    value: "DURATION",
    help: "least time from one round over the targets to the next (default: 0s)",
  },
  tls: { type: "boolean", help: "a TLS handshake after connecting; of tcp targets" },
  json: { type: "boolean", help: "one JSON object a line, in seconds" },
  "log-level": { type: "string", value: "LEVEL", help: "debug, info, warn or error (default: $OTEL_LOG_LEVEL, info)" },
  "log-format": { type: "string", value: "FORMAT", help: "text or json (default: text on a terminal, else json)" },
  help: { type: "boolean", short: "h", help: "this help; after a command, the command's" },
  version: { type: "boolean", help: "print the version" },
} as const satisfies Record<string, OptionRow>;

export type OptionName = keyof typeof optionTable;
export const globalOptions: readonly OptionName[] = ["log-level", "log-format", "help", "version"];

export const commandNames = ["run", "once", "check", "probe", "migrate", "metrics"] as const;
export type CommandName = (typeof commandNames)[number];

export type CommandRow = {
  readonly summary: string;
  readonly options: readonly OptionName[];
  /** The words after the command, in brackets where they may be left out; without it there are none. */
  readonly words?: string;
  readonly formats?: readonly string[];
  readonly examples: readonly string[];
  readonly exit: string;
};

export const onceFormats = ["table", "prometheus", "otlp-json"] as const;
export const metricsFormats = ["md", "json"] as const;
export const logFormats = ["text", "json"] as const;
/** The tools whose place sockscope takes; the last one has no file. */
export const tools = ["telegraf", "datakit", "ss_exporter", "connection_status", "sockstat"] as const;

export const commandTable = {
  run: {
    summary: "run the agent until SIGTERM or SIGINT; SIGHUP reloads the file (the default)",
    options: ["config", "config-file", "listen-address", "port"],
    examples: [
      "sockscope",
      "sockscope run -c /etc/sockscope/sockscope.yaml --log-format json",
      "sockscope run --port=8020 --config=/etc/prometheus_ss_exporter.yml",
    ],
    exit: "0 stopped by a signal, 1 fatal, 2 wrong usage or configuration",
  },
  once: {
    summary: "run every probe once, collect twice, print the second collection",
    options: ["config", "config-file", "format", "for"],
    formats: onceFormats,
    examples: ["sockscope once", "sockscope once --for 10s --format prometheus"],
    exit: "0 success, 1 fatal, 2 wrong usage or configuration",
  },
  check: {
    summary: "validate the configuration and name every fault with its place",
    options: ["config", "config-file", "listen-address", "port", "print"],
    examples: ["sockscope check -c sockscope.yaml", "sockscope check --print"],
    exit: "0 valid, 2 wrong usage or configuration",
  },
  probe: {
    summary: "probe endpoints now, side by side; a line a run, and a summary of several",
    words: "URL...",
    options: ["timeout", "count", "interval", "tls", "json"],
    examples: [
      "sockscope probe tcp://localhost:443",
      "sockscope probe --count 10 --interval 1s --tls tcp://example.org:443",
      "sockscope probe --count 3 --json udp://1.1.1.1:53 unix:///run/x.sock",
    ],
    exit: "0 all up, 1 any down or not run, 2 wrong usage, 130 after a signal (a second one ends at once)",
  },
  migrate: {
    summary: "print the sockscope file that does what another tool's file says, with what is not one to one",
    words: "[FILE]",
    options: ["from"],
    examples: [
      "sockscope migrate /etc/telegraf/telegraf.conf",
      "sockscope migrate --from ss_exporter config.yml",
      "sockscope migrate --from sockstat",
    ],
    exit: "0 success, 2 wrong usage or file",
  },
  metrics: {
    summary: "print the catalogue of metrics",
    options: ["format"],
    formats: metricsFormats,
    examples: ["sockscope metrics", "sockscope metrics --format json"],
    exit: "0 success, 2 wrong usage",
  },
} as const satisfies Record<CommandName, CommandRow>;
