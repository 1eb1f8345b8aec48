import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { groupAttributes } from "../../src/metrics/catalogue.ts";
import { prometheusLabel } from "../../src/metrics/prometheus-name.ts";
import { groupAttributeNames } from "../../src/model/config.ts";
import { root } from "../kit/agent.ts";
import { knownLabels, knownSamples, namesIn } from "../kit/promql-names.ts";
import { readRules } from "../kit/rule-files.ts";

const { recordings, alerts } = readRules();

test("names of a query: samples, recordings and labels, and neither functions nor keywords", () => {
  const query = `histogram_quantile(0.95, sum without (network_type, le) (rate(sockscope_tcp_rtt_seconds_bucket{a_b="x_y{}",c!=""}[5m])))
    and on (host_name) sockscope:flow:p95 > 1 or label_replace(up, "p_q", "$1", "r_s", "(.*)")`;
  expect(namesIn(query)).toEqual({
    metrics: ["sockscope_tcp_rtt_seconds_bucket", "sockscope:flow:p95"],
    labels: ["a_b", "c", "network_type", "le", "host_name"],
  });
});

test("every name in the rules is a sample of the catalogue or a recording, and every label one that samples have", () => {
  const names = new Set([...knownSamples(), ...recordings.map(({ record }) => record)]);
  const used = [...recordings, ...alerts].map(({ expr }) => namesIn(expr));
  expect(used.flatMap(({ metrics }) => metrics).filter((name) => !names.has(name))).toEqual([]);
  expect(used.flatMap(({ labels }) => labels).filter((label) => !knownLabels.has(label))).toEqual([]);
  expect(used.flatMap(({ metrics }) => metrics).length).toBeGreaterThan(40);
});

test("sums over a host's groups are without everything that a group can be by", () => {
  const attributes = [...groupAttributeNames, ...Object.values(groupAttributes).flat(), "otel.metric.overflow"];
  const sums = recordings.filter(({ expr }) => /without \([^)]*network_peer_port/.test(expr));
  expect(sums).toHaveLength(3);
  for (const { record, expr } of sums)
    expect(namesIn(expr).labels, record).toEqual(expect.arrayContaining(attributes.map(prometheusLabel)));
});

test("every alert has a severity, says what is wrong, and leads to a place in the runbook, which names it", () => {
  const book = readFileSync(join(root, "docs/OPERATIONS.md"), "utf8");
  const sections = new Map(
    book
      .split(/^#{2,3} /m)
      .slice(1)
      .map((section) => [(section.split("\n", 1)[0] ?? "").toLowerCase().replaceAll(" ", "-"), section]),
  );
  for (const { alert, labels, annotations } of alerts) {
    expect(["critical", "warning", "info"], alert).toContain(labels?.["severity"]);
    expect(Object.keys(annotations ?? {}), alert).toEqual(["summary", "description", "runbook"]);
    const [file, anchor = ""] = annotations?.["runbook"]?.split("#") ?? [];
    expect(file).toBe("docs/OPERATIONS.md");
    expect(sections.get(anchor), `${alert}: ${anchor}`).toContain(`\`${alert}\``);
  }
});
