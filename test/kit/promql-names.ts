import { attributes } from "../../src/metrics/catalogue.ts";
import { prometheusLabel } from "../../src/metrics/prometheus-name.ts";
import { readMetricsDoc } from "./metrics-doc.ts";

/** What says whose a sample is, and what a histogram's bucket and a collector's page add. */
const otherLabels = [
  "job",
  "instance",
  "host_name",
  "os_type",
  "service_version",
  "otel_scope_name",
  "otel_scope_version",
  "otel_scope_schema_url",
  "le",
];

/** Every label that a sample can have. */
export const knownLabels: ReadonlySet<string> = new Set([
  ...Object.keys(attributes).map(prometheusLabel),
  ...otherLabels,
]);

/** Every sample's name, by the catalogue. */
export const knownSamples = (): ReadonlySet<string> =>
  new Set([...readMetricsDoc().metrics.values()].flatMap(({ prometheus }) => prometheus));

const words = (text: string): string[] => text.match(/[a-zA-Z_][\w:]*/g) ?? [];

/** The names of metrics and labels in a PromQL query. */
export const namesIn = (query: string): { readonly metrics: string[]; readonly labels: string[] } => {
  const labels: string[] = [];
  const rest = query
    .replaceAll(/"(?:[^"\\]|\\.)*"/g, "")
    .replaceAll(/\{([^}]*)\}/g, (_, matchers: string) => {
      labels.push(...words(matchers));
      return "";
    })
    .replaceAll(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g, (_, list: string) => {
      labels.push(...words(list));
      return "";
    });
  // Functions and keywords have one word, or a parenthesis behind them.
  const named = rest.matchAll(/(?<![\w:])([a-zA-Z][\w]*[_:][\w:]*)(?![\w:]*\s*\()/g);
  return { metrics: [...new Set([...named].map(([, name = ""]) => name))], labels: [...new Set(labels)] };
};
