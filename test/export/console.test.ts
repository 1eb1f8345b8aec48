import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import { createConsole, type ConsoleOptions } from "../../src/export/console.ts";
import { encodeJson } from "../../src/export/otlp-json.ts";
import { renderPrometheus } from "../../src/export/prometheus-text.ts";
import { renderTable, tableSteps } from "../../src/export/table.ts";
import type { Snapshot } from "../../src/model/columns.ts";
import { consoleFormats } from "../../src/model/config.ts";
import { metric, set, snapshot, type Point } from "./snapshots.ts";

const up = (count: number, down = 0): Snapshot =>
  snapshot([
    metric("sockscope.probe.up", [
      {},
      Array.from({ length: count }, (_, index): Point => {
        const name = `t${String(index).padStart(5, "0")}`;
        return [set({ "sockscope.probe.name": name }), index < count - down ? 1 : 0];
      }),
    ]),
  ]);

const start = (format: ConsoleOptions["format"], highWaterMark = 1_048_576) => {
  const out = new PassThrough({ highWaterMark });
  const logged: string[] = [];
  const printer = createConsole({
    format,
    out,
    color: true,
    log: (level, message) => logged.push(`${level} ${message}`),
  });
  return { ...printer, out, logged, stop: () => printer.shutdown(AbortSignal.timeout(10_000)) };
};

describe("the console", () => {
  test.each(consoleFormats)("prints ticks as %s", async (format) => {
    const printer = start(format);
    const tick = up(3);
    printer.export(tick);
    await printer.stop();
    const expected = {
      table: `${new Date(tick.time).toISOString()}\n\n${renderTable(tick, { width: 120, color: false })}\n`,
      "otlp-json": `${encodeJson(tick)}\n`,
      prometheus: `${[...renderPrometheus(tick, "text")].join("")}\n`,
    };
    printer.export(tick);
    expect(await text(printer.out.end())).toBe(expected[format]);
    expect(printer.logged).toEqual([]);
  });

  test("leaves out what the reader is not ready for, says so once, and goes on when he reads", async () => {
    const printer = start("prometheus", 10);
    for (let tick = 0; tick < 5; tick++) printer.export(up(3));
    expect(printer.logged).toEqual(["warn whoever reads stdout is too slow: some ticks are not printed; said once"]);
    const received = printer.out.setEncoding("utf8").iterator({ destroyOnReturn: false });
    const page = [...renderPrometheus(up(3), "text")].join("");
    expect((await received.next()).value).toBe(page);
    await expect
      .poll(async () => {
        printer.export(up(4));
        const { value } = (await received.next()) as IteratorResult<string, undefined>;
        return value;
      })
      .toContain("t00003");
    await printer.stop();
    expect(printer.logged).toHaveLength(1);
  });

  test("ends when the reader goes away, and says so once", async () => {
    const printer = start("prometheus", 10);
    printer.export(up(3));
    printer.out.destroy(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
    await expect.poll(() => printer.logged).toEqual(["info nothing more is printed: stdout is closed (EPIPE)"]);
    printer.export(up(3));
    await printer.stop();
    expect(printer.logged).toHaveLength(1);
  });

  test("gives up a reader that does not read, at its end", async () => {
    const printer = start("prometheus", 10);
    printer.export(up(3));
    await printer.shutdown(AbortSignal.abort());
    expect(printer.logged).toEqual([]);
  });

  test("shows 200 of many targets, first those that are not up", async () => {
    const printer = start("table");
    printer.export(up(300, 5));
    await printer.stop();
    const lines = String(printer.out.read()).split("\n");
    expect(lines.filter((line) => /^t\d{5}/.test(line))).toHaveLength(200);
    const first = lines.findIndex((line) => /^t\d{5}/.test(line));
    expect(lines.slice(first, first + 6).map((line) => line.slice(0, 6))).toEqual([
      "t00295",
      "t00296",
      "t00297",
      "t00298",
      "t00299",
      "t00000",
    ]);
    expect(lines).toContain("... and 100 more targets");
  });

  test("a table is made in slices of at most 10,000 points", () => {
    const points = (name: "sockscope.flow.count" | "sockscope.flow.rtt") =>
      metric(name, [{}, sets.map((each, index): Point => [each, index])]);
    const sets = Array.from({ length: 30_000 }, (_, index) => set({ "network.peer.port": index }));
    const plain = snapshot([points("sockscope.flow.count"), points("sockscope.flow.rtt")]);
    let read = 0;
    const watched: Snapshot = {
      ...plain,
      metrics: plain.metrics.map((held) => ({
        ...held,
        numbers: held.numbers.map((column) => ({
          ...column,
          values: new Proxy(column.values, {
            get: (values, key) => {
              if (typeof key === "string" && /^\d+$/.test(key)) read += 1;
              return Reflect.get(values, key) as unknown;
            },
          }),
        })),
      })),
    };
    let before = 0;
    let most = 0;
    for (const _ of tableSteps(watched, { width: 120, color: false, mostTargets: 200 })) {
      most = Math.max(most, read - before);
      before = read;
    }
    expect(read).toBeGreaterThanOrEqual(60_000);
    expect(Math.max(most, read - before)).toBeLessThanOrEqual(10_000);
  });
});
