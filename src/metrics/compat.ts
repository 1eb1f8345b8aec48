import type { AttributeRow, Row } from "./catalogue.ts";

/** Labels and tags of the series that other tools have (`compat`), all of them text. */
export const compatAttributes = {
  dest_host: { type: "string", description: "datakit: the target's host." },
  dest_port: { type: "string", description: "datakit: the target's port." },
  flow: {
    type: "string",
    description:
      "ss_exporter: `(SRC#ip|port)(DST#ip|port)`, or with `pid_condensed` `(pid)(DST#ip|port)`, where `?` stands for a process that is not known. IPv4-mapped addresses are written as IPv4.",
  },
  host: {
    type: "string",
    description:
      "datakit: the target's host, unless it is localhost or a loopback address, or the target has an attribute of that name. telegraf: this machine's name. connection_status: the target's host, or its path.",
  },
  local_addr: {
    type: "string",
    description: "telegraf: as ss prints it: IPv6 in brackets, `%` before the device that the socket is bound to.",
  },
  local_port: { type: "string", description: "telegraf: a number, `*` for none; of a unix socket its inode." },
  name: { type: "string", description: "connection_status: the target's name." },
  port: { type: "string", description: "connection_status: the target's port, empty where it has none." },
  proto: { type: "string", description: "datakit: tcp or udp. telegraf: the protocol." },
  protocol: { type: "string", description: "connection_status: the target's kind." },
  remote_addr: { type: "string", description: "telegraf: the other end's address, `*` where ss prints that." },
  remote_port: { type: "string", description: "telegraf: its port; of a unix socket the inode of the other one." },
  state: {
    type: "string",
    description: "telegraf: of tcp, dccp and sctp the state in the words of ss; a string field in Telegraf.",
  },
} as const satisfies Record<string, AttributeRow>;

/** Attributes of their series. */
export const compatSeries = {
  datakit: ["dest_host", "dest_port", "proto", "host"],
  telegraf: ["proto", "local_addr", "local_port", "remote_addr", "remote_port", "state", "host"],
  ss_exporter: ["flow"],
  connection_status: ["name", "host", "port", "protocol"],
} as const;

const producer = { carrier: "producer", own: [], verbatim: true } as const;
const gauge = { ...producer, kind: "gauge" } as const;
const socketstat = { ...gauge, series: "telegraf", value: "int" } as const;
const flow = { ...producer, series: "ss_exporter" } as const;
const sockstat = { ...gauge, series: "none", value: "int", unit: "{socket}" } as const;

/** Series under the names, types, labels and units of the five tools' own documents. */
export const compatMetrics = {
  "tcp.response_time": {
    ...gauge,
    series: "datakit",
    unit: "us",
    value: "int",
    description: "datakit: TCP connection time without name resolution. Absent after a failure.",
  },
  "tcp.response_time_with_dns": {
    ...gauge,
    series: "datakit",
    unit: "us",
    value: "int",
    description: "datakit: TCP connection time with name resolution. Absent after a failure.",
  },
  "tcp.success": {
    ...gauge,
    series: "datakit",
    unit: "",
    value: "int",
    description: "datakit: 1: success, -1: failed. Absent while the agent itself cannot test.",
  },
  "udp.success": {
    ...gauge,
    series: "datakit",
    unit: "",
    value: "int",
    description: "datakit: 1: no refusal, as with nc -vuz; silence is success. -1: failed.",
  },
  socketstat_recv_q: { ...socketstat, unit: "By", description: "telegraf: Recv-Q of ss." },
  socketstat_send_q: { ...socketstat, unit: "By", description: "telegraf: Send-Q of ss." },
  socketstat_bytes_acked: {
    ...socketstat,
    unit: "By",
    description: "telegraf: tcpi_bytes_acked since the connection began.",
  },
  socketstat_bytes_received: {
    ...socketstat,
    unit: "By",
    description: "telegraf: tcpi_bytes_received since the connection began.",
  },
  socketstat_segs_out: {
    ...socketstat,
    unit: "{segment}",
    description: "telegraf: tcpi_segs_out since the connection began.",
  },
  socketstat_segs_in: {
    ...socketstat,
    unit: "{segment}",
    description: "telegraf: tcpi_segs_in since the connection began.",
  },
  socketstat_data_segs_out: {
    ...socketstat,
    unit: "{segment}",
    description: "telegraf: tcpi_data_segs_out since the connection began.",
  },
  socketstat_data_segs_in: {
    ...socketstat,
    unit: "{segment}",
    description: "telegraf: tcpi_data_segs_in since the connection began.",
  },
  tcp_rtt: {
    ...flow,
    kind: "gauge",
    unit: "ms",
    value: "double",
    description: "ss_exporter: TCP round-trip time. Mean of the flows that share the label.",
  },
  tcp_cwnd: {
    ...flow,
    kind: "gauge",
    unit: "{segment}",
    value: "double",
    description: "ss_exporter: TCP congestion window. Mean of the flows that share the label.",
  },
  tcp_delivery_rate: {
    ...flow,
    kind: "gauge",
    unit: "By/s",
    value: "double",
    description:
      "ss_exporter: TCP delivery rate, also where the application limited it. Sum of the flows that share the label.",
  },
  tcp_data_segs_in: {
    ...flow,
    kind: "counter",
    unit: "{segment}",
    value: "int",
    description: "ss_exporter: TCP data segments received.",
  },
  tcp_data_segs_out: {
    ...flow,
    kind: "counter",
    unit: "{segment}",
    value: "int",
    description: "ss_exporter: TCP data segments sent.",
  },
  tcp_rtt_hist_ms: {
    ...producer,
    series: "none",
    kind: "histogram",
    unit: "ms",
    value: "double",
    description: "ss_exporter: TCP round-trip times: one sample for each live flow at each collection.",
  },
  "sockstat.tcp.inuse": {
    ...sockstat,
    description: "sockstat: TCP sockets in use, of IPv4, in this network namespace: not only established ones.",
  },
  "sockstat.tcp.orphan": { ...sockstat, description: "sockstat: TCP sockets without a file." },
  "sockstat.tcp.tw": { ...sockstat, description: "sockstat: TCP sockets in TIME_WAIT: a count." },
  "sockstat.tcp.alloc": { ...sockstat, description: "sockstat: TCP sockets allocated." },
  "sockstat.tcp.mem": { ...sockstat, unit: "KiBy", description: "sockstat: memory of TCP buffers, in whole pages." },
  "sockstat.udp.inuse": {
    ...sockstat,
    description: "sockstat: UDP sockets in use, of IPv4, in this network namespace.",
  },
  "sockstat.udp.mem": { ...sockstat, unit: "KiBy", description: "sockstat: memory of UDP buffers, in whole pages." },
  connection_status_up: {
    ...gauge,
    series: "connection_status",
    unit: "",
    value: "int",
    description:
      "connection_status: 1: connection OK, also of a UDP target that does not answer; 0: connection error. Absent while the agent itself cannot test.",
  },
} as const satisfies Record<string, Row>;
