import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { renderPrometheus, type PrometheusFormat } from "../../src/export/prometheus-text.ts";
import { prometheusLabel, prometheusName } from "../../src/metrics/prometheus-name.ts";
import type { Attributes, MetricColumns, Snapshot } from "../../src/model/columns.ts";
import { parsePage } from "./prometheus-parser.ts";
import { anyMetric, histogram, metric, set, snapshot, type Point } from "./snapshots.ts";

const formats = ["openmetrics", "text"] as const satisfies readonly PrometheusFormat[];

const render = (snap: Snapshot, format: PrometheusFormat): string => [...renderPrometheus(snap, format)].join("");

const start = 1_763_712_000_123;
const client = set({ "network.transport": "tcp", "network.peer.address": "10.0.0.5", "network.peer.port": 5432 });
const overflow = set({ "otel.metric.overflow": true });

/** Every kind, out of order, with a column for each direction and ended series beside live ones. */
const everyKind = snapshot(
  [
    histogram("tcp.rtt", [0.00005, 0.005, 1], [[set(), [1, 2, 0, 1], 3.25, start]], {
      "network.type": "ipv4",
    }),
    anyMetric({ name: "flow.rtt", unit: "s", description: "Smoothed." }, [{}, [[client, 0.000213]]]),
    anyMetric({ name: "flow.count", unit: "{flow}", kind: "updowncounter", description: "Flows now." }, [
      {},
      [
        [client, 12],
        [overflow, 3],
      ],
    ]),
    anyMetric(
      { name: "flow.io", unit: "By", kind: "counter", description: "Bytes." },
      [
        { "network.io.direction": "transmit" },
        [
          [client, 9_007_199_254_740_992, start],
          [overflow, 0],
        ],
      ],
      [{ "network.io.direction": "receive" }, [[client, 2048, start]]],
    ),
    anyMetric({ name: "flow.cwnd" }),
    {
      ...anyMetric({ name: "flow.retransmits", kind: "counter" }),
      ended: [{ own: set(), sets: [client], starts: Float64Array.of(start) }],
    },
  ],
  { "service.name": "sockscope", "host.name": "h" },
);

describe("golden", () => {
  test("OpenMetrics", () => {
    expect(render(everyKind, "openmetrics")).toBe(`# TYPE target info
# HELP target The resource that all series belong to.
target_info{service_name="sockscope",host_name="h"} 1
# TYPE flow_count gauge
# HELP flow_count Flows now.
flow_count{network_transport="tcp",network_peer_address="10.0.0.5",network_peer_port="5432"} 12
flow_count{otel_metric_overflow="true"} 3
# TYPE flow_io_bytes counter
# UNIT flow_io_bytes bytes
# HELP flow_io_bytes Bytes.
flow_io_bytes_total{network_io_direction="transmit",network_transport="tcp",network_peer_address="10.0.0.5",network_peer_port="5432"} 9007199254740992
flow_io_bytes_created{network_io_direction="transmit",network_transport="tcp",network_peer_address="10.0.0.5",network_peer_port="5432"} 1763712000.123
flow_io_bytes_total{network_io_direction="transmit",otel_metric_overflow="true"} 0
flow_io_bytes_total{network_io_direction="receive",network_transport="tcp",network_peer_address="10.0.0.5",network_peer_port="5432"} 2048
flow_io_bytes_created{network_io_direction="receive",network_transport="tcp",network_peer_address="10.0.0.5",network_peer_port="5432"} 1763712000.123
# TYPE flow_rtt_seconds gauge
# UNIT flow_rtt_seconds seconds
# HELP flow_rtt_seconds Smoothed.
flow_rtt_seconds{network_transport="tcp",network_peer_address="10.0.0.5",network_peer_port="5432"} 0.000213
# TYPE tcp_rtt_seconds histogram
# UNIT tcp_rtt_seconds seconds
# HELP tcp_rtt_seconds A distribution.
tcp_rtt_seconds_bucket{network_type="ipv4",le="5e-05"} 1
tcp_rtt_seconds_bucket{network_type="ipv4",le="0.005"} 3
tcp_rtt_seconds_bucket{network_type="ipv4",le="1.0"} 3
tcp_rtt_seconds_bucket{network_type="ipv4",le="+Inf"} 4
tcp_rtt_seconds_sum{network_type="ipv4"} 3.25
tcp_rtt_seconds_count{network_type="ipv4"} 4
tcp_rtt_seconds_created{network_type="ipv4"} 1763712000.123
# EOF
`);
  });

  test("text format 0.0.4", () => {
    expect(render(everyKind, "text")).toBe(`# HELP target_info The resource that all series belong to.
# TYPE target_info gauge
target_info{service_name="sockscope",host_name="h"} 1
# HELP flow_count Flows now.
# TYPE flow_count gauge
flow_count{network_transport="tcp",network_peer_address="10.0.0.5",network_peer_port="5432"} 12
flow_count{otel_metric_overflow="true"} 3
# HELP flow_io_bytes_total Bytes.
# TYPE flow_io_bytes_total counter
flow_io_bytes_total{network_io_direction="transmit",network_transport="tcp",network_peer_address="10.0.0.5",network_peer_port="5432"} 9007199254740992
flow_io_bytes_total{network_io_direction="transmit",otel_metric_overflow="true"} 0
flow_io_bytes_total{network_io_direction="receive",network_transport="tcp",network_peer_address="10.0.0.5",network_peer_port="5432"} 2048
# HELP flow_rtt_seconds Smoothed.
# TYPE flow_rtt_seconds gauge
flow_rtt_seconds{network_transport="tcp",network_peer_address="10.0.0.5",network_peer_port="5432"} 0.000213
# HELP tcp_rtt_seconds A distribution.
# TYPE tcp_rtt_seconds histogram
tcp_rtt_seconds_bucket{network_type="ipv4",le="5e-05"} 1
tcp_rtt_seconds_bucket{network_type="ipv4",le="0.005"} 3
tcp_rtt_seconds_bucket{network_type="ipv4",le="1.0"} 3
tcp_rtt_seconds_bucket{network_type="ipv4",le="+Inf"} 4
tcp_rtt_seconds_sum{network_type="ipv4"} 3.25
tcp_rtt_seconds_count{network_type="ipv4"} 4
`);
  });

  test.each(formats)("both keep to their grammar (%s)", (format) => {
    expect(parsePage(render(everyKind, format), format).size).toBe(5);
  });

  test("nothing at all", () => {
    expect(render(snapshot([]), "openmetrics")).toBe("# EOF\n");
    expect(render(snapshot([]), "text")).toBe("");
  });
});

describe("labels", () => {
  const lineOf = (own: Attributes, series: Attributes): string | undefined =>
    render(snapshot([anyMetric({ name: "m", unit: "" }, [own, [[set(series), 1]]])]), "text").split("\n")[1];

  test("quotes, backslashes and line feeds are escaped, everything else is kept", () => {
    expect(lineOf({}, { a: 'x"y\\z\nnew\r\t日本' })).toBe('m{a="x\\"y\\\\z\\nnew\r\t日本"} 1');
  });

  test("lone surrogates become valid Unicode", () => {
    expect(lineOf({}, { a: "x\ud800y" })).toBe('m{a="x\ufffdy"} 1');
  });

  test("numbers and booleans are text", () => {
    expect(lineOf({}, { port: 443, ok: false })).toBe('m{port="443",ok="false"} 1');
  });

  test("names that meet are joined in the order of the original names", () => {
    expect(lineOf({}, { "a.b": "dot", "a-b": "dash", a_b: "under" })).toBe('m{a_b="dash;dot;under"} 1');
  });

  test("names of the metric and of the series that meet are joined, too", () => {
    expect(lineOf({ "error.type": "dns_error" }, { error_type: "mine", z: "1" })).toBe(
      'm{error_type="dns_error;mine",z="1"} 1',
    );
  });

  test("a name that only ends like one of the metric's stays apart", () => {
    expect(lineOf({ state: "up" }, { my_state: "x" })).toBe('m{my_state="x",state="up"} 1');
    expect(lineOf({ state: "up" }, { other: 'state="' })).toBe('m{state="up",other="state=\\""} 1');
  });

  test("are cached on the set, once for all metrics", () => {
    const series = set({ "a.b": "x" });
    const snap = snapshot([
      anyMetric({ name: "m" }, [{ d: "1" }, [[series, 1]]]),
      anyMetric({ name: "n" }, [{}, [[series, 2]]]),
    ]);
    const first = render(snap, "openmetrics");
    expect(series.labels).toBe('a_b="x"');
    expect(render(snap, "openmetrics")).toBe(first);
  });
});

describe("metadata", () => {
  test("help is escaped by the format's rules", () => {
    const snap = snapshot([anyMetric({ name: "m", description: 'say "hi"\\\nbye' }, [{}, [[set(), 1]]])]);
    expect(render(snap, "openmetrics")).toContain('# HELP m_ratio say \\"hi\\"\\\\\\nbye\n');
    expect(render(snap, "text")).toContain('# HELP m_ratio say "hi"\\\\\\nbye\n');
  });

  test("a unit that the name holds elsewhere is no UNIT", () => {
    const snap = snapshot([anyMetric({ name: "seconds.left", unit: "s" }, [{}, [[set(), 1]]])]);
    expect(render(snap, "openmetrics")).toBe("# TYPE seconds_left gauge\nseconds_left 1\n# EOF\n");
  });

  test("one family for metrics whose names meet; another type under the same name is dropped", () => {
    const snap = snapshot([
      anyMetric({ name: "a.b", unit: "", description: "first" }, [{}, [[set({ x: 1 }), 1]]]),
      anyMetric({ name: "a_b", unit: "", description: "second", kind: "updowncounter" }, [{}, [[set({ x: 2 }), 2]]]),
      {
        ...histogram("a-b", [1], [[set(), [1, 0], 0.5]]),
        descriptor: { ...anyMetric({ name: "a-b" }).descriptor, unit: "", kind: "histogram" },
      },
    ]);
    expect(render(snap, "openmetrics")).toBe('# TYPE a_b gauge\n# HELP a_b first\na_b{x="1"} 1\na_b{x="2"} 2\n# EOF\n');
  });
});

describe("numbers", () => {
  const valueOf = (value: number): string =>
    render(snapshot([anyMetric({ name: "m", unit: "" }, [{}, [[set(), value]]])]), "text").split(/[ \n]/)[5] ?? "";

  test.each([
    [0, "0"],
    [-0, "0"],
    [-3, "-3"],
    [18_446_744_073_709_552_000, "18446744073709552000"],
    [0.1 + 0.2, "0.30000000000000004"],
    [1e-7, "1e-7"],
    [Infinity, "+Inf"],
    [-Infinity, "-Inf"],
  ])("%d is %s", (value, text) => {
    expect(valueOf(value)).toBe(text);
  });

  test("bounds are OpenMetrics' canonical numbers", () => {
    const bounds = [0, 1e-10, 1e-9, 1e-5, 0.0001, 0.001, 0.95, 1, 1.7, 10, 100_000, 1e6, 1_234_567, 1e10];
    const counts = [...bounds, 0].fill(0);
    const page = render(snapshot([histogram("m", bounds, [[set(), counts, 0]])]), "openmetrics");
    expect([...page.matchAll(/le="([^"]*)"/g)].map((match) => match[1])).toEqual(
      "0.0 1e-10 1e-09 1e-05 0.0001 0.001 0.95 1.0 1.7 10.0 100000.0 1e+06 1.234567e+06 1e+10 +Inf".split(" "),
    );
  });
});

describe("slices", () => {
  test("no chunk holds more than 10,000 points, and none is lost", () => {
    const points = Array.from({ length: 25_000 }, (_, index): Point => [set({ index }), index, start]);
    const snap = snapshot([
      metric("sockscope.flow.opened", [{}, points]),
      metric("sockscope.flow.count", [{}, points]),
    ]);
    const chunks = [...renderPrometheus(snap, "openmetrics")];
    const counts = chunks.map((chunk) => chunk.match(/^[a-z]/gm)?.length ?? 0);
    expect(Math.max(...counts)).toBeLessThanOrEqual(10_000);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(75_000);
  });
});

/** Attributes of any name and value, apart from the one that keeps the series of a column apart. */
const anyAttributes = fc
  .dictionary(
    fc.string({ unit: "binary", maxLength: 6 }),
    fc.oneof(fc.string({ unit: "binary", maxLength: 8 }), fc.integer(), fc.boolean()),
    { maxKeys: 4 },
  )
  .map((values): Attributes =>
    Object.fromEntries(Object.entries(values).filter(([name]) => !["id", "le"].includes(prometheusLabel(name)))),
  );

const anyPoints = fc.array(fc.tuple(anyAttributes, fc.double({ noNaN: true, min: 0 }), fc.nat()), { maxLength: 4 });

const anyColumns = fc.record({
  own: anyAttributes,
  points: anyPoints,
  kind: fc.constantFrom("gauge" as const, "counter" as const, "updowncounter" as const),
  unit: fc.constantFrom("", "1", "s", "By", "By/s", "{x}"),
  word: fc.constantFrom("io", "total", "seconds", "bytes.read", "a..b"),
  description: fc.string({ unit: "binary", maxLength: 20 }),
});

const numbered = (attributes: Attributes, id: string): Attributes => ({ ...attributes, id });

const anySnapshot = fc.tuple(fc.array(anyColumns, { maxLength: 5 }), anyAttributes).map(([all, resource]) =>
  snapshot(
    all.map(({ own, points, kind, unit, word, description }, at): MetricColumns =>
      anyMetric({ name: `m${at}.${word}`, kind, unit, description }, [
        own,
        points.map(([attributes, value, from], id): Point => [set(numbered(attributes, String(id))), value, from]),
      ]),
    ),
    resource,
  ),
);

describe.each(formats)("property: %s", (format) => {
  test("any snapshot is a valid page that gives back every value", () => {
    fc.assert(
      fc.property(anySnapshot, (snap) => {
        const families = parsePage(render(snap, format), format);
        for (const { descriptor, numbers } of snap.metrics) {
          const { family, sample } = prometheusName(descriptor);
          const samples = families.get(format === "text" ? sample : family)?.samples ?? [];
          const [column] = numbers;
          const found = samples.filter(({ name }) => name === sample).map(({ value }) => value);
          expect(found).toEqual([...(column?.values ?? [])].map((value) => value + 0));
          const created = samples.filter(({ name }) => name.endsWith("_created")).map(({ value }) => value * 1000);
          const starts = [...(column?.starts ?? [])].filter((each) => each !== 0);
          const expected = format === "openmetrics" && descriptor.kind === "counter" ? starts : [];
          expect(created.map(Math.round)).toEqual(expected);
        }
      }),
    );
  });

  test("label values come back as they went in", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (value) => {
        const page = render(snapshot([anyMetric({ name: "m", unit: "" }, [{}, [[set({ a: value }), 1]]])]), format);
        expect(parsePage(page, format).get("m")?.samples[0]?.labels.get("a")).toBe(value.toWellFormed());
      }),
    );
  });

  test("histograms of any counts rise and sum up", () => {
    const counts = fc.array(fc.nat({ max: 1000 }), { minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(fc.array(counts, { minLength: 1, maxLength: 3 }), (all) => {
        const points = all.map((each, id) => [set({ id }), each, 1.5, 1] as const);
        const page = render(snapshot([histogram("h", [0.001, 0.5, 20], points)]), format);
        const samples = parsePage(page, format).get("h_seconds")?.samples ?? [];
        const totals = samples.filter(({ name }) => name.endsWith("_count")).map(({ value }) => value);
        expect(totals).toEqual(all.map((each) => each.reduce((sum, count) => sum + count, 0)));
      }),
    );
  });
});

describe("the parser of these tests bites", () => {
  test.each([
    ["no EOF", "# TYPE a gauge\na 1\n"],
    ["a family comes twice", "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# TYPE a gauge\n# EOF\n"],
    ["duplicate series", '# TYPE a gauge\na{x="1",y="2"} 1\na{y="2",x="1"} 1\n# EOF\n'],
    ["label x twice", '# TYPE a gauge\na{x="1",x="2"} 1\n# EOF\n'],
    ["no sample of counter a", "# TYPE a counter\na 1\n# EOF\n"],
    ["does not end with its unit", "# TYPE a gauge\n# UNIT a seconds\na 1\n# EOF\n"],
    ["buckets do not rise", '# TYPE a histogram\na_bucket{le="1.0"} 2\na_bucket{le="+Inf"} 1\n# EOF\n'],
    ["no +Inf bucket", '# TYPE a histogram\na_bucket{le="1.0"} 2\na_sum 1\n# EOF\n'],
    ["_count is not the +Inf bucket", '# TYPE a histogram\na_bucket{le="+Inf"} 1\na_count 2\n# EOF\n'],
    ["le is no canonical number", '# TYPE a histogram\na_bucket{le="1"} 1\n# EOF\n'],
    ["bad label value", '# TYPE a gauge\na{x="1} 1\n# EOF\n'],
    ["unknown escape", '# TYPE a gauge\na{x="\\t"} 1\n# EOF\n'],
    ["bad number", "# TYPE a gauge\na one\n# EOF\n"],
  ])("%s", (reason, page) => {
    expect(() => parsePage(page, "openmetrics")).toThrow(reason);
  });
});
