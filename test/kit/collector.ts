import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./agent.ts";
import { parseExposition } from "./exposition.ts";
import { flattenPoints, type MetricsRequest, type ReceivedPoint } from "./otlp-receiver.ts";
import { startProgram } from "./program.ts";
import { realParts } from "./real-parts.ts";
import { fetchText } from "./until.ts";

export const shipped = join(root, "otel-collector.yaml");
const extra = (name: string): string => join(root, "test/collector", name);

/** Where the shipped configuration listens. */
export const collectorUrl = "http://127.0.0.1:4318";
export const collectorGrpcUrl = "http://127.0.0.1:4317";
export const collectorPage = "http://127.0.0.1:8889/metrics";
/** The Collector's metrics about itself. */
const own = "http://127.0.0.1:8888/metrics";

/**
 * Starts the real Collector with the shipped configuration as it is, and files of test/collector over it. With a `file`
 * it also writes all it exports there, a line of OTLP JSON a batch.
 */
export const startCollector = async ({ overlays = [], file }: { overlays?: readonly string[]; file?: string } = {}) => {
  const files = [shipped, ...(file === undefined ? [] : [extra("file.yaml")]), ...overlays.map(extra)];
  const program = await startProgram(
    {
      path: realParts.otelcol,
      args: files.flatMap((path) => ["--config", path]),
      env: { OTELCOL_FILE: file, OTELCOL_TLS: join(root, "test/fixtures/tls") },
    },
    "http://127.0.0.1:13133/",
  );
  const read = async (url: string) => parseExposition((await fetchText(url)) ?? "");
  return {
    ...program,
    /** What its prometheus exporter shows now. */
    page: () => read(collectorPage),
    /** The points that its file exporter has written. */
    exported: (): ReceivedPoint[] => (file === undefined ? [] : readExported(file)),
    /** The sum of one of its own counters over all series; 0 before the first. */
    own: async (name: string): Promise<number> =>
      (await read(own)).samples.reduce((sum, sample) => sum + (sample.name === name ? sample.value : 0), 0),
  };
};

export type Collector = Awaited<ReturnType<typeof startCollector>>;

/** Complete lines only: the last one may be half written. */
const readExported = (file: string): ReceivedPoint[] => {
  const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
  return flattenPoints(lines.map((line) => JSON.parse(line) as MetricsRequest));
};
