import {
  type BatchObservableCallback,
  type Meter,
  type MeterProvider,
  type Observable,
  ValueType,
} from "@opentelemetry/api";
import { catalogue, type SdkMetric } from "../metrics/catalogue.ts";
import type { Observation, ObservedMetric, RecordedMetric, RecordValue } from "../metrics/observation.ts";
import { type Attributes, attributesKey, type MetricColumns } from "../model/columns.ts";

/** What one collection has read; a part of the agent makes it. */
export type Collected = {
  /** Unix ms. */
  readonly time: number;
  readonly columns: readonly MetricColumns[];
  readonly observations: readonly Observation[];
};

/** Of all metrics, whoever carries them. */
export const scopeName = "sockscope";

/** Where meters come from. */
export type Meters = Pick<MeterProvider, "getMeter">;

const seriesKey = (metric: string, attributes: Attributes): string => `${metric} ${attributesKey(attributes)}`;

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

export type Instruments = {
  readonly record: RecordValue;
  /** Whether the last collection has observed it, or is of no observable: the SDK repeats what is observed no longer. */
  readonly isCurrent: (metric: string, attributes: Attributes) => boolean;
  /** Nothing is observed from now on. */
  readonly release: () => void;
};

/** Makes instruments of the catalogue's SDK metrics; the provider's readers then ask for a collection each time. */
export const registerInstruments = (
  meters: Meters,
  version: string,
  collect: () => Promise<Collected>,
): Instruments => {
  const meter = meters.getMeter(scopeName, version);
  const carryOver = createCarryOver();
  const observables = createObservables(meter);
  const instruments = [...observables.values()];
  const names = new Set<string>(observables.keys());
  let observed = new Set<string>();
  const observe: BatchObservableCallback = async (result) => {
    const { observations } = await collect();
    observed = new Set();
    for (const { metric, value, attributes } of observations) {
      const observable = observables.get(metric);
      if (observable === undefined) continue;
      const key = seriesKey(metric, attributes);
      observed.add(key);
      result.observe(observable, catalogue[metric].kind === "counter" ? carryOver(key, value) : value, attributes);
    }
  };
  meter.addBatchObservableCallback(observe, instruments);
  return {
    record: createRecorder(meter),
    isCurrent: (metric, attributes) => !names.has(metric) || observed.has(seriesKey(metric, attributes)),
    release: () => meter.removeBatchObservableCallback(observe, instruments),
  };
};
