// The agent's whole path: columns, the reader, the encoder, the queue and the sender.
//   ours.ts URL COMPRESSION
import { inSlices } from "../../../src/collect/reading.ts";
import { createTelemetry } from "../../../src/export/otel.ts";
import { createOtlpDestination } from "../../../src/export/otlp-transport.ts";
import { mapLargeBuffers } from "../../../src/kernel/allocator.ts";
import { keepHeapSmall } from "../../../src/heap.ts";
import { loadLibc } from "../../../src/kernel/libc.ts";
import type { Log } from "../../../src/model/log.ts";
import { createFlows, destinationOf, resource } from "../load.ts";
import { measureExports } from "./measure.ts";

const [url = "", wanted = "none"] = process.argv.slice(2);
const compression = wanted === "gzip" || wanted === "zstd" ? wanted : "none";
const exports = 10;

// As the agent's main.ts and core.ts do.
keepHeapSmall();
mapLargeBuffers(loadLibc());

const log: Log = (_level, message) => void process.stderr.write(`${message}\n`);
const destination = createOtlpDestination(destinationOf(url, compression), { log, userAgent: "bench" });
const flows = createFlows(Date.now());
const telemetry = createTelemetry({
  resource,
  version: "0.1.0",
  intervalMs: 3_600_000,
  timeoutMs: 60_000,
  collect: async () => ({ time: Date.now(), columns: await inSlices(flows.collect()), observations: [] }),
  consume: (snapshot) => destination.export(snapshot),
  log,
});
await measureExports(exports, async (tick) => {
  flows.move(tick);
  await telemetry.collectNow();
  await destination.flush(AbortSignal.timeout(60_000));
});
