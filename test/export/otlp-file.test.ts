import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createOtlpFile } from "../../src/export/otlp-file.ts";
import { encodeJson } from "../../src/export/otlp-json.ts";
import type { Snapshot } from "../../src/model/columns.ts";
import { descriptorOf, numbersOf, snapshotOf } from "../kit/otlp-snapshots.ts";

let folder = "";
let path = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "sockscope-file-"));
  path = join(folder, "metrics.jsonl");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const start = (options: { maxBytes?: number; maxFiles?: number } = {}) => {
  const logged: string[] = [];
  const file = createOtlpFile({
    path,
    maxBytes: 1_048_576,
    maxFiles: 5,
    ...options,
    log: (level, message) => logged.push(`${level} ${message}`),
  });
  return { ...file, logged, stop: () => file.shutdown(AbortSignal.timeout(10_000)) };
};

/** A tick that can be told from others. */
const tick = (value: number, points = 1): Snapshot =>
  snapshotOf(
    numbersOf(
      descriptorOf("io", "counter"),
      Array.from({ length: points }, () => value),
    ),
  );

const linesOf = (file = path): string[] => {
  const text = readFileSync(file, "utf8");
  expect(text === "" || text.endsWith("\n")).toBe(true);
  return text.split("\n").slice(0, -1);
};

type Written = {
  resourceMetrics: { scopeMetrics: { metrics: { sum: { dataPoints: { asInt: string }[] } }[] }[] }[];
};

/** The values of all points, in the order of files and lines. */
const valuesOf = (...files: readonly string[]): number[] =>
  files
    .flatMap((file) => linesOf(file))
    .flatMap((line) => (JSON.parse(line) as Written).resourceMetrics)
    .flatMap(({ scopeMetrics }) => scopeMetrics)
    .flatMap(({ metrics }) => metrics)
    .flatMap(({ sum }) => sum.dataPoints)
    .map(({ asInt }) => Number(asInt));

describe("a file of OTLP JSON lines", () => {
  test("has a request a line, is appended to, and is not for everybody", async () => {
    const first = start();
    first.export(tick(1));
    await first.stop();
    expect(linesOf()).toEqual([encodeJson(tick(1))]);
    expect(statSync(path).mode & 0o137).toBe(0);
    const second = start();
    second.export(tick(2));
    await second.stop();
    expect(linesOf()).toEqual([encodeJson(tick(1)), encodeJson(tick(2))]);
    expect([...first.logged, ...second.logged]).toEqual([]);
  });

  test("a big tick is several lines, each below 4 MiB, and no point is lost", async () => {
    const file = start({ maxBytes: 64 * 1_048_576 });
    file.export(tick(7, 60_000));
    await file.stop();
    const lines = linesOf();
    expect(lines.length).toBeGreaterThan(2);
    expect(Math.max(...lines.map((line) => Buffer.byteLength(line) + 1))).toBeLessThanOrEqual(4 * 1_048_576);
    expect(valuesOf(path)).toEqual(Array.from({ length: 60_000 }, () => 7));
  });

  test("rotates before a file would be too large, and keeps so many", async () => {
    const { length } = `${encodeJson(tick(1))}\n`;
    const file = start({ maxBytes: 2 * length, maxFiles: 3 });
    for (let value = 1; value <= 9; value++) {
      file.export(tick(value));
      await expect.poll(() => valuesOf(path)).toContain(value);
    }
    await file.stop();
    expect(readdirSync(folder).sort()).toEqual(["metrics.jsonl", "metrics.jsonl.1", "metrics.jsonl.2"]);
    expect(valuesOf(`${path}.2`, `${path}.1`, path)).toEqual([5, 6, 7, 8, 9]);
    for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).size).toBeLessThanOrEqual(2 * length);
    expect(file.logged).toEqual([]);
  });

  test("one file starts anew, and a tick larger than a file is spread over files", async () => {
    const file = start({ maxBytes: 1_048_576, maxFiles: 1 });
    file.export(tick(7, 30_000));
    await file.stop();
    expect(readdirSync(folder)).toEqual(["metrics.jsonl"]);
    expect(statSync(path).size).toBeLessThanOrEqual(1_048_576);
    expect(valuesOf(path).length).toBeGreaterThan(100);
  });

  test("a line that a killed process left half is cut", async () => {
    writeFileSync(path, `${encodeJson(tick(1))}\n${encodeJson(tick(2)).slice(0, 100)}`);
    const file = start();
    file.export(tick(3));
    await file.stop();
    expect(linesOf()).toEqual([encodeJson(tick(1)), encodeJson(tick(3))]);
  });

  test("what is not ours is not cut", async () => {
    writeFileSync(path, "somebody's notes");
    const file = start();
    file.export(tick(3));
    await file.stop();
    expect(linesOf()).toEqual(["somebody's notes", encodeJson(tick(3))]);
  });

  test.each([
    ["moved away", () => renameSync(path, `${path}.old`)],
    ["removed", () => rmSync(path)],
  ])("a file that is %s is made anew", async (_, change) => {
    const file = start();
    file.export(tick(1));
    await expect.poll(() => valuesOf(path)).toEqual([1]);
    change();
    file.export(tick(2));
    await file.stop();
    expect(valuesOf(path)).toEqual([2]);
    expect(file.logged).toEqual([]);
  });

  test("a folder that is gone costs a line, and one when it is back", async () => {
    const file = start();
    file.export(tick(1));
    await expect.poll(() => valuesOf(path)).toEqual([1]);
    rmSync(folder, { recursive: true });
    for (const value of [2, 3]) {
      file.export(tick(value));
      await expect.poll(file.trouble).toBe("ENOENT");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    mkdirSync(folder);
    file.export(tick(4));
    await file.stop();
    expect(file.trouble()).toBeUndefined();
    expect(valuesOf(path)).toEqual([4]);
    expect(file.logged).toEqual([
      `warn cannot write ${path} (ENOENT): its metrics are lost until it can`,
      `info ${path} is written again; 2 ticks were lost`,
    ]);
  });

  test("a directory in its place is a trouble, and no crash", async () => {
    mkdirSync(path);
    const file = start();
    file.export(tick(1));
    await file.stop();
    expect(file.logged).toEqual([`warn cannot write ${path} (EISDIR): its metrics are lost until it can`]);
  });

  test("a tick that the disk is not ready for gives way to the next, which is said once", async () => {
    const file = start({ maxBytes: 64 * 1_048_576 });
    file.export(tick(1, 20_000));
    for (const value of [2, 3, 4]) file.export(tick(value));
    expect(file.trouble()).toBe("the disk is too slow");
    await file.stop();
    expect([...new Set(valuesOf(path))]).toEqual([1, 4]);
    expect(file.logged).toEqual([
      `warn cannot write ${path} (the disk is too slow): its metrics are lost until it can`,
      `info ${path} is written again; 2 ticks were lost`,
    ]);
  });

  test("nothing is written after its end, nor without a tick", async () => {
    const idle = start();
    await idle.stop();
    expect(readdirSync(folder)).toEqual([]);
    const file = start();
    file.export(tick(1));
    await file.stop();
    file.export(tick(2));
    appendFileSync(path, "");
    await file.stop();
    expect(valuesOf(path)).toEqual([1]);
  });
});
