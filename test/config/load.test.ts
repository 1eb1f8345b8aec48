import { existsSync } from "node:fs";
import { mkdtemp, mkdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadConfig, type LoadOptions, searchPlaces } from "../../src/config/load.ts";
import { ConfigError } from "../../src/model/errors.ts";

let folder = "";
const at = (name: string): string => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sockscope-load-"));
  await writeFile(at("good.yaml"), "collection: { interval: 20s }\n");
  await writeFile(at("other.yaml"), "collection: { interval: 40s }\n");
  await writeFile(at("bad.yaml"), "collection: { interval: 20 }\n");
  await writeFile(at("binary.yaml"), new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 0, 1, 2]));
  await writeFile(at("latin1.yaml"), new Uint8Array([0x23, 0x20, 0xe9, 0x0a]));
  await writeFile(at("bom.yaml"), "\ufeffcollection: { interval: 20s }\n");
  await mkdir(at("folder"));
});

afterAll(() => rm(folder, { recursive: true }));

const faultsOf = async (options: LoadOptions): Promise<string> => {
  try {
    await loadConfig(options);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error("no fault was found");
};

describe("the page's place on the command line", () => {
  test.each([
    [{ host: "::1", port: 1 }, { OTEL_METRICS_EXPORTER: "none" }, { host: "::1", port: 1 }],
    [{ host: undefined, port: 1 }, { OTEL_EXPORTER_PROMETHEUS_HOST: "localhost" }, { host: "localhost", port: 1 }],
    [{ host: undefined, port: 0 }, { OTEL_EXPORTER_PROMETHEUS_PORT: "2" }, { host: "127.0.0.1", port: 0 }],
  ])("%j comes before %j", async (listen, env, expected) => {
    const { config, notes } = await loadConfig({ file: at("good.yaml"), env, listen });
    expect(config.export.prometheus?.listen).toEqual(expected);
    expect(notes).toEqual([]);
  });
});

describe("the folder for requests", () => {
  const withStorage = (path: string) => `export: { otlp: { sending_queue: { storage: ${path} } } }\n`;

  test("may be missing, and is not made by reading the configuration", async () => {
    await writeFile(at("storage.yaml"), withStorage(at("later/requests")));
    const { config } = await loadConfig({ file: at("storage.yaml"), env: {}, places: [] });
    expect(config.export.otlp[0]?.storage).toBe(at("later/requests"));
    expect(existsSync(at("later"))).toBe(false);
  });

  test.each([
    ["good.yaml", "good.yaml is no folder"],
    ["good.yaml/below", "a part of FOLDER/good.yaml/below is no folder"],
  ])("must not be a file: %s", async (name, message) => {
    await writeFile(at("storage.yaml"), withStorage(at(name)));
    const faults = await faultsOf({ file: at("storage.yaml"), env: {}, places: [] });
    expect(faults.replaceAll(folder, "FOLDER")).toContain(
      `storage.yaml:1:45: export.otlp.sending_queue.storage: ${message.startsWith("a") ? message : `FOLDER/${message}`}`,
    );
  });

  test("must be named in full", async () => {
    await writeFile(at("storage.yaml"), withStorage("requests"));
    expect(await faultsOf({ file: at("storage.yaml"), env: {}, places: [] })).toContain(
      "export.otlp.sending_queue.storage: must be an absolute path, as in /var/lib/sockscope",
    );
  });
});

describe("the file", () => {
  test("is the one that -c names, before the one that the environment names", async () => {
    const env = { SOCKSCOPE_CONFIG: at("other.yaml") };
    const loaded = await loadConfig({ file: at("good.yaml"), env, places: [] });
    expect(loaded).toMatchObject({
      file: at("good.yaml"),
      text: "collection: { interval: 20s }\n",
      config: { collection: { intervalMs: 20_000 } },
      notes: [],
    });
    expect((await loadConfig({ file: undefined, env, places: [] })).file).toBe(at("other.yaml"));
  });

  test("is the first that is there, when nothing names it", async () => {
    const places = [at("none.yaml"), at("good.yaml/none.yaml"), at("other.yaml"), at("good.yaml")];
    const loaded = await loadConfig({ file: undefined, env: { SOCKSCOPE_CONFIG: "" }, places });
    expect(loaded.file).toBe(at("other.yaml"));
  });

  test("is looked for in the working directory, in /etc, and beside the source", () => {
    const shipped = new URL("../../config/sockscope.yaml", import.meta.url).pathname;
    expect(searchPlaces).toEqual(["config/sockscope.yaml", "/etc/sockscope/sockscope.yaml", shipped]);
  });

  test("may start with a byte order mark", async () => {
    const { config } = await loadConfig({ file: at("bom.yaml"), env: {} });
    expect(config.collection.intervalMs).toBe(20_000);
  });

  test("is read with the environment", async () => {
    const env = { OTEL_METRIC_EXPORT_INTERVAL: "5000" };
    expect((await loadConfig({ file: at("good.yaml"), env })).notes).toEqual([
      "collection.interval in the file wins over OTEL_METRIC_EXPORT_INTERVAL.",
    ]);
  });
});

describe("a file that is to be written", () => {
  const faultFor = async (written: string): Promise<string> => {
    await writeFile(at("writes.yaml"), `export:\n  file: { path: "${written}" }\n`);
    return faultsOf({ file: at("writes.yaml"), env: {} });
  };

  test("may be there or not, beside the configuration or anywhere", async () => {
    await writeFile(at("there.jsonl"), "");
    for (const written of ["there.jsonl", "new.jsonl", "folder/new.jsonl", at("folder/new.jsonl")]) {
      await writeFile(at("writes.yaml"), `export: { file: { path: "${written}" } }\n`);
      const { config } = await loadConfig({ file: at("writes.yaml"), env: {} });
      expect(config.export.file?.path).toBe(written.startsWith("/") ? written : at(written));
    }
    expect(existsSync(at("new.jsonl"))).toBe(false);
  });

  test.each([
    ["none/m.jsonl", () => `the directory ${at("none")} does not exist: create it`],
    ["good.yaml/m.jsonl", () => `${at("good.yaml")} is not a directory`],
    ["good.yaml/none/m.jsonl", () => "a part of the path is not a directory"],
    ["folder", () => "it is a directory: name a file in it"],
    ["/dev/null", () => "it is a pipe, a socket or a device"],
  ])("%s is refused with the place", async (written, reason) => {
    const file = written.startsWith("/") ? written : at(written);
    expect(await faultFor(written)).toBe(
      `${at("writes.yaml")}:2:17: export.file.path: cannot write ${file}: ${reason()}`,
    );
  });
});

describe("the declarative file", () => {
  const declare = async (text: string): Promise<string> => {
    await writeFile(at("otel.yaml"), `file_format: "1.1"\nmeter_provider:\n  readers:\n    - periodic:\n${text}`);
    return at("otel.yaml");
  };

  test("is the one that OTEL_CONFIG_FILE names, else its old name", async () => {
    const file = await declare("        exporter: { console: }\n");
    const consoleOf = async (env: Record<string, string>) =>
      (await loadConfig({ file: at("good.yaml"), env })).config.export.console;
    expect(await consoleOf({ OTEL_CONFIG_FILE: file, OTEL_EXPERIMENTAL_CONFIG_FILE: at("none.yaml") })).toBe("table");
    expect(await consoleOf({ OTEL_CONFIG_FILE: " ", OTEL_EXPERIMENTAL_CONFIG_FILE: file })).toBe("table");
    expect(await consoleOf({ OTEL_CONFIG_FILE: "" })).toBeUndefined();
  });

  test("is the place of the faults of the files that it names", async () => {
    const tls = `tls: { ca_file: ${at("good.yaml")}, cert_file: ${at("none.pem")}, key_file: ${at("none.key")} }`;
    const file = await declare(`        exporter: { otlp_http: { endpoint: "https://h:1/m", ${tls} } }
    - periodic: { exporter: { otlp_file/development: { output_stream: "file://${at("none/m.jsonl")}" } } }
`);
    const exporter = "meter_provider.readers[0].periodic.exporter.otlp_http.tls";
    const stream = 'meter_provider.readers[1].periodic.exporter["otlp_file/development"].output_stream';
    const faults = (await faultsOf({ file: at("good.yaml"), env: { OTEL_CONFIG_FILE: file } })).split("\n");
    expect(faults.map((fault) => fault.replace(/:5:\d+:/, ":5:COLUMN:"))).toEqual([
      `${file}:5:COLUMN: ${exporter}.ca_file: ${at("good.yaml")} holds no certificate in PEM form`,
      `${file}:5:COLUMN: ${exporter}.cert_file: cannot read ${at("none.pem")}: no such file`,
      `${file}:5:COLUMN: ${exporter}.key_file: cannot read ${at("none.key")}: no such file`,
      `${file}:6:71: ${stream}: cannot write ${at("none/m.jsonl")}: the directory ${at("none")} does not exist: create it`,
    ]);
  });

  test("names no file that counts where the file of sockscope has its own, or where the endpoint is an http:// one", async () => {
    const env = async (endpoint: string) => ({
      OTEL_CONFIG_FILE: await declare(
        `        exporter: { otlp_http: { endpoint: "${endpoint}", tls: { ca_file: /none.pem } } }\n`,
      ),
    });
    await writeFile(at("own.yaml"), "export: { otlp: { tls: {} } }");
    expect(await faultsOf({ file: at("good.yaml"), env: await env("https://h:1/m") })).toContain("/none.pem");
    await loadConfig({ file: at("good.yaml"), env: await env("http://h:1/m") });
    const own = await loadConfig({ file: at("own.yaml"), env: await env("https://h:1/m") });
    expect(own.config.export.otlp[0]?.tls).toMatchObject({ caFile: undefined });
  });

  test.each([
    ["none.yaml", "cannot read: no such file (named by $OTEL_CONFIG_FILE)"],
    ["binary.yaml", "cannot read: it is a binary file, not YAML text (named by $OTEL_CONFIG_FILE)"],
  ])("%s is none", async (name, reason) => {
    expect(await faultsOf({ file: at("good.yaml"), env: { OTEL_CONFIG_FILE: at(name) } })).toBe(
      `${at(name)}:1:1: ${reason}`,
    );
  });
});

describe("a ConfigError says why there is no configuration", () => {
  test.each([
    ["none.yaml", "cannot read: no such file (named by -c)"],
    ["good.yaml/none.yaml", "cannot read: a part of the path is not a directory (named by -c)"],
    ["folder", "cannot read: it is a directory: name the file in it (named by -c)"],
    ["binary.yaml", "cannot read: it is a binary file, not YAML text (named by -c)"],
    ["latin1.yaml", "cannot read: it is not UTF-8 text (named by -c)"],
  ])("%s", async (name, reason) => {
    expect(await faultsOf({ file: at(name), env: {} })).toBe(`${at(name)}:1:1: ${reason}`);
  });

  // A file mode does not keep root from reading; what the kernel makes write-only does.
  const closed = "/proc/sys/vm/drop_caches";

  test.skipIf(!existsSync(closed))("no permission", async () => {
    expect(await faultsOf({ file: closed, env: {} })).toBe(
      `${closed}:1:1: cannot read: permission denied: let the user that sockscope runs as read it (named by -c)`,
    );
  });

  test("the environment names a file that is not there", async () => {
    const env = { SOCKSCOPE_CONFIG: at("none.yaml") };
    expect(await faultsOf({ file: undefined, env, places: [at("good.yaml")] })).toBe(
      `${at("none.yaml")}:1:1: cannot read: no such file (named by $SOCKSCOPE_CONFIG)`,
    );
  });

  test("a file that is found by default and cannot be read is not passed over", async () => {
    expect(await faultsOf({ file: undefined, env: {}, places: [at("folder"), at("good.yaml")] })).toBe(
      `${at("folder")}:1:1: cannot read: it is a directory: name the file in it (found by default)`,
    );
  });

  test("there is none at all", async () => {
    const places = [at("a.yaml"), at("b.yaml")];
    expect(await faultsOf({ file: undefined, env: {}, places })).toBe(
      `${at("a.yaml")}:1:1: no configuration file: looked for ${at("a.yaml")}, ${at("b.yaml")}; write one there, or name one with -c FILE or $SOCKSCOPE_CONFIG`,
    );
  });

  test("its text has faults", async () => {
    expect(await faultsOf({ file: at("bad.yaml"), env: {} })).toBe(
      `${at("bad.yaml")}:1:25: collection.interval: a duration needs its unit: write 20s for seconds or 20ms for milliseconds`,
    );
  });
});
