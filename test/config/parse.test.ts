import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/parse.ts";
import { configOf } from "./parsing.ts";

const standardBounds = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];

const standardOtlp = {
  url: "http://localhost:4318/v1/metrics",
  tls: undefined,
  proxy: undefined,
  protocol: "http/protobuf",
  compression: "gzip",
  temporality: "cumulative",
  headers: {},
  timeoutMs: 10_000,
  retry: {
    initialIntervalMs: 5_000,
    multiplier: 1.5,
    randomizationFactor: 0.5,
    maxIntervalMs: 30_000,
    maxElapsedMs: 0,
  },
  queueBytes: 67_108_864,
  newestFirst: false,
  storage: undefined,
};

const anywhere = { allAddresses: false, source: { address: undefined, interface: undefined } };
const stream = { tls: undefined, steps: [] };

describe("defaults", () => {
  test("hold for everything that the file leaves out", () => {
    expect(configOf("{}")).toEqual({
      disabled: false,
      collection: { intervalMs: 15_000, timeoutMs: 10_000 },
      resource: { attributes: {} },
      compat: {
        datakit: false,
        telegraf: undefined,
        ssExporter: undefined,
        sockstat: false,
        connectionStatus: false,
      },
      paths: { proc: "/proc", cgroup: "/sys/fs/cgroup" },
      networks: [],
      probes: { concurrency: 512, targets: [] },
      sockets: {
        source: "auto",
        protocols: ["tcp", "udp"],
        timeWait: "sockstat",
        select: { include: [], exclude: [] },
        groupBy: "endpoint",
        namespaces: "own",
        events: "auto",
        maxGroups: 2_000,
        rankBy: "bytes",
        seriesTtl: 10,
        metrics: ["io", "segments", "retransmits", "rtt", "cwnd", "delivery_rate", "queue"],
        rttBounds: standardBounds,
      },
      host: { sockstat: true },
      export: { otlp: [], prometheus: undefined },
    });
  });

  test("hold for keys without a value", () => {
    const text = `
collection:
  interval:
resource: { attributes: }
paths: ~
probes:
  targets:
sockets:
  protocols:
host:
export:
  prometheus:
`;
    expect(configOf(text)).toEqual(configOf("{}"));
  });

  test("hold in blocks that are there and empty", () => {
    const config = configOf("sockets: {}\nhost: {}\nexport: { otlp: {}, prometheus: {} }");
    expect(config.sockets).toEqual(configOf("{}").sockets);
    expect(config.host).toEqual({ sockstat: true });
    expect(config.export).toEqual({
      otlp: [standardOtlp],
      prometheus: { listen: { host: "127.0.0.1", port: 9464 }, basicAuth: undefined, tls: undefined },
    });
  });
});

describe("values", () => {
  test("of every key reach the configuration", () => {
    const text = `
collection: { interval: 20s, timeout: 5s }
resource: { attributes: { team: edge, tier: 1, canary: true } }
paths: { proc: /host/proc, cgroup: /host/cgroup }
networks: { office: [10.0.0.0/8] }
probes: { concurrency: 7 }
sockets:
  source: ss
  protocols: [udp, netlink]
  time_wait: dump
  select: { include: [{ ports: [443] }], exclude: [{ states: [listen], protocols: [udp, tcp] }] }
  group_by: socket
  max_groups: 1000000
  series_ttl: 1
  events: on
  rank_by: flows
  metrics: { io: off, queue: false, ecn: on, retransmits: off, rtt: off, cwnd: off }
  rtt_histogram: { bounds: [0.5, 1] }
host: { sockstat: off }
export:
  otlp:
    endpoint: https://collector:4318
    tls: { ca_file: tls/ca.pem, cert_file: /c.pem, key_file: /c.key, server_name_override: c.internal, insecure_skip_verify: on }
    protocol: http/json
    compression: none
    temporality: delta
    headers: { authorization: Bearer abc }
    timeout: 3s
    retry_on_failure:
      initial_interval: 1s
      multiplier: 2
      randomization_factor: 0
      max_interval: 10s
      max_elapsed_time: 1m
    sending_queue: { max_mib: 1, newest_first: on }
  prometheus:
    listen: "0.0.0.0:80"
    basic_auth: { username: me, password: "a:b" }
    tls: { cert_file: page.pem, key_file: /etc/page.key }
  file: { path: /var/lib/sockscope/metrics.jsonl, max_mib: 2, max_files: 3 }
  console: { format: otlp-json }
compat:
  - datakit
  - telegraf: { protocols: [udp] }
  - sockstat:
  - connection_status: {}
`;
    expect(configOf(text)).toEqual({
      disabled: false,
      collection: { intervalMs: 20_000, timeoutMs: 5_000 },
      compat: {
        datakit: true,
        telegraf: { protocols: ["udp"] },
        ssExporter: undefined,
        sockstat: true,
        connectionStatus: true,
      },
      resource: { attributes: { team: "edge", tier: 1, canary: true } },
      paths: { proc: "/host/proc", cgroup: "/host/cgroup" },
      networks: [{ name: "office", networks: [{ family: 4, words: [10], prefix: 8 }] }],
      probes: { concurrency: 7, targets: [] },
      sockets: {
        source: "ss",
        protocols: ["udp", "netlink"],
        timeWait: "dump",
        select: {
          include: [{ ports: [{ from: 443, to: 443 }], side: "any" }],
          exclude: [{ states: ["listen"], protocols: ["udp", "tcp"], side: "any" }],
        },
        groupBy: "socket",
        namespaces: "own",
        events: "on",
        maxGroups: 1_000_000,
        rankBy: "flows",
        seriesTtl: 1,
        metrics: ["segments", "delivery_rate", "ecn"],
        rttBounds: [0.5, 1],
      },
      host: { sockstat: false },
      export: {
        otlp: [
          {
            url: "https://collector:4318/v1/metrics",
            tls: {
              caFile: "tls/ca.pem",
              certFile: "/c.pem",
              keyFile: "/c.key",
              serverName: "c.internal",
              insecure: true,
            },
            proxy: undefined,
            protocol: "http/json",
            compression: "none",
            temporality: "delta",
            headers: { authorization: "Bearer abc" },
            timeoutMs: 3_000,
            retry: {
              initialIntervalMs: 1_000,
              multiplier: 2,
              randomizationFactor: 0,
              maxIntervalMs: 10_000,
              maxElapsedMs: 60_000,
            },
            queueBytes: 1_048_576,
            newestFirst: true,
            storage: undefined,
          },
        ],
        prometheus: {
          listen: { host: "0.0.0.0", port: 80 },
          basicAuth: { username: "me", password: "a:b" },
          tls: { certFile: "page.pem", keyFile: "/etc/page.key" },
        },
        file: { path: "/var/lib/sockscope/metrics.jsonl", maxBytes: 2_097_152, maxFiles: 3 },
        console: "otlp-json",
      },
    });
  });

  test.each([
    ["off", false],
    ["on", true],
    ['"off"', false],
    ['"on"', true],
    ["false", false],
    ["true", true],
  ])("%s is a switch", (written, on) => {
    const config = configOf(`sockets: ${written}\nhost: ${written}`);
    expect(config.sockets === "off").toBe(!on);
    expect(config.host.sockstat).toBe(on);
    expect(configOf(`host: { sockstat: ${written} }`).host.sockstat).toBe(on);
  });

  test.each([
    ["on", "table"],
    ["true", "table"],
    ["{}", "table"],
    ["{ format: prometheus }", "prometheus"],
    ["off", undefined],
    ["false", undefined],
  ])("the console is %s", (written, format) => {
    expect(configOf(`export: { console: ${written} }`).export.console).toBe(format);
  });

  test.each([
    ["127.0.0.1:9464", { host: "127.0.0.1", port: 9464 }],
    ["[::1]:9464", { host: "::1", port: 9464 }],
    [":9464", { host: "", port: 9464 }],
    ["localhost:0", { host: "localhost", port: 0 }],
  ])("the page listens on %s", (listen, expected) => {
    expect(configOf(`export: { prometheus: { listen: "${listen}" } }`).export.prometheus?.listen).toEqual(expected);
  });

  test.each([
    ["listen: 127.0.0.1:9464", []],
    ['listen: "[::1]:9464"', []],
    ["listen: localhost:9464", []],
    ["listen: 0.0.0.0:9464, basic_auth: { username: me, password: pass }", []],
    ["listen: 0.0.0.0:9464", ["0.0.0.0:9464"]],
    ['listen: ":9464"', [":9464"]],
    ["listen: metrics.internal:9464", ["metrics.internal:9464"]],
  ])("a page that others can reach without a password is said to be one: %s", (page, listens) => {
    expect(parseConfig(`export: { prometheus: { ${page} } }`, "f.yaml", {}).notes).toEqual(
      listens.map(
        (listen) =>
          `export.prometheus.listen, ${listen}, lets other machines read the page without a password: set export.prometheus.basic_auth to ask for one.`,
      ),
    );
  });

  test.each([
    ["endpoint: http://h:4318", "http://h:4318/v1/metrics"],
    ["endpoint: http://h:4318/", "http://h:4318/v1/metrics"],
    ["endpoint: http://h:4318/otlp", "http://h:4318/otlp/v1/metrics"],
    ["endpoint: https://h/otlp/", "https://h/otlp/v1/metrics"],
    ["metrics_endpoint: http://h:4318/api/prom?tenant=a", "http://h:4318/api/prom?tenant=a"],
    ["metrics_endpoint: http://h:4318", "http://h:4318/"],
  ])("requests go, for %s, to %s", (key, url) => {
    expect(configOf(`export: { otlp: { ${key} } }`).export.otlp[0]?.url).toBe(url);
  });

  test("a list is a list of destinations, each with defaults of its own", () => {
    const tenant = (value: string): string => `{ endpoint: "http://h:4318", headers: { x-tenant: ${value} } }`;
    expect(configOf(`export: { otlp: [{}, ${tenant("a")}, ${tenant("b")}] }`).export.otlp).toEqual([
      standardOtlp,
      { ...standardOtlp, url: "http://h:4318/v1/metrics", headers: { "x-tenant": "a" } },
      { ...standardOtlp, url: "http://h:4318/v1/metrics", headers: { "x-tenant": "b" } },
    ]);
  });

  test.each([
    ["0", 0],
    ["0s", 0],
    ["1h30m", 5_400_000],
  ])("max_elapsed_time can be %s", (written, ms) => {
    const { otlp } = configOf(`export: { otlp: { retry_on_failure: { max_elapsed_time: ${written} } } }`).export;
    expect(otlp[0]?.retry.maxElapsedMs).toBe(ms);
  });
});

describe("targets", () => {
  test("in both forms", () => {
    const text = `
probes:
  targets:
    - tcp://db.internal:5432
    - { name: gateway, target: "tcp4://gateway:443", interval: 10s, timeout: 2s, attributes: { team: edge } }
    - { target: "udp6://resolver:53", udp_silence: 250ms }
    - { name: app, target: "unix:///run/app.sock" }
`;
    expect(configOf(text).probes.targets).toEqual([
      {
        type: "tcp",
        name: "tcp://db.internal:5432",
        url: "tcp://db.internal:5432",
        host: "db.internal",
        port: 5432,
        intervalMs: 30_000,
        timeoutMs: 5_000,
        attributes: {},
        attempts: 1,
        ...anywhere,
        ...stream,
      },
      {
        type: "tcp4",
        name: "gateway",
        url: "tcp4://gateway:443",
        host: "gateway",
        port: 443,
        intervalMs: 10_000,
        timeoutMs: 2_000,
        attributes: { team: "edge" },
        attempts: 1,
        ...anywhere,
        ...stream,
      },
      {
        type: "udp6",
        name: "udp6://resolver:53",
        url: "udp6://resolver:53",
        host: "resolver",
        port: 53,
        intervalMs: 30_000,
        timeoutMs: 5_000,
        attributes: {},
        attempts: 1,
        ...anywhere,
        send: undefined,
        expect: undefined,
        count: 1,
        packetIntervalMs: 200,
        silenceMs: 250,
      },
      {
        type: "unix",
        name: "app",
        url: "unix:///run/app.sock",
        path: "/run/app.sock",
        intervalMs: 30_000,
        timeoutMs: 5_000,
        attributes: {},
        attempts: 1,
        ...stream,
      },
    ]);
  });

  test("inherit times, capped to what bounds them", () => {
    const text = `
probes:
  interval: 20s
  timeout: 8s
  targets:
    - udp://a:1
    - { target: "udp://b:1", interval: 2s }
    - { target: "udp://c:1", interval: 500ms }
    - { target: "udp://d:1", timeout: 20s }
    - { target: "udp://e:1", timeout: 300ms }
`;
    const times = configOf(text).probes.targets.map((target) => [
      target.intervalMs,
      target.timeoutMs,
      "silenceMs" in target ? target.silenceMs : undefined,
    ]);
    expect(times).toEqual([
      [20_000, 8_000, 1_000],
      [2_000, 2_000, 1_000],
      [500, 500, 500],
      [20_000, 20_000, 1_000],
      [20_000, 300, 300],
    ]);
  });

  test("an inherited timeout above the inherited interval is capped, not refused", () => {
    const { targets } = configOf("probes: { interval: 2s, timeout: 10s, targets: ['tcp://a:1'] }").probes;
    expect(targets[0]?.timeoutMs).toBe(2_000);
  });

  test("the same URL can be probed twice under two names", () => {
    const text = "probes: { targets: ['tcp://a:1', { name: again, target: 'tcp://a:1' }] }";
    expect(configOf(text).probes.targets.map(({ name }) => name)).toEqual(["tcp://a:1", "again"]);
  });
});

test("the timeout of a collection is capped to the interval where the file does not set it", () => {
  expect(configOf("collection: { interval: 3s }").collection).toEqual({ intervalMs: 3_000, timeoutMs: 3_000 });
});
