import fc from "fast-check";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  type Config,
  type OtlpConfig,
  type SelectEntry,
  compressions,
  consoleFormats,
  eventModes,
  flowFamilies,
  groupAttributeNames,
  groupings,
  labelFoldings,
  otlpProtocols,
  ssExporterMetrics,
} from "../../src/model/config.ts";
import { socketProtocols } from "../../src/model/socket.ts";
import { parseNetwork, withoutHostBits } from "../../src/model/address.ts";
import type { Target } from "../../src/model/target.ts";
import { renderEffective } from "../../src/config/effective.ts";
import { mergeNetworks, mergePorts } from "../../src/config/select.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { configOf } from "./parsing.ts";

const masked = (config: Config): Config => {
  const { otlp, prometheus } = config.export;
  const backend = config.election?.backend;
  const hidden = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, "***"]));
  return {
    ...config,
    election: config.election && {
      ...config.election,
      backend:
        backend?.kind === "etcd" && backend.credentials !== undefined
          ? { ...backend, credentials: { ...backend.credentials, password: "***" } }
          : (backend ?? config.election.backend),
    },
    export: {
      ...config.export,
      otlp: otlp.map((one) => ({ ...one, headers: hidden(Object.keys(one.headers)) })),
      prometheus: prometheus && {
        ...prometheus,
        basicAuth: prometheus.basicAuth && { ...prometheus.basicAuth, password: "***" },
      },
    },
  };
};

test("the effective configuration is a file in the file's own words", () => {
  const text = readFileSync(new URL("../../config/examples/everything.yaml", import.meta.url), "utf8");
  const config = configOf(text, { TOKEN: "secret", PAGE_PASSWORD: "secret" });
  expect(config.export.otlp[0]?.headers).toEqual({ authorization: "Bearer secret" });
  expect(config.export.prometheus?.basicAuth).toEqual({ username: "prometheus", password: "secret" });
  expect(renderEffective(config)).toBe(`collection:
  interval: 15s
  timeout: 10s
resource:
  attributes:
    deployment.environment.name: production
    release: "1.10"
paths:
  proc: /proc
  cgroup: /sys/fs/cgroup
networks:
  office: ["10.0.0.0/8"]
  cdn: ["198.51.100.0/24", "2001:db8::/32"]
probes:
  concurrency: 512
  targets:
    - name: tcp://db.internal:5432
      target: tcp://db.internal:5432
      interval: 30s
      timeout: 5s
      attempts: 1
      attributes: {}
      all_addresses: off
    - name: page
      target: tcp://www.internal:443
      interval: 30s
      timeout: 5s
      attempts: 1
      attributes: {}
      tls:
        server_name_override: www.example.org
      send: "HEAD / HTTP/1.0\\\\r\\\\n\\\\r\\\\n"
      expect: "^HTTP/1\\\\.[01] "
      all_addresses: off
    - name: mail
      target: tcp://mail.internal:25
      interval: 30s
      timeout: 5s
      attempts: 1
      attributes: {}
      tls: {}
      steps:
        - expect: "^220 "
        - send: "STARTTLS\\\\r\\\\n"
          expect: "^220 "
          starttls: on
      all_addresses: off
    - name: resolver
      target: udp://192.0.2.53:53
      interval: 10s
      timeout: 2s
      attempts: 1
      attributes:
        team: edge
      compat:
        name: dns
        host: ns.internal
        port: "53"
        protocol: udp4
      udp_silence: 1s
      count: 1
      packet_interval: 200ms
      all_addresses: off
      source_address: "192.0.2.7"
      interface: eth0
    - name: unix:///run/app.sock
      target: unix:///run/app.sock
      interval: 30s
      timeout: 5s
      attempts: 1
      attributes: {}
    - name: tcp://cache.internal:6379
      target: tcp://cache.internal:6379
      interval: 30s
      timeout: 5s
      attempts: 1
      attributes: {}
      all_addresses: off
    - name: bus
      target: unixgram:///run/bus.sock
      interval: 30s
      timeout: 5s
      attempts: 1
      attributes: {}
      udp_silence: 1s
    - name: queue
      target: tcp://queue.internal:5672
      interval: 30s
      timeout: 5s
      attempts: 1
      attributes: {}
      all_addresses: off
election:
  backend: none
sockets:
  source: auto
  protocols: [tcp, udp]
  time_wait: sockstat
  select:
    include:
      - protocols: [tcp, udp]
        states: [established, close_wait, closed]
        ports: [443, "8000-9000"]
        addresses: ["10.0.0.1", "10.0.0.2", "2001:db8::1"]
        networks: ["10.0.0.0/8", "2001:db8::/32"]
        hosts: [db.internal]
        loopback: false
        side: any
        port_side: local
      - pids: [4711]
        cmds: [nginx, "*/gunicorn *"]
        cgroups: [/system.slice/app, nginx.service]
        containers: ["3f4e5d6c7b8a"]
    exclude:
      - protocols: [tcp]
        states: [syn_sent]
        ports: [22]
        addresses: ["192.0.2.1"]
        networks: ["192.0.2.0/24"]
        hosts: [backup.internal]
        loopback: false
        side: any
        port_side: any
      - pids: [1]
        cmds: [sshd]
        cgroups: [user.slice]
        containers: [telemetry]
  group_by: endpoint
  namespaces: own
  events: auto
  max_groups: 2000
  rank_by: bytes
  metrics:
    io: on
    segments: on
    data_segments: off
    retransmits: on
    rtt: on
    cwnd: on
    ssthresh: off
    delivery_rate: on
    pacing_rate: off
    stall: off
    queue: on
    unacked: off
    lost: off
    reordering: off
    rto: off
    ecn: off
  series_ttl: 10
  rtt_histogram:
    bounds: [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1]
host:
  sockstat: on
export:
  otlp:
    endpoint: http://localhost:4318
    protocol: http/protobuf
    compression: gzip
    temporality: cumulative
    headers:
      authorization: "***"
    timeout: 10s
    retry_on_failure:
      initial_interval: 5s
      multiplier: 1.5
      randomization_factor: 0.5
      max_interval: 30s
      max_elapsed_time: 0s
    sending_queue:
      max_mib: 64
      newest_first: off
      storage: /var/lib/sockscope
  prometheus:
    listen: "127.0.0.1:9464"
    basic_auth:
      username: prometheus
      password: "***"
  file:
    path: metrics.jsonl
    max_mib: 100
    max_files: 5
  console:
    format: table
compat:
  - datakit: {}
  - telegraf:
      protocols: [tcp, udp]
  - ss_exporter:
      label_folding: raw_endpoint
      metrics:
        rtt: on
        cwnd: on
        delivery_rate: on
        data_segs_in: on
        data_segs_out: on
      rtt_histogram:
        bounds_ms: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000]
  - sockstat: {}
  - connection_status: {}
`);
});

test("what is off stays off", () => {
  const config = configOf("sockets: off\nhost: off");
  expect(renderEffective(config)).toContain("\nsockets: off\nhost:\n  sockstat: off\nexport: {}\n");
  expect(configOf(renderEffective(config))).toEqual(config);
});

test("a destination that the environment gives as a full URL is shown as one", () => {
  const config = configOf("{}", { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "http://h:4318/api/prom?tenant=$a" });
  expect(renderEffective(config)).toContain('    metrics_endpoint: "http://h:4318/api/prom?tenant=$$a"\n');
  expect(configOf(renderEffective(config))).toEqual(config);
});

describe("round trip", () => {
  const ms = (min: number) => fc.integer({ min, max: 604_800_000 });
  const name = fc.string({ minLength: 1, unit: "binary" });
  const attributeName = name.filter(
    (written) => written !== "__proto__" && !/^(sockscope|server|network|error)/.test(written),
  );
  const attributes = fc.dictionary(
    attributeName,
    fc.oneof(fc.string({ unit: "binary" }), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean()),
    { noNullPrototype: true },
  );
  const bytes = fc.uint8Array({ minLength: 0, maxLength: 20 }).map((octets) => Buffer.from(octets).toString("latin1"));
  const maybe = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(of, { nil: undefined });
  const pattern = fc.constantFrom("^\\+PONG", "[^\\x00-\\x7f]+", "$", "é '\"# ", "(?i)ok|fine");
  const message = fc.record({ send: maybe(bytes), expect: maybe(pattern) });
  const step = fc
    .tuple(message, fc.boolean())
    .filter(([{ send, expect: wanted }, starttls]) => starttls || send !== undefined || wanted !== undefined)
    .map(([own, starttls]) => ({ ...own, starttls }));
  const filePath = fc.string({ minLength: 1 }).map((path) => `/${path.replaceAll("\0", "")}`);
  const tls = fc
    .record({
      caFile: maybe(filePath),
      certFile: filePath,
      keyFile: filePath,
      serverName: fc.constantFrom(undefined, "www.example.org", "192.0.2.1"),
      insecure: fc.boolean(),
    })
    .chain((own) => fc.constantFrom(own, { ...own, certFile: undefined, keyFile: undefined }));
  const word = fc.string({ minLength: 1, unit: "binary" }).filter((own) => !/\p{Cc}/u.test(own));
  const stream = fc.tuple(maybe(tls), fc.array(step, { maxLength: 4 })).map(([own, steps]) => ({
    tls: own,
    // One handshake, and none without its options.
    steps: steps
      .map((held, at) => {
        const starttls = held.starttls && own !== undefined && steps.findIndex((other) => other.starttls) === at;
        return { ...held, starttls };
      })
      .filter(({ send, expect: wanted, starttls }) => starttls || send !== undefined || wanted !== undefined),
  }));
  const anywhere = fc.record({
    allAddresses: fc.boolean(),
    source: fc.record({
      address: fc.constantFrom(undefined, "192.0.2.7"),
      interface: fc.constantFrom(undefined, "eth0", "br-lan.7", "é"),
    }),
  });
  const packets = fc.record({ count: fc.integer({ min: 1, max: 1000 }), packetIntervalMs: ms(1) });
  const silence = fc.record({ silenceMs: ms(1) });
  const both = <A, B>(one: fc.Arbitrary<A>, other: fc.Arbitrary<B>): fc.Arbitrary<A & B> =>
    fc.tuple(one, other).map(([a, b]) => ({ ...a, ...b }));
  const end = fc.oneof(
    both(
      fc.constantFrom(
        { type: "tcp", url: "tcp://h.internal:80", host: "h.internal", port: 80 } as const,
        { type: "tcp4", url: "tcp4://10.0.0.1:65535", host: "10.0.0.1", port: 65_535 } as const,
      ),
      both(anywhere, stream),
    ),
    both(
      fc.constantFrom(
        { type: "udp", url: "udp://h:53", host: "h", port: 53 } as const,
        { type: "udp4", url: "udp4://h:53", host: "h", port: 53 } as const,
      ),
      both(both(anywhere, message), both(packets, silence)),
    ),
    both(
      fc.constantFrom(
        { type: "icmp", url: "ip://h", host: "h" } as const,
        { type: "icmp4", url: "icmp4://10.0.0.1", host: "10.0.0.1" } as const,
      ),
      both(anywhere, packets),
    ),
    both(
      fc.constantFrom(
        { type: "tcp6", url: "tcp6://[fe80::1%25eth0]:80", host: "fe80::1%eth0", port: 80 } as const,
        { type: "tcp", url: "tcp://[fe80::1%eth0]:80", host: "fe80::1%eth0", port: 80 } as const,
      ),
      both(
        stream,
        fc.record({ allAddresses: fc.boolean(), source: fc.constant({ address: "2001:db8::1", interface: "lo" }) }),
      ),
    ),
    both(fc.constant({ type: "unix", url: "unix:///run/$a b.sock", path: "/run/$a b.sock" } as const), stream),
    both(
      fc.constantFrom(
        { type: "unixgram", url: "unixgram:/run/a", path: "/run/a" } as const,
        { type: "unixpacket", url: "unixpacket:///run/a", path: "/run/a" } as const,
      ),
      both(
        message.filter(({ send, expect: wanted }) => wanted === undefined || send !== undefined),
        silence,
      ),
    ),
  );
  const target = fc
    .tuple(name, ms(100), ms(1), fc.integer({ min: 1, max: 10 }), attributes, end)
    .map(([given, intervalMs, wantedMs, attempts, own, destination]): Target => {
      const timeoutMs = Math.min(intervalMs, wantedMs);
      const common = { name: given, intervalMs, timeoutMs, attempts, attributes: own };
      const bounded = {
        ...("silenceMs" in destination ? { silenceMs: Math.min(destination.silenceMs, timeoutMs) } : {}),
        // They fit in the timeout.
        ...("count" in destination && (destination.count - 1) * destination.packetIntervalMs >= timeoutMs
          ? { count: 1 }
          : {}),
      };
      return { ...common, ...destination, ...bounded };
    });
  const otlpEnd = fc.oneof(
    fc.record({
      url: fc.constantFrom("http://h:4318/v1/metrics", "http://h/", "http://h/v1/metrics/"),
      tls: fc.constant(undefined),
    }),
    fc.record({ url: fc.constantFrom("https://h/base/v1/metrics", "https://h/"), tls: maybe(tls) }),
  );
  const otlpRest: fc.Arbitrary<Omit<OtlpConfig, "url" | "tls">> = fc.record({
    proxy: fc.constant(undefined),
    protocol: fc.constantFrom(...otlpProtocols),
    compression: fc.constantFrom(...compressions),
    temporality: fc.constantFrom("cumulative", "delta"),
    headers: fc
      .dictionary(fc.stringMatching(/^[a-z][a-z-]{0,8}[a-z]$/), fc.string(), { noNullPrototype: true })
      .filter(
        (headers) => !Object.keys(headers).some((header) => /^(?:co|ex|gr|ho|ke|pr|te|tr|up)|-bin$/.test(header)),
      ),
    timeoutMs: ms(1),
    retry: fc.record({
      initialIntervalMs: ms(1),
      multiplier: fc.double({ min: 1, max: 100, noNaN: true }),
      randomizationFactor: fc.double({ min: 0, max: 1, noNaN: true }).map(Math.abs),
      maxIntervalMs: ms(1),
      maxElapsedMs: ms(0),
    }),
    queueBytes: fc.integer({ min: 1, max: 65_536 }).map((mib) => mib * 1_048_576),
    newestFirst: fc.boolean(),
    storage: maybe(filePath),
  });
  const otlp: fc.Arbitrary<OtlpConfig> = both(otlpEnd, otlpRest).map((given) =>
    given.protocol === "grpc" ? { ...given, url: new URL(given.url).origin } : given,
  );
  const portRanges = fc
    .array(fc.tuple(fc.integer({ min: 1, max: 65_535 }), fc.nat(1000)), { minLength: 1, maxLength: 4 })
    .map((pairs) => mergePorts(pairs.map(([from, more]) => ({ from, to: Math.min(65_535, from + more) }))));
  const networks = fc
    .array(fc.tuple(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(128)), { minLength: 1, maxLength: 4 })
    .map((pairs) =>
      mergeNetworks(
        pairs.flatMap(([address, bits]) => {
          const network = parseNetwork(address, address.includes(":") ? bits : bits % 33);
          return network === undefined ? [] : [withoutHostBits(network)];
        }),
      ),
    );
  const texts = fc.uniqueArray(name, { minLength: 1, maxLength: 3 });
  // Of keys that no other key of the entry can contradict.
  const entry = fc
    .record(
      {
        protocols: fc.constantFrom(["tcp"] as const, ["udp", "tcp"] as const),
        states: fc.uniqueArray(fc.constantFrom("established", "closed"), { minLength: 1 }),
        ports: portRanges,
        networks,
        hosts: fc.constantFrom(["a.internal"], ["b", "c.internal."]),
        pids: fc.uniqueArray(fc.integer({ min: 1, max: 4_194_304 }), { minLength: 1, maxLength: 3 }),
        cmds: texts,
        cgroups: texts,
        containers: texts,
      } satisfies { [K in keyof SelectEntry]?: unknown },
      { requiredKeys: [] },
    )
    .filter((given) => Object.keys(given).length > 0);
  const side = fc.constantFrom("any", "local", "remote");
  const sided = (given: Omit<SelectEntry, "side">, wanted: SelectEntry["side"]): SelectEntry => ({
    ...given,
    side: given.ports === undefined && given.networks === undefined && given.hosts === undefined ? "any" : wanted,
  });
  const netnsSelection = fc
    .record({
      containers: fc.uniqueArray(fc.constantFrom("db", "web-*", "0123456789ab")),
      pids: fc.uniqueArray(fc.integer({ min: 1, max: 4_194_304 })),
      names: fc.uniqueArray(fc.constantFrom("blue", "red", "cni-1")),
    })
    .filter(({ containers, pids, names }) => containers.length + pids.length + names.length > 0);
  // An exclusion by a state that no inclusion names covers none of them.
  const selectConfig = fc.record({
    include: fc.array(
      fc.tuple(entry, side).map(([given, wanted]) => sided(given, wanted)),
      { maxLength: 3 },
    ),
    exclude: fc.array(
      fc
        .tuple(entry, side)
        .map(([given, wanted]) =>
          sided({ ...given, protocols: ["tcp", "udp"], states: ["closed"], pids: [4_194_303] }, wanted),
        ),
      { maxLength: 2 },
    ),
  });
  const bounds = fc
    .uniqueArray(fc.double({ min: 1e-9, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 160 })
    .map((seconds) => seconds.sort((a, b) => a - b));
  const compat = fc.record({
    datakit: fc.boolean(),
    telegraf: maybe(fc.record({ protocols: fc.constantFrom(["tcp"] as const, ["udp", "tcp"] as const) })),
    ssExporter: maybe(
      fc.record({
        labelFolding: fc.constantFrom(...labelFoldings),
        metrics: fc.subarray([...ssExporterMetrics]),
        rttBoundsMs: maybe(bounds),
      }),
    ),
    sockstat: fc.boolean(),
    connectionStatus: fc.boolean(),
  });
  const mountPoint = fc.string().map((path) => `/${path}`);
  const plainWord = fc.stringMatching(/^[a-z0-9]{1,20}$/);
  const election: fc.Arbitrary<Config["election"]> = fc.option(
    fc.record({
      mode: fc.constant("leader" as const),
      name: plainWord,
      namespace: fc.option(plainWord, { nil: undefined }),
      identity: fc.option(plainWord, { nil: undefined }),
      leaseDurationMs: fc.integer({ min: 60_000, max: 120_000 }),
      renewDeadlineMs: fc.integer({ min: 20_000, max: 59_999 }),
      retryPeriodMs: fc.integer({ min: 100, max: 10_000 }),
      backend: fc.oneof(
        fc.record({
          kind: fc.constant("etcd" as const),
          endpoints: fc.constantFrom(["http://127.0.0.1:2379"], ["https://one:2379", "https://[::1]:1"]),
          tls: fc.constant(undefined),
          credentials: fc.option(fc.record({ username: plainWord, password: plainWord }), { nil: undefined }),
        }),
        fc.record({
          kind: fc.constant("kubernetes" as const),
          endpoints: fc.constantFrom(undefined, ["https://10.0.0.1"]),
          tls: fc.constant(undefined),
          tokenFile: fc.constantFrom(undefined, "/run/token"),
        }),
      ),
    }),
    { nil: undefined },
  );
  const whole: fc.Arbitrary<Config> = fc.record({
    disabled: fc.constant(false),
    collection: fc
      .tuple(ms(100), ms(1))
      .map(([intervalMs, timeoutMs]) => ({ intervalMs, timeoutMs: Math.min(intervalMs, timeoutMs) })),
    resource: fc.record({ attributes }),
    paths: fc.record({ proc: mountPoint, cgroup: mountPoint }),
    networks: fc
      .uniqueArray(fc.record({ name: attributeName, networks: fc.constant([]) }), {
        selector: (item) => item.name,
        maxLength: 2,
      })
      .map((named) =>
        named.map(({ name: given }, at) => ({ name: given, networks: [{ family: 4, words: [10 + at], prefix: 8 }] })),
      ),
    election,
    probes: fc.record({
      concurrency: fc.integer({ min: 1, max: 65_535 }),
      targets: fc.uniqueArray(target, { selector: (item) => item.name, maxLength: 5 }),
    }),
    sockets: fc.option(
      fc
        .record({
          source: fc.constantFrom("auto", "netlink", "ss", "proc"),
          // A selection of what is not read is a fault.
          protocols: fc.subarray(socketProtocols.slice(2)).map((others) => ["tcp", "udp", ...others] as const),
          timeWait: fc.constantFrom("sockstat", "dump"),
          select: selectConfig,
          groupBy: fc.oneof(
            fc.constantFrom(...groupings),
            fc.uniqueArray(fc.constantFrom(...groupAttributeNames), { minLength: 1 }),
          ),
          namespaces: fc.oneof(fc.constantFrom("own" as const, "all" as const), netnsSelection),
          events: fc.constantFrom(...eventModes),
          maxGroups: fc.integer({ min: 1, max: 1_000_000 }),
          seriesTtl: fc.integer({ min: 1, max: 1_000 }),
          rankBy: fc.constant("flows" as const),
          metrics: fc.subarray([...flowFamilies]),
          rttBounds: bounds,
        })
        // Of the sources netlink alone has other namespaces.
        .map((sockets) =>
          sockets.source === "ss" || sockets.source === "proc" ? { ...sockets, namespaces: "own" as const } : sockets,
        ),
      { nil: "off" as const },
    ),
    host: fc.record({ sockstat: fc.boolean() }),
    export: fc.record({
      // By URL: destinations that differ by their headers' values are equal once these are masked.
      otlp: fc.uniqueArray(otlp, { maxLength: 3, selector: ({ url }) => url }),
      prometheus: maybe(
        fc.record({
          listen: fc.constantFrom({ host: "", port: 0 }, { host: "::1", port: 9464 }, { host: "h", port: 1 }),
          basicAuth: maybe(fc.record({ username: word.filter((own) => !own.includes(":")), password: word })),
          tls: maybe(fc.record({ certFile: filePath, keyFile: filePath })),
        }),
      ),
      file: maybe(
        fc.record({
          path: filePath,
          maxBytes: fc.integer({ min: 1, max: 1_048_576 }).map((mib) => mib * 1_048_576),
          maxFiles: fc.integer({ min: 1, max: 1_000 }),
        }),
      ),
      console: fc.constantFrom(undefined, ...consoleFormats),
    }),
    compat,
  });
  // Without sockets there are none of their series.
  const config = whole.map((given) =>
    given.sockets === "off"
      ? { ...given, compat: { ...given.compat, telegraf: undefined, ssExporter: undefined } }
      : given,
  );

  test("the effective configuration reads as the configuration, but for the secrets", () => {
    fc.assert(
      fc.property(config, (given) => {
        const { config: read, notes } = parseConfig(renderEffective(given), "f.yaml", {});
        // In text and back, -0 is 0.
        expect(JSON.parse(JSON.stringify(read))).toEqual(JSON.parse(JSON.stringify(masked(given))));
        expect(notes.filter((note) => !/same endpoint|^So do|without a password|has no target/.test(note))).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  test("no header's value and no password is shown", () => {
    fc.assert(
      fc.property(config, fc.stringMatching(/^secret[a-z]{8}$/), (given, secret) => {
        const { otlp: to, prometheus } = given.export;
        const own = {
          ...given.export,
          otlp: to.map((one) => ({ ...one, headers: { authorization: secret } })),
          prometheus: prometheus && { ...prometheus, basicAuth: { username: "u", password: secret } },
        };
        expect(renderEffective({ ...given, export: own })).not.toContain(secret);
      }),
      { numRuns: 50 },
    );
  });
});
