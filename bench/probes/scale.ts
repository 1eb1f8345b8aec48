import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { atLeast, atMost, type Figure, megabytes, only } from "../bars.ts";
import type { Network } from "../network.ts";
import { port } from "./network.ts";
import { addressOf, cpuOfProcess } from "./targets.ts";

const targets = 10_000;
const intervalSeconds = 10;
const measuredSeconds = 30;

const pageUrl = "http://127.0.0.1:9464/metrics";
const main = new URL("../../src/main.ts", import.meta.url).pathname;

const configuration = (): string =>
  `collection: { interval: 15s }\nsockets: off\nhost: off\nexport: { prometheus: { listen: "127.0.0.1:9464" } }\n` +
  `probes:\n  interval: ${intervalSeconds}s\n  timeout: 2s\n  targets:\n` +
  Array.from({ length: targets }, (_, index) => `    - tcp://${addressOf(index)}:${port}\n`).join("");

type Reading = {
  /** Runs by outcome. */
  readonly runs: ReadonlyMap<string, number>;
  /** Runs of each target. */
  readonly byTarget: readonly number[];
  /** Upper bounds in s, and how many runs were at most that late. */
  readonly lags: readonly (readonly [number, number])[];
};

const samples = (page: string, name: string): { labels: string; value: number }[] =>
  [...page.matchAll(new RegExp(`^${name}\\{(.*)\\} (\\S+)$`, "gm"))].map(([, labels = "", value]) => ({
    labels,
    value: Number(value),
  }));

const labelOf = (labels: string, name: string): string => new RegExp(`${name}="([^"]*)"`).exec(labels)?.[1] ?? "";

const read = (page: string): Reading => ({
  runs: new Map(
    samples(page, "sockscope_probe_results_total").map(({ labels, value }) => [
      labelOf(labels, "sockscope_probe_outcome"),
      value,
    ]),
  ),
  byTarget: samples(page, "sockscope_probe_runs_total").map(({ value }) => value),
  lags: samples(page, "sockscope_probe_schedule_lag_seconds_bucket").map(
    ({ labels, value }) => [Number(labelOf(labels, "le").replace("+Inf", "Infinity")), value] as const,
  ),
});

/** The least bound that this share of the runs between two readings kept. */
const lagWithin = (before: Reading, after: Reading, share: number): number => {
  const counts = after.lags.map(([bound, count], index) => [bound, count - (before.lags[index]?.[1] ?? 0)] as const);
  const total = counts.at(-1)?.[1] ?? 0;
  return counts.find(([, count]) => count >= share * total)?.[0] ?? Number.NaN;
};

/** 10,000 TCP targets, each every 10 s, by the whole agent. */
export const benchScale = async (network: Network): Promise<Figure[]> => {
  const folder = mkdtempSync(join(tmpdir(), "sockscope-bench-"));
  const file = join(folder, "sockscope.yaml");
  writeFileSync(file, configuration());
  const agent = network.spawn(process.execPath, main, "run", "-c", file);
  try {
    const pid = agent.pid;
    const page = (): Reading => read(network.run("curl", "-sf", pageUrl));
    const cpu = (): number => cpuOfProcess(readFileSync(`/proc/${pid}/stat`, "utf8"));
    const memory = (key: string): number =>
      1024 * Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
    // A collection lies between a run and the page that shows it, so both readings are as old.
    await setTimeout(2 * intervalSeconds * 1000);
    const [before, cpuBefore] = [page(), cpu()];
    await setTimeout(measuredSeconds * 1000);
    const [after, cpuAfter] = [page(), cpu()];
    const runs = (after.runs.get("up") ?? 0) - (before.runs.get("up") ?? 0);
    const others = [...after.runs].filter(([outcome]) => outcome !== "up").reduce((sum, [, count]) => sum + count, 0);
    const share = (cpuAfter - cpuBefore) / (measuredSeconds * 1e6);
    const least = after.byTarget.reduce((low, count) => Math.min(low, count), Infinity);
    const lag = (part: number): number => 1000 * lagWithin(before, after, part);
    return [
      only(
        `${targets} TCP targets every ${intervalSeconds} s: ${(100 * share).toFixed(1)} % of a processor, ` +
          `${((share * 1e6 * measuredSeconds) / runs).toFixed(0)} us CPU a run with collections and page`,
      ),
      atMost("runs that were not up", others, 0, "runs"),
      atLeast(
        `runs in ${measuredSeconds} s: ${runs}`,
        runs,
        0.95 * measuredSeconds * (targets / intervalSeconds),
        "runs",
      ),
      atLeast(
        `targets with a run: ${after.byTarget.length}, the fewest runs of one: ${least}`,
        after.byTarget.length === targets ? least : 0,
        Math.floor((intervalSeconds + measuredSeconds) / intervalSeconds) - 1,
        "runs",
      ),
      atMost(`lag of the schedule: p50 within ${lag(0.5)} ms, p99 within ${lag(0.99)} ms`, lag(0.99), 10, "ms"),
      atMost(
        `resident memory ${megabytes(memory("VmRSS"))}, at most ${megabytes(memory("VmHWM"))}`,
        memory("VmHWM") / 2 ** 20,
        200,
        "MB",
      ),
    ];
  } finally {
    if (agent.exitCode === null && agent.kill()) await once(agent, "exit");
    rmSync(folder, { recursive: true });
  }
};
