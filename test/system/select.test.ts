import { beforeAll, describe, expect, test } from "vitest";
import { inNamespace, isRoot } from "../kit/net-namespace.ts";
import { filters } from "./select-filters.ts";

type Result = {
  readonly select: string;
  readonly hasProgram: boolean;
  readonly kernel: readonly string[];
  readonly decided: readonly string[];
  readonly ss: readonly string[];
};
type Scenario = {
  readonly total: number;
  readonly results: readonly Result[];
  readonly differences: readonly unknown[];
};

describe.skipIf(!isRoot)("IPv4, IPv6 and IPv4-mapped connections by a filter", () => {
  let scenario: Scenario;

  beforeAll(async () => {
    scenario = await inNamespace<Scenario>("select-scenario.ts");
  }, 60_000);

  test("are there", () => {
    expect(scenario.total).toBe(76);
    const sizes = new Set(scenario.results.map(({ ss }) => ss.length));
    expect(sizes.size).toBeGreaterThan(8);
  });

  test.each(filters)("$select: the kernel and decide() give those of ss", ({ select }) => {
    const result = scenario.results.find((each) => each.select === select);
    expect(result?.hasProgram).toBe(true);
    expect(result?.kernel).toEqual(result?.ss);
    expect(result?.decided).toEqual(result?.ss);
  });

  test("of any kind: the kernel gives all that decide() takes", () => {
    expect(scenario.differences).toEqual([]);
  });
});
