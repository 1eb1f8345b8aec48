import { type MetricColumns, noAttributes } from "../../model/columns.ts";
import { SeriesTable } from "../series.ts";

const figures = [
  { metric: "sockstat.tcp.inuse", line: "TCP", key: "inuse", pages: false },
  { metric: "sockstat.tcp.orphan", line: "TCP", key: "orphan", pages: false },
  { metric: "sockstat.tcp.tw", line: "TCP", key: "tw", pages: false },
  { metric: "sockstat.tcp.alloc", line: "TCP", key: "alloc", pages: false },
  { metric: "sockstat.tcp.mem", line: "TCP", key: "mem", pages: true },
  { metric: "sockstat.udp.inuse", line: "UDP", key: "inuse", pages: false },
  { metric: "sockstat.udp.mem", line: "UDP", key: "mem", pages: true },
] as const;

export type SockstatSeries = {
  /**
   * The figures of /proc/net/sockstat by line and key; undefined where there are none. `pageSize` is in bytes, undefined
   * where it is not known.
   */
  readonly record: (
    values: ReadonlyMap<string, ReadonlyMap<string, number>> | undefined,
    pageSize: number | undefined,
  ) => void;
  readonly collect: (absent?: boolean) => Generator<number, MetricColumns[]>;
};

/** Series of the recipe that sends sockstat to Datadog. */
export const createSockstatSeries = (): SockstatSeries => {
  const table = new SeriesTable<"none">();
  const rows = figures.map((figure) => ({ ...figure, column: table.column(figure.metric, {}) }));
  const row = table.add(noAttributes, 0);
  return {
    record(values, pageSize = Number.NaN) {
      for (const { line, key, pages, column } of rows) {
        const value = values?.get(line)?.get(key) ?? Number.NaN;
        table.values(column)[row] = pages ? (value * pageSize) / 1024 : value;
      }
    },
    collect: (absent = false) => table.collect(absent),
  };
};
