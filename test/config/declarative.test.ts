import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Env } from "../../src/config/env.ts";
import { renderEffective } from "../../src/config/effective.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { ConfigError } from "../../src/model/errors.ts";

const head = 'file_format: "1.1"\n';
const parse = (text: string, { env = {}, own = "{}" }: { env?: Env; own?: string } = {}) =>
  parseConfig(own, "own.yaml", env, { file: "otel.yaml", text: head + text });

const faultsOf = (text: string, options: Parameters<typeof parse>[1] = {}): string[] => {
  try {
    parse(text, options);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split("\n");
    throw error;
  }
  throw new Error("no fault was found");
};

/** A reader with this exporter, from line 4 of the file. */
const periodic = (exporter: string, times = ""): string =>
  `meter_provider:\n  readers:\n    - periodic: { ${times}exporter: { ${exporter} } }\n`;
const pull = (exporter: string): string =>
  `meter_provider:\n  readers:\n    - pull: { exporter: { prometheus/development: { ${exporter} } } }\n`;

describe("a file that says little", () => {
  test.each(["", "meter_provider:\n", "resource:\ndisabled:\nlog_level:\n"])("is as none: %j", (text) => {
    expect(parse(text)).toEqual(parseConfig("{}", "own.yaml", {}));
  });

  test("has the defaults of its schema", () => {
    const { config, notes } = parse(periodic("otlp_http:"));
    expect(config.collection).toEqual({ intervalMs: 60_000, timeoutMs: 30_000 });
    expect(config.export).toMatchObject({
      otlp: [
        {
          url: "http://localhost:4318/v1/metrics",
          tls: undefined,
          protocol: "http/protobuf",
          compression: "none",
          temporality: "cumulative",
          headers: {},
          timeoutMs: 10_000,
        },
      ],
      prometheus: undefined,
      file: undefined,
      console: undefined,
    });
    expect(notes).toEqual([]);
  });

  test.each([
    ["", 'file_format: must be "1.0" or "1.1"', 'file_format: "2.0"'],
    ["", 'file_format: must be "1.0" or "1.1"', 'file_format: "0.4"'],
    ["", 'file_format: must be the version of the schema, "1.1"', "file_format: 1.1"],
    ["", 'file_format: is missing: it must be the version of the schema, "1.1"', "disabled: false"],
  ])("needs the version of its schema", (_, message, text) => {
    expect(() => parseConfig("{}", "own.yaml", {}, { file: "otel.yaml", text })).toThrow(message);
  });

  test("may be of the schema before, and of the one after with a warning", () => {
    const notesOf = (version: string) =>
      parseConfig("{}", "own.yaml", {}, { file: "otel.yaml", text: `file_format: "${version}"` }).notes;
    expect(notesOf("1.0")).toEqual([]);
    expect(notesOf("1.2")).toEqual(["otel.yaml: file_format is later than 1.1, the version that sockscope knows."]);
  });

  test("must not be empty", () => {
    expect(() => parseConfig("{}", "own.yaml", {}, { file: "otel.yaml", text: "# nothing" })).toThrow(
      'otel.yaml:1:1: the file is empty: write file_format: "1.1"',
    );
  });
});

describe("values", () => {
  test("of a periodic reader and its exporter reach the configuration", () => {
    const text = `
log_level: warn2
resource:
  attributes:
    - { name: text, value: a }
    - { name: count, value: 3, type: int }
    - { name: share, value: 0.5, type: double }
    - { name: whole, value: 2, type: double }
    - { name: flag, value: true, type: bool }
    - { name: absent, value: }
    - { name: both, value: first }
  attributes_list: both=second,listed=b%2Cc
meter_provider:
  readers:
    - periodic:
        interval: 5000
        timeout: 4000
        exporter:
          otlp_http:
            endpoint: https://h:1/own/path
            tls: { ca_file: /ca.pem, cert_file: /c.pem, key_file: /c.key }
            headers:
              - { name: X-One, value: list }
              - { name: x-none, value: }
            headers_list: x-one=text,x-two=a%20b
            compression: zstd
            max_request_size: 67108864
            max_response_size: 4194304
            timeout: 250
            encoding: json
            temporality_preference: delta
            default_histogram_aggregation: explicit_bucket_histogram
  exemplar_filter: trace_based
`;
    const { config, notes, logLevel } = parse(text);
    expect(notes).toEqual([]);
    expect(logLevel).toBe("warn");
    expect(config.collection).toEqual({ intervalMs: 5_000, timeoutMs: 4_000 });
    expect(config.resource.attributes).toEqual({
      text: "a",
      count: 3,
      share: 0.5,
      whole: 2,
      flag: true,
      both: "first",
      listed: "b,c",
    });
    expect(config.export.otlp).toMatchObject([
      {
        url: "https://h:1/own/path",
        tls: { caFile: "/ca.pem", certFile: "/c.pem", keyFile: "/c.key", serverName: undefined, insecure: false },
        headers: { "X-One": "list", "x-two": "a b" },
        compression: "zstd",
        timeoutMs: 250,
        protocol: "http/json",
        temporality: "delta",
      },
    ]);
  });

  test("of several readers are several exports", () => {
    const text = `
meter_provider:
  readers:
    - periodic: { exporter: { otlp_http: { endpoint: "http://a:1/m" } } }
    - periodic: { interval: 60000, exporter: { otlp_http: { endpoint: "http://b:1/m" } } }
    - periodic: { exporter: { console: } }
    - periodic: { exporter: { otlp_file/development: { output_stream: "file:///tmp/m.jsonl" } } }
    - pull: { exporter: { prometheus: { host: "::1", port: 9000, without_scope_info: true } } }
`;
    const { config, notes } = parse(text);
    expect(notes).toEqual([]);
    expect(config.collection.intervalMs).toBe(60_000);
    expect(config.export).toMatchObject({
      otlp: [{ url: "http://a:1/m" }, { url: "http://b:1/m" }],
      prometheus: { listen: { host: "::1", port: 9000 }, basicAuth: undefined, tls: undefined },
      file: { path: "/tmp/m.jsonl" },
      console: "table",
    });
  });

  test.each([
    [periodic("console:"), { console: "table", file: undefined }],
    [periodic("otlp_file/development:"), { console: "otlp-json", file: undefined }],
    [periodic("otlp_file/development: { output_stream: stdout }"), { console: "otlp-json", file: undefined }],
    [pull(""), { prometheus: { listen: { host: "127.0.0.1", port: 9464 } }, console: undefined }],
  ])("of one exporter: %j", (text, exports) => {
    const { config } = parse(text);
    expect(config.export).toMatchObject({ otlp: [], ...exports });
  });

  test("of a page alone leave the times as they are", () => {
    expect(parse(pull("port: 0")).config.collection).toEqual({ intervalMs: 15_000, timeoutMs: 10_000 });
  });

  test("that are times: no limit is the interval, and a default is capped without a word", () => {
    expect(parse(periodic("console:", "interval: 5000, timeout: 0, "))).toMatchObject({
      config: { collection: { intervalMs: 5_000, timeoutMs: 5_000 } },
      notes: ["meter_provider.readers[0].periodic.timeout at otel.yaml:4:35 is capped to the interval, 5s."],
    });
    expect(parse(periodic("console:", "interval: 5000, "))).toMatchObject({
      config: { collection: { intervalMs: 5_000, timeoutMs: 5_000 } },
      notes: [],
    });
    expect(parse(periodic("otlp_http: { timeout: 0 }")).config.export.otlp[0]?.timeoutMs).toBe(168 * 3_600_000);
  });

  test("that are files of TLS count for https:// only", () => {
    expect(parse(periodic("otlp_http: { tls: { ca_file: /ca.pem } }")).config.export.otlp[0]?.tls).toBeUndefined();
    const secure = parse(periodic("otlp_http: { endpoint: 'https://h/m', tls: { ca_file: , key_file: } }"));
    expect(secure.config.export.otlp[0]?.tls).toMatchObject({ caFile: undefined, insecure: false });
  });

  test("that turn everything off", () => {
    const { config, notes } = parse(`disabled: true\n${periodic("otlp_http:")}`, {
      own: "{ export: { prometheus: {} }, election: { backend: kubernetes } }",
    });
    expect(config).toMatchObject({
      disabled: true,
      election: undefined,
      sockets: "off",
      export: { otlp: [], prometheus: undefined, file: undefined, console: undefined },
    });
    expect(notes).toEqual(["disabled at otel.yaml:2:1 is true: nothing is read, probed, served or exported."]);
  });

  test("that are not what was asked for are noted", () => {
    const text = `meter_provider:
  exemplar_filter: always_on
  readers: [{ periodic: { exporter: { otlp_http: { temporality_preference: low_memory } } } }]`;
    const { config, notes } = parse(text);
    expect(config.export.otlp[0]?.temporality).toBe("delta");
    expect(notes).toEqual([
      "otel.yaml: meter_provider.exemplar_filter has no effect: sockscope has no exemplars.",
      "otel.yaml: low_memory is taken for delta: counters and histograms are deltas.",
    ]);
  });

  test("of the service detector come from OTEL_SERVICE_NAME, behind all others", () => {
    const detection = "  detection/development: { detectors: [{ service: }, { host: }] }\n";
    const env = { OTEL_SERVICE_NAME: "named" };
    expect(parse(`resource:\n${detection}`, { env }).config.resource.attributes).toEqual({ "service.name": "named" });
    const own = `resource:\n${detection}  attributes_list: service.name=listed\n`;
    expect(parse(own, { env }).config.resource.attributes).toEqual({ "service.name": "listed" });
  });
});

describe("what is about something else than metrics", () => {
  test("is left aside, whatever it is, and named once", () => {
    const text = `
tracer_provider: { processors: [{ batch: { exporter: { zipkin: } } }] }
logger_provider: any
propagator: { composite_list: "tracecontext" }
attribute_limits: { attribute_count_limit: 128 }
instrumentation/development: {}
resource: { detection/development: { detectors: [{ process: }, { container: }, { host: }] } }
distribution: { other: { a: 1 } }
`;
    expect(parse(text).notes).toEqual([
      "otel.yaml: attribute_limits, logger_provider, propagator, tracer_provider, instrumentation/development, resource.detection/development (process, container) are left aside: sockscope has metrics only, and its own resource.",
    ]);
  });

  test("is no key of the schema, which allows it, and is named", () => {
    expect(parse("meter_providr: {}\n").notes).toEqual([
      "otel.yaml: meter_providr is no key of the schema, and left aside.",
    ]);
  });
});

describe("a fault has its place in the declarative file", () => {
  const exporter = "meter_provider.readers[0].periodic.exporter";
  const http = (keys: string): string => periodic(`otlp_http: { ${keys} }`);
  test.each<[string, string[]]>([
    ["disabled: maybe", ["2:11: disabled: must be true or false"]],
    ["log_level: loud", ["2:12: log_level: must be trace, debug, info, warn, error or fatal"]],
    ["meter_provider: {}", ["2:17: meter_provider.readers: must be a list of readers"]],
    ["meter_provider: { readers: [] }", ["2:28: meter_provider.readers: must be a list of readers"]],
    [
      "meter_provider: { readers: [{ push: }] }",
      ['2:31: meter_provider.readers[0].push: unknown key "push"; allowed: periodic, pull'],
    ],
    [
      "meter_provider: { readers: [{}] }",
      ["2:29: meter_provider.readers[0]: must be a map with one key: periodic, pull"],
    ],
    [
      periodic("zipkin:"),
      [`4:31: ${exporter}.zipkin: unknown key "zipkin"; allowed: otlp_http, otlp_grpc, otlp_file/development, console`],
    ],
    [
      periodic("console: , otlp_http: "),
      [`4:29: ${exporter}: must be a map with one key: otlp_http, otlp_grpc, otlp_file/development, console`],
    ],
    [
      periodic("console:", "interval: 99, "),
      ["4:29: meter_provider.readers[0].periodic.interval: must be a whole number from 100 to 604800000"],
    ],
    [
      http("endpoint: h:4318, compression: deflate, timeout: 1s, encoding: text"),
      [
        `4:54: ${exporter}.otlp_http.endpoint: must be an http:// or https:// URL, as in http://localhost:4318`,
        `4:75: ${exporter}.otlp_http.compression: must be gzip, zstd or none`,
        `4:93: ${exporter}.otlp_http.timeout: must be a whole number from 0 to 604800000`,
        `4:107: ${exporter}.otlp_http.encoding: must be protobuf or json`,
      ],
    ],
    [
      http('headers: [{ name: a b, value: x }, { name: c, value: "s\\necret" }], headers_list: nothing'),
      [
        `4:62: ${exporter}.otlp_http.headers[0].name: is not the name of an HTTP header: letters, digits, - and _ are allowed`,
        `4:97: ${exporter}.otlp_http.headers[1].value: must be one line of Latin-1 text without control characters`,
        `4:126: ${exporter}.otlp_http.headers_list: must be percent-encoded pairs, as in name=value,name2=value2`,
      ],
    ],
    [
      http("headers_list: content-type=secret"),
      [`4:58: ${exporter}.otlp_http.headers_list: is a header that sockscope sets itself`],
    ],
    [
      http("tls: { ca_file: ca.pem, cert_file: /c.pem }"),
      [`4:60: ${exporter}.otlp_http.tls.ca_file: must be an absolute path, as in /etc/otel/client.pem`],
    ],
    [
      http("tls: { cert_file: /c.pem }"),
      [`4:62: ${exporter}.otlp_http.tls.cert_file: needs key_file, the file with its private key`],
    ],
    [
      http("max_request_size: 1000, max_response_size: 1000"),
      [
        `4:62: ${exporter}.otlp_http.max_request_size: must be 0 or at least 4194304: sockscope's requests have up to 4 MiB`,
        `4:87: ${exporter}.otlp_http.max_response_size: must be 4194304: sockscope has no other bound`,
      ],
    ],
    [
      http("default_histogram_aggregation: base2_exponential_bucket_histogram"),
      [
        `4:75: ${exporter}.otlp_http.default_histogram_aggregation: must be explicit_bucket_histogram: sockscope has no other histograms`,
      ],
    ],
    [
      periodic("console: { temporality_preference: delta }"),
      [`4:66: ${exporter}.console.temporality_preference: must be cumulative: what is printed is cumulative`],
    ],
    [
      periodic("otlp_file/development: { output_stream: m.jsonl }"),
      [
        `4:71: ${exporter}["otlp_file/development"].output_stream: must be stdout, or a file as in file:///var/lib/metrics.jsonl`,
      ],
    ],
    [
      pull("host: a b, port: 65536, scope_info_enabled: true"),
      [
        '4:59: meter_provider.readers[0].pull.exporter["prometheus/development"].host: the host is neither a name (letters, digits, - and _ between dots) nor an IP address',
        '4:70: meter_provider.readers[0].pull.exporter["prometheus/development"].port: must be a whole number from 0 to 65535',
        '4:97: meter_provider.readers[0].pull.exporter["prometheus/development"].scope_info_enabled: must be false: the page has no scope labels',
      ],
    ],
    [
      "meter_provider:\n  views: [{}]\n  meter_configurator/development: {}\n  readers: [{ periodic: { exporter: { console: }, producers: [{}], cardinality_limits: { default: 1 } } }]",
      [
        "3:3: meter_provider.views: is not supported by sockscope: choose in the file of sockscope what is measured",
        '4:3: meter_provider["meter_configurator/development"]: is not supported by sockscope: choose in the file of sockscope what is measured',
        "5:51: meter_provider.readers[0].periodic.producers: is not supported by sockscope: remove it",
        "5:68: meter_provider.readers[0].periodic.cardinality_limits: is not supported by sockscope: set sockets.max_groups in the file of sockscope",
      ],
    ],
    [
      "resource:\n  schema_url: https://a/1\n  attributes_list: a\n  attributes:\n    - { name: a, value: 1 }\n    - { name: b, value: 1.5, type: int }\n    - { name: c, value: [x], type: string_array }\n    - { value: x }",
      [
        "3:3: resource.schema_url: is not supported by sockscope: remove it",
        "4:20: resource.attributes_list: must be percent-encoded pairs, as in name=value,name2=value2",
        "6:25: resource.attributes[0].value: is not of the type string: change one of the two",
        "7:25: resource.attributes[1].value: is not of the type int: change one of the two",
        "8:25: resource.attributes[2].value: must be text, a number, true or false",
        "8:36: resource.attributes[2].type: must be string, bool, int or double: lists are not supported",
        "9:7: resource.attributes[3].name: is missing: it must be the name of an attribute",
      ],
    ],
    [
      "distribution: { sockscope: {} }",
      ["2:28: distribution.sockscope: is not read: write it to the file of sockscope, which -c names"],
    ],
    ["a: [", ["2:5: the indentation does not fit, or a { or [ before this place is not closed"]],
  ])("%s", (text, faults) => {
    const found = faultsOf(text);
    expect(found).toEqual(faults.map((fault) => `otel.yaml:${fault}`));
    expect(found.join()).not.toContain("ecret");
  });

  test("where readers do not go together", () => {
    const text = `meter_provider:
  readers:
    - periodic: { interval: 5000, exporter: { otlp_http: { headers_list: a=b } } }
    - periodic: { exporter: { otlp_http: { headers: [{ name: A, value: b }] } } }
    - periodic: { interval: 5000, timeout: 1000, exporter: { console: } }
    - periodic: { interval: 5000, exporter: { otlp_file/development: } }
    - pull: { exporter: { prometheus: } }
    - pull: { exporter: { prometheus/development: } }
`;
    const times = "as in meter_provider.readers[0].periodic: sockscope collects once for all readers";
    expect(faultsOf(text)).toEqual([
      `otel.yaml:5:17: meter_provider.readers[1].periodic.interval: must be 5000, ${times}`,
      "otel.yaml:5:31: meter_provider.readers[1].periodic.exporter.otlp_http: stands beside meter_provider.readers[0].periodic.exporter.otlp_http: sockscope has one destination of this URL and these headers",
      `otel.yaml:6:44: meter_provider.readers[2].periodic.timeout: must be 30000, ${times}`,
      'otel.yaml:7:47: meter_provider.readers[3].periodic.exporter["otlp_file/development"]: stands beside meter_provider.readers[2].periodic.exporter.console: sockscope has one standard output',
      'otel.yaml:9:27: meter_provider.readers[5].pull.exporter["prometheus/development"]: stands beside meter_provider.readers[4].pull.exporter.prometheus: sockscope has one page',
    ]);
  });

  test("together with those of the file of sockscope, which come first", () => {
    expect(faultsOf("disabled: 1", { own: "intervall: 1" })).toEqual([
      expect.stringMatching(/^own\.yaml:1:1: intervall: unknown key/),
      "otel.yaml:2:11: disabled: must be true or false",
    ]);
  });
});

describe("gRPC", () => {
  const grpc = (keys: string): string => periodic(`otlp_grpc: { ${keys} }`);
  const sent = (text: string, options: Parameters<typeof parse>[1] = {}) => parse(text, options).config.export.otlp[0];

  test("is a destination with the values of its exporter", () => {
    const text = `
meter_provider:
  readers:
    - periodic:
        interval: 5000
        exporter:
          otlp_grpc:
            endpoint: https://h:4317
            tls: { ca_file: /ca.pem, cert_file: /c.pem, key_file: /c.key }
            headers: [{ name: X-One, value: list }]
            headers_list: x-two=a%20b
            compression: zstd
            timeout: 250
            temporality_preference: delta
`;
    const { config, notes } = parse(text);
    expect(notes).toEqual([]);
    expect(config.export.otlp).toMatchObject([
      {
        url: "https://h:4317",
        protocol: "grpc",
        tls: { caFile: "/ca.pem", certFile: "/c.pem", keyFile: "/c.key", serverName: undefined, insecure: false },
        headers: { "X-One": "list", "x-two": "a b" },
        compression: "zstd",
        timeoutMs: 250,
        temporality: "delta",
      },
    ]);
  });

  test("has the defaults of its schema", () => {
    expect(sent(periodic("otlp_grpc:"))).toMatchObject({
      url: "http://localhost:4317",
      protocol: "grpc",
      tls: undefined,
      compression: "none",
      temporality: "cumulative",
      headers: {},
      timeoutMs: 10_000,
    });
  });

  test.each([
    ["endpoint: 'http://h:4317'", "http://h:4317"],
    ["endpoint: 'https://h:4317/'", "https://h:4317"],
    ["endpoint: 'h:4317'", "https://h:4317"],
    ["endpoint: '[::1]:4317', tls: { insecure: false }", "https://[::1]:4317"],
    ["endpoint: 'h:4317', tls: { insecure: true }", "http://h:4317"],
    ["endpoint: 'https://h:4317', tls: { insecure: true }", "https://h:4317"],
    ["endpoint: 'http://h:4317', tls: { insecure: false }", "http://h:4317"],
  ])("goes, for %s, to %s", (keys, url) => {
    expect(sent(grpc(keys))).toMatchObject({ url, protocol: "grpc" });
  });

  test("takes the proxy of https://, and stands beside HTTP", () => {
    const env = { HTTPS_PROXY: "http://secure:1", HTTP_PROXY: "http://plain:2" };
    const other = "    - periodic: { exporter: { otlp_http: { endpoint: 'http://h:4318/m' } } }\n";
    const { otlp } = parse(grpc("endpoint: 'http://h:4317'") + other, { env }).config.export;
    expect(otlp).toMatchObject([
      { url: "http://h:4317", protocol: "grpc", proxy: { authority: "secure:1" } },
      { url: "http://h:4318/m", protocol: "http/protobuf", proxy: { authority: "plain:2" } },
    ]);
  });

  test("has faults that are its own, in their places", () => {
    const exporter = "meter_provider.readers[0].periodic.exporter.otlp_grpc";
    expect(
      faultsOf(
        grpc(
          "endpoint: 'http://h:4317/v1/metrics', headers: [{ name: te, value: x }, { name: a, value: sécret }], headers_list: b-bin=secret",
        ),
      ),
    ).toEqual([
      `otel.yaml:4:54: ${exporter}.endpoint: must end with the port for grpc, which has a path of its own, as in http://localhost:4317`,
      `otel.yaml:4:100: ${exporter}.headers[0].name: is a header that gRPC keeps to itself`,
      `otel.yaml:4:134: ${exporter}.headers[1].value: must be printable ASCII for grpc`,
      `otel.yaml:4:159: ${exporter}.headers_list: is for bytes, by its end -bin, and sockscope sends text only`,
    ]);
    expect(faultsOf(grpc("endpoint: 'unix:/a.sock', encoding: json"))).toEqual([
      `otel.yaml:4:54: ${exporter}.endpoint: must be an http:// or https:// URL, as in http://localhost:4318`,
      expect.stringContaining(`${exporter}.encoding: unknown key "encoding"`),
    ]);
    const twice = "    - periodic: { exporter: { otlp_grpc: { endpoint: 'http://localhost:4317/' } } }\n";
    expect(faultsOf(periodic("otlp_grpc:") + twice)).toEqual([
      expect.stringMatching(/^otel\.yaml:5:31: .*: sockscope has one destination of this URL and these headers$/),
    ]);
  });

  test("is what the file of sockscope makes of it, too", () => {
    const exporter = "meter_provider.readers[0].periodic.exporter";
    expect(sent(grpc("endpoint: 'h:4317'"), { own: "export: { otlp: { timeout: 3s } }" })).toMatchObject({
      url: "https://h:4317",
      protocol: "grpc",
      timeoutMs: 3_000,
    });
    expect(parse(grpc("endpoint: 'h:4317'"), { own: "export: { otlp: { protocol: http/json } }" })).toMatchObject({
      config: { export: { otlp: [{ url: "https://h:4317/v1/metrics", protocol: "http/json" }] } },
      notes: [`export.otlp.protocol in the file wins over ${exporter}.otlp_grpc at otel.yaml:4:31.`],
    });
    const own = "export: { otlp: { protocol: grpc } }";
    expect(sent(periodic("otlp_http:"), { own })).toMatchObject({ url: "http://localhost:4317", protocol: "grpc" });
    expect(faultsOf(periodic("otlp_http: { endpoint: 'http://h:1/m', headers_list: te=secret }"), { own })).toEqual([
      `own.yaml:1:17: export.otlp.headers.te: is a header that gRPC keeps to itself (${exporter}.otlp_http.headers_list at otel.yaml:4:70)`,
      `own.yaml:1:17: export.otlp.metrics_endpoint: must end with the port for grpc, which has a path of its own, as in http://localhost:4317 (${exporter}.otlp_http.endpoint at otel.yaml:4:44)`,
    ]);
    expect(faultsOf(periodic("otlp_grpc:"), { own: "export: { otlp: [{ endpoint: 'http://h:1/base' }] }" })).toEqual([
      "own.yaml:1:30: export.otlp[0].endpoint: must end with the port for grpc, which has a path of its own, as in http://localhost:4317",
    ]);
  });
});

describe("references", () => {
  const env = {
    TEXT: "value",
    YES: "true",
    ONE: "1",
    HEX: "0xff",
    MAP: "value\nkey: x",
    NESTED: "${TEXT}",
    DOLLARS: "a$$",
    EMPTY: "",
  };
  const valueOf = (written: string, type = "string"): unknown =>
    parse(`resource:\n  attributes:\n    - name: key\n      type: ${type}\n      value: ${written}\n`, { env }).config
      .resource.attributes["key"];

  test.each([
    ["${TEXT}", "value"],
    ["${env:TEXT}", "value"],
    ['"${YES}"', "true"],
    ["a ${TEXT} ${ONE}", "a value 1"],
    ["${MAP}", "value\nkey: x"],
    ["${NONE}", undefined],
    ["'${NONE}'", ""],
    ["${NONE:-fallback}", "fallback"],
    ["${EMPTY:-fallback}", "fallback"],
    ["${NONE:-a:-b}", "a:-b"],
    ["${NESTED}", "${TEXT}"],
    ["${NONE:-${TEXT}}", "${TEXT}"],
    ["$${TEXT}", "${TEXT}"],
    ["$$${TEXT}", "$value"],
    ["$$$${TEXT}", "$${TEXT}"],
    ["$${TEXT:-${TEXT}}", "${TEXT:-value}"],
    ["${NONE:-$${NONE}}", "${NONE:-${NONE}}"],
    ["${DOLLARS}", "a$$"],
    ["a $$ b", "a $ b"],
    ["a $ b", "a $ b"],
    ["'${}'", "${}"],
    ["a ${TEXT", "a ${TEXT"],
    ["${ONE}", "1"],
  ])("%s as text", (written, value) => {
    expect(valueOf(written)).toBe(value);
  });

  test.each([
    ["${ONE}", "int", 1],
    ["${HEX}", "int", 255],
    ["${ONE}${ONE}", "int", 11],
    ["${NONE:-7}", "int", 7],
    ["${ONE}.5", "double", 1.5],
    ["${YES}", "bool", true],
  ])("%s as %s", (written, type, value) => {
    expect(valueOf(written, type)).toBe(value);
  });

  test.each(["${TEXT:?error}", "${1TEXT}", "${TEXT$ONE}", "${sys:user.home}", "${env:}"])("%s is none", (written) => {
    expect(faultsOf(`resource: { attributes_list: '${written}' }`)).toEqual([
      'otel.yaml:2:30: resource.attributes_list: a "${" that is no reference: write ${NAME} or ${NAME:-default} for an environment variable, $${ for the text itself',
    ]);
  });

  test("stand in no key", () => {
    expect(parse("${TEXT}: 1\n", { env }).notes).toEqual([
      "otel.yaml: ${TEXT} is no key of the schema, and left aside.",
    ]);
  });
});

describe("the other variables", () => {
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://env:4318",
    OTEL_METRICS_EXPORTER: "console",
    OTEL_METRIC_EXPORT_INTERVAL: "secret",
    OTEL_SDK_DISABLED: "true",
    OTEL_LOG_LEVEL: "debug",
    OTEL_RESOURCE_ATTRIBUTES: "a=b",
    OTEL_SERVICE_NAME: "",
    NO_PROXY: "*",
  };

  test("count only where the file refers to them, and those set in vain are named", () => {
    const text = `${periodic("otlp_http: { endpoint: '${env:OTEL_EXPORTER_OTLP_ENDPOINT}/m' }")}log_level: \${OTEL_LOG_LEVEL}\n`;
    const { config, notes, logLevel } = parse(text, { env });
    expect(config.export).toMatchObject({ otlp: [{ url: "http://env:4318/m" }], console: undefined });
    expect(config).toMatchObject({ disabled: false, collection: { intervalMs: 60_000 }, resource: { attributes: {} } });
    expect(logLevel).toBe("debug");
    expect(notes).toEqual([
      "otel.yaml: OTEL_METRICS_EXPORTER, OTEL_METRIC_EXPORT_INTERVAL, OTEL_RESOURCE_ATTRIBUTES, OTEL_SDK_DISABLED are ignored, as this file does not refer to them.",
    ]);
  });

  test("that are about proxies count as ever", () => {
    const proxied = { HTTP_PROXY: "http://proxy:3128" };
    const { otlp } = parse(periodic("otlp_http: { endpoint: 'http://h:1/m' }"), { env: proxied }).config.export;
    expect(otlp[0]?.proxy?.authority).toBe("proxy:3128");
  });
});

describe("the file of sockscope", () => {
  const text = `meter_provider:
  readers:
    - periodic:
        interval: 5000
        exporter:
          otlp_http:
            endpoint: http://declared:1/m
            compression: gzip
            headers_list: a=b
resource:
  attributes:
    - { name: team, value: declared }
`;
  const reader = "meter_provider.readers[0].periodic";

  test("wins for each key that it has, with a note where both have one", () => {
    const own = `collection: { interval: 7s, timeout: 6s }
resource: { attributes: { team: own } }
export: { otlp: { endpoint: "http://own:1", headers: { c: d }, timeout: 3s } }`;
    const { config, notes } = parse(text, { own });
    expect(config.collection).toEqual({ intervalMs: 7_000, timeoutMs: 6_000 });
    expect(config.resource.attributes).toEqual({ team: "own" });
    expect(config.export.otlp).toMatchObject([
      { url: "http://own:1/v1/metrics", compression: "gzip", headers: { c: "d" }, timeoutMs: 3_000 },
    ]);
    expect(notes).toEqual([
      `collection.interval in the file wins over ${reader}.interval at otel.yaml:5:9.`,
      'resource.attributes["team"] in the file wins over resource.attributes[0] at otel.yaml:13:7.',
      `export.otlp.endpoint in the file wins over ${reader}.exporter.otlp_http.endpoint at otel.yaml:8:13.`,
      `export.otlp.headers in the file wins over ${reader}.exporter.otlp_http.headers_list at otel.yaml:10:13.`,
    ]);
  });

  test("adds what only it has, and takes the rest", () => {
    const own = "export: { otlp: [{ sending_queue: { max_mib: 1 } }] }";
    const { config, notes } = parse(text, { own });
    expect(config.export.otlp).toMatchObject([
      { url: "http://declared:1/m", compression: "gzip", headers: { a: "b" }, queueBytes: 1_048_576 },
    ]);
    expect(notes).toEqual([]);
  });

  test("alone counts where one of the two has several destinations", () => {
    const own = "export: { otlp: [{ endpoint: 'http://a:1' }, { endpoint: 'http://b:1' }] }";
    const { config, notes } = parse(text, { own });
    expect(config.export.otlp.map(({ url }) => url)).toEqual(["http://a:1/v1/metrics", "http://b:1/v1/metrics"]);
    expect(config.export.otlp[0]).toMatchObject({ headers: {} });
    expect(notes).toEqual([
      "export.otlp in the file names several destinations, so that it alone counts, without meter_provider.readers at otel.yaml:3:3.",
    ]);
    const several = `${periodic("otlp_http: { endpoint: 'http://a:1/m' }")}    - periodic: { exporter: { otlp_http: } }\n`;
    const one = parse(several, { own: "export: { otlp: { timeout: 1s } }" });
    expect(one.config.export.otlp.map(({ url }) => url)).toEqual(["http://localhost:4318/v1/metrics"]);
    expect(one.notes).toEqual([
      "export.otlp in the file alone counts, without meter_provider.readers at otel.yaml:3:3.",
    ]);
  });

  test("has exports that the readers have not", () => {
    const own = "export: { otlp: {}, prometheus: {}, console: off }";
    const { config, notes } = parse(periodic("console:"), { own });
    expect(config.export).toMatchObject({
      otlp: [{ url: "http://localhost:4318/v1/metrics", compression: "gzip" }],
      prometheus: { listen: { port: 9464 } },
      console: undefined,
    });
    const readers = "meter_provider.readers at otel.yaml:3:3";
    expect(notes).toEqual(
      ["otlp", "prometheus", "console"].map((key) => `export.${key} in the file wins over ${readers}.`),
    );
  });

  test("is checked against what it takes", () => {
    expect(faultsOf(text, { own: "collection: { timeout: 6s }" })).toEqual([
      `own.yaml:1:24: collection.timeout: must not be above the interval, 5s (${reader}.interval at otel.yaml:5:9)`,
    ]);
    expect(faultsOf(text, { own: "export: { otlp: { tls: {} } }" })).toEqual([
      `own.yaml:1:19: export.otlp.tls: is for https:// only, and the endpoint is an http:// one (${reader}.exporter.otlp_http.endpoint at otel.yaml:8:13): write https://, or remove tls`,
    ]);
  });
});

test("the effective configuration shows no header's value", () => {
  const { config } = parse(periodic("otlp_http: { headers: [{ name: a, value: s3cret }], headers_list: b=s3cret }"));
  const shown = renderEffective(config);
  expect(shown).not.toContain("s3cret");
  expect(shown).toMatch(/interval: 1m\b[^]*b: "?\*\*\*"?[^]*a: "?\*\*\*"?/);
});

describe("config/examples/otel/declarative.yaml", () => {
  const file = "config/examples/otel/declarative.yaml";
  const text = readFileSync(new URL(`../../${file}`, import.meta.url), "utf8");

  test("is without a fault, and refers to the environment", () => {
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318",
      OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20x",
      OTEL_RESOURCE_ATTRIBUTES: "team=edge",
      OTEL_SERVICE_NAME: "edge-sockets",
      TENANT: "one",
    };
    const { config, notes } = parseConfig("{}", "own.yaml", env, { file, text });
    expect(notes).toEqual([
      `${file}: tracer_provider is left aside: sockscope has metrics only, and its own resource.`,
    ]);
    expect(config.collection).toEqual({ intervalMs: 10_000, timeoutMs: 8_000 });
    expect(config.resource.attributes).toEqual({
      "service.name": "edge-sockets",
      team: "edge",
      "deployment.environment.name": "test",
      "rack.unit": 12,
    });
    expect(config.export).toMatchObject({
      otlp: [
        {
          url: "http://collector:4318/v1/metrics",
          headers: { authorization: "Bearer x", "x-tenant": "one" },
          compression: "gzip",
          timeoutMs: 5_000,
        },
      ],
      prometheus: { listen: { host: "127.0.0.1", port: 9464 } },
    });
  });
});
