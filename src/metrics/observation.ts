import type { OwnAttributes, SdkMetricOf } from "./catalogue.ts";

/** Metrics that the SDK pulls: what a tick observes of them. */
export type ObservedMetric = SdkMetricOf<"gauge" | "counter" | "updowncounter">;

export type Observation = {
  readonly [M in ObservedMetric]: {
    readonly metric: M;
    readonly value: number;
    readonly attributes: OwnAttributes<M>;
  };
}[ObservedMetric];

/** Metrics that are recorded as things happen. */
export type RecordedMetric = SdkMetricOf<"histogram">;

export type RecordValue = <M extends RecordedMetric>(metric: M, value: number, attributes: OwnAttributes<M>) => void;
