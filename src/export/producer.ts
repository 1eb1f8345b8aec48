import { resourceFromAttributes } from "@opentelemetry/resources";
import type { MetricProducer } from "@opentelemetry/sdk-metrics";
import type { MetricColumns } from "../model/columns.ts";
import { type Collected, scopeName } from "./instruments.ts";
import { toMetricData } from "./metric-data.ts";

export type { MetricProducer };

type ProducerOptions = {
  readonly version: string;
  readonly collect: () => Promise<Collected>;
  /** Which metrics are handed on. */
  readonly wants?: (metric: MetricColumns) => boolean;
};

/** Whether it has points: a stock exporter would send a metric without any, and knows no series that end. */
export const hasPoints = ({ numbers, histograms }: MetricColumns): boolean => numbers.length + histograms.length > 0;

/** The series that can end, as a producer for a reader. It is as quick as its collections, since a reader waits for it. */
export const createProducer = ({ version, collect, wants = () => true }: ProducerOptions): MetricProducer => ({
  collect: async () => {
    const { columns, time } = await collect();
    const metrics = columns.filter(wants).map((metric) => toMetricData(metric, time));
    const scopeMetrics = metrics.length === 0 ? [] : [{ scope: { name: scopeName, version }, metrics }];
    return { resourceMetrics: { resource: resourceFromAttributes({}), scopeMetrics }, errors: [] };
  },
});
