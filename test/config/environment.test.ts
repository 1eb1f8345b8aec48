import { describe, expect, test } from "vitest";
import { logLevelIn } from "../../src/config/environment.ts";
import { parseConfig } from "../../src/config/parse.ts";
import type { Env } from "../../src/config/env.ts";
import { messageOf } from "./parsing.ts";

const parse = (env: Env, text = "{}") => parseConfig(text, "f.yaml", env);
const otlpOf = (env: Env, text?: string) => parse(env, text).config.export.otlp[0];

describe("the destination", () => {
  test("is none without a variable, and an empty variable is none", () => {
    expect(otlpOf({})).toBeUndefined();
    expect(otlpOf({ OTEL_EXPORTER_OTLP_ENDPOINT: " ", OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "" })).toBeUndefined();
    expect(otlpOf({ OTEL_EXPORTER_OTLP_HEADERS: "a=b" })).toBeUndefined();
  });

  test.each([
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://h:4318" }, "http://h:4318/v1/metrics"],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://h:4318/base/" }, "http://h:4318/base/v1/metrics"],
    [{ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "http://m:4318/own" }, "http://m:4318/own"],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: "http://h:4318", OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "http://m:4318/own" },
      "http://m:4318/own",
    ],
  ])("is, for %j, %s", (env, url) => {
    expect(otlpOf(env)?.url).toBe(url);
    expect(parse(env).notes).toEqual([]);
  });

  test("comes with headers, compression and timeout; those for metrics come first", () => {
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://h:4318",
      OTEL_EXPORTER_OTLP_HEADERS: "authorization=Basic%20YTpi==, x-b = 2 ,",
      OTEL_EXPORTER_OTLP_COMPRESSION: "none",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_TIMEOUT: "2500",
    };
    expect(otlpOf(env)).toMatchObject({
      headers: { authorization: "Basic YTpi==", "x-b": "2" },
      compression: "none",
      protocol: "http/json",
      timeoutMs: 2_500,
    });
    const metrics = {
      OTEL_EXPORTER_OTLP_METRICS_HEADERS: "x-c=3",
      OTEL_EXPORTER_OTLP_METRICS_COMPRESSION: "zstd",
      OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: "http/protobuf",
      OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: "100",
    };
    expect(otlpOf({ ...env, ...metrics })).toMatchObject({
      headers: { "x-c": "3" },
      compression: "zstd",
      protocol: "http/protobuf",
      timeoutMs: 100,
    });
  });

  test("has the files of TLS where it is an https:// one", () => {
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: "https://h:4318",
      OTEL_EXPORTER_OTLP_CERTIFICATE: "/all.pem",
      OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE: "ca.pem",
      OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: "client.pem",
      OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY: "client.key",
    };
    const given = { caFile: "ca.pem", certFile: "client.pem", keyFile: "client.key" };
    expect(otlpOf(env)?.tls).toEqual({ ...given, serverName: undefined, insecure: false });
    expect(otlpOf({ ...env, OTEL_EXPORTER_OTLP_ENDPOINT: "http://h:4318" })?.tls).toBeUndefined();
    expect(otlpOf({ OTEL_EXPORTER_OTLP_ENDPOINT: "https://h:4318" })?.tls).toBeUndefined();
    const { config, notes } = parse(
      env,
      "export: { otlp: { tls: { ca_file: own.pem, cert_file: a.pem, key_file: /a.key, insecure_skip_verify: on } } }",
    );
    const own = { caFile: "own.pem", certFile: "a.pem", keyFile: "/a.key" };
    expect(config.export.otlp[0]?.tls).toEqual({ ...own, serverName: undefined, insecure: true });
    expect(notes).toEqual([
      "export.otlp.tls.ca_file in the file wins over OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE.",
      "export.otlp.tls.cert_file in the file wins over OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE.",
    ]);
  });

  test("has a client's certificate with its key or not at all", () => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "https://h:4318", OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY: "client.key" };
    expect(otlpOf(env)?.tls).toBeUndefined();
    expect(parse(env).notes).toEqual([
      "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY is ignored: it needs OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE.",
    ]);
  });

  test("cannot have tls in the file where the environment has an http:// one", () => {
    expect(messageOf("export: { otlp: { tls: {} } }", { OTEL_EXPORTER_OTLP_ENDPOINT: "http://h:4318" })).toBe(
      "f.yaml:1:19: export.otlp.tls: is for https:// only, and the endpoint is an http:// one (OTEL_EXPORTER_OTLP_ENDPOINT): write https://, or remove tls",
    );
  });

  test.each([
    ["cumulative", "cumulative", []],
    ["Delta", "delta", []],
    [
      "LowMemory",
      "delta",
      [
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: lowmemory is taken for delta: counters and histograms are deltas.",
      ],
    ],
  ])("comes with the temporality %s", (written, temporality, notes) => {
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://h:4318",
      OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: written,
    };
    expect(otlpOf(env)).toMatchObject({ temporality });
    expect(parse(env).notes).toEqual(notes);
  });

  test("is the file's, key by key, and each key that wins is noted", () => {
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://env:4318",
      OTEL_EXPORTER_OTLP_HEADERS: "x-secret=hidden",
      OTEL_EXPORTER_OTLP_TIMEOUT: "2500",
      OTEL_EXPORTER_OTLP_METRICS_COMPRESSION: "none",
    };
    const { config, notes } = parse(
      env,
      "export: { otlp: { endpoint: 'http://file:4318', compression: gzip, headers: {} } }",
    );
    expect(config.export.otlp[0]).toMatchObject({
      url: "http://file:4318/v1/metrics",
      compression: "gzip",
      headers: {},
      timeoutMs: 2_500,
    });
    expect(notes).toEqual([
      "export.otlp.endpoint in the file wins over OTEL_EXPORTER_OTLP_ENDPOINT.",
      "export.otlp.compression in the file wins over OTEL_EXPORTER_OTLP_METRICS_COMPRESSION.",
      "export.otlp.headers in the file wins over OTEL_EXPORTER_OTLP_HEADERS.",
    ]);
  });

  test("may come from the environment where the file sets other keys of it", () => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://env:4318" };
    const { config, notes } = parse(env, "export: { otlp: { timeout: 1s } }");
    expect(config.export.otlp[0]).toMatchObject({ url: "http://env:4318/v1/metrics", timeoutMs: 1_000 });
    expect(notes).toEqual([]);
  });

  test("fills in what the only one of a list leaves open", () => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://env:4318", OTEL_EXPORTER_OTLP_TIMEOUT: "2500" };
    const { config, notes } = parse(env, "export: { otlp: [{ timeout: 1s }] }");
    expect(config.export.otlp).toMatchObject([{ url: "http://env:4318/v1/metrics", timeoutMs: 1_000 }]);
    expect(notes).toEqual(["export.otlp[0].timeout in the file wins over OTEL_EXPORTER_OTLP_TIMEOUT."]);
  });

  test("is none of several, and a note says so", () => {
    const text = "export: { otlp: [{}, { endpoint: 'http://b:4318' }] }";
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://env:4318",
      OTEL_EXPORTER_OTLP_HEADERS: "x-secret=hidden",
      OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: "2500",
    };
    const { config, notes } = parse(env, text);
    expect(config).toEqual(parse({}, text).config);
    expect(config.export.otlp.map(({ url }) => url)).toEqual([
      "http://localhost:4318/v1/metrics",
      "http://b:4318/v1/metrics",
    ]);
    expect(notes).toEqual([
      "export.otlp in the file names several destinations, so that it alone counts, without OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_METRICS_TIMEOUT.",
    ]);
    expect(parse({}, text).notes).toEqual([]);
  });

  test("metrics_endpoint in the file wins by its own name", () => {
    const env = { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "http://env:4318" };
    const { config, notes } = parse(env, "export: { otlp: { metrics_endpoint: 'http://file:4318/m' } }");
    expect(config.export.otlp[0]?.url).toBe("http://file:4318/m");
    expect(notes).toEqual(["export.otlp.metrics_endpoint in the file wins over OTEL_EXPORTER_OTLP_METRICS_ENDPOINT."]);
  });
});

describe("the destination, by grpc", () => {
  const grpc = { OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" };

  test.each([
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://h:4317" }, "http://h:4317"],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "https://h:4317/" }, "https://h:4317"],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "https://h" }, "https://h"],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "h:4317" }, "https://h:4317"],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "[::1]:4317" }, "https://[::1]:4317"],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "h:4317", OTEL_EXPORTER_OTLP_INSECURE: "True" }, "http://h:4317"],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "h:4317", OTEL_EXPORTER_OTLP_INSECURE: "false" }, "https://h:4317"],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "https://h:4317", OTEL_EXPORTER_OTLP_INSECURE: "true" }, "https://h:4317"],
    [
      {
        OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "m:4317",
        OTEL_EXPORTER_OTLP_ENDPOINT: "h:4317",
        OTEL_EXPORTER_OTLP_METRICS_INSECURE: "true",
        OTEL_EXPORTER_OTLP_INSECURE: "false",
      },
      "http://m:4317",
    ],
  ])("is, for %j, %s", (env, url) => {
    expect(otlpOf({ ...grpc, ...env })).toMatchObject({ url, protocol: "grpc" });
    expect(parse({ ...grpc, ...env }).notes).toEqual([]);
  });

  test("is a collector's port on this machine where nobody says where", () => {
    expect(otlpOf(grpc, "export: { otlp: {} }")).toMatchObject({ url: "http://localhost:4317", protocol: "grpc" });
    expect(otlpOf({ ...grpc, OTEL_METRICS_EXPORTER: "otlp" })).toMatchObject({
      url: "http://localhost:4317",
      protocol: "grpc",
    });
    expect(otlpOf(grpc)).toBeUndefined();
  });

  test("has a path of its own", () => {
    for (const variable of ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"]) {
      const env = { ...grpc, [variable]: "http://h:4317/v1/metrics" };
      expect(otlpOf(env)?.url).toBe("http://h:4317");
      expect(parse(env).notes).toEqual([`${variable}: its path is left out, since gRPC has one of its own.`]);
    }
    expect(messageOf("export: { otlp: { endpoint: 'http://h:4317/base' } }", grpc)).toBe(
      "f.yaml:1:29: export.otlp.endpoint: must end with the port for grpc, which has a path of its own, as in http://localhost:4317",
    );
  });

  test("is one that the file says it is, and the other way round", () => {
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "h:4317", OTEL_EXPORTER_OTLP_INSECURE: "true" };
    for (const written of ["{ protocol: grpc }", "[{ protocol: grpc }]"])
      expect(otlpOf(env, `export: { otlp: ${written} }`)).toMatchObject({ url: "http://h:4317", protocol: "grpc" });
    const ofHttp = { ...grpc, OTEL_EXPORTER_OTLP_ENDPOINT: "http://h:4318" };
    const { config, notes } = parse(ofHttp, "export: { otlp: { protocol: http/protobuf } }");
    expect(config.export.otlp[0]).toMatchObject({ url: "http://h:4318/v1/metrics", protocol: "http/protobuf" });
    expect(notes).toEqual(["export.otlp.protocol in the file wins over OTEL_EXPORTER_OTLP_PROTOCOL."]);
    expect(otlpOf(grpc, "export: { otlp: { endpoint: 'https://file:4317' } }")?.url).toBe("https://file:4317");
  });

  test.each([
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "h"],
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "unix:/secret.sock"],
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "http://secret:secret@h:4317"],
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "secret@h:4317"],
    ["OTEL_EXPORTER_OTLP_HEADERS", "x-bin=secret"],
    ["OTEL_EXPORTER_OTLP_HEADERS", "x=%C3%A9"],
  ])("is not by %s=%s, of which the warning has nothing", (variable, value) => {
    const { notes } = parse({ ...grpc, [variable]: value });
    expect(notes).toHaveLength(1);
    expect(notes[0]).toMatch(new RegExp(`^${variable} is ignored: it must be `));
    expect(notes[0]).not.toContain("secret");
  });
});

describe("the collection", () => {
  test("takes interval and timeout, where the file is silent", () => {
    const env = { OTEL_METRIC_EXPORT_INTERVAL: "60000", OTEL_METRIC_EXPORT_TIMEOUT: "30000" };
    expect(parse(env).config.collection).toEqual({ intervalMs: 60_000, timeoutMs: 30_000 });
    expect(parse(env).notes).toEqual([]);
    const { config, notes } = parse(env, "collection: { interval: 45s, timeout: 40s }");
    expect(config.collection).toEqual({ intervalMs: 45_000, timeoutMs: 40_000 });
    expect(notes).toEqual([
      "collection.interval in the file wins over OTEL_METRIC_EXPORT_INTERVAL.",
      "collection.timeout in the file wins over OTEL_METRIC_EXPORT_TIMEOUT.",
    ]);
  });

  test("caps a timeout from the environment to the interval", () => {
    const { config, notes } = parse({ OTEL_METRIC_EXPORT_TIMEOUT: "30000" });
    expect(config.collection).toEqual({ intervalMs: 15_000, timeoutMs: 15_000 });
    expect(notes).toEqual(["OTEL_METRIC_EXPORT_TIMEOUT is capped to the interval, 15s."]);
  });

  test("checks a timeout of the file against an interval from the environment", () => {
    const env = { OTEL_METRIC_EXPORT_INTERVAL: "5000" };
    expect(messageOf("collection: { timeout: 6s }", env)).toBe(
      "f.yaml:1:24: collection.timeout: must not be above the interval, 5s (OTEL_METRIC_EXPORT_INTERVAL)",
    );
    expect(parse({ OTEL_METRIC_EXPORT_INTERVAL: "60000" }, "collection: { timeout: 20s }").config.collection).toEqual({
      intervalMs: 60_000,
      timeoutMs: 20_000,
    });
  });
});

describe("the exports", () => {
  const collector = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://h:4318" };
  const local = { listen: { host: "127.0.0.1", port: 9464 }, basicAuth: undefined, tls: undefined };
  const named = (names: string, env: Env = {}) => parse({ ...env, OTEL_METRICS_EXPORTER: names });

  test.each([
    ["otlp", ["http://localhost:4318/v1/metrics"], undefined, undefined],
    ["prometheus", [], local, undefined],
    ["console", [], undefined, "table"],
    ["otlp/stdout", [], undefined, "otlp-json"],
    ["none", [], undefined, undefined],
    [" OTLP,, Prometheus , console,otlp ", ["http://localhost:4318/v1/metrics"], local, "table"],
  ])("are, by %s", (names, urls, prometheus, console) => {
    const { config, notes } = named(names);
    expect(config.export.otlp.map(({ url }) => url)).toEqual(urls);
    expect(config.export).toMatchObject({ prometheus, console, file: undefined });
    expect(notes).toEqual([]);
  });

  test("are by OTLP where an endpoint is set, unless OTEL_METRICS_EXPORTER says otherwise", () => {
    expect(parse(collector).config.export).toMatchObject({ prometheus: undefined, console: undefined });
    expect(named("otlp", collector).config.export.otlp).toMatchObject([{ url: "http://h:4318/v1/metrics" }]);
    expect(named("none", collector).config.export.otlp).toEqual([]);
    expect(named("prometheus", collector).config.export.otlp).toEqual([]);
  });

  test("leave out what is not known, with a warning", () => {
    const warning =
      "OTEL_METRICS_EXPORTER is ignored in part: it must be otlp, prometheus, console, otlp/stdout, a list of them, or none.";
    for (const names of ["prometheus,zipkin", "none,prometheus"]) {
      const { config, notes } = named(names);
      expect(config.export).toMatchObject({ otlp: [], prometheus: local, console: undefined });
      expect(notes).toEqual([warning]);
    }
    expect(named("console,otlp/stdout").config.export.console).toBe("table");
    expect(named("console,otlp/stdout").notes).toEqual([
      "OTEL_METRICS_EXPORTER: of console and otlp/stdout only the former is printed.",
    ]);
  });

  test("are the file's where it has them, and each that differs is noted", () => {
    const env = { OTEL_METRICS_EXPORTER: "console" };
    const { config, notes } = parse(env, "export: { otlp: {}, prometheus: {}, console: { format: prometheus } }");
    expect(config.export).toMatchObject({ otlp: [{}], prometheus: local, console: "prometheus" });
    expect(notes).toEqual([
      "export.otlp in the file wins over OTEL_METRICS_EXPORTER.",
      "export.prometheus in the file wins over OTEL_METRICS_EXPORTER.",
      "export.console.format in the file wins over OTEL_METRICS_EXPORTER.",
    ]);
    const silent = parse(env, "export: { console: off }");
    expect(silent.config.export.console).toBeUndefined();
    expect(silent.notes).toEqual(["export.console in the file wins over OTEL_METRICS_EXPORTER."]);
    expect(parse({ OTEL_METRICS_EXPORTER: "otlp/stdout" }, "export: { console: on }").config.export.console).toBe(
      "otlp-json",
    );
  });

  test("have the page where the environment says, unless the file does", () => {
    const env = { OTEL_EXPORTER_PROMETHEUS_HOST: "[::1]", OTEL_EXPORTER_PROMETHEUS_PORT: "0" };
    expect(parse(env).config.export.prometheus).toBeUndefined();
    expect(parse(env, "export: { prometheus: {} }").config.export.prometheus?.listen).toEqual({ host: "::1", port: 0 });
    const port = { OTEL_METRICS_EXPORTER: "prometheus", OTEL_EXPORTER_PROMETHEUS_PORT: "9000" };
    expect(parse(port).config.export.prometheus?.listen).toEqual({ host: "127.0.0.1", port: 9000 });
    const own = parse(env, "export: { prometheus: { listen: 'localhost:1' } }");
    expect(own.config.export.prometheus?.listen).toEqual({ host: "localhost", port: 1 });
    expect(own.notes).toEqual([
      "export.prometheus.listen in the file wins over OTEL_EXPORTER_PROMETHEUS_HOST.",
      "export.prometheus.listen in the file wins over OTEL_EXPORTER_PROMETHEUS_PORT.",
    ]);
  });

  test("say that other machines can read a page which the environment opens to them", () => {
    expect(named("prometheus", { OTEL_EXPORTER_PROMETHEUS_HOST: "0.0.0.0" }).notes).toEqual([
      expect.stringMatching(/^export\.prometheus\.listen, 0\.0\.0\.0:9464, lets other machines read the page/),
    ]);
  });
});

describe("OTEL_SDK_DISABLED", () => {
  const text =
    "probes: { targets: ['tcp://h:1'] }\nexport: { otlp: {}, prometheus: {}, console: on, file: { path: f } }\ncompat: [datakit, telegraf, ss_exporter, sockstat, connection_status]";

  test.each(["true", "True", " TRUE "])("%s turns everything off, and one note says so", (value) => {
    const { config, notes } = parse({ OTEL_SDK_DISABLED: value, OTEL_METRIC_EXPORT_INTERVAL: "5000" }, text);
    expect(notes).toEqual(["OTEL_SDK_DISABLED is true: nothing is read, probed, served or exported."]);
    expect(config).toEqual({
      ...parse({ OTEL_METRIC_EXPORT_INTERVAL: "5000" }).config,
      disabled: true,
      sockets: "off",
      host: { sockstat: false },
    });
  });

  test.each(["false", "FALSE", ""])("%s changes nothing", (value) => {
    expect(parse({ OTEL_SDK_DISABLED: value }, text)).toEqual(parse({}, text));
  });

  test("leaves no fault of the file unfound", () => {
    expect(messageOf("intervall: 1", { OTEL_SDK_DISABLED: "true" })).toContain("f.yaml:1:1: intervall");
  });
});

describe("OTEL_LOG_LEVEL", () => {
  test.each([
    ["debug", "debug"],
    ["TRACE", "debug"],
    ["All", "debug"],
    ["info", "info"],
    ["warn", "warn"],
    ["ERROR", "error"],
    ["fatal4", "error"],
    ["", undefined],
  ])("%s is %s", (value, level) => {
    expect(parse({ OTEL_LOG_LEVEL: value }).logLevel).toBe(level);
    expect(logLevelIn({ OTEL_LOG_LEVEL: value })).toBe(level);
  });

  test("counts for nothing beside a declarative file", () => {
    expect(logLevelIn({ OTEL_LOG_LEVEL: "debug", OTEL_CONFIG_FILE: "otel.yaml" })).toBeUndefined();
  });
});

test("what sockscope does not have is accepted where it asks for nothing, and else said to have no effect", () => {
  for (const filter of ["always_off", "trace_based", "Trace_Based"])
    expect(parse({ OTEL_METRICS_EXEMPLAR_FILTER: filter }).notes).toEqual([]);
  expect(parse({ OTEL_METRICS_EXEMPLAR_FILTER: "always_on" }).notes).toEqual([
    "OTEL_METRICS_EXEMPLAR_FILTER has no effect: sockscope has no exemplars.",
  ]);
  const aggregation = { OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION: "Explicit_Bucket_Histogram" };
  expect(parse(aggregation)).toEqual(parse({}));
});

test("a timeout of 0 is no limit", () => {
  const env = { OTEL_METRIC_EXPORT_TIMEOUT: "0", OTEL_EXPORTER_OTLP_TIMEOUT: "0", OTEL_METRICS_EXPORTER: "otlp" };
  const { config, notes } = parse(env);
  expect(config.collection).toEqual({ intervalMs: 15_000, timeoutMs: 15_000 });
  expect(config.export.otlp[0]?.timeoutMs).toBe(168 * 3_600_000);
  expect(notes).toEqual(["OTEL_METRIC_EXPORT_TIMEOUT is capped to the interval, 15s."]);
});

test("case does not matter in words of the specification", () => {
  const env = {
    OTEL_METRICS_EXPORTER: "otlp",
    OTEL_EXPORTER_OTLP_PROTOCOL: "HTTP/JSON",
    OTEL_EXPORTER_OTLP_COMPRESSION: "None",
  };
  expect(otlpOf(env)).toMatchObject({ protocol: "http/json", compression: "none" });
});

describe("OTEL_ENTITIES", () => {
  const malformed =
    "OTEL_ENTITIES is ignored in part: an entity is written type{key=value}[key=value], percent-encoded.";
  const repeated = "OTEL_ENTITIES has an entity or an attribute twice: the last one counts.";

  test.each<[string, Record<string, string>, string[]]>([
    ["host{host.id=7}", { "host.id": "7" }, []],
    [
      ";service{service.name=my%2Capp,service.instance.id=i}[service.version=1%3D0]@https://a.b/1.2;; host{host.id=h}[host.name=a]",
      {
        "service.name": "my,app",
        "service.instance.id": "i",
        "service.version": "1=0",
        "host.id": "h",
        "host.name": "a",
      },
      [],
    ],
    ["service{};host{host.id=1}", { "host.id": "1" }, [malformed]],
    ["1{a=b};host{host.id=1};x{a=%zz};y{0=b};z", { "host.id": "1" }, [malformed]],
    ["a{k=1}[d=1,e=1];a{k=2}[d=2]", { k: "2", d: "2" }, [repeated]],
    ["a{k=1}[d=1];b{l=1}[d=2]", { k: "1", l: "1", d: "2" }, [repeated]],
    ["a{k=1}[d=1];b{k=1}[d=1]", { k: "1", d: "1" }, []],
  ])("%s", (entities, attributes, notes) => {
    const parsed = parse({ OTEL_ENTITIES: entities });
    expect(parsed.config.resource.attributes).toEqual(attributes);
    expect(parsed.notes).toEqual(notes);
  });

  test("stands behind the other variables, and these behind the file", () => {
    const env = {
      OTEL_ENTITIES: "service{service.name=entity}[a=entity,b=entity,c=entity]",
      OTEL_RESOURCE_ATTRIBUTES: "a=listed,b=listed",
      OTEL_SERVICE_NAME: "named",
    };
    const { config, notes } = parse(env, "resource: { attributes: { a: own } }");
    expect(config.resource.attributes).toEqual({ "service.name": "named", a: "own", b: "listed", c: "entity" });
    expect(notes).toEqual(['resource.attributes["a"] in the file wins over OTEL_RESOURCE_ATTRIBUTES.']);
  });
});

describe("the resource", () => {
  test("takes attributes and the service's name; the file wins for each", () => {
    const env = {
      OTEL_RESOURCE_ATTRIBUTES: "service.name=listed,team=a%2Cb,region=eu",
      OTEL_SERVICE_NAME: "named",
    };
    expect(parse(env).config.resource.attributes).toEqual({ "service.name": "named", team: "a,b", region: "eu" });
    const { config, notes } = parse(env, "resource: { attributes: { team: file, 'service.name': own, zone: 1 } }");
    expect(config.resource.attributes).toEqual({ "service.name": "own", team: "file", region: "eu", zone: 1 });
    expect(notes).toEqual([
      'resource.attributes["team"] in the file wins over OTEL_RESOURCE_ATTRIBUTES.',
      'resource.attributes["service.name"] in the file wins over OTEL_SERVICE_NAME.',
    ]);
  });

  test.each(["a=b,c", "a=b,=c", "a=%zz", "a", "__proto__=a"])("drops %s as a whole", (listed) => {
    const { config, notes } = parse({ OTEL_RESOURCE_ATTRIBUTES: listed });
    expect(config.resource.attributes).toEqual({});
    expect(notes).toEqual([
      "OTEL_RESOURCE_ATTRIBUTES is ignored: it must be percent-encoded pairs, as in name=value,name2=value2.",
    ]);
  });
});

describe("a variable that cannot be used is ignored with a warning that does not hold its value", () => {
  const url = "an http:// or https:// URL without user and password";
  const pairs = "percent-encoded pairs, as in name=value,name2=value2, with names and values that HTTP allows";
  test.each([
    ["OTEL_METRIC_EXPORT_INTERVAL", "secret", "a whole number of milliseconds, at least 100"],
    ["OTEL_METRIC_EXPORT_INTERVAL", "99", "a whole number of milliseconds, at least 100"],
    ["OTEL_METRIC_EXPORT_TIMEOUT", "1e3", "a whole number of milliseconds, or 0 for no limit"],
    ["OTEL_METRIC_EXPORT_TIMEOUT", "99999999999", "a whole number of milliseconds, or 0 for no limit"],
    ["OTEL_EXPORTER_OTLP_TIMEOUT", "-1", "a whole number of milliseconds, or 0 for no limit"],
    ["OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "1.5", "a whole number of milliseconds, or 0 for no limit"],
    ["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "secret", "cumulative, delta or lowmemory"],
    ["OTEL_EXPORTER_OTLP_COMPRESSION", "deflate", "gzip, zstd or none"],
    ["OTEL_EXPORTER_OTLP_PROTOCOL", "http", "http/protobuf, http/json or grpc"],
    ["OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "json", "http/protobuf, http/json or grpc"],
    ["OTEL_EXPORTER_OTLP_INSECURE", "yes", "true or false"],
    ["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://secret:secret@h", url],
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "h:4318", `${url}, to which /v1/metrics is appended`],
    ["OTEL_EXPORTER_OTLP_HEADERS", "secret", pairs],
    ["OTEL_EXPORTER_OTLP_HEADERS", "x=secret%0Ay", pairs],
    ["OTEL_EXPORTER_OTLP_HEADERS", "content-type=secret", pairs],
    ["OTEL_METRICS_EXPORTER", "logging", "otlp, prometheus, console, otlp/stdout, a list of them, or none"],
    ["OTEL_METRICS_EXPORTER", ",", "otlp, prometheus, console, otlp/stdout, a list of them, or none"],
    ["OTEL_EXPORTER_PROMETHEUS_HOST", "a b", "the name or the address of a host"],
    ["OTEL_EXPORTER_PROMETHEUS_PORT", "65536", "a whole number from 0 to 65535"],
    ["OTEL_EXPORTER_PROMETHEUS_PORT", "0x10", "a whole number from 0 to 65535"],
    ["OTEL_SDK_DISABLED", "1", "true or false"],
    ["OTEL_LOG_LEVEL", "loud", "debug, info, warn or error"],
    ["OTEL_METRICS_EXEMPLAR_FILTER", "some", "always_on, always_off or trace_based"],
    [
      "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
      "base2_exponential_bucket_histogram",
      "explicit_bucket_histogram, which is what sockscope has",
    ],
  ])("%s=%s", (variable, value, allowed) => {
    const { config, notes } = parse({ [variable]: value });
    expect(notes).toEqual([`${variable} is ignored: it must be ${allowed}.`]);
    expect(config).toEqual(parse({}).config);
  });

  test("and the one for all signals takes its place", () => {
    const env = {
      OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "nowhere",
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://h:4318",
      OTEL_EXPORTER_OTLP_METRICS_TIMEOUT: "soon",
      OTEL_EXPORTER_OTLP_TIMEOUT: "70",
    };
    expect(otlpOf(env)).toMatchObject({ url: "http://h:4318/v1/metrics", timeoutMs: 70 });
    expect(parse(env).notes).toHaveLength(2);
  });
});
