import { benchExport } from "./export/main.ts";
import { benchProbes } from "./probes/main.ts";
import { benchSockets } from "./sockets/main.ts";

/** Each prints its figures with their bars, and is false beyond one. */
const benches: Readonly<Record<string, () => Promise<boolean>>> = {
  export: benchExport,
  sockets: benchSockets,
  probes: benchProbes,
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => benches[name] === undefined);
if (unknown.length > 0) {
  process.stderr.write(`no such benchmark: ${unknown.join(" ")}; there are ${Object.keys(benches).join(" ")}\n`);
  process.exit(2);
}
for (const [name, bench] of Object.entries(benches)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  if (!(await bench())) process.exitCode = 1;
}
