import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/parse.ts";
import { configOf } from "./parsing.ts";

const documentedBounds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000];

const ssExporterOf = (options: string) => configOf(`compat: [{ ss_exporter: ${options} }]`).compat.ssExporter;

describe("compat", () => {
  test("is off without the key, and with an empty one", () => {
    const none = {
      datakit: false,
      telegraf: undefined,
      ssExporter: undefined,
      sockstat: false,
      connectionStatus: false,
    };
    expect(configOf("{}").compat).toEqual(none);
    expect(configOf("compat: []").compat).toEqual(none);
    expect(configOf("compat:").compat).toEqual(none);
  });

  test("takes a tool by its name with its defaults", () => {
    expect(configOf("compat: [datakit, telegraf, ss_exporter, sockstat, connection_status]").compat).toEqual({
      datakit: true,
      telegraf: { protocols: ["tcp", "udp"] },
      ssExporter: {
        labelFolding: "raw_endpoint",
        metrics: ["rtt", "cwnd", "delivery_rate", "data_segs_in", "data_segs_out"],
        rttBoundsMs: documentedBounds,
      },
      sockstat: true,
      connectionStatus: true,
    });
  });

  test("reads of Telegraf's protocols those that sockets are read of", () => {
    const text = "{ sockets: { protocols: [udp, mptcp, unix] }, compat: [{ telegraf: }] }";
    expect(configOf(text).compat.telegraf).toEqual({ protocols: ["udp", "unix"] });
  });

  test("switches metrics and the histogram of ss_exporter", () => {
    const options = "{ label_folding: pid_condensed, metrics: { delivery_rate: false, rtt: on }, rtt_histogram: off }";
    expect(ssExporterOf(options)).toEqual({
      labelFolding: "pid_condensed",
      metrics: ["rtt", "cwnd", "data_segs_in", "data_segs_out"],
      rttBoundsMs: undefined,
    });
    expect(ssExporterOf("{ rtt_histogram: { bounds_ms: [1, 2.5] } }")?.rttBoundsMs).toEqual([1, 2.5]);
    expect(ssExporterOf("{ rtt_histogram: true }")?.rttBoundsMs).toEqual(documentedBounds);
    expect(ssExporterOf("{ rtt_histogram: {} }")?.rttBoundsMs).toEqual(documentedBounds);
  });

  test("that says something of targets is told where there are none", () => {
    const notesOf = (text: string) => parseConfig(text, "f.yaml", {}).notes;
    const tools = "compat: [datakit, connection_status]";
    const none = [
      "compat: datakit has no target to say anything of: it is about tcp and udp.",
      "compat: connection_status has no target to say anything of.",
    ];
    expect(notesOf(`{ ${tools} }`)).toEqual(none);
    expect(notesOf(`{ ${tools}, probes: { targets: [icmp://h] } }`)).toEqual(none.slice(0, 1));
    expect(notesOf(`{ ${tools}, probes: { targets: [udp://h:1] } }`)).toEqual([]);
    expect(notesOf(`{ ${tools}, probes: { targets_file: later.yaml } }`)).toEqual([]);
  });

  test("labels of a target are text", () => {
    const text =
      "{ probes: { targets: [{ target: icmp4://h, compat: { host: h.internal, port: 7, protocol: ip4 } }] } }";
    expect(configOf(text).probes.targets[0]?.compat).toEqual({ host: "h.internal", port: "7", protocol: "ip4" });
  });
});
