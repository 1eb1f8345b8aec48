import type { MetricDescriptor } from "../model/columns.ts";

/** What a metric is called on the Prometheus page. */
export type PrometheusName = {
  /** The family in OpenMetrics: with the unit, without `_total`. */
  readonly family: string;
  /** The samples, without what a histogram's samples append (`_bucket`, `_sum`, `_count`). */
  readonly sample: string;
  /** OpenMetrics allows a UNIT only where the family's name ends with it. */
  readonly unit: string | undefined;
};

const unitWords: Readonly<Record<string, string>> = { s: "seconds", ms: "milliseconds", By: "bytes", "%": "percent" };
const perWords: Readonly<Record<string, string>> = { s: "second", min: "minute", h: "hour" };

const tokensOf = (text: string): string[] => text.split(/[^a-zA-Z0-9:]+/).filter((token) => token !== "");

/** `By/s` as `bytes_per_second`; annotations in braces are no unit. */
const unitName = (unit: string, kind: MetricDescriptor["kind"]): string => {
  // The specification turns 1 into ratio without exception. As in Prometheus' own translation of OTLP only gauges
  // get it: a state or a count of things (up, capability) is no ratio.
  if (unit === "1") return kind === "gauge" ? "ratio" : "";
  const [main = "", per = ""] = unit.replace(/\{[^}]*\}/g, "").split("/");
  const words = main === "1" ? [] : tokensOf(unitWords[main] ?? main);
  return [...words, ...tokensOf(per).map((word) => `per_${perWords[word] ?? word}`)].join("_");
};

/**
 * Translates a metric's name as the OpenTelemetry specification says: "Prometheus and OpenMetrics Compatibility",
 * section "OTLP Metric points to Prometheus".
 */
export const prometheusName = ({
  name,
  unit,
  kind,
  verbatim,
}: Pick<MetricDescriptor, "name" | "unit" | "kind" | "verbatim">): PrometheusName => {
  if (verbatim === true) {
    const own = name.replaceAll(".", "_");
    return { family: own, sample: own, unit: undefined };
  }
  const tokens = tokensOf(name);
  if (kind === "counter" && tokens.at(-1) === "total") tokens.pop();
  const plain = `${/^\d/.test(tokens[0] ?? "") ? "_" : ""}${tokens.join("_")}`;
  const suffix = unitName(unit, kind);
  const family = suffix === "" || `_${plain}_`.includes(`_${suffix}_`) ? plain : `${plain}_${suffix}`;
  return {
    family,
    sample: kind === "counter" ? `${family}_total` : family,
    unit: suffix !== "" && family.endsWith(`_${suffix}`) ? suffix : undefined,
  };
};

/** Translates an attribute's name into a label's; names may meet, and then the values are joined. */
export const prometheusLabel = (attribute: string): string => {
  const label = attribute.replace(/[^a-zA-Z0-9]+/g, "_");
  // Names that begin with an underscore are reserved (OpenMetrics), those with a digit are invalid.
  return /^[a-zA-Z]/.test(label) ? label : `key_${label.replace(/^_/, "")}`;
};
