import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createHostPart, type HostOptions } from "../../src/collect/host.ts";
import { readProcFile } from "../../src/kernel/proc-files.ts";

let proc = "";
const logged: string[] = [];

beforeEach(() => {
  proc = mkdtempSync(join(tmpdir(), "sockscope-proc-"));
  mkdirSync(join(proc, "net"));
  logged.length = 0;
});
afterEach(() => rmSync(proc, { recursive: true }));

const write = (name: string, text: string): void => writeFileSync(join(proc, "net", name), text);

const createPart = (options: Partial<HostOptions> = {}) =>
  createHostPart({
    proc,
    read: readProcFile,
    pageSize: 16_384,
    sockstat: true,
    timeWait: true,
    log: (level, message) => logged.push(`${level} ${message}`),
    ...options,
  });

const read = async (part = createPart()): Promise<Record<string, number>> => {
  const { observations } = await part.collect(0, AbortSignal.timeout(1000));
  return Object.fromEntries(
    observations.map(({ metric, attributes, value }) => [
      [metric.replace("sockscope.sockstat.", ""), ...Object.values(attributes)].join(" "),
      value,
    ]),
  );
};

const ipv4 =
  "sockets: used 290\nTCP: inuse 4 orphan 1 tw 2 alloc 6 mem 3\nUDP: inuse 5 mem 7\nUDPLITE: inuse 0\nRAW: inuse 8\nFRAG: inuse 9 memory 1000\n";
const ipv6 = "TCP6: inuse 10\nUDP6: inuse 11\nUDPLITE6: inuse 12\nRAW6: inuse 13\nFRAG6: inuse 14 memory 2000\n";

test("every figure of sockstat and sockstat6; memory in whole pages of this machine, fragments in bytes", async () => {
  write("sockstat", ipv4);
  write("sockstat6", ipv6);
  expect(await read()).toEqual({
    used: 290,
    "in_use ipv4 tcp": 4,
    "in_use ipv4 udp": 5,
    "in_use ipv4 udplite": 0,
    "in_use ipv4 raw": 8,
    "in_use ipv4 frag": 9,
    "in_use ipv6 tcp": 10,
    "in_use ipv6 udp": 11,
    "in_use ipv6 udplite": 12,
    "in_use ipv6 raw": 13,
    "in_use ipv6 frag": 14,
    "orphan tcp": 1,
    "time_wait tcp": 2,
    "allocated tcp": 6,
    "memory.usage tcp": 3 * 16_384,
    "memory.usage udp": 7 * 16_384,
    "memory.usage ipv4 frag": 1000,
    "memory.usage ipv6 frag": 2000,
    "system.network.connection.count tcp time_wait": 2,
    "sockscope.agent.capability sockstat": 1,
    "sockscope.agent.source.errors sockstat": 0,
    "sockscope.agent.rows.skipped sockstat": 0,
  });
  expect(logged).toEqual([]);
});

test("where each network namespace has series of its own, what is of the whole kernel is left", async () => {
  write("sockstat", ipv4);
  expect(await read(createPart({ sockstat: "kernel", timeWait: false }))).toEqual({
    "orphan tcp": 1,
    "allocated tcp": 6,
    "memory.usage tcp": 3 * 16_384,
    "memory.usage udp": 7 * 16_384,
    "memory.usage ipv4 frag": 1000,
    "sockscope.agent.capability sockstat": 1,
    "sockscope.agent.source.errors sockstat": 0,
    "sockscope.agent.rows.skipped sockstat": 0,
  });
});

test("without IPv6 there is no sockstat6, nothing of it and nothing to say", async () => {
  write("sockstat", ipv4);
  const values = await read();
  expect(Object.keys(values).filter((name) => name.includes("ipv6"))).toEqual([]);
  expect(values["in_use ipv4 tcp"]).toBe(4);
  expect(logged).toEqual([]);
});

test("a field and a line that are missing are absent, and a broken line is counted", async () => {
  write("sockstat", "sockets: used 1\nTCP: inuse 4 tw 2\nUDP: inuse 5\nnonsense\n");
  const values = await read();
  expect(values["orphan tcp"]).toBeUndefined();
  expect(values["memory.usage udp"]).toBeUndefined();
  expect(values["in_use ipv4 raw"]).toBeUndefined();
  expect(values["sockscope.agent.rows.skipped sockstat"]).toBe(1);
});

test("a page size that is not known leaves out what is counted in pages", async () => {
  write("sockstat", ipv4);
  const values = await read(createPart({ pageSize: undefined }));
  expect(values["memory.usage tcp"]).toBeUndefined();
  expect(values["memory.usage ipv4 frag"]).toBe(1000);
});

test("no sockstat at all is said once, and so is its return", async () => {
  const part = createPart();
  const values = await read(part);
  await read(part);
  expect(values).toEqual({
    "sockscope.agent.capability sockstat": 0,
    "sockscope.agent.source.errors sockstat": 1,
    "sockscope.agent.rows.skipped sockstat": 0,
  });
  write("sockstat", ipv4);
  expect((await read(part))["sockscope.agent.source.errors sockstat"]).toBe(2);
  expect(logged).toEqual([
    `warn sockstat cannot be read, the other sources go on: there is no ${proc}/net/sockstat`,
    "info sockstat can be read again",
  ]);
});

test("a file that cannot be read is said once, and the other one counts", async () => {
  mkdirSync(join(proc, "net/sockstat"));
  write("sockstat6", ipv6);
  const part = createPart();
  expect((await read(part))["in_use ipv6 tcp"]).toBe(10);
  await read(part);
  expect(logged).toEqual([
    `warn sockstat cannot be read, the other sources go on: cannot read ${proc}/net/sockstat: EISDIR`,
  ]);
});

test("with sockstat off only the TIME_WAIT sockets of the connection count are read", async () => {
  write("sockstat", ipv4);
  const values = await read(createPart({ sockstat: false }));
  expect(Object.keys(values).filter((name) => !name.startsWith("sockscope.agent"))).toEqual([
    "system.network.connection.count tcp time_wait",
  ]);
});

test("limits: memory in pages as bytes, counts as they are, and nothing of files that are not there or not as they should be", async () => {
  write("sockstat", ipv4);
  const folder = join(proc, "sys/net/ipv4");
  mkdirSync(folder, { recursive: true });
  const limits = async () =>
    Object.fromEntries(Object.entries(await read()).filter(([name]) => name.includes(".limit")));
  expect(await limits()).toEqual({});
  writeFileSync(join(folder, "tcp_max_tw_buckets"), "131072\n");
  expect(await limits()).toEqual({ "time_wait.limit tcp": 131_072 });
  writeFileSync(join(folder, "tcp_mem"), "100\t200\t300\n");
  writeFileSync(join(folder, "udp_mem"), "nonsense\n");
  mkdirSync(join(folder, "tcp_max_orphans"));
  expect(await limits()).toEqual({
    "memory.limit tcp low": 100 * 16_384,
    "memory.limit tcp pressure": 200 * 16_384,
    "memory.limit tcp max": 300 * 16_384,
    "time_wait.limit tcp": 131_072,
  });
  writeFileSync(join(folder, "udp_mem"), "1\t2\t3\n");
  rmSync(join(folder, "tcp_max_orphans"), { recursive: true });
  writeFileSync(join(folder, "tcp_max_orphans"), "5\n");
  expect(await limits()).toMatchObject({ "memory.limit udp max": 3 * 16_384, "orphan.limit tcp": 5 });
  expect(await read(createPart({ sockstat: false }))).not.toHaveProperty("orphan.limit tcp");
  expect(
    Object.keys(await read(createPart({ pageSize: undefined }))).filter((name) => name.includes(".limit")),
  ).toEqual(["orphan.limit tcp", "time_wait.limit tcp"]);
  expect(logged).toEqual([]);
});
