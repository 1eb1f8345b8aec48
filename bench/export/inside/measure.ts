import { readFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import type { Export } from "../load.ts";

/** The most resident memory that this process had, in bytes. Not getrusage's, which begins with the parent's. */
const peakMemory = (): number => Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024;

/** Exports once without counting, then `count` times, and prints what one of them cost. */
export const measureExports = async (count: number, once: (tick: number) => Promise<void>): Promise<void> => {
  await once(0);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const before = process.cpuUsage();
  for (let tick = 1; tick <= count; tick++) await once(tick);
  const { user, system } = process.cpuUsage(before);
  // The histogram samples on a timer: let it take the last slice's sample.
  await setTimeout(5);
  delay.disable();
  const result: Export = { cpu: (user + system) / count, delay: delay.max / 1e6 - 1, peak: peakMemory() };
  process.stdout.write(JSON.stringify(result), () => process.exit());
};
