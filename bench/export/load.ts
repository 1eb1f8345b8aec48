import { defaults } from "../../src/config/defaults.ts";
import { SeriesTable } from "../../src/fold/series.ts";
import { attributeSet, type Attributes, type Snapshot } from "../../src/model/columns.ts";
import type { OtlpConfig } from "../../src/model/config.ts";

export const flows = 100_000;
export const metrics = 6;
export const points = flows * metrics;

export const scope = { name: "sockscope", version: "0.1.0" };
export const resource = { "service.name": "sockscope", "host.name": "bench-host", "os.type": "linux" };

/** What `inside/` prints: of one export, with the memory that the process had at most in bytes. */
export type Export = {
  /** us, all threads. */
  readonly cpu: number;
  /** The longest time in ms that the event loop did not turn. */
  readonly delay: number;
  readonly peak: number;
};

export const connection = (index: number): Attributes => ({
  "network.transport": "tcp",
  "network.type": "ipv4",
  "network.local.address": `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`,
  "network.local.port": 32_768 + (index % 28_000),
  "network.peer.address": `198.51.${(index * 7) & 255}.${(index * 13) & 255}`,
  "network.peer.port": 443,
});

/** Different from tick to tick, as the counters of a busy host are. */
export const valueOf = (metric: number, index: number, tick: number): number =>
  metric * 1_000_003 + index * 1_461 + tick * 1000;

/** Six columns of counters by flow, which move with each tick. */
export const createFlows = (startMs: number) => {
  const table = new SeriesTable<"group">();
  const columns = [
    table.column("sockscope.flow.io", { "network.io.direction": "transmit" }),
    table.column("sockscope.flow.io", { "network.io.direction": "receive" }),
    table.column("sockscope.flow.segments", { "network.io.direction": "transmit" }),
    table.column("sockscope.flow.segments", { "network.io.direction": "receive" }),
    table.column("sockscope.flow.retransmits", {}),
    table.column("sockscope.flow.retransmit.io", {}),
  ];
  for (let index = 0; index < flows; index++) table.add(attributeSet(connection(index)), startMs);
  return {
    move: (tick: number): void => {
      for (const [metric, column] of columns.entries()) {
        const values = table.values(column);
        for (let index = 0; index < flows; index++) values[index] = valueOf(metric, index, tick);
      }
    },
    collect: () => table.collect(),
  };
};

export const snapshotOf = (columns: Snapshot["metrics"], time: number): Snapshot => ({
  time,
  resource,
  scope,
  metrics: columns,
});

/** A destination with the defaults, but for patience with a busy machine. */
export const destinationOf = (url: string, compression: OtlpConfig["compression"]): OtlpConfig => ({
  url,
  compression,
  tls: undefined,
  proxy: undefined,
  protocol: "http/protobuf",
  headers: {},
  timeoutMs: 60_000,
  retry: defaults.otlp.retry,
  queueBytes: defaults.otlp.queueMib * 1_048_576,
  newestFirst: false,
  temporality: "cumulative",
  storage: undefined,
});
