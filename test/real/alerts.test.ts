import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { scratchFolder } from "../kit/program.ts";
import { realParts } from "../kit/real-parts.ts";

const document = readFileSync(new URL("../../docs/MIGRATING.md", import.meta.url), "utf8");
const written = /```yaml\n(groups:\n[^`]*)```/.exec(document)?.[1] ?? "";
/** promtool loads 10,000 samples at most. */
const rules = written.replace("count(tcp_rtt) > 10000", "count(tcp_rtt) > 1000");

/** Buckets of one sample a minute and flow, as the page has them: `below` flows under 100 ms, `above` over it. */
const histogram = (below: number, above: number): string => {
  const all = below + above;
  return [
    ["50", below],
    ["100", below],
    ["250", all],
    ["+Inf", all],
  ]
    .map(
      ([le, step]) => `      - { series: 'tcp_rtt_hist_ms_bucket{instance="a",le="${le}"}', values: "0+${step}x20" }`,
    )
    .join("\n");
};

const flow = (id: number): string => `(SRC#10.0.0.1|${id})(DST#10.0.0.2|443)`;
const series = (name: string, count: number, value: number): string =>
  Array.from(
    { length: count },
    (_, id) => `      - { series: '${name}{instance="a",flow="${flow(id)}"}', values: "${value}x20" }`,
  ).join("\n");

/** What fires at 15 minutes: nothing, or the alert with its severity and description. */
const caseOf = (input: string, alert: string, fired?: { severity: string; summary: string; description: string }) => `
  - interval: 1m
    input_series:
${input}
    alert_rule_test:
      - eval_time: 15m
        alertname: ${alert}
        exp_alerts:${
          fired === undefined
            ? " []"
            : `
          - exp_labels: { severity: ${fired.severity}${alert === "HighSocketLatency" ? ", instance: a" : ""} }
            exp_annotations: { summary: "${fired.summary}", description: "${fired.description}" }`
        }`;

describe.skipIf(realParts.promtool === "")("the alerts of docs/MIGRATING.md", () => {
  const promtool = (folder: string, ...args: readonly string[]) => {
    const { stdout, stderr } = spawnSync(realParts.promtool, args, { cwd: folder, encoding: "utf8" });
    return { said: `${stdout}${stderr}` };
  };

  test("are rules, and fire when their names say so and not else", { timeout: 60_000 }, () => {
    using scratch = scratchFolder();
    writeFileSync(join(scratch.path, "rules.yaml"), rules);
    const check = promtool(scratch.path, "check", "rules", "rules.yaml");
    expect(check.said).toContain("SUCCESS: 3 rules found");
    expect(rules).not.toBe(written);
    const latency = { severity: "warning", summary: "High socket latency" };
    const cases = [
      caseOf(histogram(90, 10), "HighSocketLatency", {
        ...latency,
        description: "The 95th percentile of the latency is 175 ms",
      }),
      caseOf(histogram(99, 1), "HighSocketLatency"),
      caseOf(series("tcp_rtt", 1001, 1), "TooManyConnections", {
        severity: "critical",
        summary: "Too many TCP connections",
        description: "There are 1001 TCP connections",
      }),
      caseOf(series("tcp_rtt", 1000, 1), "TooManyConnections"),
      caseOf(series("tcp_delivery_rate", 3, 900), "LowDeliveryRate", {
        severity: "warning",
        summary: "Low TCP delivery rate",
        description: "The mean delivery rate is 900 bytes a second",
      }),
      caseOf(series("tcp_delivery_rate", 3, 1e6), "LowDeliveryRate"),
    ];
    writeFileSync(
      join(scratch.path, "test.yaml"),
      `rule_files: [rules.yaml]\nevaluation_interval: 1m\ntests:${cases.join("")}\n`,
    );
    expect(promtool(scratch.path, "test", "rules", "test.yaml").said).toContain("SUCCESS");
  });

  test(
    "the document's own expression of the first one fires for flows that ended long ago",
    { timeout: 60_000 },
    () => {
      using scratch = scratchFolder();
      const old = rules.replace(
        /histogram_quantile\(.*\) > 100/,
        "histogram_quantile(0.95, tcp_rtt_hist_ms_bucket) > 100",
      );
      expect(old).not.toBe(rules);
      writeFileSync(join(scratch.path, "rules.yaml"), old);
      // Slow flows for a minute, fast ones ever since.
      const input = [
        ["100", "0+1x20"],
        ["250", "0 100+1x20"],
        ["+Inf", "0 100+1x20"],
      ]
        .map(
          ([le, values]) =>
            `      - { series: 'tcp_rtt_hist_ms_bucket{instance="a",le="${le}"}', values: "${values}" }`,
        )
        .join("\n");
      const quiet = caseOf(input, "HighSocketLatency");
      writeFileSync(
        join(scratch.path, "test.yaml"),
        `rule_files: [rules.yaml]\nevaluation_interval: 1m\ntests:${quiet}\n`,
      );
      expect(promtool(scratch.path, "test", "rules", "test.yaml").said).toContain("FAILED");
      writeFileSync(join(scratch.path, "rules.yaml"), rules);
      expect(promtool(scratch.path, "test", "rules", "test.yaml").said).toContain("SUCCESS");
    },
  );
});
