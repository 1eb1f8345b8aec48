import {
  attributes,
  catalogue,
  descriptorOf,
  groupAttributes,
  seriesAttributes,
  type AttributeName,
  type MetricName,
  type SeriesKind,
} from "./catalogue.ts";
import { prometheusName } from "./prometheus-name.ts";

const areas: Readonly<Record<string, readonly string[]>> = {
  Probes: ["sockscope.probe."],
  "Flows and sockets": [
    "system.network.",
    "sockscope.flow.",
    "sockscope.tcp.",
    "sockscope.listener.",
    "sockscope.udp.",
    "sockscope.socket.",
  ],
  Host: ["sockscope.sockstat."],
  Agent: ["sockscope.agent.", "otel.sdk."],
  "Other tools' series": ["tcp.", "udp.", "socketstat_", "tcp_", "sockstat.", "connection_status_"],
};

/** What an area says before its metrics. */
const introductions: Readonly<Record<string, string>> = {
  "Other tools' series": `With \`compat\` sockscope adds series under the names of other tools, beside its own and from the same records. On the
page these have their documented names, in which dots become underscores and to which nothing is appended; OpenMetrics
knows no counter without \`_total\` and has those as \`unknown\`. By OTLP they have the names and units below; a receiver
that translates them for Prometheus may append a unit or \`_total\`. A reading that is not there is absent: none of them
writes 0 for it, as some of the tools do.

- **datakit**: response times are integers of microseconds. The target's own attributes are tags; the documented ones win
  over them. Targets of the same tags share a series, which says what the last run said.
- **telegraf**: sockets in the states that \`ss -in --PROTO\` shows: all but LISTEN, CLOSE, TIME-WAIT and SYN-RECV of tcp,
  dccp, sctp and unix, connected ones of udp and raw, all of packet. Telegraf's fields have no type, and are gauges as its
  OpenTelemetry output has them; the field \`state\` is a label, as with its \`string_as_label\`. What ss leaves out since
  it is 0 is 0 here. Sockets that ss shows alike are one series with their sums. With \`sockets.source\` ss or proc the
  names of devices and the inodes of unix peers are not known.
- **ss_exporter**: flows are TCP sockets that reached ESTABLISHED, of IPv6 too. With \`pid_condensed\` flows that share a
  label are folded: counters add up what each flow counts while it lives, and never fall. Where several processes hold a
  socket, the lowest pid counts.
- **sockstat**: mem is in KB of 1024 bytes.
- **connection_status**: the labels are what the target's \`compat\` says, else what it is.

The series of telegraf and ss_exporter have a budget each (\`sockets.max_groups\`), and one with \`otel.metric.overflow\` =
true for what does not fit.`,
};

const instruments = {
  counter: "Counter",
  updowncounter: "Up-down counter",
  gauge: "Gauge",
  histogram: "Histogram",
} as const;

/** What a series of each kind is one of. */
const seriesNames: Readonly<Record<Exclude<SeriesKind, "none">, string>> = {
  target: "probe target",
  group: "group of flows",
  listener: "listener",
  udp_port: "UDP port",
  family: "family of sockets",
  datakit: "datakit target",
  telegraf: "telegraf socket",
  ss_exporter: "ss_exporter flow",
  connection_status: "connection_status target",
  namespace: "network namespace",
};

const metricNames = Object.keys(catalogue).filter((name): name is MetricName => name in catalogue);
const attributeNames = Object.keys(attributes).filter((name): name is AttributeName => name in attributes);

type Metric = {
  readonly name: MetricName;
  readonly instrument: keyof typeof instruments;
  readonly unit: string;
  readonly value: "int" | "double";
  readonly description: string;
  readonly prometheus: string;
  readonly series: SeriesKind;
  readonly canEnd: boolean;
  readonly own: readonly AttributeName[];
  readonly optional: readonly AttributeName[];
  readonly bounds: readonly number[] | undefined;
};

const metricOf = (name: MetricName): Metric => {
  const descriptor = descriptorOf(name);
  const { unit, kind, value, description } = descriptor;
  const row = catalogue[name];
  return {
    name,
    instrument: kind,
    unit,
    value,
    description,
    prometheus: prometheusName(descriptor).sample,
    series: row.series,
    canEnd: row.series !== "none" || descriptor.verbatim === true,
    own: row.own,
    optional: "optional" in row ? row.optional : [],
    bounds: "bounds" in row ? row.bounds : undefined,
  };
};

const code = (text: string): string => `\`${text}\``;
const codes = (names: readonly string[]): string => names.map(code).join(", ");
const cell = (text: string): string => text.replaceAll("|", "\\|");
const tableRow = (cells: readonly string[]): string => `| ${cells.map(cell).join(" | ")} |`;
const table = (header: readonly string[], rows: readonly (readonly string[])[]): string =>
  [tableRow(header), tableRow(header.map(() => "---")), ...rows.map(tableRow)].join("\n");

const valuesOf = (name: AttributeName): readonly string[] => {
  const row = attributes[name];
  return "values" in row ? row.values : [];
};

/** Long lists of values are left to the table of attributes. */
const withValues = (name: AttributeName): string => {
  const values = valuesOf(name);
  return values.length > 0 && values.length <= 11 ? `${code(name)} = ${values.join(", ")}` : code(name);
};

const attributesLine = ({ series, own, optional }: Metric): string => {
  const parts = [
    ...(series === "none" ? [] : [`those of a [${seriesNames[series]}](#series)`]),
    ...own.map(withValues),
    ...optional.map((name) => `${withValues(name)} (on some points)`),
  ];
  return parts.length === 0 ? "none" : parts.join("; ");
};

const boundsLine = ({ instrument, unit, bounds }: Metric): string[] => {
  if (instrument !== "histogram") return [];
  return [
    `- Bounds: ${bounds === undefined ? "by the configuration" : bounds.length === 0 ? "none" : `${bounds.join(", ")} ${unit}`}`,
  ];
};

const prometheusLine = ({ instrument, prometheus }: Metric): string =>
  instrument === "histogram"
    ? codes([`${prometheus}_bucket`, `${prometheus}_sum`, `${prometheus}_count`])
    : code(prometheus);

const renderMetric = (metric: Metric): string =>
  [
    `### ${metric.name}\n`,
    `${metric.description}\n`,
    `- ${instruments[metric.instrument]}, ${metric.unit === "" ? "without a unit" : `unit ${code(metric.unit)}`}, ${metric.value}${metric.canEnd ? "; its series can end" : ""}`,
    `- Attributes: ${attributesLine(metric)}`,
    ...boundsLine(metric),
    `- Prometheus: ${prometheusLine(metric)}`,
  ].join("\n");

const renderArea = (title: string, prefixes: readonly string[]): string =>
  [
    `## ${title}`,
    ...(introductions[title] === undefined ? [] : [introductions[title]]),
    ...metricNames
      .filter((name) => prefixes.some((prefix) => name.startsWith(prefix)))
      .map((name) => renderMetric(metricOf(name))),
  ].join("\n\n");

const intro = `# Metrics

Generated from src/metrics/catalogue.ts by \`npm run generate\`.

A reading that the kernel or a target did not give is absent, never 0. Where a metric's series can end, a series that
ends gets one last OTLP point with the no-recorded-value flag. The Prometheus names are those of the agent's own page,
by OpenTelemetry's "Prometheus and OpenMetrics Compatibility"; there attribute names have underscores for dots.`;

const renderSeries = (): string =>
  [
    "## Series",
    table(
      ["a series is one", "attributes"],
      [
        ["probe target", `${codes(seriesAttributes.target)}, those that it has, and the target's own \`attributes\``],
        ["group of flows", "by `sockets.group_by`, below"],
        ["listener", `${codes(seriesAttributes.listener)} where several namespaces are read`],
        ["UDP port", `${codes(seriesAttributes.udp_port)} where several namespaces are read`],
        ["family of sockets", `${codes(seriesAttributes.family)}, those that the protocol has`],
        ["datakit target", `${codes(seriesAttributes.datakit)}, and the target's own \`attributes\``],
        ["telegraf socket", `${codes(seriesAttributes.telegraf)}, those that it has`],
        ["ss_exporter flow", codes(seriesAttributes.ss_exporter)],
        ["connection_status target", codes(seriesAttributes.connection_status)],
        ["network namespace", `${codes(seriesAttributes.namespace)} where several are read, else none`],
      ],
    ),
    "A target with `all_addresses` is a series for each address, with `network.peer.address`; " +
      "`sockscope.probe.attempts`, `.resolved_addresses` and `.address_changes` are the target's. " +
      "A run that failed before there were addresses is one of every address that is known.",
    "Groups, listeners and UDP ports have a budget each. What does not fit is one series with " +
      "`otel.metric.overflow` = true, so that sums still match the kernel's.",
    table(
      ["`sockets.group_by`", "attributes of a group"],
      Object.entries<readonly string[]>(groupAttributes).map(([preset, names]) => [code(preset), codes(names)]),
    ),
    "Where several network namespaces are read (`sockets.namespaces`), each of these has `sockscope.netns` as well.",
  ].join("\n\n");

const renderAttributes = (): string =>
  [
    "## Attributes",
    table(
      ["attribute", "type", "values", "description"],
      attributeNames.map((name) => [
        code(name),
        attributes[name].type,
        valuesOf(name).join(", "),
        attributes[name].description,
      ]),
    ),
  ].join("\n\n");

/** Renders docs/METRICS.md. */
export const renderMetricsDocs = (): string =>
  `${[
    intro,
    ...Object.entries(areas).map(([title, prefixes]) => renderArea(title, prefixes)),
    renderSeries(),
    renderAttributes(),
  ].join("\n\n")}\n`;

/** Renders the catalogue for programs, with snake_case keys. */
export const renderMetricsJson = (): string => {
  const metrics = metricNames.map(metricOf).map(({ canEnd, own, optional, series, ...rest }) => ({
    ...rest,
    series,
    can_end: canEnd,
    attributes: [...seriesAttributes[series], ...own],
    optional_attributes: optional,
  }));
  return `${JSON.stringify({ metrics, group_by: groupAttributes, attributes }, undefined, 2)}\n`;
};
