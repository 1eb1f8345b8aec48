import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { root } from "../kit/agent.ts";
import { realParts } from "../kit/real-parts.ts";
import { readRules, ruleFolder } from "../kit/rule-files.ts";

const folder = join(root, "test/fixtures/rules");
const files = readdirSync(folder).map((file) => join(folder, file));

type Case = { readonly alert_rule_test: readonly { alertname: string; exp_alerts: readonly unknown[] }[] };

const promtool = (...args: readonly string[]) => {
  const { status, stdout, stderr } = spawnSync(realParts.promtool, args, { encoding: "utf8" });
  return { status, said: stdout + stderr };
};

describe.skipIf(realParts.promtool === "")("the rules for Prometheus", () => {
  test("promtool finds no fault in them", () => {
    const { status, said } = promtool(
      "check",
      "rules",
      "--lint-fatal",
      join(ruleFolder, "recording.yaml"),
      join(ruleFolder, "alerts.yaml"),
    );
    expect(said).toMatch(/SUCCESS: \d+ rules found[^]*SUCCESS: \d+ rules found/);
    expect(status).toBe(0);
    expect(promtool("check", "config", join(ruleFolder, "prometheus.yaml"))).toMatchObject({ status: 0 });
  });

  test("they fire where they should, say what they should, and are silent elsewhere", () => {
    const { status, said } = promtool("test", "rules", ...files);
    expect(said).not.toContain("FAILED");
    expect(status).toBe(0);
  });

  test("of every alert there is a case in which it fires, and one in which it does not", () => {
    const cases = files
      .flatMap((file) => (parse(readFileSync(file, "utf8")) as { tests: Case[] }).tests)
      .flatMap((one) => one.alert_rule_test);
    const tested = (fires: boolean) =>
      new Set(cases.filter((one) => one.exp_alerts.length > 0 === fires).map((one) => one.alertname));
    const alerts = readRules()
      .alerts.map(({ alert = "" }) => alert)
      .sort();
    expect([...tested(true)].sort()).toEqual(alerts);
    expect([...tested(false)].sort()).toEqual(alerts);
  });
});
