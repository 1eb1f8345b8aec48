import { writeSync } from "node:fs";
import { Agent, request } from "node:http";
import { flushCompileCache } from "node:module";
import { OtlpDestination } from "../../src/export/otlp-destination.ts";
import { exporterAttributes } from "../../src/export/exporter-metrics.ts";
import { DeliveryReport } from "../../src/export/otlp-report.ts";
import { judgeReply } from "../../src/export/otlp-retry.ts";
import type { Post } from "../../src/export/otlp-sender.ts";
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

/** By Node's own client: half of a child's time would be the start of the exporter's. */
const post: Post = ({ body, encoding }, signal) =>
  new Promise((resolve, reject) => {
    const headers = { "content-type": "application/x-protobuf", "content-encoding": encoding };
    const sent = request(url, { method: "POST", headers, agent, signal }, (answer) => {
      answer.resume().on("error", reject);
      answer.on("end", () => resolve(judgeReply({ status: answer.statusCode ?? 0, ...nothing }, Date.now())));
    });
    sent.on("error", reject).end(body);
  });
const agent = new Agent({ keepAlive: true });
const nothing = { retryAfter: undefined, contentType: undefined, body: new Uint8Array(), oversized: false };

// It is killed, and would never write it.
flushCompileCache();
await new Promise((resolve) => process.stdin.once("data", resolve));
const host = new URL(url).host;
const log = (): void => undefined;
const destination = new OtlpDestination({
  config,
  host,
  exporter: exporterAttributes(config, host),
  attempted: () => undefined,
  connection: { post, close: () => undefined },
  report: new DeliveryReport(log, { host, isTls: false }, []),
  clocks: { now: Date.now, monotonic: () => performance.now(), random: Math.random },
  maxRequestBytes: 4 * 1024 * 1024,
  log,
  lock,
  earlier: Promise.resolve(),
  predecessor: undefined,
});
for (let value = Number(first); ; value++) {
  await destination.export(snapshotOf(value));
  writeSync(1, `${value}\n`);
}
