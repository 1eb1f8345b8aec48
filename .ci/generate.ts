import { readFileSync, writeFileSync } from "node:fs";
import { renderConfigurationDocs, renderSchema } from "../src/config/docs.ts";
import { renderMetricsDocs } from "../src/metrics/docs.ts";

/** Files that are made from the source; with --check, a stale one fails. */
const files = {
  "config/schema.json": renderSchema,
  "docs/CONFIGURATION.md": renderConfigurationDocs,
  "docs/METRICS.md": renderMetricsDocs,
};

const root = new URL("..", import.meta.url);
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
    writeFileSync(file, text);
    process.stdout.write(`${name} written\n`);
  }
}
