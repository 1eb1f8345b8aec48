import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";

const root = new URL("../src/", import.meta.url).pathname;

type Rule = {
  /** Folders, or files without `.ts`, that this one may import besides its own folder. */
  readonly imports: readonly string[];
  /** Pure: no I/O, clock, randomness, process or timers; what it needs of them arrives as arguments. */
  readonly pure: boolean;
};

/** The layers, lowest first. A key with a slash is a file that differs from its folder. */
const rules: Readonly<Record<string, Rule>> = {
  model: { imports: [], pure: true },
  metrics: { imports: ["model"], pure: true },
  netlink: { imports: ["model"], pure: true },
  text: { imports: ["model", "netlink"], pure: true },
  select: { imports: ["model", "netlink", "text"], pure: true },
  fold: { imports: ["model", "metrics", "netlink"], pure: true },
  config: { imports: ["model", "text"], pure: true },
  "config/load": { imports: ["model", "text"], pure: false },
  "config/files": { imports: ["model", "text"], pure: false },
  "config/tls-files": { imports: ["model", "text"], pure: false },
  "config/output-files": { imports: ["model", "text"], pure: false },
  "config/library": { imports: ["model", "text"], pure: false },
  "config/watch": { imports: ["model", "text"], pure: false },
  migrate: { imports: ["model", "text", "config"], pure: true },
  kernel: { imports: ["model", "netlink", "text"], pure: false },
  tls: { imports: ["model"], pure: false },
  cluster: { imports: ["model", "tls"], pure: false },
  "cluster/election": { imports: ["model"], pure: true },
  probe: { imports: ["model", "text", "tls"], pure: false },
  collect: { imports: ["model", "metrics", "netlink", "text", "select", "fold"], pure: false },
  export: { imports: ["model", "metrics", "tls"], pure: false },
  "export/otlp-protobuf": { imports: ["model"], pure: true },
  "export/otlp-wire": { imports: ["model"], pure: true },
  "export/otlp-delta": { imports: ["model"], pure: true },
  "export/otlp-points": { imports: ["model"], pure: true },
  "export/otlp-buffers": { imports: [], pure: true },
  "export/otlp-attributes": { imports: ["model"], pure: true },
  "export/otlp-response": { imports: ["model"], pure: true },
  "export/otlp-retry": { imports: ["model"], pure: true },
  "export/otlp-grpc-status": { imports: ["model"], pure: true },
  "export/otlp-queue": { imports: ["model"], pure: true },
  "export/otlp-json": { imports: ["model"], pure: true },
  "export/prometheus-text": { imports: ["model", "metrics"], pure: true },
  "export/table": { imports: ["model", "metrics"], pure: true },
  "export/terminal": { imports: [], pure: true },
  "export/section": { imports: ["model", "metrics"], pure: true },
  "export/figures": { imports: ["model", "metrics"], pure: true },
  "export/table-probes": { imports: ["model", "metrics"], pure: true },
  "export/table-sockets": { imports: ["model", "metrics"], pure: true },
  "export/probe-lines": { imports: ["model"], pure: true },
  "export/probe-summary": { imports: ["model"], pure: true },
  "export/log": { imports: ["model"], pure: true },
  "core-sockets": { imports: ["model", "netlink", "select", "fold", "kernel", "collect"], pure: false },
  "core-parts": {
    imports: ["model", "metrics", "kernel", "probe", "collect", "core-sockets"],
    pure: false,
  },
  "core-probing": { imports: ["model", "probe", "collect", "core-parts"], pure: false },
  "core-election": { imports: ["model", "kernel", "cluster"], pure: false },
  core: { imports: ["model", "kernel", "export", "core-parts"], pure: false },
  agent: {
    imports: ["model", "cluster", "collect", "export", "core", "core-parts", "core-probing", "core-election"],
    pure: false,
  },
  once: { imports: ["model", "kernel", "probe", "core", "core-parts"], pure: false },
  version: { imports: [], pure: false },
  library: { imports: ["model", "config", "export", "core-parts", "core-probing", "version"], pure: false },
  heap: { imports: [], pure: false },
  commands: { imports: ["model"], pure: true },
  cli: { imports: ["model", "commands", "text", "config"], pure: true },
  main: {
    imports: ["model", "metrics", "config", "migrate", "export", "agent", "once", "cli", "heap", "version"],
    pure: false,
  },
};

/** Packages and modules with one home each. */
const homes: readonly { readonly module: RegExp; readonly home: RegExp }[] = [
  { module: /^koffi$/, home: /^kernel\/libc$/ },
  { module: /^node:child_process$/, home: /^kernel\/ss-command$/ },
  { module: /^node:worker_threads$/, home: /^kernel\/(resolver|probe-sockets)(-worker)?$/ },
  { module: /^@opentelemetry\//, home: /^export\/(otel|instruments|producer|metric-data|diag-log)$/ },
  { module: /^node:http2$/, home: /^export\/otlp-grpc(-call)?$/ },
  { module: /^undici$/, home: /^(export\/otlp-(http|dial)|cluster\/json-client)$/ },
  { module: /^zod$/, home: /^(config|migrate)\// },
  { module: /^yaml$/, home: /^(config\/document|migrate\/draft)$/ },
  { module: /^toml-eslint-parser$/, home: /^migrate\/toml$/ },
  { module: /^re2js$/, home: /^text\/pattern$/ },
];

const impure: readonly RegExp[] = [
  /\bDate\.now\b/,
  /\bnew Date\(\)/,
  /\bperformance\./,
  /\bMath\.random\b/,
  // The names of attributes begin with the word, and sentences end with it.
  /(?<!["'])\bprocess\.[a-z]/,
  /\bset(?:Timeout|Interval|Immediate)\b/,
  /\bfetch\(/,
];
const pureBuiltins = new Set(["node:util", "node:net", "node:assert"]);

const files = globSync("**/*.ts", { cwd: root }).sort();
const nameOf = (file: string): string => file.replace(/\.ts$/, "");
const folderOf = (name: string): string => (name.includes("/") ? name.slice(0, name.indexOf("/")) : name);
const ruleOf = (name: string): Rule | undefined => rules[name] ?? rules[folderOf(name)];

const importsOf = (text: string): string[] =>
  [
    ...text.matchAll(
      /(?:^|\n)\s*(?:import|export)\s(?:[^"';]*?\sfrom\s)?["']([^"']+)["']|\b(?:import|require)\(\s*["']([^"']+)["']/g,
    ),
  ].map((match) => match[1] ?? match[2] ?? "");

/** Faults of one source file; the text is an argument so that the test can show that the rules bite. */
const faultsOf = (name: string, text: string): string[] => {
  const rule = ruleOf(name);
  if (rule === undefined) return [`${name}: no layer has this place`];
  const faults: string[] = [];
  for (const specifier of importsOf(text)) {
    if (specifier.startsWith(".")) {
      const target = nameOf(relative(root, join(root, dirname(name), specifier)));
      const folder = folderOf(target);
      const own = name.includes("/") && folder === folderOf(name);
      if (!own && !rule.imports.includes(folder)) faults.push(`${name} imports ${target}`);
    } else {
      for (const { module, home } of homes) {
        if (module.test(specifier) && !home.test(name))
          faults.push(`${name} imports ${specifier}, whose home is ${home.source}`);
      }
      if (rule.pure && specifier.startsWith("node:") && !pureBuiltins.has(specifier))
        faults.push(`${name} is pure and imports ${specifier}`);
    }
  }
  if (/\bimport\(\s*[^"'\s]/.test(text)) faults.push(`${name} has a dynamic import of a variable`);
  if (rule.pure) {
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
    for (const pattern of impure) if (pattern.test(code)) faults.push(`${name} is pure and uses ${pattern.source}`);
  }
  return faults;
};

describe("layers", () => {
  test.each(files)("%s keeps to its layer", (file) => {
    expect(faultsOf(nameOf(file), readFileSync(join(root, file), "utf8"))).toEqual([]);
  });

  test("an upward import is found", () => {
    expect(faultsOf("fold/group", 'import { tick } from "../collect/tick.ts";')).toEqual([
      "fold/group imports collect/tick",
    ]);
  });

  test("a clock in a pure folder is found", () => {
    expect(faultsOf("fold/group", "const now = Date.now();")).toHaveLength(1);
  });

  test("the process in a pure folder is found, the name of an attribute is none", () => {
    expect(faultsOf("fold/group", "const { pid } = process.env;")).toHaveLength(1);
    expect(faultsOf("fold/group", 'const name = "process.pid";')).toEqual([]);
  });

  test("I/O in a pure folder is found", () => {
    expect(faultsOf("text/sockstat", 'import { readFileSync } from "node:fs";')).toHaveLength(1);
  });

  test.each(["koffi", "node:child_process", "@opentelemetry/api", "zod", "yaml", "undici", "toml-eslint-parser"])(
    "%s outside its home is found",
    (module) => {
      expect(faultsOf("collect/tick", `import { x } from "${module}";`)).toHaveLength(1);
    },
  );

  test("a file outside the layers is found", () => {
    expect(faultsOf("util/strings", "")).toHaveLength(1);
  });
});
