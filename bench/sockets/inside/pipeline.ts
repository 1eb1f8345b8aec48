import { allSockets } from "../../../test/kit/all-sockets.ts";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import type { Selector } from "../../../src/select/select.ts";
import type { OwnersPart } from "../../../src/collect/owners.ts";
import { createSocketsPart } from "../../../src/collect/sockets.ts";
import { defaults } from "../../../src/config/defaults.ts";
import { flowFields } from "../../../src/fold/flow-columns.ts";
import { subscribeDestroyEvents } from "../../../src/kernel/destroy-events.ts";
import { mapLargeBuffers } from "../../../src/kernel/allocator.ts";
import { loadLibc } from "../../../src/kernel/libc.ts";
import { createSockDiag } from "../../../src/kernel/netlink-socket.ts";
import type { Observation } from "../../../src/metrics/observation.ts";
import type { MetricColumns } from "../../../src/model/columns.ts";
import type { GroupAttribute, Grouping } from "../../../src/model/config.ts";
import { dumpsOf } from "../../../src/netlink/dumps.ts";
import { type Bytecode, createInetDecoder } from "../../../src/netlink/inet-diag.ts";
import type { DumpRequest } from "../../../src/netlink/message.ts";
import { planTcpInfo } from "../../../src/netlink/tcp-info.ts";

const libc = loadLibc();
mapLargeBuffers(libc);

export const requestsOf = (protocols: readonly ("tcp" | "udp")[], program?: Bytecode): readonly DumpRequest[] =>
  dumpsOf(protocols, {
    plan: planTcpInfo(flowFields(defaults.sockets.metrics)),
    congestion: false,
    program: () => program,
    timeWait: false,
  });

type Collected = {
  readonly sockets: number;
  readonly columns: readonly MetricColumns[];
  readonly observations: readonly Observation[];
};

type PipelineOptions = {
  readonly events?: "on" | "off";
  readonly owners?: OwnersPart;
  readonly selector?: Selector;
};

/** Dump, decoding, increments and grouping: what the agent does a tick with the kernel's sockets. */
export const createPipeline = (
  groupBy: Grouping | readonly GroupAttribute[],
  requests: readonly DumpRequest[],
  { events = "off", owners, selector = allSockets.selector }: PipelineOptions = {},
) => {
  const plan = planTcpInfo(flowFields(defaults.sockets.metrics));
  const part = createSocketsPart({
    ...allSockets,
    selector,
    config: {
      ...defaults.sockets,
      protocols: ["tcp", "udp"],
      groupBy,
      events,
      maxGroups: 100_000,
      seriesTtl: 10,
      rttBounds: [0.0001, 0.001, 0.01, 0.1],
    },
    read: createSockDiag(libc, requests).read,
    subscribe: () => subscribeDestroyEvents(libc, createInetDecoder("tcp", plan, true)),
    readTcp: undefined,
    owners,
    ephemeral: [32768, 60999],
    now: () => performance.now(),
    log: (_level, message) => process.stderr.write(`${message}\n`),
  });
  return {
    close: () => part.close(),
    /** Throws where the kernel gave no sockets. */
    collect: async (): Promise<Collected> => {
      const { columns, observations } = await part.collect(Date.now(), AbortSignal.timeout(60_000));
      const dumped = observations.find(({ metric }) => metric === "sockscope.agent.dump.sockets");
      if (dumped === undefined) throw new Error("the sockets could not be read");
      return { sockets: dumped.value, columns, observations };
    },
  };
};

/** More than the largest cache holds; 64 MB where the kernel does not tell. */
const cacheBytes = (): number => {
  const folder = "/sys/devices/system/cpu/cpu0/cache";
  const sizes = (existsSync(folder) ? readdirSync(folder) : [])
    .filter((name) => name.startsWith("index"))
    .map((name) => Number.parseInt(readFileSync(`${folder}/${name}/size`, "utf8"), 10) * 1024);
  return Math.max(64 * 2 ** 20, ...sizes) * 1.5;
};

/** Empties the caches before something, as the seconds between two ticks do. */
export const createCold = () => {
  const memory = new Uint8Array(cacheBytes());
  return {
    bytes: memory.length,
    empty: (): void => {
      for (let at = 0; at < memory.length; at += 64) memory[at] = (memory[at] as number) + 1;
    },
  };
};

/** CPU of this process, all threads, of one of `count` runs in us. */
export const cpuOf = async (count: number, once: () => Promise<unknown>): Promise<number> => {
  const start = process.cpuUsage();
  for (let done = 0; done < count; done++) await once();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / count;
};

/** The two numbers that the C program prints: us of CPU first. */
const numbersOf = (peer: string, args: readonly string[]): { readonly cpu: number; readonly second: number } => {
  const [cpu, second] = execFileSync(peer, args, { encoding: "utf8" }).trim().split(" ").map(Number);
  if (cpu === undefined || second === undefined) throw new Error(`${peer} ${args[0]} printed no two numbers`);
  return { cpu, second };
};

/** The same requests, sent by the C program, which walks the replies; after as many bytes of memory, to empty the caches. */
export const dumpByC = (
  peer: string,
  count: number,
  requests: readonly DumpRequest[],
  emptied = 0,
): { readonly cpu: number; readonly sockets: number } => {
  const messages = requests.map(({ encode }) => Buffer.from(encode(1)).toString("hex"));
  const { cpu, second } = numbersOf(peer, ["dump", String(count), String(emptied), ...messages]);
  return { cpu, sockets: second };
};

/** CPU of a program with its start in us, and the most resident memory it had. */
export const costOf = (peer: string, count: number, ...command: string[]): { cpu: number; bytes: number } => {
  const { cpu, second } = numbersOf(peer, ["run", String(count), ...command]);
  return { cpu, bytes: second * 1024 };
};

/** The most resident memory that this process had, in bytes. Not getrusage's, which begins with the parent's. */
export const peakMemory = (): number =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024;

export const result = (value: unknown): void => {
  process.stdout.write(`${JSON.stringify(value)}\n`, () => process.exit(0));
};
