import { readFile } from "node:fs/promises";
import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { createHostPart } from "../../src/collect/host.ts";
import { readProcFile } from "../../src/kernel/proc-files.ts";
import type { ReadProcFile } from "../../src/model/sources.ts";
import { endedOf, pointsOf } from "../kit/points.ts";

const onLinux = process.platform === "linux";

const partOf = (read: ReadProcFile, pageSize: number | undefined) =>
  createHostPart({
    proc: "/proc",
    read,
    pageSize,
    sockstat: false,
    timeWait: false,
    compat: true,
    log: () => undefined,
  });

const collect = async (part: ReturnType<typeof partOf>) => (await part.collect(0, AbortSignal.timeout(1000))).columns;

const valuesOf = async (part: ReturnType<typeof partOf>): Promise<Record<string, number>> =>
  Object.fromEntries(pointsOf(await collect(part)).map(({ metric, value }) => [metric, value]));

/** What the Datadog recipe's document says of /proc/net/sockstat, by its own reading of the file. */
const documented = (text: string, pageSize: number): Record<string, number> => {
  const of = (line: string, key: string): number =>
    Number(new RegExp(`^${line}:.* ${key} (\\d+)`, "m").exec(text)?.[1] ?? Number.NaN);
  return {
    "sockstat.tcp.inuse": of("TCP", "inuse"),
    "sockstat.tcp.orphan": of("TCP", "orphan"),
    "sockstat.tcp.tw": of("TCP", "tw"),
    "sockstat.tcp.alloc": of("TCP", "alloc"),
    "sockstat.tcp.mem": (of("TCP", "mem") * pageSize) / 1024,
    "sockstat.udp.inuse": of("UDP", "inuse"),
    "sockstat.udp.mem": (of("UDP", "mem") * pageSize) / 1024,
  };
};

describe("sockstat", () => {
  test.skipIf(!onLinux)("has the figures of /proc/net/sockstat, memory in KB", async () => {
    const pageSize = Number(spawnSync("getconf", ["PAGESIZE"], { encoding: "utf8" }).stdout);
    const part = partOf(readProcFile, pageSize);
    // The machine goes on meanwhile: what a reading before and one after agree in is what the part has to say.
    for (let attempt = 0; ; attempt++) {
      const before = await readFile("/proc/net/sockstat", "utf8");
      const values = await valuesOf(part);
      if (before !== (await readFile("/proc/net/sockstat", "utf8")) && attempt < 100) continue;
      expect(values).toEqual(documented(before, pageSize));
      return;
    }
  });

  test("a page of 64 KiB is 64 KB; a figure that is not there, and memory in pages of no known size, are absent", async () => {
    const text = "sockets: used 9\nTCP: inuse 3 orphan 0 tw 2 alloc 5 mem 7\nUDP: inuse 4\n";
    const read: ReadProcFile = async (path) => (path.endsWith("/sockstat") ? text : undefined);
    const counts = {
      "sockstat.tcp.inuse": 3,
      "sockstat.tcp.orphan": 0,
      "sockstat.tcp.tw": 2,
      "sockstat.tcp.alloc": 5,
      "sockstat.udp.inuse": 4,
    };
    expect(await valuesOf(partOf(read, 65_536))).toEqual({ ...counts, "sockstat.tcp.mem": 448 });
    expect(await valuesOf(partOf(read, undefined))).toEqual(counts);
  });

  test("they are gauges, without attributes, and end when the file cannot be read", async () => {
    let text: string | undefined = "TCP: inuse 3 orphan 0 tw 2 alloc 5 mem 7\nUDP: inuse 4 mem 1\n";
    const part = partOf(async (path) => (path.endsWith("/sockstat") ? text : undefined), 4096);
    const columns = await collect(part);
    expect(columns).toHaveLength(7);
    for (const { descriptor } of columns)
      expect(descriptor).toMatchObject({
        kind: "gauge",
        value: "int",
        unit: descriptor.name.endsWith(".mem") ? "KiBy" : "{socket}",
      });
    text = undefined;
    const gone = await collect(part);
    expect(pointsOf(gone)).toEqual([]);
    expect(endedOf(gone)).toHaveLength(7);
    expect(endedOf(await collect(part))).toEqual([]);
  });
});
