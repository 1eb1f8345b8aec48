import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { renderConfigurationDocs, renderSchema } from "../src/config/docs.ts";
import { renderMetricsDocs } from "../src/metrics/docs.ts";
import { migrate, migrateSockstat } from "../src/migrate/migrate.ts";

const root = new URL("..", import.meta.url);
const inputs = new URL("test/fixtures/migrate/", root);

/** The files of other tools as sockscope migrate prints them; the shipped sample of DataKit has faults only. */
const migrated = Object.fromEntries(
  readdirSync(inputs)
    .filter((name) => name !== "datakit-sample.conf")
    .map((name): [string, () => string] => [
      `config/examples/migrated/${name.replace(/\.\w+$/, "")}.yaml`,
      () => migrate({ file: name, text: readFileSync(new URL(name, inputs), "utf8") }),
    ]),
);

/** Files that are made from the source; with --check, a stale one fails. */
const files: Readonly<Record<string, () => string>> = {
  "config/schema.json": renderSchema,
  "docs/CONFIGURATION.md": renderConfigurationDocs,
  "docs/METRICS.md": renderMetricsDocs,
  ...migrated,
  "config/examples/migrated/sockstat.yaml": migrateSockstat,
};

const check = process.argv.includes("--check");
const read = (file: URL): string | undefined => {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
};

for (const [name, render] of Object.entries(files)) {
  const file = new URL(name, root);
  const text = render();
  if (read(file) === text) continue;
  if (check) {
    process.stderr.write(`${name} is stale: run \`npm run generate\`\n`);
    process.exitCode = 1;
  } else {
    mkdirSync(new URL(".", file), { recursive: true });
    writeFileSync(file, text);
    process.stdout.write(`${name} written\n`);
  }
}
