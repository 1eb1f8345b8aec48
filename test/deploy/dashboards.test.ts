import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { root } from "../kit/agent.ts";
import { dashboards, substituted } from "../kit/dashboards.ts";
import { knownLabels, knownSamples, namesIn } from "../kit/promql-names.ts";

test("there are four, each by a uid of its own", () => {
  expect(dashboards.map(({ uid }) => uid).sort()).toEqual([
    "sockscope-agent",
    "sockscope-listeners",
    "sockscope-sockets",
    "sockscope-targets",
  ]);
});

test("Grafana of docker-compose.yml finds them, and its data source is Prometheus there", () => {
  const read = (file: string): unknown => parse(readFileSync(join(root, file), "utf8"));
  const { services } = read("docker-compose.yml") as {
    services: Record<string, { volumes: string[]; ports: string[] }>;
  };
  const { providers } = read("deploy/grafana/provisioning/dashboards/sockscope.yaml") as {
    providers: { options: { path: string } }[];
  };
  const { datasources } = read("deploy/grafana/provisioning/datasources/sockscope.yaml") as {
    datasources: { url: string }[];
  };
  expect(services["grafana"]?.volumes).toContain(`./deploy/grafana/dashboards:${providers[0]?.options.path}:ro`);
  expect(services["grafana"]?.volumes).toContain("./deploy/grafana/provisioning:/etc/grafana/provisioning:ro");
  expect(datasources.map(({ url }) => url)).toEqual(["http://prometheus:9090"]);
  expect(services["prometheus"]?.volumes).toContain("./deploy/prometheus:/etc/prometheus:ro");
});

describe.each(dashboards)("$title", ({ panels, templating }) => {
  const queried = panels.filter(({ type }) => type !== "row");
  const variables = templating.list.map(({ name }) => name);

  test("every panel asks the data source that is chosen, by variables that there are", () => {
    for (const { title, datasource, targets = [] } of queried) {
      expect(datasource?.uid, title).toBe("${datasource}");
      expect(targets.length, title).toBeGreaterThan(0);
      for (const { expr } of targets) {
        const used = [...expr.matchAll(/"\$(\w+)"/g)].map(([, name]) => name);
        expect(variables, title).toEqual(expect.arrayContaining(used));
        expect(used, title).toContain("host");
        expect(substituted(expr, "1m"), title).not.toContain("$");
      }
    }
  });

  test("every name is a sample of the catalogue, every label one that samples have, in legends, too", () => {
    const samples = knownSamples();
    for (const { title, targets = [] } of queried) {
      for (const { expr, legendFormat } of targets) {
        const { metrics, labels } = namesIn(expr);
        const shown = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = ""]) => label);
        expect(
          metrics.filter((name) => !samples.has(name)),
          title,
        ).toEqual([]);
        expect(
          [...labels, ...shown].filter((label) => !knownLabels.has(label)),
          title,
        ).toEqual([]);
      }
    }
    const definitions = templating.list.map(({ definition = "" }) => /\((\w+)[{,]/.exec(definition)?.[1]);
    expect(definitions.filter((name) => name !== undefined && !samples.has(name))).toEqual([]);
  });

  test("no panel lies on another one", () => {
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, index) => `${x + (index % w)},${y + Math.floor(index / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true);
  });
});
