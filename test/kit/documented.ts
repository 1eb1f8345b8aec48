import { expect } from "vitest";
import type { Exposition } from "./exposition.ts";
import { type DocumentedMetric, readMetricsDoc } from "./metrics-doc.ts";
import type { ReceivedPoint } from "./otlp-receiver.ts";

const kindOf = (point: ReceivedPoint): string => {
  if (point.kind === "sum") return point.monotonic ? "Counter" : "Up-down counter";
  return point.kind === "gauge" ? "Gauge" : "Histogram";
};

type Configured = {
  readonly groupBy: string;
  /** Given to targets by the configuration. */ readonly targetAttributes?: readonly string[];
};

/** Attributes that points of a metric may have, by docs/METRICS.md and the configuration. */
const attributesAllowed = (
  { seriesAttributes }: ReturnType<typeof readMetricsDoc>,
  { groupBy, targetAttributes = [] }: Configured,
): ((metric: DocumentedMetric) => string[]) => {
  const known = new Map<DocumentedMetric, string[]>();
  return (metric) => {
    const ofSeries =
      metric.series === undefined
        ? []
        : [...seriesAttributes(metric.series, groupBy), ...targetAttributes, "otel.metric.overflow"];
    const allowed = known.get(metric) ?? [...metric.own, ...ofSeries];
    known.set(metric, allowed);
    return allowed;
  };
};

/** Every point has the unit, type and attributes that docs/METRICS.md gives its metric. */
export const expectAsDocumented = (points: readonly ReceivedPoint[], configured: Configured): void => {
  const doc = readMetricsDoc();
  const allowedOf = attributesAllowed(doc, configured);
  for (const point of points) {
    const documented = doc.metrics.get(point.name);
    expect(documented, point.name).toBeDefined();
    if (documented === undefined) continue;
    expect([point.name, kindOf(point), point.unit]).toEqual([point.name, documented.instrument, documented.unit]);
    if (point.kind !== "gauge") expect(point.temporality).toBe(2);
    expect(allowedOf(documented), point.name).toEqual(expect.arrayContaining(Object.keys(point.attributes)));
    if (point.value !== undefined && documented.value === "int")
      expect(Number.isInteger(point.value), point.name).toBe(true);
  }
};

const prometheusTypes: Readonly<Record<string, string>> = {
  Counter: "counter",
  "Up-down counter": "gauge",
  Gauge: "gauge",
  Histogram: "histogram",
};

/** Labels that the Collector's page adds: whose the metrics are, and the resource. */
const collectorLabels = ["job", "instance", "host_name", "os_type", "service_version"];
const scopeLabels = ["otel_scope_name", "otel_scope_version", "otel_scope_schema_url"];

/** Every sample of the Collector's page has the name, type and labels that docs/METRICS.md gives its metric. */
export const expectPageAsDocumented = ({ samples, types }: Exposition, configured: Configured): void => {
  const doc = readMetricsDoc();
  const allowedOf = attributesAllowed(doc, configured);
  const byName = new Map(
    [...doc.metrics.values()].flatMap((metric) => metric.prometheus.map((name) => [name, metric])),
  );
  for (const { name, labels } of samples) {
    if (name === "target_info") continue;
    const documented = byName.get(name);
    expect(documented, name).toBeDefined();
    if (documented === undefined) continue;
    const family = name.replace(documented.instrument === "Histogram" ? /_(?:bucket|sum|count)$/ : /$^/, "");
    expect([name, types.get(family)]).toEqual([name, prometheusTypes[documented.instrument]]);
    const allowed = allowedOf(documented).map((attribute) => attribute.replaceAll(".", "_"));
    const le = name.endsWith("_bucket") ? ["le"] : [];
    expect([...allowed, ...le, ...collectorLabels, ...scopeLabels], name).toEqual(
      expect.arrayContaining(Object.keys(labels)),
    );
    expect(Object.keys(labels), name).toEqual(expect.arrayContaining(collectorLabels));
  }
};
