import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { attributes, catalogue } from "../../src/metrics/catalogue.ts";
import { renderMetricsDocs, renderMetricsJson } from "../../src/metrics/docs.ts";

const docs = renderMetricsDocs();
const sectionOf = (name: string): string => {
  const start = docs.indexOf(`### ${name}\n`);
  return docs.slice(start, docs.indexOf("\n#", start + 1));
};

describe("renderMetricsDocs", () => {
  test("docs/METRICS.md is what the catalogue says", () => {
    expect(readFileSync(new URL("../../docs/METRICS.md", import.meta.url), "utf8")).toBe(docs);
  });

  test("every metric has one section, in an area", () => {
    const titles = [...docs.matchAll(/^### (.*)$/gm)].map((match) => String(match[1]));
    expect(titles.toSorted()).toEqual(Object.keys(catalogue).sort());
    expect([...docs.matchAll(/^## (.*)$/gm)].map((match) => match[1])).toEqual([
      "Probes",
      "Flows and sockets",
      "Host",
      "Agent",
      "Other tools' series",
      "Series",
      "Attributes",
    ]);
  });

  test("a metric that can end, with attributes of its own", () => {
    expect(sectionOf("sockscope.flow.io")).toBe(`### sockscope.flow.io

${catalogue["sockscope.flow.io"].description}

- Counter, unit \`By\`, int; its series can end
- Attributes: those of a [group of flows](#series); \`network.io.direction\` = transmit, receive
- Prometheus: \`sockscope_flow_io_bytes_total\`
`);
  });

  test("a histogram with its bounds, and one that takes them from the configuration", () => {
    expect(sectionOf("sockscope.probe.schedule.lag")).toBe(`### sockscope.probe.schedule.lag

${catalogue["sockscope.probe.schedule.lag"].description}

- Histogram, unit \`s\`, double
- Attributes: none
- Bounds: 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30 s
- Prometheus: \`sockscope_probe_schedule_lag_seconds_bucket\`, \`sockscope_probe_schedule_lag_seconds_sum\`, \`sockscope_probe_schedule_lag_seconds_count\`
`);
    expect(sectionOf("sockscope.tcp.rtt")).toContain("- Bounds: by the configuration\n");
  });

  test("every attribute and every preset has a row", () => {
    for (const name of Object.keys(attributes)) expect(docs).toContain(`\n| \`${name}\` | `);
    expect(docs).toContain("\n| `host` | `network.transport` |\n");
  });
});

describe("renderMetricsJson", () => {
  test("holds every metric with snake_case keys", () => {
    const parsed = JSON.parse(renderMetricsJson()) as { metrics: { name: string }[]; group_by: object };
    expect(parsed.metrics.map(({ name }) => name)).toEqual(Object.keys(catalogue));
    expect(parsed.metrics.find(({ name }) => name === "sockscope.probe.runs")).toEqual({
      name: "sockscope.probe.runs",
      instrument: "counter",
      unit: "{run}",
      value: "int",
      description: catalogue["sockscope.probe.runs"].description,
      prometheus: "sockscope_probe_runs_total",
      series: "target",
      can_end: true,
      attributes: [
        "sockscope.probe.name",
        "sockscope.probe.type",
        "server.address",
        "server.port",
        "network.transport",
        "network.protocol.name",
        "network.peer.address",
        "sockscope.probe.outcome",
      ],
      optional_attributes: ["error.type", "sockscope.probe.phase"],
    });
    expect(Object.keys(parsed.group_by)).toEqual(["socket", "process", "endpoint", "container", "host"]);
  });
});
