import { z } from "zod";
import { block, optional, text } from "../config/kinds.ts";

/** The words that NimYAML takes beside true and false. */
const on = ["yes", "Yes", "YES", "y", "Y", "on", "On", "ON"] as const;
const off = ["no", "No", "NO", "n", "N", "off", "Off", "OFF"] as const;

const onOff = z
  .union([z.boolean(), z.enum([...on, ...off])], { error: "must be true or false" })
  .transform((held) => held === true || on.some((word) => word === held));

const active = optional(onOff, "Whether it is exposed.");
const metric = optional(block({ active }), "A metric.");

const bounds = optional(
  z.array(z.number({ error: "must be a number of milliseconds" }), { error: "must be a list of milliseconds" }),
  "Upper bounds.",
);

/** Documented in two spellings. */
const histogram = optional(block({ active, bucketBounds: bounds, bucket_bounds: bounds }), "The histogram.");

const metrics = block({
  histograms: optional(block({ active, rtt: histogram, latency: histogram }), "Histograms."),
  gauges: optional(
    block({ active, rtt: metric, cwnd: metric, deliveryRate: metric, delivery_rate: metric }),
    "Gauges.",
  ),
  counters: optional(
    block({ active, dataSegsIn: metric, dataSegsOut: metric, data_segs_in: metric, data_segs_out: metric }),
    "Counters.",
  ),
});

const folding = optional(
  z.union([text(), block({ origin: text("raw_endpoint or pid_condensed") })], {
    error: "must be raw_endpoint or pid_condensed",
  }),
  "How flows are labelled.",
);

const list = <T extends z.ZodType>(item: T, what: string) =>
  optional(z.array(item, { error: `must be a list of ${what}` }), what);

const word = (what: string) => z.string({ error: `must be ${what}` });

const port = (end: string) =>
  z.number({
    error: ({ input }) =>
      input === undefined ? `is missing: a range has lower and upper` : `must be a port, the ${end} end of the range`,
  });

const ranges = list(block({ lower: port("lower"), upper: port("upper") }), "ranges with lower and upper");

const networks = optional(
  z.union(
    [
      z.array(word("a network")),
      block({ exclude: z.array(word("a network"), { error: "must be a list of networks" }) }),
    ],
    {
      error: "must be a list of networks, or a map with exclude",
    },
  ),
  "Networks of the other end.",
);

const selection = block({
  process: optional(
    block({
      pids: list(z.int({ error: "must be a process id" }), "process ids"),
      cmds: list(word("the name of a program"), "names of programs"),
    }),
    "Who holds the socket.",
  ),
  peering: optional(
    block({
      addresses: list(word("an IP address"), "addresses"),
      networks,
      hosts: list(word("the name of a host"), "hosts"),
      portRanges: ranges,
      portranges: ranges,
    }),
    "The other end.",
  ),
  portRanges: ranges,
  portranges: ranges,
});

/** All keys of both generations and of the document, each optional. */
export const ssExporterFile = block({
  logic: optional(
    block({
      metrics: optional(metrics, "What is exposed."),
      compression: optional(block({ labelFolding: folding, label_folding: folding }), "Labels."),
      selection: optional(selection, "Which flows."),
    }),
    "All of it.",
  ),
});

export type SsExporterFile = z.output<typeof ssExporterFile>;
export type Logic = NonNullable<SsExporterFile["logic"]>;
export type Metrics = z.output<typeof metrics>;
export type Selection = z.output<typeof selection>;
export type Histogram = NonNullable<NonNullable<Metrics["histograms"]>["rtt"]>;
