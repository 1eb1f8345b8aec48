import { diag, DiagLogLevel } from "@opentelemetry/api";
import { OTLPMetricExporterBase } from "@opentelemetry/exporter-metrics-otlp-http";
import type { IOtlpExportDelegate } from "@opentelemetry/otlp-exporter-base";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  MeterProvider,
  PeriodicExportingMetricReader,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import type { RecordValue } from "../metrics/observation.ts";
import type { Attributes, Snapshot } from "../model/columns.ts";
import type { Log } from "../model/log.ts";
import { type Collected, registerInstruments, scopeName } from "./instruments.ts";
import { columnsOf, fromMetricData } from "./metric-data.ts";
import { createProducer } from "./producer.ts";
import { shareCollections } from "./shared-collection.ts";

export type TelemetryOptions = {
  readonly resource: Attributes;
  readonly version: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Never rejects and ends within `timeoutMs`: a producer that hangs would stop the reader for good. */
  readonly collect: () => Promise<Collected>;
  /** Takes a tick's metrics; must not wait for their delivery. */
  readonly consume: (snapshot: Snapshot) => Promise<void>;
  readonly log: Log;
};

export type Telemetry = {
  readonly record: RecordValue;
  /** One collection and its consumption now, beside those of the interval. */
  collectNow(): Promise<void>;
  /** A last collection, and none after it. */
  shutdown(): Promise<void>;
};

/** Our exporter: the stock base with a delegate that hands every collection on as a snapshot. */
const createExporter = (consume: (metrics: ResourceMetrics) => Promise<void>, log: Log): OTLPMetricExporterBase => {
  const delegate: IOtlpExportDelegate<ResourceMetrics> = {
    export: (metrics, done) => {
      consume(metrics).then(
        () => done({ code: 0 }),
        (error: unknown) => {
          log(
            "error",
            `a collection could not be exported: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
          );
          done({ code: 1 });
        },
      );
    },
    forceFlush: () => Promise.resolve(),
    shutdown: () => Promise.resolve(),
    setMetrics: () => undefined,
  };
  // Set here, or the temporality variable of the environment would reach the page.
  return new OTLPMetricExporterBase(delegate, { temporalityPreference: AggregationTemporality.CUMULATIVE });
};

/** The catalogue's SDK metrics on a MeterProvider, whose periodic reader is the agent's tick. */
export const createTelemetry = (options: TelemetryOptions): Telemetry => {
  const { resource, version, intervalMs, timeoutMs, log } = options;
  let last: Collected | undefined;
  const collect = shareCollections(async () => (last = await options.collect()), { spacingMs: 0, now: () => 0 });

  diag.setLogger(
    {
      error: (message) => log("error", message),
      warn: (message) => log("warn", message),
      info: (message) => log("debug", message),
      debug: (message) => log("debug", message),
      verbose: () => undefined,
    },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );

  const snapshotOf = (metrics: ResourceMetrics, time: number): Snapshot => {
    const columns = metrics.scopeMetrics
      .flatMap((scope) => scope.metrics)
      .flatMap((data) => {
        const keep = (attributes: Attributes): boolean => instruments.isCurrent(data.descriptor.name, attributes);
        return columnsOf(data) ?? fromMetricData(data, keep) ?? [];
      });
    return { time, resource, scope: { name: scopeName, version }, metrics: columns };
  };

  const exporter = createExporter(async (metrics) => {
    if (last === undefined) return;
    await options.consume(snapshotOf(metrics, last.time));
  }, log);
  const reader = new PeriodicExportingMetricReader({
    exporter,
    exportIntervalMillis: intervalMs,
    exportTimeoutMillis: timeoutMs,
    metricProducers: [createProducer({ version, collect })],
  });
  const provider = new MeterProvider({
    resource: resourceFromAttributes(resource),
    readers: [reader],
    sdkMetricsEnabled: true,
  });
  const instruments = registerInstruments(provider, version, collect);

  return {
    record: instruments.record,
    collectNow: () => reader.forceFlush(),
    shutdown: () => reader.shutdown(),
  };
};
