import { describe, expect, test } from "vitest";
import { helpText, parseCommand, type Command } from "../src/cli.ts";
import { UsageError } from "../src/model/errors.ts";

const parse = (line: string): Command => parseCommand(line.split(" ").filter((word) => word !== ""));
const logging = { logLevel: undefined, logFormat: undefined } as const;
const run = { kind: "run", config: undefined, listen: undefined, ...logging } as const;
const check = { kind: "check", config: undefined, listen: undefined, print: false, ...logging } as const;
const probe = {
  kind: "probe",
  timeoutMs: 2000,
  count: 1,
  intervalMs: 0,
  tls: false,
  json: false,
  ...logging,
} as const;

describe("commands", () => {
  test.each<[string, Command]>([
    ["", run],
    ["run", run],
    ["-c a.yaml", { ...run, config: "a.yaml" }],
    ["run --config=a.yaml", { ...run, config: "a.yaml" }],
    ["run -ca.yaml", { ...run, config: "a.yaml" }],
    ["-c a.yaml run", { ...run, config: "a.yaml" }],
    ["-c a.yaml -c b.yaml", { ...run, config: "b.yaml" }],
    ["--port=8020 --config=a.yml", { ...run, config: "a.yml", listen: { host: undefined, port: 8020 } }],
    ["--config-file=config/user_config.yaml", { ...run, config: "config/user_config.yaml" }],
    ["-c a.yaml --config-file b.yaml", { ...run, config: "b.yaml" }],
    ["--listen-address=:9293", { ...run, listen: { host: "", port: 9293 } }],
    ["run --listen-address [::1]:9293", { ...run, listen: { host: "::1", port: 9293 } }],
    ["check --port 0", { ...check, listen: { host: undefined, port: 0 } }],
    ["once", { kind: "once", config: undefined, format: "table", forMs: 1000, ...logging }],
    ["once --format table", { kind: "once", config: undefined, format: "table", forMs: 1000, ...logging }],
    ["once --format prometheus", { kind: "once", config: undefined, format: "prometheus", forMs: 1000, ...logging }],
    [
      "once -c f --format=otlp-json --for 5s",
      { kind: "once", config: "f", format: "otlp-json", forMs: 5000, ...logging },
    ],
    ["check", check],
    ["check --print -c f", { ...check, config: "f", print: true }],
    ["migrate telegraf.conf", { kind: "migrate", file: "telegraf.conf", from: undefined, ...logging }],
    ["migrate --from datakit f", { kind: "migrate", file: "f", from: "datakit", ...logging }],
    ["migrate --from=sockstat", { kind: "migrate", file: undefined, from: "sockstat", ...logging }],
    ["probe tcp://a:1", { ...probe, urls: ["tcp://a:1"] }],
    [
      "probe --json tcp://a:1 --count 3 udp://b:2 --timeout 250ms",
      { ...probe, urls: ["tcp://a:1", "udp://b:2"], timeoutMs: 250, count: 3, json: true },
    ],
    ["probe --tls --interval 1s tcp://a:1", { ...probe, urls: ["tcp://a:1"], intervalMs: 1000, tls: true }],
    ["probe --interval 0s tcp://a:1", { ...probe, urls: ["tcp://a:1"] }],
    ["probe -- -odd", { ...probe, urls: ["-odd"] }],
    ["metrics", { kind: "metrics", format: "md", ...logging }],
    ["metrics --format json", { kind: "metrics", format: "json", ...logging }],
    ["help", { kind: "help", command: undefined }],
    ["--help", { kind: "help", command: undefined }],
    ["-h", { kind: "help", command: undefined }],
    ["help once", { kind: "help", command: "once" }],
    ["once --help", { kind: "help", command: "once" }],
    ["-h probe", { kind: "help", command: "probe" }],
    ["check --bogus -h", { kind: "help", command: "check" }],
    ["--version", { kind: "version" }],
    ["run --version", { kind: "version" }],
  ])("sockscope %s", (line, command) => {
    expect(parse(line)).toEqual(command);
  });

  test.each([
    "--log-level debug --log-format json check",
    "check --log-level debug --log-format json",
    "--log-level=debug check --log-format=json",
  ])("global options before and after the word: %s", (line) => {
    expect(parse(line)).toEqual({ ...check, logLevel: "debug", logFormat: "json" });
  });
});

describe("durations", () => {
  test.each([
    ["1ms", 1],
    ["250ms", 250],
    ["10s", 10_000],
    ["2m", 120_000],
    ["24h", 86_400_000],
  ])("%s is %d ms", (text, forMs) => {
    expect(parse(`once --for ${text}`)).toMatchObject({ forMs });
  });

  test.each(["5", "s", "0s", "0.4ms", "169h", "1e3s", "1s1", "5 s", "-5s", "1d"])("%s is none", (text) => {
    expect(() => parseCommand(["once", `--for=${text}`])).toThrow(`--for ${text}: `);
  });
});

describe("wrong usage", () => {
  test.each([
    ["onec", "unknown command onec: did you mean once?"],
    ["prob tcp://a:1", "unknown command prob: did you mean probe?"],
    ["serve", "unknown command serve: there are run, once, check, probe, migrate, metrics"],
    ["constructor", "unknown command constructor: there are run, once, check, probe, migrate, metrics"],
    ["tcp://a:1", "unknown command tcp://a:1: did you mean sockscope probe tcp://a:1?"],
    ["migrat telegraf.conf", "unknown command migrat: did you mean migrate?"],
    ["migrate", "migrate needs an argument: migrate FILE, or --from sockstat"],
    ["migrate a b", "migrate takes one file, and got b too"],
    ["migrate --from sockstat f", "the sockstat recipe has no file, and got f"],
    ["migrate --from telegraff f", "--from telegraff is unknown: did you mean telegraf?"],
    ["once --port 8020", "--port is an option of run, check, not of once"],
    ["run --port http", "--port http is no whole number from 0 to 65535"],
    ["run --port 65536", "--port 65536 is no whole number from 0 to 65535"],
    ["run --listen-address 9293", "--listen-address 9293: the port is missing: write host:port"],
    ["run --port 1 --listen-address :2", "--port stands beside --listen-address: give one of the two"],
    ["help onec", "unknown command onec: did you mean once?"],
    ["once --formt table", "unknown option --formt: did you mean --format?"],
    ["run --confg x", "unknown option --confg: did you mean --config?"],
    ["run --loglevel x", "unknown option --loglevel: did you mean --log-level?"],
    [
      "once -x",
      "unknown option -x: there are --config, --config-file, --format, --for, --log-level, --log-format, --help, --version",
    ],
    ["metrics --no-json", "unknown option --no-json: there are --format, --log-level, --log-format, --help, --version"],
    ["run --print", "--print is an option of check, not of run"],
    ["--json", "--json is an option of probe, not of run"],
    ["probe -c f tcp://a:1", "-c is an option of run, once, check, not of probe"],
    ["metrics -c f", "-c is an option of run, once, check, not of metrics"],
    ["run -c", "-c needs a value: -c FILE"],
    ["run --config", "--config needs a value: --config FILE"],
    ["run --config=", "--config needs a value: --config FILE"],
    ["run --config --log-level info", "--config needs a value: --config FILE"],
    ["check --print=yes", "--print takes no value"],
    ["once --format tabel", "--format tabel is unknown: did you mean table?"],
    ["once --format xml", "--format xml is unknown: there are table, prometheus, otlp-json"],
    ["metrics --format table", "--format table is unknown: there are md, json"],
    ["--log-level trace", "--log-level trace is unknown: there are debug, info, warn, error"],
    ["--log-level wran", "--log-level wran is unknown: did you mean warn?"],
    ["--log-format xml", "--log-format xml is unknown: there are text, json"],
    ["probe", "probe needs an argument: probe URL..."],
    ["run now", "run takes no argument, and got now"],
    ["once twice", "once takes no argument, and got twice"],
    ["probe a --count 0", "--count 0 is no whole number from 1 to 9999999"],
    ["probe a --count 1.5", "--count 1.5 is no whole number from 1 to 9999999"],
    ["probe a --timeout 0s", "--timeout 0s: must be at least 1ms"],
    ["probe a --interval 1", "--interval 1: a duration needs its unit: write 1s for seconds or 1ms for milliseconds"],
    ["probe a --timeout soon", "--timeout soon: must be a duration such as 250ms, 10s, 2m, 1h or 1m30s"],
  ])("sockscope %s", (line, message) => {
    expect(() => parse(line)).toThrow(new UsageError(`${message}\nSee sockscope --help`));
  });
});

describe("help", () => {
  test("of the program", () => {
    expect(helpText()).toBe(`sockscope measures sockets and endpoints and exports them as OpenTelemetry metrics.

Usage: sockscope [COMMAND] [OPTIONS]

Commands:
  run             run the agent until SIGTERM or SIGINT; SIGHUP reloads the file (the default)
  once            run every probe once, collect twice, print the second collection
  check           validate the configuration and name every fault with its place
  probe URL...    probe endpoints now, side by side; a line a run, and a summary of several
  migrate [FILE]  print the sockscope file that does what another tool's file says, with what is not one to one
  metrics         print the catalogue of metrics

Global options:
      --log-level LEVEL    debug, info, warn or error (default: $OTEL_LOG_LEVEL, info)
      --log-format FORMAT  text or json (default: text on a terminal, else json)
  -h, --help               this help; after a command, the command's
      --version            print the version

Examples:
  sockscope
  sockscope once
  sockscope check -c sockscope.yaml
  sockscope probe tcp://localhost:443
  sockscope migrate /etc/telegraf/telegraf.conf
  sockscope metrics

Exit codes: 0 success; 1 fatal, or a probed target is down; 2 wrong usage or configuration
`);
  });

  test("of a command", () => {
    expect(helpText("once")).toBe(`sockscope once: run every probe once, collect twice, print the second collection

Usage: sockscope once [OPTIONS]

Options:
  -c, --config FILE       default: $SOCKSCOPE_CONFIG, config/sockscope.yaml or in /etc/sockscope, or the shipped one
      --config-file FILE  the same as --config
      --format FORMAT     table, prometheus, otlp-json (default: table)
      --for DURATION      time between the two collections (default: 1s)

Global options:
      --log-level LEVEL    debug, info, warn or error (default: $OTEL_LOG_LEVEL, info)
      --log-format FORMAT  text or json (default: text on a terminal, else json)
  -h, --help               this help; after a command, the command's
      --version            print the version

Examples:
  sockscope once
  sockscope once --for 10s --format prometheus

Exit codes: 0 success, 1 fatal, 2 wrong usage or configuration
`);
  });

  test.each(["run", "once", "check", "probe", "migrate", "metrics"] as const)(
    "the examples of %s are valid commands",
    (command) => {
      const [, examples = ""] = helpText(command).split("Examples:\n");
      const lines = [...examples.matchAll(/^ {2}sockscope ?(.*)$/gm)].map((match) => match[1] ?? "");
      expect(lines.length).toBeGreaterThan(1);
      expect(new Set(lines.map((line) => parse(line).kind))).toEqual(new Set([command]));
    },
  );

  test("no line is wider than 120 columns", () => {
    for (const text of [
      helpText(),
      ...(["run", "once", "check", "probe", "migrate", "metrics"] as const).map((name) => helpText(name)),
    ])
      for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(120);
  });
});
