import { describe, expect, test } from "vitest";
import { formatAddress, formatNetwork } from "../../src/model/address.ts";
import type { SelectEntry } from "../../src/model/config.ts";
import { commentsOf, configOf, faultsOf, fixture } from "./migrating.ts";

const names = ["rtt", "cwnd", "delivery_rate", "data_segs_in", "data_segs_out"];
const documentBounds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000];

/** An entry as it would be written. */
const written = ({ ports, addresses, networks, ...entry }: SelectEntry) => ({
  ...entry,
  ...(ports && { ports: ports.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)) }),
  ...(addresses && { addresses: addresses.map(({ words }) => formatAddress(words)) }),
  ...(networks && { networks: networks.map((network) => formatNetwork(network)) }),
});

const effectOf = (text: string) => {
  const { sockets, compat } = configOf(text);
  if (sockets === "off") throw new Error("sockets are off");
  const { ssExporter } = compat;
  return {
    metrics: ssExporter?.metrics,
    bounds: ssExporter?.rttBoundsMs,
    folding: ssExporter?.labelFolding,
    include: sockets.select.include.map((entry) => written(entry)),
    exclude: sockets.select.exclude.map((entry) => written(entry)),
  };
};

const example = (name: string) => effectOf(fixture(`ss-exporter-${name}.yml`));
const webPorts = ["80-443"];
const privates = ["10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12"];

describe("the nine examples of the document", () => {
  test("Configuration Structure: all metrics, and each way to filter", () => {
    const { include, ...rest } = example("structure");
    expect(rest).toEqual({ metrics: names, bounds: documentBounds, folding: "raw_endpoint", exclude: [] });
    const peers = [
      { addresses: ["8.8.8.8", "1.1.1.1"] },
      { networks: ["10.0.0.0/8", "192.168.0.0/16"] },
      { hosts: ["example.com"] },
    ];
    const processes = [{ pids: [1000, 2000] }, { cmds: ["nginx", "apache2"] }];
    const ports = { ports: ["80-443", "8000-9000"], side: "remote", portSide: "any" };
    expect(include).toEqual(peers.flatMap((peer) => processes.map((process) => ({ ...process, ...peer, ...ports }))));
  });

  test("Minimal Configuration: what it names", () => {
    expect(example("minimal")).toEqual({
      metrics: ["rtt", "data_segs_in", "data_segs_out"],
      bounds: undefined,
      folding: "raw_endpoint",
      include: [],
      exclude: [],
    });
  });

  test.each([
    ["web-server-short", ["rtt", "delivery_rate"]],
    ["web-server", names],
  ])("%s: the servers' own flows, as ports are those of either end", (name, metrics) => {
    expect(example(name)).toEqual({
      metrics,
      bounds: [0.1, 0.5, 1, 5, 10, 50, 100, 200],
      folding: "raw_endpoint",
      include: [{ cmds: ["nginx", "apache2", "httpd"], ports: webPorts, side: "any" }],
      exclude: [],
    });
  });

  test("High-Cardinality Environment: flows with internal peers", () => {
    expect(example("high-cardinality")).toEqual({
      metrics: ["rtt"],
      bounds: [1, 5, 10, 50, 100, 500],
      folding: "raw_endpoint",
      include: [{ networks: ["10.0.0.0/8", "192.168.0.0/16"], side: "remote" }],
      exclude: [],
    });
  });

  test("Database Performance Monitoring: the databases' processes and ports", () => {
    expect(example("database")).toEqual({
      metrics: ["rtt", "delivery_rate"],
      bounds: [0.5, 1, 2, 5, 10, 25, 50, 100],
      folding: "raw_endpoint",
      include: [{ cmds: ["postgres", "mysqld", "mongod", "oracle"], ports: ["3306", "5432", "27017"], side: "any" }],
      exclude: [],
    });
  });

  test("Microservices Environment: internal peers, ports of either end", () => {
    expect(example("microservices")).toEqual({
      metrics: ["rtt"],
      bounds: [0.01, 0.05, 0.1, 0.5, 1, 5, 10],
      folding: "raw_endpoint",
      include: [{ networks: privates, ports: ["3000-3999", "8000-9999"], side: "remote", portSide: "any" }],
      exclude: [],
    });
  });

  test("High-Traffic Edge Server: external peers only", () => {
    expect(example("edge-server")).toEqual({
      metrics: ["rtt"],
      bounds: [1, 5, 10, 25, 50, 100, 250],
      folding: "raw_endpoint",
      include: [{ ports: ["80-443", "8080"], side: "any" }],
      exclude: [{ networks: privates, side: "remote" }],
    });
  });

  test("Development Environment: one gauge, for a few programs", () => {
    expect(example("development")).toEqual({
      metrics: ["rtt"],
      bounds: undefined,
      folding: "raw_endpoint",
      include: [{ cmds: ["node", "python", "java", "go"], ports: ["3000-9000"], side: "any" }],
      exclude: [],
    });
  });

  test("have the exporter's address, read TCP every 15 s, and nothing else", () => {
    const { export: exported, sockets, host, collection, probes } = configOf(fixture("ss-exporter-minimal.yml"));
    expect(exported.prometheus?.listen).toEqual({ host: "0.0.0.0", port: 8020 });
    expect(sockets).toMatchObject({ protocols: ["tcp"] });
    expect([host.sockstat, collection.intervalMs, probes.targets]).toEqual([false, 15_000, []]);
  });
});

const logic = (body: string): string => `logic: { ${body} }`;

describe("metrics", () => {
  test.each<[string, readonly string[], readonly number[] | undefined]>([
    ["", names, documentBounds],
    ["metrics: {}", names, documentBounds],
    ["metrics:", names, documentBounds],
    ["metrics: { gauges: { active: true } }", ["rtt", "cwnd", "delivery_rate"], undefined],
    ["metrics: { gauges: { active: false, rtt: { active: true } } }", [], undefined],
    ["metrics: { gauges: { rtt: {} } }", ["rtt"], undefined],
    ["metrics: { gauges: { rtt: { active: false } } }", [], undefined],
    ["metrics: { gauges: { delivery_rate: { active: yes } } }", ["delivery_rate"], undefined],
    ["metrics: { gauges: { deliveryRate: { active: True } } }", ["delivery_rate"], undefined],
    ["metrics: { counters: { active: true } }", ["data_segs_in", "data_segs_out"], undefined],
    ["metrics: { counters: { data_segs_in: { active: on } } }", ["data_segs_in"], undefined],
    ["metrics: { counters: { dataSegsOut: { active: true } } }", ["data_segs_out"], undefined],
    ["metrics: { histograms: { active: true } }", [], documentBounds],
    ["metrics: { histograms: { active: false, rtt: { active: true } } }", [], undefined],
    ["metrics: { histograms: { rtt: { active: no } } }", [], undefined],
    ["metrics: { histograms: { rtt: { bucketBounds: [1, 2.5] } } }", [], [1, 2.5]],
    ["metrics: { histograms: { rtt: { bucket_bounds: [1] } } }", [], [1]],
    ["metrics: { histograms: { latency: { bucketBounds: [1] } } }", [], [1]],
    ["metrics: { histograms: { latency: { active: true, bucket_bounds: [1] } } }", [], [1]],
  ])("%s", (body, metrics, bounds) => {
    expect(effectOf(logic(body))).toMatchObject({ metrics, bounds });
  });

  test("a file with no more than the key, and one without a value", () => {
    expect(effectOf("---\nlogic:\n")).toMatchObject({ metrics: names, bounds: documentBounds, include: [] });
  });
});

describe("compression", () => {
  test.each([
    ["compression: { labelFolding: pid_condensed }", "pid_condensed"],
    ["compression: { label_folding: pid_condensed }", "pid_condensed"],
    ["compression: { label_folding: { origin: pid_condensed } }", "pid_condensed"],
    ["compression: { labelFolding: raw_endpoint }", "raw_endpoint"],
    ["compression: {}", "raw_endpoint"],
    ["compression: ~", "raw_endpoint"],
  ])("%s", (body, folding) => {
    expect(effectOf(logic(body)).folding).toBe(folding);
  });
});

describe("selection", () => {
  const includeOf = (body: string) => effectOf(logic(`selection: { ${body} }`)).include;

  test.each<[string, readonly unknown[]]>([
    ["", []],
    ["process: {}, peering: ~, portRanges: []", []],
    ["process: { pids: [], cmds: [] }", []],
    ["process: { pids: [1] }", [{ pids: [1], side: "any" }]],
    [
      "process: { pids: [1], cmds: [nginx] }",
      [
        { pids: [1], side: "any" },
        { cmds: ["nginx"], side: "any" },
      ],
    ],
    ["portRanges: [{ lower: 80, upper: 80 }]", [{ ports: ["80"], side: "any" }]],
    ["portranges: [{ lower: 80, upper: 443 }]", [{ ports: ["80-443"], side: "any" }]],
    ["peering: { portRanges: [{ lower: 80, upper: 443 }] }", [{ ports: ["80-443"], side: "any" }]],
    ["peering: { portranges: [{ lower: 80, upper: 443 }] }", [{ ports: ["80-443"], side: "any" }]],
    ["peering: { networks: [10.1.2/24] }", [{ networks: ["10.1.2.0/24"], side: "remote" }]],
    ["peering: { networks: [10/8, '2001:db8::/32'] }", [{ networks: ["10.0.0.0/8", "2001:db8::/32"], side: "remote" }]],
    ["peering: { addresses: ['2001:db8::1'] }", [{ addresses: ["2001:db8::1"], side: "remote" }]],
    ["peering: { hosts: [DB.internal] }", [{ hosts: ["db.internal"], side: "remote" }]],
    ['process: { cmds: [""] }', []],
    ['process: { cmds: ["", nginx] }', [{ cmds: ["nginx"], side: "any" }]],
  ])("{ %s }", (body, include) => {
    expect(includeOf(body)).toEqual(include);
  });
});

describe("a comment is at", () => {
  test.each<[string, string, RegExp]>([
    [
      "an empty command",
      'selection: { process: { cmds: [""] }, portRanges: [{ lower: 1, upper: 2 }] }',
      /cmds: \[""\] is left out/,
    ],
    [
      "a short network",
      "selection: { peering: { networks: [10.1.2/24] } }",
      /Written 10\.1\.2\/24, which the exporter takes for the beginning of an address/,
    ],
    ["commands", "selection: { process: { cmds: [nginx] } }", /compared whole command lines, and never matched/],
    ["ports", "selection: { portRanges: [{ lower: 1, upper: 2 }] }", /looked at the other end's only/],
    ["hosts", "selection: { peering: { hosts: [a.b] } }", /exporter ignored names/],
    ["exclude", "selection: { peering: { networks: { exclude: [10.0.0.0/8] } } }", /in no version of the exporter/],
    ["several criteria", "selection: { process: { pids: [1], cmds: [a] } }", /An entry for each way to match/],
    ["metrics", "metrics: { gauges: {} }", /A block that lists some of its metrics means those/],
    ["the histogram", "", /the exporter's counts fell when flows ended\. Use rate\(\) on it/],
    ["folding", "compression: { labelFolding: pid_condensed }", /the exporter showed each under the same labels/],
    ["the address", "", /every machine that reaches this one can read the page/],
    ["IPv6", "", /the exporter sees IPv4 only/],
    ["permissions", "selection: { process: { pids: [1] } }", /CAP_SYS_PTRACE/],
  ])("%s", (_, body, said) => {
    expect(commentsOf(logic(body))).toMatch(said);
  });
});

describe("a fault is", () => {
  test.each([
    [
      "metrics: { histograms: { rtt: { bucketBounds: [1, 0.5] } } }",
      "logic.metrics.histograms.rtt.bucketBounds[1]: must be above the bound before it: the exporter would have counted into the wrong buckets",
    ],
    [
      "metrics: { histograms: { latency: { bucket_bounds: [1, 1] } } }",
      "logic.metrics.histograms.latency.bucket_bounds[1]: must be above the bound before it: the exporter would have counted into the wrong buckets",
    ],
    [
      "metrics: { histograms: { rtt: { bucketBounds: [] } } }",
      "logic.metrics.histograms.rtt.bucketBounds: must hold at least one bound: the exporter would have shown one bucket with everything in it",
    ],
    [
      "metrics: { histograms: { rtt: { bucketBounds: [0, 1] } } }",
      "logic.metrics.histograms.rtt.bucketBounds[0]: must be a number of milliseconds above 0: the exporter would have shown a bucket that nothing can be in",
    ],
    [
      "metrics: { histograms: { rtt: { bucketBounds: [x] } } }",
      "logic.metrics.histograms.rtt.bucketBounds[0]: must be a number of milliseconds",
    ],
    [
      "metrics: { histograms: { rtt: {}, latency: {} } }",
      "logic.metrics.histograms.latency: is another spelling of rtt: set one of the two",
    ],
    [
      "metrics: { gauges: { deliveryRate: {}, delivery_rate: {} } }",
      "logic.metrics.gauges.delivery_rate: is another spelling of deliveryRate: set one of the two",
    ],
    ["metrics: { gauges: { rtt: true } }", "logic.metrics.gauges.rtt: must be a map of keys"],
    ["metrics: { gauges: { rtt: { active: maybe } } }", "logic.metrics.gauges.rtt.active: must be true or false"],
    [
      "metrics: { gauge: {} }",
      'logic.metrics.gauge: unknown key "gauge", did you mean "gauges"? allowed: histograms, gauges, counters',
    ],
    [
      "compression: { labelFolding: pid }",
      "logic.compression.labelFolding: must be raw_endpoint or pid_condensed: the exporter would have made labels of another form, flow_PORT_PORT",
    ],
    [
      "compression: { label_folding: { origin: x } }",
      "logic.compression.label_folding.origin: must be raw_endpoint or pid_condensed: the exporter would have made labels of another form, flow_PORT_PORT",
    ],
    [
      "selection: { portRanges: [{ lower: 443, upper: 80 }] }",
      "logic.selection.portRanges[0]: the range is reversed: the exporter would have matched nothing; write lower: 80, upper: 443",
    ],
    [
      "selection: { portRanges: [{ lower: 0, upper: 80 }] }",
      "logic.selection.portRanges[0].lower: must be a whole number from 1 to 65535: the exporter takes any number, and no port is outside of these",
    ],
    [
      "selection: { portRanges: [{ lower: 80 }] }",
      "logic.selection.portRanges[0].upper: is missing: a range has lower and upper",
    ],
    ["selection: { portRanges: [80] }", "logic.selection.portRanges[0]: must be a map of keys"],
    [
      "selection: { portRanges: [], portranges: [] }",
      "logic.selection.portranges: is another spelling of portRanges: set one of the two",
    ],
    [
      "selection: { peering: { networks: [10.1.2.3/8] } }",
      "logic.selection.peering.networks[0]: has bits behind its prefix: write 10.0.0.0/8 for the network, or a longer prefix; the exporter would have compared the text before the slash, or failed at each scrape",
    ],
    [
      "selection: { peering: { networks: { include: [] } } }",
      'logic.selection.peering.networks.include: unknown key "include", did you mean "exclude"? allowed: exclude',
    ],
    [
      "selection: { peering: { addresses: [8.8.8] } }",
      "logic.selection.peering.addresses[0]: must be an IP address, as in 10.0.0.1 or 2001:db8::1; the exporter would have compared the text, and matched nothing",
    ],
    [
      "selection: { peering: { hosts: [10.0.0.1] } }",
      "logic.selection.peering.hosts[0]: is an address: put it under addresses; the exporter would have ignored it",
    ],
    [
      "selection: { process: { pids: [0] } }",
      "logic.selection.process.pids[0]: must be a whole number from 1 to 4194304; no process has it, and the exporter would have matched nothing",
    ],
    ["selection: { process: { cmds: nginx } }", "logic.selection.process.cmds: must be a list of names of programs"],
  ])("%s", (body, fault) => {
    const said = faultsOf(logic(body)).map((line) => /^f:1:\d+: (.*)$/.exec(line)?.[1]);
    expect(said).toContain(fault);
  });

  test("told with its place", () => {
    expect(
      faultsOf(
        "logic:\n  metrics:\n    gaugess:\n      active: true\n  selection:\n    portRanges:\n      - lower: x\n        upper: 1\n",
      ),
    ).toEqual([
      'f:3:5: logic.metrics.gaugess: unknown key "gaugess", did you mean "gauges"? allowed: histograms, gauges, counters',
      "f:7:16: logic.selection.portRanges[0].lower: must be a port, the lower end of the range",
    ]);
    expect(faultsOf("logic:\n  compression:\n    labelFolding: pid\n")).toEqual([
      "f:3:19: logic.compression.labelFolding: must be raw_endpoint or pid_condensed: the exporter would have made labels of another form, flow_PORT_PORT",
    ]);
  });
});
