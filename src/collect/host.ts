import { createSockstatSeries } from "../fold/compat/sockstat.ts";
import type { AttributeName } from "../metrics/catalogue.ts";
import type { Observation, ObservedMetric } from "../metrics/observation.ts";
import type { Log } from "../model/log.ts";
import type { ReadProcFile } from "../model/sources.ts";
import { parseSockstat, type Sockstat } from "../text/sockstat.ts";
import { readLimits } from "./host-limits.ts";
import { inSlices, type Part } from "./reading.ts";

export type HostOptions = {
  /** Mount point of procfs. */
  readonly proc: string;
  readonly read: ReadProcFile;
  /** Bytes a page, in which the kernel counts buffer memory; undefined where it cannot be known. */
  readonly pageSize: number | undefined;
  /** False: only the TIME_WAIT sockets of the connection count. `kernel`: what is of the whole kernel. */
  readonly sockstat: boolean | "kernel";
  /** Whether the TIME_WAIT sockets of the connection count come from here. */
  readonly timeWait: boolean;
  /** Whether there are the series of `compat: [sockstat]`. */
  readonly compat?: boolean;
  readonly log: Log;
};

/** Where a figure of sockstat goes. `scale` is 1 or bytes a page. */
type Row = {
  readonly line: string;
  readonly key: string;
  readonly metric: Extract<ObservedMetric, `sockscope.sockstat.${string}`>;
  readonly attributes: Readonly<Partial<Record<AttributeName, string>>>;
  readonly pages?: true;
  /** Of the network namespace, and a series for each where several are read. */
  readonly perNetns?: true;
};

const tcp = { "network.transport": "tcp" } as const;
const udp = { "network.transport": "udp" } as const;
const protocol = (name: "raw" | "frag" | "udplite") => ({ "network.protocol.name": name }) as const;

const inUse = (type: "ipv4" | "ipv6"): Row[] => {
  const suffix = type === "ipv4" ? "" : "6";
  const row = (line: string, attributes: Row["attributes"]): Row => ({
    line: `${line}${suffix}`,
    key: "inuse",
    metric: "sockscope.sockstat.in_use",
    attributes: { "network.type": type, ...attributes },
    perNetns: true,
  });
  return [
    row("TCP", tcp),
    row("UDP", udp),
    row("UDPLITE", protocol("udplite")),
    row("RAW", protocol("raw")),
    row("FRAG", protocol("frag")),
    {
      line: `FRAG${suffix}`,
      key: "memory",
      metric: "sockscope.sockstat.memory.usage",
      attributes: { "network.type": type, ...protocol("frag") },
    },
  ];
};

const rows: readonly Row[] = [
  { line: "sockets", key: "used", metric: "sockscope.sockstat.used", attributes: {}, perNetns: true },
  ...inUse("ipv4"),
  ...inUse("ipv6"),
  { line: "TCP", key: "orphan", metric: "sockscope.sockstat.orphan", attributes: tcp },
  { line: "TCP", key: "tw", metric: "sockscope.sockstat.time_wait", attributes: tcp, perNetns: true },
  { line: "TCP", key: "alloc", metric: "sockscope.sockstat.allocated", attributes: tcp },
  { line: "TCP", key: "mem", metric: "sockscope.sockstat.memory.usage", attributes: tcp, pages: true },
  { line: "UDP", key: "mem", metric: "sockscope.sockstat.memory.usage", attributes: udp, pages: true },
];

/** Where the figures of a network namespace go. */
export const netnsRows: readonly Row[] = rows.filter(({ perNetns }) => perNetns === true);
const kernelRows = rows.filter(({ perNetns }) => perNetns !== true);

const sockstatObservations = (
  wanted: readonly Row[],
  { values }: Sockstat,
  pageSize: number | undefined,
): Observation[] =>
  wanted.flatMap(({ line, key, metric, attributes, pages }) => {
    const value = values.get(line)?.get(key);
    const unit = pages === true ? pageSize : 1;
    if (value === undefined || unit === undefined) return [];
    return [{ metric, value: value * unit, attributes } as Observation];
  });

/** Reads sockstat and sockstat6 once a tick. A file that is not there (IPv6 is off) has no figures; both missing is a failure. */
export const createHostPart = (options: HostOptions): Part => {
  const { proc, read, pageSize, sockstat, timeWait, compat, log } = options;
  const series = compat === true ? createSockstatSeries() : undefined;
  const source = { "sockscope.agent.source": "sockstat" } as const;
  let failure: string | undefined;
  let errors = 0;
  let skipped = 0;

  const readFile = async (name: string): Promise<Sockstat | undefined> => {
    const text = await read(`${proc}/net/${name}`);
    if (text === undefined) return undefined;
    const parsed = parseSockstat(text);
    skipped += parsed.skipped;
    return parsed;
  };

  const settled = (reason: string | undefined): void => {
    if (reason !== undefined) errors++;
    if (reason !== undefined && failure === undefined)
      log("warn", `sockstat cannot be read, the other sources go on: ${reason}`);
    if (reason === undefined && failure !== undefined) log("info", "sockstat can be read again");
    failure = reason;
  };

  return {
    async collect() {
      const files = Promise.allSettled([readFile("sockstat"), readFile("sockstat6")]);
      const limits = sockstat ? await readLimits(options) : [];
      const [first, second] = await files;
      const parsed = [first, second].flatMap((result) =>
        result.status === "fulfilled" && result.value !== undefined ? [result.value] : [],
      );
      if (first.status === "rejected") settled((first.reason as Error).message);
      else settled(first.value === undefined ? `there is no ${proc}/net/sockstat` : undefined);
      const wanted = sockstat === "kernel" ? kernelRows : sockstat ? rows : [];
      const figures = parsed.flatMap((one) => sockstatObservations(wanted, one, pageSize));
      const observations: Observation[] = [...figures, ...limits];
      const waiting = parsed[0]?.values.get("TCP")?.get("tw");
      if (timeWait && waiting !== undefined) {
        observations.push({
          metric: "system.network.connection.count",
          value: waiting,
          attributes: { "network.transport": "tcp", "network.connection.state": "time_wait" },
        });
      }
      observations.push(
        { metric: "sockscope.agent.capability", value: failure === undefined ? 1 : 0, attributes: source },
        { metric: "sockscope.agent.source.errors", value: errors, attributes: source },
        { metric: "sockscope.agent.rows.skipped", value: skipped, attributes: source },
      );
      series?.record(first.status === "fulfilled" ? first.value?.values : undefined, pageSize);
      return { columns: series === undefined ? [] : await inSlices(series.collect()), observations };
    },
    end: async () => (series === undefined ? [] : inSlices(series.collect(true))),
  };
};
