import { describe, expect, test } from "vitest";
import { catalogue, descriptorOf, type MetricName } from "../../src/metrics/catalogue.ts";
import { prometheusLabel, prometheusName } from "../../src/metrics/prometheus-name.ts";
import type { InstrumentKind } from "../../src/model/columns.ts";

describe("prometheusName", () => {
  test.each<[name: string, unit: string, kind: InstrumentKind, sample: string, unit: string | undefined]>([
    ["sockscope.flow.io", "By", "counter", "sockscope_flow_io_bytes_total", "bytes"],
    ["sockscope.flow.retransmits", "{segment}", "counter", "sockscope_flow_retransmits_total", undefined],
    ["sockscope.flow.rtt", "s", "gauge", "sockscope_flow_rtt_seconds", "seconds"],
    [
      "sockscope.flow.delivery_rate",
      "By/s",
      "gauge",
      "sockscope_flow_delivery_rate_bytes_per_second",
      "bytes_per_second",
    ],
    ["net.flows", "{flow}", "updowncounter", "net_flows", undefined],
    ["probe.loss", "1", "gauge", "probe_loss_ratio", "ratio"],
    ["probe.up", "1", "updowncounter", "probe_up", undefined],
    ["probe.tries", "1", "counter", "probe_tries_total", undefined],
    ["probe.utilization", "%", "gauge", "probe_utilization_percent", "percent"],
    ["probe.rtt", "ms", "histogram", "probe_rtt_milliseconds", "milliseconds"],
    ["packets", "{packet}/s", "gauge", "packets_per_second", "per_second"],
    ["queue", "", "gauge", "queue", undefined],
    ["fans", "rpm{fan}", "gauge", "fans_rpm", "rpm"],
    ["export.bytes", "By", "counter", "export_bytes_total", "bytes"],
    ["seconds.left", "s", "gauge", "seconds_left", undefined],
    ["requests.total", "{request}", "counter", "requests_total", undefined],
    // As the probes' metrics have them: what stands in braces is no unit.
    ["probe.packets.lost", "{packet}", "counter", "probe_packets_lost_total", undefined],
    ["probe.ttl", "{hop}", "gauge", "probe_ttl", undefined],
    ["probe.attempts", "{attempt}", "counter", "probe_attempts_total", undefined],
    ["probe.resolved_addresses", "{address}", "updowncounter", "probe_resolved_addresses", undefined],
    ["probe.address_changes", "{change}", "counter", "probe_address_changes_total", undefined],
    ["probe.jitter", "s", "gauge", "probe_jitter_seconds", "seconds"],
    ["probe.packet.rtt", "s", "histogram", "probe_packet_rtt_seconds", "seconds"],
    ["probe.certificate.expiry", "s", "gauge", "probe_certificate_expiry_seconds", "seconds"],
    ["flow.stall.time", "s", "counter", "flow_stall_time_seconds_total", "seconds"],
    ["odd--name..here", "", "gauge", "odd_name_here", undefined],
    ["5xx", "", "gauge", "_5xx", undefined],
  ])("%s (%s, %s) is %s", (name, unit, kind, sample, prometheusUnit) => {
    expect(prometheusName({ name, unit, kind })).toEqual({
      family: kind === "counter" ? sample.slice(0, -"_total".length) : sample,
      sample,
      unit: prometheusUnit,
    });
  });

  test.each<[name: MetricName, sample: string]>([
    ["tcp.response_time_with_dns", "tcp_response_time_with_dns"],
    ["tcp_data_segs_in", "tcp_data_segs_in"],
    ["tcp_rtt_hist_ms", "tcp_rtt_hist_ms"],
    ["sockstat.tcp.mem", "sockstat_tcp_mem"],
    ["connection_status_up", "connection_status_up"],
  ])("another tool's %s has nothing appended", (name, sample) => {
    expect(prometheusName(descriptorOf(name))).toEqual({ family: sample, sample, unit: undefined });
  });

  test("the catalogue has no unit but those whose words are tested here", () => {
    const descriptors = Object.keys(catalogue).map((name) => descriptorOf(name as MetricName));
    const units = new Set(descriptors.filter(({ verbatim }) => verbatim !== true).map(({ unit }) => unit));
    expect([...units].filter((unit) => !/^\{[a-z_]+\}$/.test(unit)).sort()).toEqual(["By", "By/s", "s"]);
  });

  test("no two metrics of the catalogue share a family or a sample", () => {
    const taken = new Map<string, string>();
    const clashes: string[] = [];
    for (const name of Object.keys(catalogue)) {
      const descriptor = descriptorOf(name as MetricName);
      const { family, sample } = prometheusName(descriptor);
      const suffixes = { counter: ["_created"], histogram: ["_bucket", "_sum", "_count", "_created"] } as const;
      const more = descriptor.kind in suffixes ? suffixes[descriptor.kind as keyof typeof suffixes] : [];
      for (const used of new Set([family, sample, ...more.map((suffix) => family + suffix)])) {
        if (taken.has(used)) clashes.push(`${name} and ${taken.get(used)}: ${used}`);
        taken.set(used, name);
      }
    }
    expect(clashes).toEqual([]);
  });
});

describe("prometheusLabel", () => {
  test.each([
    ["network.peer.address", "network_peer_address"],
    ["a..b--c", "a_b_c"],
    ["a__b", "a_b"],
    ["9lives", "key_9lives"],
    ["_hidden", "key_hidden"],
    ["__name__", "key_name_"],
    ["straße", "stra_e"],
    ["日本", "key_"],
    ["", "key_"],
  ])("%s is %s", (attribute, label) => {
    expect(prometheusLabel(attribute)).toBe(label);
  });
});
