import type { Observation } from "../metrics/observation.ts";
import type { ReadProcFile } from "../model/sources.ts";

type Limits = {
  /** Mount point of procfs. */
  readonly proc: string;
  readonly read: ReadProcFile;
  /** Bytes a page; undefined where it cannot be known. */
  readonly pageSize: number | undefined;
};

const tcp = { "network.transport": "tcp" } as const;
const thresholds = ["low", "pressure", "max"] as const;

/** The files are of /proc/sys/net/ipv4. */
const memory = [
  { file: "tcp_mem", attributes: tcp },
  { file: "udp_mem", attributes: { "network.transport": "udp" } },
] as const;

const counts = [
  { file: "tcp_max_orphans", metric: "sockscope.sockstat.orphan.limit" },
  { file: "tcp_max_tw_buckets", metric: "sockscope.sockstat.time_wait.limit" },
] as const;

/**
 * What sockstat's figures can rise to. The kernel shows tcp_mem, udp_mem and tcp_max_orphans in its first network
 * namespace only: what is not there, or may not be read, has no limit here, and that is no failure.
 */
export const readLimits = async ({ proc, read, pageSize }: Limits): Promise<Observation[]> => {
  const numbers = async (file: string): Promise<number[]> => {
    const text = await read(`${proc}/sys/net/ipv4/${file}`).catch(() => undefined);
    return /^\d+(?:\s+\d+)*\s*$/.test(text ?? "") ? (text ?? "").trim().split(/\s+/).map(Number) : [];
  };
  const sizes = await Promise.all(
    memory.map(async ({ file, attributes }) =>
      (pageSize === undefined ? [] : await numbers(file)).flatMap((pages, index): Observation[] => {
        const threshold = thresholds[index];
        if (threshold === undefined || pageSize === undefined) return [];
        const all = { ...attributes, "sockscope.memory.threshold": threshold };
        return [{ metric: "sockscope.sockstat.memory.limit", value: pages * pageSize, attributes: all }];
      }),
    ),
  );
  const totals = await Promise.all(
    counts.map(async ({ file, metric }) => {
      const [value] = await numbers(file);
      return value === undefined ? [] : [{ metric, value, attributes: tcp } satisfies Observation];
    }),
  );
  return [...sizes, ...totals].flat();
};
