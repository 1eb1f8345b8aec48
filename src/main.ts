#!/usr/bin/env node
import { startAgent } from "./agent.ts";
import { type Command, helpText, parseCommand } from "./cli.ts";
import { logLevelIn } from "./config/environment.ts";
import { renderEffective } from "./config/effective.ts";
import { loadConfig, readNamed } from "./config/load.ts";
import { adHocTarget } from "./config/ad-hoc.ts";
import { watchTargets } from "./config/watch.ts";
import { createLog } from "./export/log.ts";
import { encodeJson } from "./export/otlp-json.ts";
import { renderProbeLines } from "./export/probe-lines.ts";
import { createProbeSummary } from "./export/probe-summary.ts";
import { renderPrometheus } from "./export/prometheus-text.ts";
import { renderTable } from "./export/table.ts";
import { keepHeapSmall } from "./heap.ts";
import { migrate, migrateSockstat, translate } from "./migrate/migrate.ts";
import { renderMetricsDocs, renderMetricsJson } from "./metrics/docs.ts";
import type { Snapshot } from "./model/columns.ts";
import type { Config } from "./model/config.ts";
import { ConfigError, FatalError, UsageError } from "./model/errors.ts";
import type { Log, LogLevel } from "./model/log.ts";
import type { Target } from "./model/target.ts";
import { collectOnce, probeNow } from "./once.ts";
import { version } from "./version.ts";

type Logging = Pick<Extract<Command, { kind: "run" }>, "logLevel" | "logFormat">;
type CommandOf<K extends Command["kind"]> = Extract<Command, { kind: K }>;

const print = (text: string): void => {
  process.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
};

/** `given`: the level of the environment, where the command line names none. */
const logOf = ({ logLevel, logFormat }: Logging, given: LogLevel | undefined): Log =>
  createLog({
    level: logLevel ?? given ?? "info",
    format: logFormat ?? (process.stderr.isTTY ? "text" : "json"),
    write: (line) => process.stderr.write(line),
    now: () => new Date(),
  });

/** As a shell has it of a program that SIGINT ended. */
const interruptedCode = 130;

/** Resolves at SIGTERM or SIGINT; a second one ends the process at once. */
const stopSignal = (): Promise<NodeJS.Signals> =>
  new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.once(signal, () => {
        resolve(signal);
        process.on(signal, () => process.exit(interruptedCode));
      });
    }
  });

/** Of another tool's file, too. */
const loadFor = ({ config, listen }: Pick<CommandOf<"run">, "config"> & Partial<CommandOf<"run">>) =>
  loadConfig({ file: config, env: process.env, listen, translate });

const run = async (command: CommandOf<"run">): Promise<number> => {
  const load = () => loadFor(command);
  const loaded = await load();
  const { config, notes, file, logLevel } = loaded;
  const log = logOf(command, logLevel);
  for (const note of notes) log("info", note);
  log("info", `configuration: ${file}`);
  const stopped = stopSignal();
  const { stdout } = process;
  // It concerns the console only, which says so.
  stdout.off("error", endWithReader).on("error", () => undefined);
  const starting = startAgent({
    config,
    file,
    version,
    log,
    stdout: { out: stdout, color: !process.env["NO_COLOR"] },
  });
  const apply = async (next: Config): Promise<void> => (await starting).reload(next);
  const watch = watchTargets({ loaded, load, log, apply });
  process.on("SIGHUP", () => void watch.reload());

  const agent = await starting;
  const signal = await stopped;
  log("info", `${signal}: stopping`);
  await watch.stop();
  await agent.stop();
  // Who does not read what is printed does not hold the process.
  if (stdout.writableLength > 0) process.stderr.write("", () => process.exit(0));
  return 0;
};

const once = async (command: CommandOf<"once">): Promise<number> => {
  const { config, notes, file, logLevel } = await loadFor({ config: command.config });
  const log = logOf(command, logLevel);
  for (const note of notes) log("info", note);
  const snapshot = await collectOnce({ config, file, version, log }, command.forMs);
  if (snapshot === undefined) throw new FatalError("nothing was collected; the log says why");
  print(renderSnapshot(snapshot, command.format));
  return 0;
};

const renderSnapshot = (snapshot: Snapshot, format: CommandOf<"once">["format"]): string => {
  switch (format) {
    case "table":
      return renderTable(snapshot, {
        width: process.stdout.columns ?? 120,
        color: process.stdout.isTTY && !process.env["NO_COLOR"],
      });
    case "prometheus":
      return [...renderPrometheus(snapshot, "text")].join("");
    case "otlp-json":
      return encodeJson(snapshot);
    default:
      return format satisfies never;
  }
};

const check = async (command: CommandOf<"check">): Promise<number> => {
  const { config, notes, file } = await loadFor({ config: command.config, listen: command.listen });
  for (const note of notes) process.stderr.write(`${note}\n`);
  print(command.print ? renderEffective(config) : `${file}: valid`);
  return 0;
};

const migrateFile = async ({ file, from }: CommandOf<"migrate">): Promise<number> => {
  const kind = from === "sockstat" ? undefined : from;
  print(file === undefined ? migrateSockstat() : migrate(await readNamed(file, "named by migrate"), kind));
  return 0;
};

const withTls = (target: Target): Target => {
  if (target.type !== "tcp" && target.type !== "tcp4" && target.type !== "tcp6")
    throw new UsageError(`--tls is for tcp targets, and not for ${target.url}`);
  const defaults = { caFile: undefined, certFile: undefined, keyFile: undefined, serverName: undefined };
  return { ...target, tls: { ...defaults, insecure: false } };
};

const probe = async (command: CommandOf<"probe">): Promise<number> => {
  const { urls, timeoutMs, count, intervalMs, tls } = command;
  const targets = urls.map((url) => adHocTarget(url, timeoutMs)).map((target) => (tls ? withTls(target) : target));
  const summary = createProbeSummary(targets);
  const log = logOf(command, logLevelIn(process.env));
  const interruption = new AbortController();
  void stopSignal().then(() => interruption.abort());
  const { signal } = interruption;
  let good = true;
  await probeNow(targets, { count, intervalMs, signal, log }, (target, outcome) => {
    if (outcome.kind === "down" || outcome.kind === "not_run") good = false;
    summary.add({ target, outcome });
    for (const line of renderProbeLines({ target, outcome }, command)) print(line);
  });
  if (targets.length * count > 1) {
    if (!command.json) print("");
    for (const line of summary.render(command)) print(line);
  }
  if (signal.aborted) return interruptedCode;
  return good ? 0 : 1;
};

const execute = async (command: Command): Promise<number> => {
  switch (command.kind) {
    case "run":
      return run(command);
    case "once":
      return once(command);
    case "check":
      return check(command);
    case "probe":
      return probe(command);
    case "migrate":
      return migrateFile(command);
    case "metrics":
      print(command.format === "json" ? renderMetricsJson() : renderMetricsDocs());
      return 0;
    case "help":
      print(helpText(command.command));
      return 0;
    case "version":
      print(version);
      return 0;
    default:
      return command satisfies never;
  }
};

/** Known errors are their message; anything else is a fault of sockscope and keeps its stack. */
const report = (error: unknown): number => {
  const known = error instanceof ConfigError || error instanceof UsageError || error instanceof FatalError;
  process.stderr.write(`${known ? error.message : error instanceof Error ? error.stack : String(error)}\n`);
  return error instanceof ConfigError || error instanceof UsageError ? 2 : 1;
};

/** A reader such as `head` that has seen enough is no error. */
const endWithReader = (error: NodeJS.ErrnoException): void => process.exit(error.code === "EPIPE" ? 0 : 1);
process.stdout.on("error", endWithReader);

const main = async (): Promise<number> => execute(parseCommand(process.argv.slice(2)));

keepHeapSmall();

// Sockets and timers of the agent do not hold the process: it ends when its command does, and not before.
setInterval(() => undefined, 2 ** 30);

const code = await main().catch(report);
// A lookup that hangs in a resolver thread must not hold the process; what is printed must be out first.
process.stdout.write("", () => process.stderr.write("", () => process.exit(code)));
