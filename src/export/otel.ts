import { diag, DiagLogLevel, type Meter, type Observable, ValueType } from "@opentelemetry/api";
import { OTLPMetricExporterBase } from "@opentelemetry/exporter-metrics-otlp-http";
import type { IOtlpExportDelegate } from "@opentelemetry/otlp-exporter-base";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AggregationTemporality,
  MeterProvider,
  PeriodicExportingMetricReader,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import { catalogue, type SdkMetric } from "../metrics/catalogue.ts";
import type { Observation, ObservedMetric, RecordedMetric, RecordValue } from "../metrics/observation.ts";
import { type Attributes, attributesKey, type MetricColumns, type Snapshot } from "../model/columns.ts";
import type { Log } from "../model/log.ts";
import { columnsOf, fromMetricData, toMetricData } from "./metric-data.ts";

const scopeName = "sockscope";

/** What one collection has read; a part of the agent makes it. */
export type Collected = {
  /** Unix ms. */
  readonly time: number;
  readonly columns: readonly MetricColumns[];
  readonly observations: readonly Observation[];
};

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

const seriesKey = (metric: string, attributes: Attributes): string => `${metric} ${attributesKey(attributes)}`;

/**
 * One collection serves both the observables' callback and the metric producer of one run of the reader: whoever asks
 * first starts it, and whoever asks twice starts the next.
 */
const shared = (collect: () => Promise<Collected>) => {
  let current: Promise<Collected> | undefined;
  const taken = new Set<string>();
  return (consumer: string): Promise<Collected> => {
    if (current === undefined || taken.has(consumer)) {
      current = collect();
      taken.clear();
    }
    taken.add(consumer);
    return current;
  };
};

/** Counters of a part that starts anew, after a reload say, go on from where they were. */
const createCarryOver = () => {
  const counters = new Map<string, { last: number; offset: number }>();
  return (key: string, value: number): number => {
    const counter = counters.get(key) ?? { last: 0, offset: 0 };
    if (value < counter.last) counter.offset += counter.last;
    counter.last = value;
    counters.set(key, counter);
    return counter.offset + value;
  };
};

const namesOf = <N extends SdkMetric>(histograms: boolean): N[] =>
  (Object.keys(catalogue) as SdkMetric[]).filter(
    (name): name is N =>
      (catalogue[name].carrier as string) !== "producer" &&
      ((catalogue[name].kind as string) === "histogram") === histograms,
  );

const createObservables = (meter: Meter): ReadonlyMap<ObservedMetric, Observable> =>
  new Map(
    namesOf<ObservedMetric>(false).map((name) => {
      const { kind, unit, description, value } = catalogue[name];
      const options = { unit, description, valueType: value === "int" ? ValueType.INT : ValueType.DOUBLE };
      if (kind === "gauge") return [name, meter.createObservableGauge(name, options)];
      if (kind === "counter") return [name, meter.createObservableCounter(name, options)];
      return [name, meter.createObservableUpDownCounter(name, options)];
    }),
  );

const createRecorder = (meter: Meter): RecordValue => {
  const histograms = new Map(
    namesOf<RecordedMetric>(true).map((name) => {
      const { unit, description, bounds } = catalogue[name];
      return [
        name,
        meter.createHistogram(name, { unit, description, advice: { explicitBucketBoundaries: [...bounds] } }),
      ];
    }),
  );
  return (metric, value, attributes) => histograms.get(metric)?.record(value, attributes);
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

/** Registers the catalogue's SDK metrics with a MeterProvider, whose periodic reader is the agent's tick. */
export const createTelemetry = (options: TelemetryOptions): Telemetry => {
  const { resource, version, intervalMs, timeoutMs, log } = options;
  const collect = shared(options.collect);
  const carryOver = createCarryOver();
  let observed = new Set<string>();
  let last: Collected | undefined;

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
    const names = new Set<string>(namesOf<ObservedMetric>(false));
    const columns = metrics.scopeMetrics
      .flatMap((scope) => scope.metrics)
      .flatMap((data) => {
        const { name } = data.descriptor;
        const keep = (attributes: Attributes): boolean => !names.has(name) || observed.has(seriesKey(name, attributes));
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
    metricProducers: [
      {
        collect: async () => {
          const { columns, time } = (last = await collect("producer"));
          const scope = { name: scopeName, version };
          const metrics = columns.map((metric) => toMetricData(metric, time));
          const scopeMetrics = metrics.length === 0 ? [] : [{ scope, metrics }];
          return { resourceMetrics: { resource: resourceFromAttributes({}), scopeMetrics }, errors: [] };
        },
      },
    ],
  });
  const provider = new MeterProvider({
    resource: resourceFromAttributes(resource),
    readers: [reader],
    sdkMetricsEnabled: true,
  });
  const meter = provider.getMeter(scopeName, version);
  const observables = createObservables(meter);
  meter.addBatchObservableCallback(
    async (result) => {
      const { observations } = await collect("observables");
      observed = new Set();
      for (const { metric, value, attributes } of observations) {
        const observable = observables.get(metric);
        if (observable === undefined) continue;
        const key = seriesKey(metric, attributes);
        observed.add(key);
        result.observe(observable, catalogue[metric].kind === "counter" ? carryOver(key, value) : value, attributes);
      }
    },
    [...observables.values()],
  );

  return {
    record: createRecorder(meter),
    collectNow: () => reader.forceFlush(),
    shutdown: () => reader.shutdown(),
  };
};
