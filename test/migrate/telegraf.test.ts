import { describe, expect, test } from "vitest";
import { formatAddress, formatNetwork } from "../../src/model/address.ts";
import type { SelectEntry } from "../../src/model/config.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { commentsOf, configOf, faultsOf, fixture, migrated } from "./migrating.ts";

const agent = (body: string): string => `[agent]\n${body}\n`;
const socketstat = (body: string): string => `[[inputs.socketstat]]\n${body}\n`;
const netResponse = (body: string): string => `[[inputs.net_response]]\n${body}\n`;
const output = (body: string): string => `[[outputs.opentelemetry]]\n${body}\n`;

describe("inputs.socketstat", () => {
  test("of the document", () => {
    const {
      sockets,
      compat,
      collection,
      host,
      probes,
      export: exported,
    } = configOf(fixture("telegraf-socketstat.conf"));
    expect(sockets).toMatchObject({ protocols: ["tcp", "udp"], select: { include: [], exclude: [] } });
    expect(compat).toMatchObject({ telegraf: { protocols: ["tcp", "udp"] }, datakit: false });
    expect([collection.intervalMs, host.sockstat, probes.targets]).toEqual([10_000, false, []]);
    expect(exported.prometheus?.listen).toEqual({ host: "127.0.0.1", port: 9464 });
  });

  test.each([
    ["", ["tcp", "udp"]],
    ["protocols = []", ["tcp", "udp"]],
    ['protocols = ["sctp", "tcp"]', ["tcp", "sctp"]],
    [
      'protocols = ["tcp", "udp", "raw", "unix", "packet", "dccp", "sctp"]',
      ["tcp", "udp", "raw", "unix", "packet", "dccp", "sctp"],
    ],
  ])("%s", (body, protocols) => {
    const { sockets, compat } = configOf(socketstat(body));
    expect(sockets).toMatchObject({ protocols });
    expect(compat.telegraf).toEqual({ protocols });
  });

  test.each([
    ["", 10_000],
    [agent('interval = "30s"'), 30_000],
    [agent("interval = 5"), 5000],
    [agent('interval = ""'), 10_000],
    [agent('interval = "1d"'), 86_400_000],
  ])("at the agent's interval: %j", (text, ms) => {
    expect(configOf(text + socketstat("")).collection.intervalMs).toBe(ms);
  });

  test("at its own interval, several at the shortest with the protocols of all", () => {
    expect(configOf(agent('interval = "30s"') + socketstat('interval = "20s"')).collection.intervalMs).toBe(20_000);
    const text =
      socketstat('interval = "20s"\nprotocols = ["tcp"]') + socketstat('interval = "5s"\nprotocols = ["unix"]');
    expect(configOf(text)).toMatchObject({
      collection: { intervalMs: 5000 },
      sockets: { protocols: ["tcp", "unix"] },
      compat: { telegraf: { protocols: ["tcp", "unix"] } },
    });
    expect(commentsOf(text)).toContain("Several inputs are one");
  });

  test.each(['namepass = ["cpu"]', 'namedrop = ["socket*"]', '[inputs.socketstat.tagpass]\nproto = ["sctp"]'])(
    "whose own filter lets nothing through is off: %s",
    (body) => {
      const { sockets, compat } = configOf(socketstat(body));
      expect([sockets, compat.telegraf]).toEqual(["off", undefined]);
      expect(commentsOf(socketstat(body))).toContain("Its own filters let nothing of socketstat through.");
    },
  );

  test("without it sockets are off", () => {
    const { sockets, compat } = configOf(agent(""));
    expect([sockets, compat.telegraf]).toEqual(["off", undefined]);
  });
});

const written = ({ ports, addresses, networks, ...entry }: SelectEntry) => ({
  ...entry,
  ...(ports && { ports: ports.map(({ from, to }) => `${from}-${to}`) }),
  ...(addresses && { addresses: addresses.map(({ words }) => formatAddress(words)) }),
  ...(networks && { networks: networks.map((network) => formatNetwork(network)) }),
});

const selectOf = (text: string) => {
  const { sockets } = configOf(text);
  if (sockets === "off") throw new Error("sockets are off");
  const { include, exclude } = sockets.select;
  return { include: include.map((entry) => written(entry)), exclude: exclude.map((entry) => written(entry)) };
};

describe("filters by tags", () => {
  test.each<[string, ReturnType<typeof selectOf>]>([
    [
      '[inputs.socketstat.tagpass]\nlocal_port = ["80", "443"]\nremote_addr = ["10.*", "192.0.2.7"]\nproto = ["tcp"]',
      {
        include: [
          { ports: ["80-80", "443-443"], side: "local" },
          { addresses: ["192.0.2.7"], side: "remote" },
          { networks: ["10.0.0.0/8"], side: "remote" },
          { protocols: ["tcp"], side: "any" },
        ],
        exclude: [],
      },
    ],
    [
      '[inputs.socketstat.tagdrop]\nlocal_addr = ["127.0.*", "[::1]"]\nremote_port = ["22"]',
      {
        include: [],
        exclude: [
          { addresses: ["::1"], side: "local" },
          { networks: ["127.0.0.0/16"], side: "local" },
          { ports: ["22-22"], side: "remote" },
        ],
      },
    ],
    ['namepass = ["socket*"]\nnamedrop = ["cpu"]', { include: [], exclude: [] }],
  ])("%s", (body, select) => {
    expect(selectOf(socketstat(body))).toEqual(select);
  });

  test.each<[string, RegExp]>([
    [
      '[inputs.socketstat.tagpass]\nlocal_port = ["80*"]',
      /tagpass: no counterpart as written, so that more sockets are taken/,
    ],
    ['[inputs.socketstat.tagdrop]\ndc = ["x"]', /tagdrop of dc: no counterpart as written/],
    [
      'fielddrop = ["segs_in"]\ntagexclude = ["local_port"]',
      /fielddrop and tagexclude have no counterpart: drop or rename where the metrics arrive/,
    ],
    ['name_override = "net"', /name_override has no counterpart/],
    ['timeout = "1s"', /timeout: no counterpart, as no ss is run/],
    [
      'collection_jitter = "1s"\n[inputs.socketstat.tags]\na = "b"',
      /No counterpart, of \[\[inputs\.socketstat\]\]: collection_jitter and tags\./,
    ],
    ['protocols = ["packet"]', /packet: Telegraf ends at the first packet socket/],
  ])("what has no counterpart is a comment: %s", (body, said) => {
    expect(commentsOf(socketstat(body))).toMatch(said);
  });
});

describe("inputs.net_response", () => {
  const targetsOf = (text: string) => configOf(text).probes.targets;

  test.each<[string, object]>([
    [
      'protocol = "tcp"\naddress = "localhost:80"',
      { url: "tcp://localhost:80", timeoutMs: 1000, intervalMs: 10_000, steps: [] },
    ],
    ['protocol = "tcp"\naddress = ":80"', { url: "tcp://localhost:80" }],
    [
      'protocol = "tcp"\naddress = "[::1]:80"\ntimeout = "3s"\ninterval = "1m"',
      { host: "::1", timeoutMs: 3000, intervalMs: 60_000 },
    ],
    ['protocol = "tcp"\naddress = "h:80"\ntimeout = "30s"', { timeoutMs: 10_000 }],
    [
      `protocol = "tcp"\naddress = "h:6379"\nsend = "PING\\r\\n"\nexpect = '^\\+PONG$'`,
      { timeoutMs: 2000, steps: [{ send: "PING\r\n", expect: "^\\+PONG$", starttls: false }] },
    ],
    ['protocol = "tcp"\naddress = "h:80"\nsend = "a$$b\\n"', { steps: [{ send: "a$b\n" }] }],
    [
      'protocol = "udp"\naddress = "h:53"\nsend = "\\\\é"\nexpect = "b"\nread_timeout = 3',
      { type: "udp", timeoutMs: 4000, silenceMs: 3000, send: "\\\u00c3\u00a9", expect: "b" },
    ],
    [
      'alias = "db"\nprotocol = "tcp"\naddress = "h:80"\n[inputs.net_response.tags]\ntier = "1"',
      { name: "db", attributes: { tier: "1" } },
    ],
  ])("%s", (body, target) => {
    expect(targetsOf(netResponse(body))).toMatchObject([target]);
  });

  test("twice at one address, and one that filters itself out", () => {
    const one = 'protocol = "tcp"\naddress = "h:80"\n';
    expect(targetsOf(netResponse(one) + netResponse(`${one}send = "x"`))).toMatchObject([
      { name: "tcp://h:80" },
      { name: "tcp://h:80 (2)" },
    ]);
    expect(targetsOf(netResponse(`${one}namedrop = ["net_*"]`))).toEqual([]);
  });

  test.each<[string, RegExp]>([
    ['protocol = "tcp"\naddress = "h:80"\nsend = "a"\nexpect = "b"', /Telegraf looks at the first line/],
    ['protocol = "tcp"\naddress = "h:80"\ntimeout = "30s"', /capped/],
    ['protocol = "tcp"\naddress = "h:80"\nfielddrop = ["result_type"]', /fielddrop has no counterpart/],
    [
      'protocol = "tcp"\naddress = "h:80"\n[inputs.net_response.tags]\n"server.port" = "1"',
      /The tags server\.port are left out/,
    ],
    ['protocol = "tcp"\naddress = "h:80"', /response_time is sockscope\.probe\.latency/],
  ])("what is not one to one is a comment: %s", (body, said) => {
    expect(commentsOf(netResponse(body))).toMatch(said);
  });

  test.each([
    [
      'address = "h:80"',
      "f:1:10: inputs.net_response[0]: protocol must be tcp or udp: Telegraf does not start with it",
    ],
    [
      'protocol = "icmp"\naddress = "h:80"',
      "f:2:12: inputs.net_response[0].protocol: must be tcp or udp: Telegraf does not start with it",
    ],
    ['protocol = "tcp"', "f:1:10: inputs.net_response[0]: address is missing: Telegraf does not start with it"],
    [
      'protocol = "tcp"\naddress = "h"',
      "f:3:11: inputs.net_response[0].address: the port is missing: write host:port: Telegraf does not start with it",
    ],
    [
      'protocol = "tcp"\naddress = "h:0"',
      "f:3:11: inputs.net_response[0].address: the port must be a whole number from 1 to 65535: Telegraf would have reported connection_failed each time",
    ],
    [
      'protocol = "udp"\naddress = "h:80"\nsend = "a"',
      "f:1:10: inputs.net_response[0]: expect is missing, for udp: Telegraf does not start with it",
    ],
    [
      'protocol = "udp"\naddress = "h:80"\nsend = ""\nexpect = "a"',
      "f:4:8: inputs.net_response[0].send: must not be empty, for udp: Telegraf does not start with it",
    ],
    [
      'protocol = "tcp"\naddress = "h:80"\ntimeout = "soon"',
      'f:4:11: inputs.net_response[0].timeout: must be a duration such as "10s", or a number of seconds: Telegraf does not start with it',
    ],
    [
      'protocol = "tcp"\naddress = "h:80"\ntimeout = "-1s"',
      "f:4:11: inputs.net_response[0].timeout: must not be negative: Telegraf would have had everything fail at once",
    ],
  ])("a fault: %s", (body, fault) => {
    expect(faultsOf(netResponse(body))).toEqual([fault]);
  });

  test("a pattern that Go does not read", () => {
    const [fault] = faultsOf(netResponse('protocol = "tcp"\naddress = "h:80"\nexpect = "a("'));
    expect(fault).toMatch(
      /^f:4:10: inputs\.net_response\[0\]\.expect: .*: Telegraf would have ended at the first run$/,
    );
  });
});

describe("the agent, its tags and its output", () => {
  test("of a whole telegraf.conf", () => {
    const text = fixture("telegraf-whole.conf");
    const { resource, export: exported, probes, sockets } = parseConfig(migrated(text), "m", { USER: "root" }).config;
    expect(resource.attributes).toEqual({ dc: "us-east-1", user: "root", "host.name": "web-1" });
    expect(exported.otlp).toMatchObject([
      { url: "http://localhost:4317", protocol: "grpc", timeoutMs: 5000, compression: "gzip" },
    ]);
    expect(exported.prometheus).toBeUndefined();
    expect(probes.targets.map(({ name }) => name)).toEqual(["tcp://localhost:80", "cache", "udp://192.0.2.53:53"]);
    expect(sockets).toMatchObject({ protocols: ["tcp", "udp"], select: { include: [], exclude: [{}, {}] } });
    expect(configOf(text).resource.attributes).toMatchObject({ user: "nobody" });
    const comments = commentsOf(text);
    expect(comments).toContain(
      "Not migrated, leave them to Telegraf: inputs.cpu, outputs.influxdb_v2 and processors.rename.",
    );
    expect(comments).toContain(
      "No counterpart, of [agent]: round_interval, flush_interval, metric_batch_size and omit_hostname.",
    );
    expect(migrated(text)).not.toContain("not for sockscope");
  });

  test.each<[string, object]>([
    ["", { url: "http://localhost:4317", protocol: "grpc", timeoutMs: 5000, compression: "gzip", headers: {} }],
    [
      'service_address = "otel.internal:9317"\ncompression = "none"',
      { url: "http://otel.internal:9317", compression: "none" },
    ],
    ['service_address = "https://otel.internal:4318/v1/metrics"', { url: "https://otel.internal:4318/v1/metrics" }],
    ['service_address = "${OTEL_HOST:-c}:4317"', { url: "http://c:4317", protocol: "grpc" }],
    ["insecure_skip_verify = true", { url: "https://localhost:4317", tls: { insecure: true } }],
    [
      'timeout = 2\n[outputs.opentelemetry.headers]\nkey1 = "$$value"',
      { timeoutMs: 2000, headers: { key1: "$value" } },
    ],
    [
      '[outputs.opentelemetry.coralogix]\nprivate_key = "k"\napplication = "a"\nsubsystem = "s"',
      {
        url: "https://localhost:4317",
        headers: { ApplicationName: "a", ApiName: "s", Authorization: "Bearer k" },
      },
    ],
  ])("outputs.opentelemetry: %s", (body, destination) => {
    expect(configOf(output(body)).export.otlp).toMatchObject([destination]);
  });

  test("resource attributes of an output, and several outputs", () => {
    const text =
      output('[outputs.opentelemetry.attributes]\n"service.name" = "demo"') + output('service_address = "b:4317"');
    expect(configOf(text).resource.attributes).toEqual({ "service.name": "demo" });
    expect(configOf(text).export.otlp.map(({ url }) => url)).toEqual(["http://localhost:4317", "http://b:4317"]);
  });

  test("variables of the environment, in any text", () => {
    const text =
      netResponse('protocol = "tcp"\naddress = "${DB_HOST}:5432"') +
      output(
        'service_address = "${OTEL:-http://c:4318}"\n[outputs.opentelemetry.headers]\nauthorization = "Bearer $TOKEN"',
      );
    const { config } = parseConfig(migrated(text), "m", { DB_HOST: "db.internal", TOKEN: "t" });
    expect(config.probes.targets).toMatchObject([{ host: "db.internal", port: 5432 }]);
    expect(config.export.otlp).toMatchObject([
      { url: "http://c:4318/v1/metrics", protocol: "http/protobuf", headers: { authorization: "Bearer t" } },
    ]);
  });

  test.each([
    [
      agent("intervall = '1s'"),
      'f:2:1: agent.intervall: unknown key "intervall", did you mean "interval"? allowed: interval, ',
    ],
    [agent("interval = true"), 'f:2:12: agent.interval: must be a duration such as "10s", or a number of seconds'],
    [agent("interval = '10ms'"), "f:2:12: agent.interval: must be at least 100ms"],
    [agent("debug = 'yes'"), "f:2:9: agent.debug: must be true or false"],
    [
      "[agent]\n[inputz.cpu]\n",
      'f:2:2: inputz: unknown key "inputz", did you mean "inputs"? allowed: agent, global_tags, inputs, outputs, processors, aggregators, secretstores',
    ],
    ["[global_tags]\na = 1\n", "f:2:5: global_tags.a: must be text: put it in quotes"],
    [
      socketstat("protocol = ['tcp']"),
      'f:2:1: inputs.socketstat[0].protocol: unknown key "protocol", did you mean "protocols"?',
    ],
    [
      socketstat("socket_types = ['tcp']"),
      'f:2:1: inputs.socketstat[0].socket_types: unknown key "socket_types"; allowed: ',
    ],
    [socketstat("protocols = 'tcp'"), "f:2:13: inputs.socketstat[0].protocols: must be a list of text"],
    [
      socketstat("protocols = ['tcp4']"),
      'f:2:14: inputs.socketstat[0].protocols[0]: unknown protocol "tcp4", did you mean "tcp"? allowed: tcp, udp, raw, unix, packet, dccp, sctp; Telegraf would have run ss --tcp4, which fails each time or shows sockets that it cannot tell apart',
    ],
    [
      output("service_address = 'h'"),
      "f:2:19: outputs.opentelemetry[0].service_address: the port is missing: write host:port: Telegraf would have sent nothing",
    ],
    [
      output("compression = 'lz4'"),
      "f:2:15: outputs.opentelemetry[0].compression: must be gzip or none: Telegraf would have failed at each request",
    ],
    [output("endpoint = 'x'"), 'f:2:1: outputs.opentelemetry[0].endpoint: unknown key "endpoint"; allowed: '],
    ["[inputs]\nsocketstat = 3\n", "f:2:14: inputs.socketstat: must be tables, as in [[inputs.socketstat]]"],
  ])("a fault: %j", (text, fault) => {
    const [first, ...more] = faultsOf(text);
    expect(more).toEqual([]);
    expect(first?.startsWith(fault) ? fault : first).toBe(fault);
  });
});
