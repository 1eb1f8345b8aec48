// The same points by the stock SDK and its protobuf exporter: from observables, or from our columns by a MetricProducer.
//   stock.ts URL COMPRESSION observables|producer
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-proto";
import { CompressionAlgorithm } from "@opentelemetry/otlp-exporter-base";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { MeterProvider, type MetricProducer, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { inSlices } from "../../../src/collect/reading.ts";
import { toMetricData } from "../../../src/export/metric-data.ts";
import { connection, createFlows, flows, metrics, resource, scope, valueOf } from "../load.ts";
import { measureExports } from "./measure.ts";

const [url = "", compression = "none", source = "observables"] = process.argv.slice(2);

const exporter = new OTLPMetricExporter({
  url,
  compression: compression === "gzip" ? CompressionAlgorithm.GZIP : CompressionAlgorithm.NONE,
  timeoutMillis: 120_000,
});
const columns = source === "producer" ? createFlows(Date.now()) : undefined;
const producer: MetricProducer = {
  collect: async () => {
    const time = Date.now();
    const collected = columns === undefined ? [] : await inSlices(columns.collect());
    const scopeMetrics = [{ scope, metrics: collected.map((metric) => toMetricData(metric, time)) }];
    return { resourceMetrics: { resource: resourceFromAttributes(resource), scopeMetrics }, errors: [] };
  },
};
const reader = new PeriodicExportingMetricReader({
  exporter,
  exportIntervalMillis: 3_600_000,
  exportTimeoutMillis: 3_600_000,
  cardinalityLimits: { default: 2 * flows },
  metricProducers: columns === undefined ? [] : [producer],
});
const provider = new MeterProvider({ resource: resourceFromAttributes(resource), readers: [reader] });
let now = 0;
if (columns === undefined) {
  const sets = Array.from({ length: flows }, (_, index) => connection(index));
  const meter = provider.getMeter(scope.name, scope.version);
  for (let metric = 0; metric < metrics; metric++) {
    meter.createObservableCounter(`sockscope.bench.counter_${metric}`).addCallback((observer) => {
      for (const [index, set] of sets.entries()) observer.observe(valueOf(metric, index, now), set);
    });
  }
}
await measureExports(1, async (tick) => {
  now = tick;
  columns?.move(tick);
  await reader.forceFlush();
});
