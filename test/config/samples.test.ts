import { globSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse as parseYaml } from "yaml";
import { renderConfigurationDocs, renderSchema } from "../../src/config/docs.ts";
import { variables } from "../../src/config/environment.ts";
import { loadConfig } from "../../src/config/load.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { unbuiltKeys } from "../../src/config/unbuilt.ts";
import { configOf } from "./parsing.ts";

const root = new URL("../../", import.meta.url);
const read = (file: string): string => readFileSync(new URL(file, root), "utf8");

type Schema = {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly description?: string;
  readonly default?: unknown;
  readonly additionalProperties?: unknown;
};

const branchesOf = (node: Schema): readonly Schema[] => node.anyOf?.flatMap((branch) => branchesOf(branch)) ?? [node];

/** A destination stands alone or in a list; the file has its keys once. */
const standsAlone = (items: Schema, branches: readonly Schema[]): boolean =>
  branches.some((branch) => JSON.stringify(branch) === JSON.stringify(items));

const keysOf = (node: Schema, prefix = ""): { key: string; node: Schema }[] =>
  branchesOf(node).flatMap((branch) => [
    ...(branch.items === undefined || standsAlone(branch.items, branchesOf(node))
      ? []
      : keysOf(branch.items, `${prefix}[]`)),
    ...Object.entries(branch.properties ?? {}).flatMap(([name, held]) => {
      const key = prefix === "" ? name : `${prefix}.${name}`;
      return [{ key, node: held }, ...keysOf(held, key)];
    }),
  ]);

const schema: Schema = JSON.parse(renderSchema());
const keys = keysOf(schema);

describe("samples", () => {
  const samples = globSync(["config/*.yaml", "config/examples/*.yaml"], { cwd: root }).sort();

  test("are four", () => {
    expect(samples).toEqual([
      "config/examples/everything.yaml",
      "config/examples/probes.yaml",
      "config/examples/sockets.yaml",
      "config/sockscope.yaml",
    ]);
  });

  test.each(samples)("%s has no fault and names the schema", (file) => {
    const text = read(file);
    expect(parseConfig(text, file, {}).notes).toEqual([]);
    const [, schemaFile] = /^# yaml-language-server: \$schema=(.*)\n/.exec(text) ?? [];
    expect(new URL(schemaFile ?? "", new URL(file, root)).href).toBe(new URL("config/schema.json", root).href);
  });

  test.each(samples)("%s has no fault in the files of targets that it names", async (file) => {
    const { notes } = await loadConfig({ file: new URL(file, root).pathname, env: {} });
    expect(notes).toEqual([]);
  });

  test("the shipped file reads sockets, serves its page and probes it, and leaves all OTEL_* variables in force", () => {
    const env = Object.fromEntries(Object.keys(variables).map((name) => [name, ""]));
    const given = {
      ...env,
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://h:4318",
      OTEL_EXPORTER_OTLP_HEADERS: "a=b",
      OTEL_METRIC_EXPORT_INTERVAL: "7000",
      OTEL_METRIC_EXPORT_TIMEOUT: "6000",
      OTEL_RESOURCE_ATTRIBUTES: "team=edge",
      OTEL_SERVICE_NAME: "own",
      OTEL_METRICS_EXPORTER: "otlp,prometheus,console",
      OTEL_EXPORTER_PROMETHEUS_PORT: "9465",
    };
    const { config, notes } = parseConfig(read("config/sockscope.yaml"), "f.yaml", given);
    expect(notes).toEqual([]);
    expect(config.collection).toEqual({ intervalMs: 7_000, timeoutMs: 6_000 });
    expect(config.resource.attributes).toEqual({ team: "edge", "service.name": "own" });
    expect(config.export.otlp[0]?.url).toBe("http://h:4318/v1/metrics");
    expect(config.export.prometheus).toMatchObject({ listen: { host: "127.0.0.1", port: 9465 } });
    expect(config.export.console).toBe("table");
    expect(config.sockets).toMatchObject({ groupBy: "endpoint" });
    expect(config.host).toEqual({ sockstat: true });
    expect(config.probes.targets).toMatchObject([
      { name: "sockscope-page", url: "tcp://127.0.0.1:9464", intervalMs: 10_000 },
    ]);
  });

  test("everything.yaml has every key, each with its default where it has one", () => {
    const written = parseYaml(read("config/examples/everything.yaml"));
    const values = new Map<string, unknown>();
    const collect = (value: unknown, path: string): void => {
      values.set(path, value);
      if (Array.isArray(value)) for (const item of value) collect(item, `${path}[]`);
      else if (typeof value === "object" && value !== null)
        for (const [key, held] of Object.entries(value)) collect(held, path === "" ? key : `${path}.${key}`);
    };
    collect(written, "");
    const missing = keys.filter(({ key }) => !values.has(key)).map(({ key }) => key);
    // Files that are there on no machine, keys that exclude another one, what is for https:// alone, and names that
    // stand alone.
    expect(missing).toEqual([
      "probes.targets[].tls.ca_file",
      "probes.targets[].tls.cert_file",
      "probes.targets[].tls.key_file",
      "election.tls.ca_file",
      "election.tls.cert_file",
      "election.tls.key_file",
      "sockets.namespaces.containers",
      "sockets.namespaces.pids",
      "sockets.namespaces.names",
      "export.otlp.metrics_endpoint",
      "export.otlp.tls",
      "export.otlp.tls.ca_file",
      "export.otlp.tls.cert_file",
      "export.otlp.tls.key_file",
      "export.otlp.tls.server_name_override",
      "export.otlp.tls.insecure_skip_verify",
      "export.prometheus.tls",
      "export.prometheus.tls.cert_file",
      "export.prometheus.tls.key_file",
      "compat[].datakit",
      "compat[].sockstat",
      "compat[].connection_status",
    ]);
    for (const { key, node } of keys)
      if (node.default !== undefined && !key.startsWith("export.otlp.tls"))
        expect([key, values.get(key)]).toEqual([key, node.default]);
  });
});

describe("the JSON schema", () => {
  test("is of draft 2020-12", () => {
    expect(schema).toMatchObject({ $schema: "https://json-schema.org/draft/2020-12/schema", type: "object" });
  });

  test("describes every key, and allows no other", () => {
    expect(keys.length).toBeGreaterThan(40);
    for (const { key, node } of keys) {
      expect([key, node.description]).toEqual([key, expect.stringMatching(/^\S.*\.$/)]);
      for (const branch of branchesOf(node))
        if (branch.properties !== undefined) expect([key, branch.additionalProperties]).toEqual([key, false]);
    }
  });

  test("has defaults that are the defaults", () => {
    const withDefaults: Record<string, unknown> = {
      export: { otlp: {}, prometheus: {}, file: { path: "f" }, console: {} },
    };
    for (const { key, node } of keys) {
      if (node.default === undefined || key.includes("[]") || key.startsWith("export.otlp.tls")) continue;
      let held = withDefaults;
      const path = key.split(".");
      for (const step of path.slice(0, -1)) held = (held[step] ??= {}) as Record<string, unknown>;
      held[path.at(-1) ?? ""] = node.default;
    }
    expect(configOf(JSON.stringify(withDefaults))).toEqual(
      configOf("export: { otlp: {}, prometheus: {}, file: { path: f }, console: {} }"),
    );
  });
});

describe("docs/CONFIGURATION.md", () => {
  const docs = renderConfigurationDocs();

  test("has a row for every key, variable and refused key", () => {
    const [before = "", after = ""] = docs.split(/^## OpenTelemetry declarative configuration$[^]*?(?=^## )/m);
    const rows = [...before.split("\n"), ...after.split("\n")].filter((line) => line.startsWith("| `"));
    for (const { key } of keys.filter(({ key: path }) => path.includes(".")))
      expect(rows.filter((row) => row.startsWith(`| \`${key}\` |`))).toHaveLength(1);
    for (const name of [...Object.keys(variables), ...Object.keys(unbuiltKeys)])
      expect(rows.filter((row) => row.startsWith(`| \`${name}\` |`))).toHaveLength(1);
  });

  test("shows what becomes of the keys of a declarative file, each once", () => {
    const section = /^## OpenTelemetry declarative configuration$[^]*?(?=^## )/m.exec(docs)?.[0] ?? "";
    const rows = section.split("\n").filter((line) => line.startsWith("| `"));
    const names = rows.map((row) => row.split("` | ")[0]);
    expect(new Set(names).size).toBe(names.length);
    for (const row of [
      "| `meter_provider.readers[].periodic.interval` | `collection.interval`, in ms. Without it 60000 |",
      "| `otlp_http.endpoint` | `metrics_endpoint`. Without it `http://localhost:4318/v1/metrics` |",
      "| `otlp_grpc.tls.insecure` | Whether an endpoint without a scheme is an `http://` one |",
      "| `meter_provider.views` | Refused: choose in the file of sockscope what is measured |",
      "| `tracer_provider` | Left aside: sockscope has no spans |",
    ])
      expect(rows).toContain(row);
  });

  test("shows type, default and meaning", () => {
    expect(docs).toContain(
      "| `collection.interval` | duration | `15s` | Time between two ticks; each tick reads the sockets and exports once. At least 100ms. |",
    );
    expect(docs).toContain("| `sockets.max_groups` | whole number 1 to 1000000 | `2000` |");
    expect(docs).toContain("| `host.sockstat` | switch | `on` |");
    expect(docs).toContain("| `sockets.rank_by` | `bytes` or `retransmits` or `flows` or `rtt` | `bytes` |");
    expect(docs).toContain("| `export.otlp.retry_on_failure.max_elapsed_time` | `0` or duration | `0` |");
  });
});
