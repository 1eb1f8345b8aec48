import { atLeast, atMost, type Figure, milliseconds, only } from "./bars.ts";
import { createNamespace } from "./namespace.ts";

const sizes = [1000, 10_000, 50_000] as const;
const groupings = ["endpoint", "socket"] as const;

/**
 * Other work on the machine only adds to the delay: the quietest round shows what the slices cost, and what a loop in
 * short slices suffers in the same run is not theirs.
 */
const bars = { ratioToC: 1.25, growth: 5.5, ratioOfSs: 4, delayMs: 5 };

type Result = Readonly<Record<"sockets" | "cpu" | "c" | "ss" | "ratioToC" | "ratioOfSs", number>> & {
  readonly delay: Readonly<Record<"quietest" | "median" | "worst" | "idle", number>>;
};

const figuresOf = (name: string, size: number, barred: boolean, result: Result): Figure[] => {
  const { cpu, c, ss, ratioToC, ratioOfSs, delay } = result;
  const walked = `${name}: ${milliseconds(cpu)} CPU a collection, ${ratioToC.toFixed(2)} x the C program's ${milliseconds(c)}`;
  const beside = `${name}: ss -tinO takes ${milliseconds(ss)}, ${ratioOfSs.toFixed(1)} x ours`;
  const loop =
    `${name}: event loop held ${delay.quietest.toFixed(2)} ms at most in the quietest round ` +
    `(median ${delay.median.toFixed(2)}, worst ${delay.worst.toFixed(2)}, idle ${delay.idle.toFixed(2)})`;
  if (!barred) return [only(walked), only(beside), only(loop)];
  return [
    size === 1000 ? only(walked) : atMost(walked, ratioToC, bars.ratioToC, "x"),
    atLeast(beside, ratioOfSs, bars.ratioOfSs, "x"),
    size === 50_000 ? atMost(loop, delay.quietest - delay.idle, bars.delayMs, "ms beyond an idle loop's") : only(loop),
  ];
};

/** One collection at three sizes and by two groupings, each in a process of its own, beside the C program and `ss`. */
export const benchScale = async (peer: string): Promise<Figure[]> => {
  const figures: Figure[] = [];
  const costs = new Map<number, number>();
  for (const size of sizes) {
    await using namespace = await createNamespace(peer);
    await using _ = await namespace.hold(size);
    for (const groupBy of groupings) {
      const result = namespace.measure("scale", groupBy, size) as Result;
      const barred = groupBy === "endpoint";
      if (barred) costs.set(size, result.cpu);
      figures.push(...figuresOf(`${size} sockets by ${groupBy}`, size, barred, result));
    }
  }
  const growth = (costs.get(50_000) as number) / (costs.get(10_000) as number);
  figures.push(atMost(`50000 sockets cost ${growth.toFixed(2)} x what 10000 do`, growth, bars.growth, "x"));
  return figures;
};
