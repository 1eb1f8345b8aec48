import { globSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { migrateSockstat } from "../../src/migrate/migrate.ts";
import { fixture, migrated } from "./migrating.ts";

const root = new URL("../../", import.meta.url);
const read = (file: string): string => readFileSync(new URL(file, root), "utf8");
const nameOf = (input: string): string => input.replace(/\.\w+$/, "");

const inputs = globSync("test/fixtures/migrate/*", { cwd: root })
  .map((file) => file.replace(/^.*\//, ""))
  .filter((name) => name !== "datakit-sample.conf")
  .sort();
const examples = globSync("config/examples/migrated/*.yaml", { cwd: root }).sort();

describe("config/examples/migrated", () => {
  test("has a file for each example of the five documents", () => {
    expect(examples.map((file) => file.replace(/^.*\/(.*)\.yaml$/, "$1")).sort()).toEqual(
      [...inputs.map((name) => nameOf(name)), "sockstat"].sort(),
    );
  });

  test.each(inputs)("%s is migrated as it is now", (name) => {
    expect(read(`config/examples/migrated/${nameOf(name)}.yaml`)).toBe(migrated(fixture(name)));
  });

  test("sockstat is as it is now, and reads what the recipe reads", async () => {
    expect(read("config/examples/migrated/sockstat.yaml")).toBe(migrateSockstat());
    const { config } = await loadConfig({
      file: new URL("config/examples/migrated/sockstat.yaml", root).pathname,
      env: {},
    });
    expect(config).toMatchObject({
      sockets: "off",
      host: { sockstat: true },
      compat: { sockstat: true, telegraf: undefined, datakit: false },
      export: { otlp: [{ url: "http://localhost:4318/v1/metrics" }], prometheus: undefined },
    });
  });

  test.each(examples)("%s has no fault, and no line is wider than 120 columns", async (file) => {
    const { notes } = await loadConfig({ file: new URL(file, root).pathname, env: {} });
    const exposed = notes.filter((note) => !/lets other machines read the page without a password/.test(note));
    expect(exposed).toEqual([]);
    for (const line of read(file).split("\n")) expect(line.length).toBeLessThanOrEqual(120);
  });
});
