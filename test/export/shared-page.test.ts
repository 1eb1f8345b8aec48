import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createGunzip } from "node:zlib";
import { pipeline, Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import { renderPrometheus, type PrometheusFormat } from "../../src/export/prometheus-text.ts";
import { createSharedPages, type SharedPage } from "../../src/export/shared-page.ts";
import type { Snapshot } from "../../src/model/columns.ts";
import { metric, set, snapshot, type Point } from "./snapshots.ts";

const seriesCount = 20_000;

/** A page of several MB, and how much of it has been asked for: each rendering reads `metrics` once, and each set. */
const watched = () => {
  const points = Array.from({ length: seriesCount }, (_, index): Point => [
    set({ index, filler: `${index} `.repeat(50) }),
    index,
  ]);
  const plain = snapshot([metric("sockscope.flow.count", [{}, points])]);
  let renderings = 0;
  const snap: Snapshot = {
    ...plain,
    get metrics() {
      renderings += 1;
      return plain.metrics;
    },
  };
  return {
    snap,
    plain,
    renderings: () => renderings,
    rendered: () => points.filter(([series]) => series.labels !== undefined).length,
  };
};

const textOf = async (page: SharedPage): Promise<string> =>
  text(pipeline(Readable.from(page.read()), createGunzip(), () => undefined));

const whole = (snap: Snapshot, format: PrometheusFormat): string => [...renderPrometheus(snap, format)].join("");

describe("a shared page", () => {
  test("is rendered once for all who read it, at the same time and later", async () => {
    const { snap, plain, renderings } = watched();
    const pageOf = createSharedPages();
    const [one, ...others] = await Promise.all(Array.from({ length: 8 }, () => textOf(pageOf(snap, "text"))));
    others.push(await textOf(pageOf(snap, "text")));
    expect(one === whole(plain, "text")).toBe(true);
    expect(others.every((other) => other === one)).toBe(true);
    expect(renderings()).toBe(1);
  });

  test("is one for each format and each snapshot", async () => {
    const { snap, plain, renderings } = watched();
    const pageOf = createSharedPages();
    expect((await textOf(pageOf(snap, "text"))) === whole(plain, "text")).toBe(true);
    expect((await textOf(pageOf(snap, "openmetrics"))) === whole(plain, "openmetrics")).toBe(true);
    expect(renderings()).toBe(2);
    const next = snapshot([metric("sockscope.flow.count", [{}, [[set(), 1]]])]);
    expect(await textOf(pageOf(next, "text"))).toBe(whole(next, "text"));
  });

  test("is rendered as far as somebody reads, and goes on for the next when that one has gone", async () => {
    const { snap, plain, renderings, rendered } = watched();
    const pageOf = createSharedPages();
    const leaving = pageOf(snap, "text").read();
    await leaving.next();
    await leaving.return();
    await sleep(50);
    const before = rendered();
    expect(before).toBeGreaterThan(0);
    expect(before).toBeLessThan(seriesCount);
    await sleep(50);
    expect(rendered()).toBe(before);
    expect((await textOf(pageOf(snap, "text"))) === whole(plain, "text")).toBe(true);
    expect(renderings()).toBe(1);
  });

  test("fails for every reader where rendering fails, and is never a shorter page", async () => {
    const broken = { ...snapshot([]), metrics: undefined } as unknown as Snapshot;
    const pageOf = createSharedPages();
    const readers = [textOf(pageOf(broken, "text")), textOf(pageOf(broken, "text"))];
    for (const reader of readers) await expect(reader).rejects.toThrow(/not iterable/);
    await expect(textOf(pageOf(broken, "text"))).rejects.toThrow(/not iterable/);
  });

  test("goes with its snapshot, read to its end or not", async () => {
    setFlagsFromString("--expose-gc");
    const collectGarbage = runInNewContext("gc") as () => void;
    const pageOf = createSharedPages();
    const visit = async (): Promise<WeakRef<object>[]> => {
      const [read, begun] = [watched().snap, watched().snap];
      await textOf(pageOf(read, "text"));
      const reader = pageOf(begun, "text").read();
      await reader.next();
      await reader.return();
      return [read, begun, pageOf(read, "text"), pageOf(begun, "text")].map((held) => new WeakRef<object>(held));
    };
    const held = await visit();
    const left = (): number => {
      collectGarbage();
      return held.filter((each) => each.deref() !== undefined).length;
    };
    await expect.poll(left, { timeout: 10_000 }).toBe(0);
  });
});
