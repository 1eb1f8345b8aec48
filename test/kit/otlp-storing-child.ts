import { writeSync } from "node:fs";
import { flushCompileCache } from "node:module";
import { createOtlpDestination } from "../../src/export/otlp-transport.ts";
import { type AttributeSet, noAttributes, type Snapshot } from "../../src/model/columns.ts";
import { lock } from "./otlp-storing.ts";

/**
 * Once it is told to, exports one number after the other to the URL, stored in the folder, and says each when it counts
 * as queued; until it is killed.
 */
const [url = "", storage = "", first = "0"] = process.argv.slice(2);
const retry = { initialIntervalMs: 5, multiplier: 1, randomizationFactor: 0, maxIntervalMs: 5, maxElapsedMs: 0 };
const queue = { queueBytes: 64 * 1024 * 1024, newestFirst: false, storage, temporality: "cumulative" } as const;
const config = {
  url,
  tls: undefined,
  proxy: undefined,
  protocol: "http/protobuf",
  compression: "gzip",
  headers: {},
  timeoutMs: 50,
  retry,
  ...queue,
} as const;

const snapshotOf = (value: number): Snapshot => {
  const own: AttributeSet = noAttributes;
  const column = { own, sets: [own], starts: Float64Array.of(0), values: Float64Array.of(value) };
  const descriptor = { name: "a", description: "", unit: "", kind: "counter", value: "int" } as const;
  const metrics = [{ descriptor, numbers: [column], histograms: [], ended: [] }];
  return { time: 1, resource: {}, scope: { name: "", version: "" }, metrics };
};

// It is killed, and would never write it.
flushCompileCache();
await new Promise((resolve) => process.stdin.once("data", resolve));
const destination = createOtlpDestination(config, { log: () => undefined, userAgent: "test", lock });
for (let value = Number(first); ; value++) {
  await destination.export(snapshotOf(value));
  writeSync(1, `${value}\n`);
}
