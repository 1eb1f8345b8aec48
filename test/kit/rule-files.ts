import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { root } from "./agent.ts";

type Rule = {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
};

export const ruleFolder = join(root, "deploy/prometheus");

const rulesOf = (file: string): Rule[] => {
  const { groups } = parse(readFileSync(join(ruleFolder, file), "utf8")) as { groups: { rules: Rule[] }[] };
  return groups.flatMap(({ rules }) => rules);
};

export const readRules = () => ({ recordings: rulesOf("recording.yaml"), alerts: rulesOf("alerts.yaml") });
