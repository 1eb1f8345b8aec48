import type { Attributes, Snapshot } from "../model/columns.ts";
import { attributeOf, figuresOf, firstOf, readingsOf, type Steps } from "./figures.ts";
import {
  byteColumns,
  byText,
  countColumn,
  joinHostPort,
  millisecondColumn,
  textColumn,
  textOf,
  type Section,
} from "./section.ts";
import { absent } from "./terminal.ts";

/** Rows of a section whose series can be many. */
const topRows = 20;

const more = (total: number, noun: string): string | undefined =>
  total > topRows ? `... and ${total - topRows} more ${noun}` : undefined;

/** TCP sockets by state, the most frequent first; states without a socket are left out. */
export const connectionsSection = (snapshot: Snapshot): Section => {
  const states = new Map<string, { state: string; ipv4?: number; ipv6?: number; sum: number }>();
  for (const reading of readingsOf(snapshot, "system.network.connection.count")) {
    const state = String(attributeOf(reading, "network.connection.state"));
    const type = attributeOf(reading, "network.type");
    const row = states.get(state) ?? { state, sum: 0 };
    if (type === "ipv4" || type === "ipv6") row[type] = (row[type] ?? 0) + reading.value;
    row.sum += reading.value;
    states.set(state, row);
  }
  const rows = [...states.values()]
    .filter(({ sum }) => sum > 0)
    .sort((a, b) => b.sum - a.sum || byText(a.state, b.state));
  return {
    title: "TCP connections",
    columns: [
      textColumn("state", rows, "state"),
      countColumn("ipv4", rows, "ipv4"),
      countColumn("ipv6", rows, "ipv6"),
      countColumn("sum", rows, "sum"),
    ],
  };
};

const endOf = (values: Attributes, end: "local" | "peer"): string | undefined => {
  const address = values[`network.${end}.address`];
  const port = textOf(values, `network.${end}.port`);
  if (address === undefined) return port === absent ? undefined : `:${port}`;
  const text = textOf(values, `network.${end}.address`);
  return port === absent ? text : joinHostPort(text, port);
};

/** The ends that a series' attributes name. */
const endpointOf = (values: Attributes): string => {
  if (values["otel.metric.overflow"] === true) return "(all others)";
  const ends = [endOf(values, "local"), endOf(values, "peer")].filter((end) => end !== undefined);
  return ends.length > 0 ? ends.join(" → ") : absent;
};

const netnsOf = (values: Attributes): string => textOf(values, "sockscope.netns");

/** Where several network namespaces are read. */
const netnsColumns = (rows: readonly { readonly netns: string }[]): Section["columns"] =>
  rows.some(({ netns }) => netns !== absent) ? [textColumn("netns", rows, "netns")] : [];

/** One row a group, by bytes. */
export function* flowsSection(snapshot: Snapshot): Steps<Section> {
  const series = yield* figuresOf(snapshot, {
    count: ["sockscope.flow.count"],
    sent: ["sockscope.flow.io", { "network.io.direction": "transmit" }],
    received: ["sockscope.flow.io", { "network.io.direction": "receive" }],
    retransmits: ["sockscope.flow.retransmits"],
    rtt: ["sockscope.flow.rtt"],
    cwnd: ["sockscope.flow.cwnd"],
  });
  const rows = series.values().map(({ values, figures }) => ({
    ...figures,
    role: textOf(values, "sockscope.flow.role"),
    endpoint: endpointOf(values),
    netns: netnsOf(values),
    executable: textOf(values, "process.executable.name"),
    bytes: (figures.sent ?? 0) + (figures.received ?? 0),
  }));
  const top = yield* firstOf(
    rows,
    (a, b) => b.bytes - a.bytes || (b.count ?? 0) - (a.count ?? 0) || byText(a.endpoint, b.endpoint),
    topRows,
  );
  return {
    title: "Flows",
    columns: [
      textColumn("role", top, "role"),
      textColumn("endpoint", top, "endpoint"),
      ...netnsColumns(top),
      textColumn("process", top, "executable"),
      countColumn("flows", top, "count"),
      ...byteColumns([["sent", "sent"] as const, ["recv", "received"] as const], top),
      countColumn("retrans", top, "retransmits"),
      millisecondColumn("rtt", top, "rtt"),
      { ...countColumn("cwnd", top, "cwnd"), optional: true },
    ],
    more: more(series.size, "groups"),
  };
}

type PortRow = { readonly port: number; readonly address: string; readonly drops?: number; readonly queue?: number };

/** What loses data first, then by port. */
const byTrouble = (a: PortRow, b: PortRow): number =>
  (b.drops ?? 0) - (a.drops ?? 0) || (b.queue ?? 0) - (a.queue ?? 0) || a.port - b.port || byText(a.address, b.address);

const portOf = (values: Attributes): { port: number; address: string } => ({
  port: Number(values["network.local.port"] ?? Infinity),
  address: endpointOf(values),
});

/** One row a listening address. */
export function* listenersSection(snapshot: Snapshot): Steps<Section> {
  const series = yield* figuresOf(snapshot, {
    queue: ["sockscope.listener.accept_queue.usage"],
    limit: ["sockscope.listener.accept_queue.limit"],
    drops: ["sockscope.listener.drops"],
  });
  const rows = series.values().map(({ values, figures }) => ({
    ...figures,
    ...portOf(values),
    netns: netnsOf(values),
  }));
  const top = yield* firstOf(rows, byTrouble, topRows);
  return {
    title: "Listeners",
    columns: [
      textColumn("address", top, "address"),
      ...netnsColumns(top),
      countColumn("queue", top, "queue"),
      countColumn("limit", top, "limit"),
      countColumn("drops", top, "drops"),
    ],
    more: more(series.size, "listeners"),
  };
}

/** Sockets that are neither TCP nor UDP, and what they dropped; types and states without a socket are left out. */
export function* socketsSection(snapshot: Snapshot): Steps<Section> {
  const series = yield* figuresOf(snapshot, { count: ["sockscope.socket.count"], drops: ["sockscope.socket.drops"] });
  const rows = [...series.values()]
    .map(({ values, figures }) => ({
      ...figures,
      protocol: textOf(
        values,
        values["network.transport"] === undefined ? "network.protocol.name" : "network.transport",
      ),
      type: textOf(values, "sockscope.socket.type"),
      state: textOf(values, "network.connection.state"),
    }))
    .filter(({ count, drops }) => (count ?? 0) > 0 || (drops ?? 0) > 0)
    .sort((a, b) => byText(a.protocol, b.protocol) || (b.count ?? 0) - (a.count ?? 0) || byText(a.state, b.state));
  return {
    title: "Sockets",
    columns: [
      textColumn("protocol", rows, "protocol"),
      textColumn("type", rows, "type"),
      textColumn("state", rows, "state"),
      countColumn("sockets", rows, "count"),
      countColumn("drops", rows, "drops"),
    ],
  };
}

/** One row a bound UDP address. */
export function* udpSection(snapshot: Snapshot): Steps<Section> {
  const series = yield* figuresOf(snapshot, {
    queue: ["sockscope.udp.queue.usage", { "network.io.direction": "receive" }],
    send: ["sockscope.udp.queue.usage", { "network.io.direction": "transmit" }],
    drops: ["sockscope.udp.drops"],
  });
  const rows = series
    .values()
    .map(({ values, figures }) => ({ ...figures, ...portOf(values), netns: netnsOf(values) }));
  const top = yield* firstOf(rows, byTrouble, topRows);
  return {
    title: "UDP ports",
    columns: [
      textColumn("address", top, "address"),
      ...netnsColumns(top),
      ...byteColumns([["recv queue", "queue"] as const, ["send queue", "send"] as const], top),
      countColumn("drops", top, "drops"),
    ],
    more: more(series.size, "UDP ports"),
  };
}
