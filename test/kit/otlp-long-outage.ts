import { expect } from "vitest";
import type { OtlpDestination } from "../../src/export/otlp-destination.ts";
import type { Temporality } from "../../src/model/columns.ts";
import { after, numbered } from "./otlp-delivery.ts";
import type { ReceivedPoint } from "./otlp-receiver.ts";
import { startMs, timeMs } from "./otlp-snapshots.ts";

type Receiver = { readonly points: () => ReceivedPoint[]; readonly close: () => Promise<unknown> };

/** Of 53 intervals 50 are exported while nothing listens on the destination's port: each arrives once, and they add up. */
export const expectLongOutageDelivered = async (
  temporality: Temporality,
  from: OtlpDestination,
  listen: () => Promise<Receiver>,
): Promise<void> => {
  const at = (tick: number): number => timeMs + tick * 15_000;
  const counted = Array.from({ length: 53 }, (_, tick) => (tick * (tick + 1)) / 2 + 7);
  const to = await listen();
  for (const [tick, value] of counted.entries()) {
    if (tick === 1) {
      await from.flush(after(5000));
      await to.close();
    }
    if (tick === 51) break;
    await from.export(numbered(value, at(tick)));
  }
  const back = await listen();
  for (const tick of [51, 52]) await from.export(numbered(counted[tick] ?? 0, at(tick)));
  await from.flush(after(10_000));
  const points = [...to.points(), ...back.points()];
  expect(points.map(({ time }) => time)).toEqual(counted.map((_, tick) => at(tick)));
  if (temporality === "cumulative") expect(points.map(({ value }) => value)).toEqual(counted);
  else {
    expect(points.map(({ start }) => start)).toEqual([startMs, ...counted.slice(1).map((_, tick) => at(tick))]);
    expect(points.reduce((sum, { value = 0 }) => sum + value, 0)).toBe(counted.at(-1));
  }
  expect(from.stats()).toMatchObject({ sentPoints: 53, dropped: { queue_full: 0 } });
};
