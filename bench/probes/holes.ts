import { atMost, type Figure, median } from "../bars.ts";
import type { Network } from "../network.ts";
import { port, script } from "./network.ts";
import type { Beside } from "./targets.ts";

const passes = 3;
const targets = 500;
const seconds = 4;

/** What two passes of the same differ by on a busy machine: 1.5 times, or so many us. */
const noise = { ratio: 1.5, us: { latency: 200, lag: 1000 } };

/** As many targets that never answer beside those that do: what that costs the latter. */
export const benchHoles = async (network: Network): Promise<Figure[]> => {
  const measure = (holes: number): Beside =>
    JSON.parse(network.run(...script("holes", port, targets, holes, seconds))) as Beside;
  const all = Array.from({ length: passes }, () => ({ alone: measure(0), beside: measure(targets) }));
  for (const { alone, beside } of all) {
    if (beside.holes.join() !== "connect_timeout") throw new Error(`the holes ended with ${beside.holes.join()}`);
    for (const { runs } of [alone, beside])
      if (runs < targets * (seconds - 1)) throw new Error(`${runs} runs of ${targets} targets in ${seconds} s`);
  }
  const figure = (name: string, key: "latency" | "lag", index: 0 | 1): Figure => {
    const alone = median(all.map((pass) => pass.alone[key][index]));
    const beside = median(all.map((pass) => pass.beside[key][index]));
    const text = `${targets} targets, ${name}: ${alone.toFixed(0)} us alone, ${beside.toFixed(0)} us beside ${targets} black holes`;
    return atMost(text, beside, Math.round(Math.max(alone * noise.ratio, alone + noise.us[key])), "us");
  };
  return [
    figure("latency p50", "latency", 0),
    figure("latency p99", "latency", 1),
    figure("lag p50", "lag", 0),
    figure("lag p99", "lag", 1),
  ];
};
