import { atLeast, atMost, type Figure, milliseconds, only } from "../bars.ts";
import { createNamespace } from "./namespace.ts";

const sizes = [1000, 10_000, 50_000] as const;
const groupings = ["endpoint", "socket"] as const;

/**
 * Other work on the machine only adds to the delay: the quietest round shows what the slices cost, and what a loop in
 * short slices suffers in the same run is not theirs.
 *
 * The C program's share of a socket is 0.35 us where the kernel's tables are in the caches, and twice that where they
 * are not. Ours beside it is 0.2 us: a ratio of 1.25 where a kernel takes 0.9 us, and more where it is faster.
 */
const bars = { ratioToC: { 10_000: 2, 50_000: 1.6 }, growth: 5.5, ratioOfSs: 4, delayMs: 5 } as const;

type Result = Readonly<Record<"cpu" | "c" | "ss" | "ratioToC" | "ratioOfSs" | "cold" | "coldC", number>> & {
  readonly delay: Readonly<Record<"quietest" | "median" | "worst" | "idle", number>>;
};

const figuresOf = (name: string, size: (typeof sizes)[number], barred: boolean, result: Result): Figure[] => {
  const { cpu, c, ss, ratioToC, ratioOfSs, cold, coldC, delay } = result;
  const walked =
    `${name}: ${milliseconds(cpu)} CPU a collection, ${ratioToC.toFixed(2)} x the C program's ${milliseconds(c)} ` +
    `(with empty caches ${milliseconds(cold)}, ${(cold / coldC).toFixed(2)} x ${milliseconds(coldC)})`;
  const beside = `${name}: ss -tinO takes ${milliseconds(ss)}, ${ratioOfSs.toFixed(1)} x ours`;
  const loop =
    `${name}: event loop held ${delay.quietest.toFixed(2)} ms at most in the quietest round ` +
    `(median ${delay.median.toFixed(2)}, worst ${delay.worst.toFixed(2)}, idle ${delay.idle.toFixed(2)})`;
  if (!barred) return [only(walked), only(beside), only(loop)];
  return [
    size === 1000 ? only(walked) : atMost(walked, ratioToC, bars.ratioToC[size], "x"),
    atLeast(beside, ratioOfSs, bars.ratioOfSs, "x"),
    size === 50_000 ? atMost(loop, delay.quietest - delay.idle, bars.delayMs, "ms beyond an idle loop's") : only(loop),
  ];
};

/**
 * Back to back, the sockets of the smaller size may stay in the caches, and then the cost grows by the caches' size, the
 * C program's too. With empty caches, which is how a tick finds them, it grows by the sockets' number.
 */
const growthOf = (small: Result, large: Result): Figure[] => {
  const line = (how: string, ours: number, c: number): string =>
    `50000 sockets by endpoint cost ${ours.toFixed(2)} x what 10000 do ${how}, the C program ${c.toFixed(2)} x`;
  const growth = large.cold / small.cold;
  return [
    only(line("back to back", large.cpu / small.cpu, large.c / small.c)),
    atMost(line("with empty caches", growth, large.coldC / small.coldC), growth, bars.growth, "x"),
  ];
};

/** One collection at three sizes and by two groupings, each in a process of its own, beside the C program and `ss`. */
export const benchScale = async (peer: string): Promise<Figure[]> => {
  const figures: Figure[] = [];
  const byEndpoint: Result[] = [];
  for (const size of sizes) {
    await using namespace = await createNamespace(peer);
    await using _ = await namespace.hold(size);
    for (const groupBy of groupings) {
      const result = namespace.measure("scale", groupBy, size) as Result;
      if (groupBy === "endpoint") byEndpoint.push(result);
      figures.push(...figuresOf(`${size} sockets by ${groupBy}`, size, groupBy === "endpoint", result));
    }
  }
  const [, small, large] = byEndpoint as [Result, Result, Result];
  return [...figures, ...growthOf(small, large)];
};
