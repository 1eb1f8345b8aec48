import { prometheusLabel, prometheusName, type PrometheusName } from "../metrics/prometheus-name.ts";
import {
  type Attributes,
  type AttributeSet,
  type HistogramColumn,
  type MetricColumns,
  type MetricDescriptor,
  type NumberColumn,
  type Snapshot,
} from "../model/columns.ts";

/** The formats of the page and their content types: OpenMetrics 1.0 and the Prometheus text format 0.0.4. */
export const contentTypes = {
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
  text: "text/plain; version=0.0.4; charset=utf-8",
} as const;

export type PrometheusFormat = keyof typeof contentTypes;

/**
 * Lines between two yields. A point is one line or more, and the first page that shows a series also renders its
 * labels, so this stays well below the 10,000 points that a slice may handle.
 */
const chunkLines = 1_000;

/** A page in the making: `text` is what has been rendered since the last chunk. */
type Page = { readonly format: PrometheusFormat; readonly nameOf: LabelName; text: string; lines: number };

type Family = {
  readonly name: PrometheusName;
  /** The name in the metadata lines: the text format knows no family, only names of samples. */
  readonly heading: string;
  readonly type: "counter" | "gauge" | "histogram" | "unknown";
  readonly metrics: MetricColumns[];
};

const escapeLabel = (text: string): string => {
  const valid = text.toWellFormed();
  if (!/[\\"\n]/.test(valid)) return valid;
  return valid.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
};

const escapeHelp = (text: string, format: PrometheusFormat): string => {
  const escaped = text.toWellFormed().replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  return format === "openmetrics" ? escaped.replaceAll('"', '\\"') : escaped;
};

type LabelName = (attribute: string) => string;

/** Attribute names are few and sets are many: each name is translated once a page. */
const labelNames = (): LabelName => {
  const known = new Map<string, string>();
  return (attribute) => {
    let label = known.get(attribute);
    if (label === undefined) known.set(attribute, (label = prometheusLabel(attribute)));
    return label;
  };
};

/** The values of attributes whose names meet are joined with `;` in the order of the original names. */
const renderMeetingLabels = (values: Attributes, nameOf: LabelName): string => {
  const joined = new Map<string, string>();
  for (const attribute of Object.keys(values).sort()) {
    const label = nameOf(attribute);
    const value = escapeLabel(String(values[attribute]));
    const before = joined.get(label);
    joined.set(label, before === undefined ? value : `${before};${value}`);
  }
  return [...joined].map(([label, value]) => `${label}="${value}"`).join(",");
};

const renderLabels = (values: Attributes, nameOf: LabelName): string => {
  const labels: string[] = [];
  const parts: string[] = [];
  for (const attribute of Object.keys(values)) {
    const label = nameOf(attribute);
    if (labels.includes(label)) return renderMeetingLabels(values, nameOf);
    labels.push(label);
    parts.push(`${label}="${escapeLabel(String(values[attribute]))}"`);
  }
  // Joined at once, because the text is kept: one that grew by += would be kept as a tree of its pieces.
  return parts.join(",");
};

/** Joins the metric's own labels with those of a series, both cached, unless a name is in both. */
const labelJoiner = (own: AttributeSet, nameOf: LabelName): ((set: AttributeSet) => string) => {
  const labelsOf = (set: AttributeSet): string => (set.labels ??= renderLabels(set.values, nameOf));
  const ownLabels = labelsOf(own);
  if (ownLabels === "") return labelsOf;
  const names = Object.keys(own.values).map((attribute) => `${nameOf(attribute)}="`);
  return (set) => {
    const labels = labelsOf(set);
    if (labels === "") return ownLabels;
    // A duplicate label voids the whole page for its reader. A false alarm (`my_state="` for `state="`) only costs time.
    for (const name of names) if (labels.includes(name)) return renderLabels({ ...set.values, ...own.values }, nameOf);
    return `${ownLabels},${labels}`;
  };
};

const renderNumber = (value: number): string =>
  value === Infinity ? "+Inf" : value === -Infinity ? "-Inf" : String(value);

/**
 * A bucket's bound as OpenMetrics' "Canonical Numbers" has it (Go's %g with `.0` for whole numbers). Both formats use
 * it, so that a bucket is the same series whichever a reader negotiates.
 */
const canonicalNumber = (value: number): string => {
  const [digits = "", exponent = "0"] = value.toExponential().split("e");
  const power = Number(exponent);
  if (power < -4 || power >= 6) return `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  return Number.isInteger(value) ? `${value}.0` : String(value);
};

/** In OpenMetrics a counter's sample must end with `_total`. */
const typeOf = ({ kind, verbatim }: MetricDescriptor, format: PrometheusFormat): Family["type"] => {
  if (kind === "counter" && verbatim === true && format === "openmetrics") return "unknown";
  return kind === "updowncounter" ? "gauge" : kind;
};

const hasPoints = ({ numbers, histograms }: MetricColumns): boolean =>
  numbers.some(({ sets }) => sets.length > 0) || histograms.some(({ sets }) => sets.length > 0);

/** The families in the order of their names. */
const familiesOf = (metrics: readonly MetricColumns[], format: PrometheusFormat): Family[] => {
  const families = new Map<string, Family>();
  for (const metric of metrics) {
    if (!hasPoints(metric)) continue;
    const name = prometheusName(metric.descriptor);
    const heading = format === "openmetrics" ? name.family : name.sample;
    const type = typeOf(metric.descriptor, format);
    const family = families.get(heading);
    if (family === undefined) families.set(heading, { name, heading, type, metrics: [metric] });
    // "Exporters MUST drop entire metrics to prevent conflicting TYPE comments" (compatibility specification).
    else if (family.type === type) family.metrics.push(metric);
  }
  return [...families.values()].sort((a, b) => (a.heading < b.heading ? -1 : 1));
};

const renderHeading = ({ name, heading, type, metrics }: Family, format: PrometheusFormat): string => {
  const description = metrics[0]?.descriptor.description ?? "";
  const help = description === "" ? "" : `# HELP ${heading} ${escapeHelp(description, format)}\n`;
  if (format === "text") return `${help}# TYPE ${heading} ${type}\n`;
  const unit = name.unit === undefined ? "" : `# UNIT ${heading} ${name.unit}\n`;
  return `# TYPE ${heading} ${type}\n${unit}${help}`;
};

const renderTarget = (resource: Attributes, format: PrometheusFormat, nameOf: LabelName): string => {
  const labels = renderLabels(resource, nameOf);
  if (labels === "") return "";
  const help = "The resource that all series belong to.";
  return format === "openmetrics"
    ? `# TYPE target info\n# HELP target ${help}\ntarget_info{${labels}} 1\n`
    : `# HELP target_info ${help}\n# TYPE target_info gauge\ntarget_info{${labels}} 1\n`;
};

/** Hands out what is rendered, once it is enough for a chunk. */
function* flush(page: Page): Generator<string> {
  if (page.lines < chunkLines) return;
  yield page.text;
  page.text = "";
  page.lines = 0;
}

const renderCreated = (page: Page, name: string, labels: string, start: number): void => {
  if (page.format === "text" || start === 0) return;
  page.text += `${name}_created${labels} ${start / 1000}\n`;
  page.lines += 1;
};

function* renderNumbers(
  page: Page,
  column: NumberColumn,
  name: PrometheusName,
  type: Family["type"],
): Generator<string> {
  const { own, sets, starts, values } = column;
  const labelsOf = labelJoiner(own, page.nameOf);
  for (let index = 0; index < sets.length; index++) {
    const labels = labelsOf(sets[index]!);
    const braced = labels === "" ? "" : `{${labels}}`;
    page.text += `${name.sample}${braced} ${renderNumber(values[index]!)}\n`;
    page.lines += 1;
    if (type === "counter") renderCreated(page, name.family, braced, starts[index]!);
    if (page.lines >= chunkLines) yield* flush(page);
  }
}

function* renderHistograms(page: Page, column: HistogramColumn, name: string): Generator<string> {
  const { own, sets, starts, bounds, counts, sums } = column;
  const labelsOf = labelJoiner(own, page.nameOf);
  const edges = [...bounds.map(canonicalNumber), "+Inf"];
  for (let index = 0; index < sets.length; index++) {
    const labels = labelsOf(sets[index]!);
    const bucket = `${name}_bucket{${labels}${labels === "" ? "" : ","}le="`;
    const braced = labels === "" ? "" : `{${labels}}`;
    let count = 0;
    for (const [place, edge] of edges.entries()) {
      count += counts[index * edges.length + place]!;
      page.text += `${bucket}${edge}"} ${count}\n`;
    }
    page.text += `${name}_sum${braced} ${renderNumber(sums[index]!)}\n${name}_count${braced} ${count}\n`;
    page.lines += edges.length + 2;
    renderCreated(page, name, braced, starts[index]!);
    yield* flush(page);
  }
}

/** Renders the live series of a tick, in chunks between which a server can yield. Ended series are not shown. */
export function* renderPrometheus(snapshot: Snapshot, format: PrometheusFormat): Generator<string> {
  const nameOf = labelNames();
  const page: Page = { format, nameOf, text: renderTarget(snapshot.resource, format, nameOf), lines: 1 };
  for (const family of familiesOf(snapshot.metrics, format)) {
    page.text += renderHeading(family, format);
    for (const { numbers, histograms } of family.metrics) {
      for (const column of numbers) yield* renderNumbers(page, column, family.name, family.type);
      for (const column of histograms) yield* renderHistograms(page, column, family.name.sample);
    }
  }
  if (format === "openmetrics") page.text += "# EOF\n";
  if (page.text !== "") yield page.text;
}
