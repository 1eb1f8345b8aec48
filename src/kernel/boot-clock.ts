import { platform, uptime } from "node:os";
import type { Permit } from "../model/sources.ts";
import type { Libc } from "./libc.ts";

/** <linux/time.h> CLOCK_BOOTTIME; of macOS CLOCK_MONOTONIC, which goes on while it sleeps, too. */
const clocks: Readonly<Partial<Record<NodeJS.Platform, number>>> = { linux: 7, darwin: 6 };

/** ms since the start of the machine, suspension included. Without libc they are the hundredths of a second of /proc/uptime. */
export const createBootClock = (libc: Libc | undefined): (() => number) => {
  const id = clocks[platform()];
  if (libc === undefined || id === undefined) return () => uptime() * 1000;
  const clockGettime = libc.func("int clock_gettime(int clock, void *time)");
  const time = new BigInt64Array(2);
  return () => {
    clockGettime(id, time);
    return Number(time[0]) * 1e3 + Number(time[1]) / 1e6;
  };
};

/** What all permits of an election have in common, for every thread: closed, until it is opened for a time. */
export const createGate = () => {
  const shared = new BigInt64Array(new SharedArrayBuffer(8));
  return {
    shared,
    /** `until`: ms of the boot clock. */
    open: (until: number): void => void Atomics.store(shared, 0, BigInt(Math.floor(until * 1e3))),
    close: (): void => void Atomics.store(shared, 0, 0n),
  };
};

export type Gate = ReturnType<typeof createGate>;

/** Judges permits; to be asked right before the call that the target hears of. */
export const createPermits =
  (clock: () => number) =>
  (permit: Permit | undefined): boolean => {
    if (permit === undefined) return true;
    const now = clock();
    return now < permit.until && now * 1e3 < Number(Atomics.load(permit.shared, 0));
  };

export type Permits = ReturnType<typeof createPermits>;
