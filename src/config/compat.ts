import { z } from "zod";
import {
  type CompatConfig,
  type CompatTool,
  compatTools,
  labelFoldings,
  type SsExporterConfig,
  type SsExporterMetric,
  ssExporterMetrics,
  type TelegrafConfig,
  telegrafProtocols,
} from "../model/config.ts";
import type { SocketProtocol } from "../model/socket.ts";
import type { Target } from "../model/target.ts";
import { defaults } from "./defaults.ts";
import { ascending, block, listOf, onOff, onOffOr, oneOf, optional } from "./kinds.ts";

const shown = (name: SsExporterMetric) => optional(onOff(), `tcp_${name}.`, "on");

const metrics = {
  rtt: shown("rtt"),
  cwnd: shown("cwnd"),
  delivery_rate: shown("delivery_rate"),
  data_segs_in: shown("data_segs_in"),
  data_segs_out: shown("data_segs_out"),
} satisfies Record<SsExporterMetric, z.ZodType>;

const telegraf = block({
  protocols: optional(
    listOf(oneOf(telegrafProtocols), "must be a list of protocols, as in [tcp, udp]").min(1, {
      error: "must name at least one protocol",
    }),
    "Whose sockets have series. By default all of sockets.protocols that Telegraf knows.",
  ),
});

const ssExporter = block({
  label_folding: optional(
    oneOf(labelFoldings),
    "What the label flow holds: both ends (raw_endpoint), or the process in place of the own end (pid_condensed), whose flows are then folded into one series for each end of the peer.",
    defaults.ssExporter.labelFolding,
  ),
  metrics: optional(block(metrics), "Which of the gauges and counters there are."),
  rtt_histogram: optional(
    onOffOr(
      block({
        bounds_ms: optional(
          ascending("milliseconds", 2.5),
          "Upper bounds in milliseconds, ascending, at most 160.",
          defaults.ssExporter.rttBoundsMs,
        ),
      }),
    ),
    "The histogram tcp_rtt_hist_ms; off switches it off.",
  ),
});

const options = {
  datakit: optional(block({}), "DataKit's input socket: what probes found; it has no options."),
  telegraf: optional(telegraf, "Telegraf's input socketstat: a series for each socket."),
  ss_exporter: optional(ssExporter, "prometheus_ss_exporter: TCP flows, with the label flow."),
  sockstat: optional(block({}), "The recipe for Datadog: figures of /proc/net/sockstat; it has no options."),
  connection_status: optional(block({}), "connection-status-exporter: what probes found; it has no options."),
} satisfies Record<CompatTool, z.ZodType>;

/** `- telegraf:` is a map of a name to nothing, of which `block` would leave an empty map. */
const withoutNothing = (item: unknown): unknown =>
  typeof item === "object" && item !== null && !Array.isArray(item)
    ? Object.fromEntries(Object.entries(item).map(([name, held]) => [name, held === null ? {} : (held as unknown)]))
    : item;

/** The tools that an item names, of one without a fault exactly one. */
const toolsOf = (item: unknown): readonly CompatTool[] => {
  if (typeof item === "string") return compatTools.filter((tool) => tool === item);
  return typeof item === "object" && item !== null ? compatTools.filter((tool) => Object.hasOwn(item, tool)) : [];
};

const item = z.preprocess(
  withoutNothing,
  z.union(
    [
      z.enum(compatTools),
      block(options).refine((map) => toolsOf(map).length === 1, {
        error: "must name one tool: give each an item of its own",
        when: ({ issues }) => issues.length === 0,
      }),
    ],
    {
      error: `must be ${compatTools.join(", ").replace(/, ([^,]*)$/, " or $1")}, or a map of one of them to its options`,
    },
  ),
);

/** `compat`. */
export const compat = z.array(item, { error: "must be a list of tools, as in [datakit, telegraf]" }).superRefine(
  (items, context) => {
    const before = new Set<CompatTool>();
    for (const [index, each] of (items as unknown[]).entries()) {
      const [tool, other] = toolsOf(each);
      if (tool === undefined || other !== undefined) continue;
      if (before.has(tool))
        context.addIssue({ code: "custom", path: [index], message: `${tool} is in the list twice: remove one` });
      before.add(tool);
    }
  },
  { when: ({ value }) => Array.isArray(value) },
);

export type CompatFields = z.output<typeof compat>;

type Options = Partial<Exclude<CompatFields[number], string>>;

const isTelegrafs = (protocol: SocketProtocol): protocol is TelegrafConfig["protocols"][number] =>
  telegrafProtocols.some((known) => known === protocol);

const ssExporterOf = ({
  label_folding: labelFolding = defaults.ssExporter.labelFolding,
  metrics: switches = {},
  rtt_histogram: histogram = true,
}: NonNullable<Options["ss_exporter"]>): SsExporterConfig => ({
  labelFolding,
  metrics: ssExporterMetrics.filter((name) => switches[name] ?? true),
  rttBoundsMs:
    histogram === false
      ? undefined
      : ((histogram === true ? undefined : histogram.bounds_ms) ?? defaults.ssExporter.rttBoundsMs),
});

/** `read`: the protocols whose sockets are read. */
export const compatOf = (items: CompatFields = [], read: readonly SocketProtocol[] = []): CompatConfig => {
  const tools: Options = Object.assign(
    {},
    ...items.map((each): Options => (typeof each === "string" ? { [each]: {} } : each)),
  );
  return {
    datakit: tools.datakit !== undefined,
    telegraf: tools.telegraf && { protocols: tools.telegraf.protocols ?? read.filter(isTelegrafs) },
    ssExporter: tools.ss_exporter && ssExporterOf(tools.ss_exporter),
    sockstat: tools.sockstat !== undefined,
    connectionStatus: tools.connection_status !== undefined,
  };
};

/** A sentence for each tool whose series would be of targets, and there are none. */
export const compatNotes = ({ datakit, connectionStatus }: CompatConfig, targets: readonly Target[]): string[] => [
  ...(datakit && !targets.some((target) => "port" in target)
    ? ["compat: datakit has no target to say anything of: it is about tcp and udp."]
    : []),
  ...(connectionStatus && targets.length === 0 ? ["compat: connection_status has no target to say anything of."] : []),
];
