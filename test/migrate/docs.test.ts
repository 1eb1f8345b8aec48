import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

const document = readFileSync(new URL("../../docs/MIGRATING.md", import.meta.url), "utf8");

const sections = new Map(
  document
    .split(/^## /m)
    .slice(1)
    .map((text): [string, string] => [text.slice(0, text.indexOf("\n")), text]),
);

/** Every option and metric of the tools' own documents. */
const promised: Readonly<Record<string, string>> = {
  "DataKit's socket input":
    "dest_url interval tcp_timeout udp_timeout election inputs.socket.tags tcp.response_time tcp.response_time_with_dns tcp.success udp.success dest_host dest_port proto",
  Telegraf:
    "socketstat protocols timeout state recv_q send_q bytes_acked bytes_received segs_out segs_in data_segs_out data_segs_in proto local_addr local_port remote_addr remote_port host net_response opentelemetry",
  prometheus_ss_exporter:
    "rtt latency bucketBounds bucket_bounds portRanges portranges deliveryRate delivery_rate dataSegsIn data_segs_in labelFolding label_folding raw_endpoint pid_condensed pids cmds addresses networks hosts exclude tcp_rtt tcp_cwnd tcp_delivery_rate tcp_rtt_hist_ms tcp_data_segs_in tcp_data_segs_out flow /health HighSocketLatency TooManyConnections LowDeliveryRate",
  "connection-status-exporter":
    "name host port protocol timeout tcp4 tcp6 udp4 udp6 ip4 ip6 unixgram unixpacket --config-file connection_status_up",
  "Datadog's sockstat recipe": "inuse orphan tw alloc mem sockstat.tcp sockstat.udp",
};

describe("docs/MIGRATING.md", () => {
  test.each(Object.keys(promised))("has every option and metric of %s", (tool) => {
    const section = sections.get(tool) ?? "";
    const missing = String(promised[tool])
      .split(" ")
      .filter((word) => !section.includes(word));
    expect(missing).toEqual([]);
  });

  test("says of each row whether it is the same, better or different, or has nothing to compare", () => {
    const rows = [...sections.values()].flatMap((text) =>
      text.split("\n").filter((line) => /^\| (?!-|option|metric|value|alert)/.test(line)),
    );
    const silent = rows.filter((row) => !/\| (?:same|better|different)[^|]*\|$/.test(row));
    expect(silent.map((row) => row.split(" | ")[0]?.slice(2))).toEqual([
      "other inputs",
      "other keys of `[agent]`",
      "other plugins",
    ]);
  });
});
