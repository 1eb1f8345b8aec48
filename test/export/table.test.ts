import { stripVTControlCharacters } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { renderTable } from "../../src/export/table.ts";
import { displayWidth } from "../../src/export/terminal.ts";
import type { Attributes, AttributeSet, MetricColumns } from "../../src/model/columns.ts";
import { metric, set, snapshot, type Point } from "./snapshots.ts";

const tcp = { "network.transport": "tcp" };
const udp = { "network.transport": "udp" };
const none = set();

const target = (name: string, type: string, address: string, port?: number): AttributeSet =>
  set({
    "sockscope.probe.name": name,
    "sockscope.probe.type": type,
    "server.address": address,
    ...(port === undefined ? {} : { "server.port": port }),
  });
const gateway = target("gateway", "tcp", "gateway.internal", 443);
const page = target("tcp://127.0.0.1:9464", "tcp", "127.0.0.1", 9464);
const dns = target("dns", "udp", "2001:db8::53", 53);
const docker = target("docker", "unix", "/run/docker.sock");
const late = target("late", "tcp", "10.0.0.1", 1);

const probes: MetricColumns[] = [
  metric("sockscope.probe.up", [
    {},
    [
      [gateway, 1],
      [page, 0],
      [dns, 1],
      [docker, 1],
    ],
  ]),
  metric(
    "sockscope.probe.runs",
    [
      { "sockscope.probe.outcome": "up" },
      [
        [gateway, 3],
        [docker, 1],
      ],
    ],
    [{ "sockscope.probe.outcome": "down", "error.type": "connect_timeout" }, [[page, 1]]],
    [
      { "sockscope.probe.outcome": "down", "error.type": "connection_refused" },
      [
        [page, 2],
        [gateway, 5],
      ],
    ],
    [{ "sockscope.probe.outcome": "unanswered" }, [[dns, 1]]],
    [{ "sockscope.probe.outcome": "not_run", "error.type": "too_many_files" }, [[late, 1]]],
  ),
  metric("sockscope.probe.latency", [
    {},
    [
      [gateway, 0.012345],
      [docker, 0.0000821],
    ],
  ]),
  metric(
    "sockscope.probe.phase.latency",
    [{ "sockscope.probe.phase": "resolve" }, [[gateway, 0.0041]]],
    [
      { "sockscope.probe.phase": "connect" },
      [
        [gateway, 0.008],
        [docker, 0.00007],
      ],
    ],
  ),
];

const state = (name: string, type?: string): Attributes => ({
  ...tcp,
  "network.connection.state": name,
  ...(type === undefined ? {} : { "network.type": type }),
});
const connections = metric(
  "system.network.connection.count",
  [state("listen", "ipv4"), [[none, 9]]],
  [state("established", "ipv4"), [[none, 120]]],
  [state("established", "ipv6"), [[none, 8]]],
  [state("time_wait"), [[none, 31]]],
  [state("closing", "ipv4"), [[none, 0]]],
);

const group = (role: string, values: Attributes): AttributeSet =>
  set({ ...tcp, "sockscope.flow.role": role, ...values });
const database = group("client", { "network.peer.address": "10.0.0.5", "network.peer.port": 5432 });
const web = group("server", { "network.local.port": 443 });
const cache = group("client", { "network.peer.address": "2001:db8::7348", "network.peer.port": 6379 });
const others = set({ "otel.metric.overflow": true });
const flows: MetricColumns[] = [
  metric("sockscope.flow.count", [
    {},
    [
      [database, 12],
      [web, 90],
      [cache, 1],
      [others, 4],
    ],
  ]),
  metric(
    "sockscope.flow.io",
    [
      { "network.io.direction": "transmit" },
      [
        [database, 1_234_567],
        [web, 98_765_432],
        [cache, 512],
        [others, 0],
      ],
    ],
    [
      { "network.io.direction": "receive" },
      [
        [database, 7_654_321],
        [web, 2000],
        [cache, 100_000],
      ],
    ],
  ),
  metric("sockscope.flow.retransmits", [
    {},
    [
      [database, 0],
      [web, 17],
      [cache, 0],
    ],
  ]),
  metric("sockscope.flow.rtt", [
    {},
    [
      [database, 0.000213],
      [web, 0.0345],
      [cache, 0.12],
    ],
  ]),
  metric("sockscope.flow.cwnd", [
    {},
    [
      [database, 10],
      [web, 23.5],
    ],
  ]),
];

const bound = (transport: Attributes, address: string, port: number): AttributeSet =>
  set({ ...transport, "network.local.address": address, "network.local.port": port });
const ssh = bound(tcp, "0.0.0.0", 22);
const https = bound(tcp, "::", 443);
const own = bound(tcp, "127.0.0.1", 9464);
const dhcp = bound(udp, "0.0.0.0", 68);
const resolver = bound(udp, "::1", 53);
const ports: MetricColumns[] = [
  metric("sockscope.listener.accept_queue.usage", [
    {},
    [
      [own, 0],
      [https, 3],
      [ssh, 0],
    ],
  ]),
  metric("sockscope.listener.accept_queue.limit", [
    {},
    [
      [own, 511],
      [https, 511],
      [ssh, 128],
    ],
  ]),
  metric("sockscope.listener.drops", [
    {},
    [
      [own, 0],
      [https, 2],
      [ssh, 0],
    ],
  ]),
  metric("sockscope.udp.queue.usage", [
    { "network.io.direction": "receive" },
    [
      [resolver, 2048],
      [dhcp, 0],
    ],
  ]),
  metric("sockscope.udp.drops", [
    {},
    [
      [dhcp, 4],
      [resolver, 0],
    ],
  ]),
];

const host: MetricColumns[] = [
  metric("sockscope.sockstat.used", [{}, [[none, 312]]]),
  metric(
    "sockscope.sockstat.in_use",
    [{ ...udp, "network.type": "ipv4" }, [[none, 5]]],
    [{ ...tcp, "network.type": "ipv4" }, [[none, 131]]],
    [{ ...tcp, "network.type": "ipv6" }, [[none, 12]]],
    [{ "network.protocol.name": "raw", "network.type": "ipv4" }, [[none, 0]]],
  ),
  metric("sockscope.sockstat.orphan", [tcp, [[none, 0]]]),
  metric("sockscope.sockstat.time_wait", [tcp, [[none, 31]]]),
  metric("sockscope.sockstat.allocated", [tcp, [[none, 160]]]),
  metric("sockscope.sockstat.memory.usage", [tcp, [[none, 98_304]]], [udp, [[none, 4096]]]),
];

const whole = snapshot([...probes, connections, ...flows, ...ports, ...host]);

const plain = (metrics: readonly MetricColumns[], width = 120): string =>
  renderTable(snapshot(metrics), { width, color: false });

/** The lines of each section below its title. */
const sectionsOf = (table: string): string[][] =>
  table
    .slice(0, -1)
    .split("\n\n")
    .map((block) => block.split("\n").slice(1));

test("golden: every section", () => {
  expect(renderTable(whole, { width: 120, color: false })).toBe(`Probes
name     target                      outcome     error               latency [ms]  resolve [ms]  connect [ms]
-        tcp://127.0.0.1:9464        down        connection_refused             -             -             -
dns      udp://[2001:db8::53]:53     unanswered  -                              -             -             -
docker   unix:///run/docker.sock     up          -                          0.082             -         0.070
gateway  tcp://gateway.internal:443  up          -                         12.345         4.100         8.000
late     tcp://10.0.0.1:1            not_run     too_many_files                 -             -             -

TCP connections
state        ipv4  ipv6  sum
established   120     8  128
time_wait       -     -   31
listen          9     -    9

Flows
role    endpoint               flows  sent [MiB]  recv [MiB]  retrans  rtt [ms]  cwnd
server  :443                      90       94.19       <0.01       17    34.500  23.5
client  10.0.0.5:5432             12        1.18        7.30        0     0.213  10.0
client  [2001:db8::7348]:6379      1       <0.01        0.10        0   120.000     -
-       (all others)               4        0.00           -        -         -     -

Listeners
address         queue  limit  drops
[::]:443            3    511      2
0.0.0.0:22          0    128      0
127.0.0.1:9464      0    511      0

UDP ports
address     recv queue [B]  drops
0.0.0.0:68               0      4
[::1]:53              2048      0

Host
protocol  ipv4 in use  ipv6 in use  orphan  time wait  allocated  memory [KiB]
raw                 0            -       -          -          -             -
tcp               131           12       0         31        160         96.00
udp                 5            -       -          -          -          4.00
sockets of all families: 312
`);
});

describe("probes", () => {
  const address = (values: string): AttributeSet =>
    set({ ...target("web", "tcp6", "web.internal", 443).values, "network.peer.address": values });
  const [one, two] = [address("2001:db8::1"), address("2001:db8::2")];
  const ping = target("icmp://10.0.0.1", "icmp", "10.0.0.1");
  const ping6 = target("far", "icmp6", "2001:db8::7");
  const syslog = target("log", "unixgram", "/dev/log");
  const outcome = (kind: string, error?: string, phase?: string): Attributes => ({
    "sockscope.probe.outcome": kind,
    ...(error === undefined ? {} : { "error.type": error }),
    ...(phase === undefined ? {} : { "sockscope.probe.phase": phase }),
  });
  const phase = (name: string): Attributes => ({ "sockscope.probe.phase": name });
  const direction = (name: string): Attributes => ({ "network.io.direction": name });
  const all: MetricColumns[] = [
    metric("sockscope.probe.up", [
      {},
      [
        [one, 1],
        [two, 0],
        [ping, 1],
        [ping6, 0],
        [syslog, 1],
      ],
    ]),
    metric(
      "sockscope.probe.runs",
      [
        outcome("up"),
        [
          [one, 2],
          [two, 9],
          [ping, 1],
          [syslog, 1],
        ],
      ],
      [outcome("down", "connection_refused", "connect"), [[two, 1]]],
      [outcome("down", "tls_certificate_expired", "tls"), [[two, 2]]],
      [outcome("down", "read_timeout", "exchange"), [[ping6, 1]]],
    ),
    metric("sockscope.probe.latency", [
      {},
      [
        [one, 0.05],
        [ping, 0.0021],
        [syslog, 0.0001],
      ],
    ]),
    metric(
      "sockscope.probe.phase.latency",
      [phase("tls"), [[one, 0.03]]],
      [
        phase("exchange"),
        [
          [ping, 0.0021],
          [syslog, 0.00005],
        ],
      ],
    ),
    metric("sockscope.probe.tcp.rtt", [{}, [[one, 0.0123]]]),
    metric(
      "sockscope.probe.packets",
      [
        direction("transmit"),
        [
          [ping, 300],
          [ping6, 5],
        ],
      ],
      [
        direction("receive"),
        [
          [ping, 299],
          [ping6, 0],
        ],
      ],
    ),
    metric("sockscope.probe.packets.lost", [
      {},
      [
        [ping, 1],
        [ping6, 5],
      ],
    ]),
    metric("sockscope.probe.tls.certificate.expiry", [
      {},
      [
        [one, 30.5 * 86_400],
        [two, -43_200],
      ],
    ]),
  ];

  test("addresses, the phase that failed, loss, certificates and phases", () => {
    expect(
      plain(all, 200)
        .split("\n")
        .map((line) => line.trimEnd())
        .join("\n"),
    ).toBe(`Probes
name  target                   address      outcome  error                    failed at  latency [ms]  loss [%]  cert [days]  tcp rtt [ms]  tls [ms]  exchange [ms]
-     icmp://10.0.0.1          -            up       -                        -                 2.100       0.3            -             -         -          2.100
far   icmp6://[2001:db8::7]    -            down     read_timeout             exchange              -     100.0            -             -         -              -
log   unixgram:///dev/log      -            up       -                        -                 0.100         -            -             -         -          0.050
web   tcp6://web.internal:443  2001:db8::1  up       -                        -                50.000         -         30.5        12.300    30.000              -
web   tcp6://web.internal:443  2001:db8::2  down     tls_certificate_expired  tls                   -         -         -0.5             -         -              -
`);
  });

  test("on a narrow terminal the phases go first, then RTT, certificate and loss", () => {
    const headers = (width: number): string[] =>
      (plain(all, width).split("\n")[1] ?? "").trim().split(/ {2,}/).slice(6);
    expect(headers(150)).toEqual(["latency [ms]", "loss [%]", "cert [days]", "tcp rtt [ms]", "tls [ms]"]);
    expect(headers(130)).toEqual(["latency [ms]", "loss [%]", "cert [days]"]);
    expect(headers(80)).toEqual(["latency [ms]"]);
  });
});

describe("layout", () => {
  const lineWidths = (table: string): number[][] =>
    sectionsOf(table).map((lines) => lines.filter((line) => !/^(\.\.\.|sockets of)/.test(line)).map(displayWidth));

  test.each([200, 120, 100, 80, 60, 40, 20])("the rows of a section are equally wide, and fit %d columns", (width) => {
    for (const widths of lineWidths(renderTable(whole, { width, color: false }))) {
      expect(new Set(widths).size).toBe(1);
      expect(widths[0]).toBeLessThanOrEqual(width);
    }
  });

  test("colour changes nothing but colour", () => {
    const colored = renderTable(whole, { width: 120, color: true });
    expect(stripVTControlCharacters(colored)).toBe(renderTable(whole, { width: 120, color: false }));
    expect(colored).toContain("\u001b[1mProbes\u001b[22m\n");
    expect(colored).toContain("\u001b[31mdown      \u001b[39m");
    expect(colored).toContain("\u001b[32mup        \u001b[39m");
    expect(colored).toContain("\u001b[33mnot_run   \u001b[39m");
  });

  test("property: names of any characters and any width keep the rows aligned", () => {
    const names = fc.uniqueArray(fc.string({ unit: "grapheme", minLength: 1, maxLength: 60 }), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(names, fc.integer({ min: 20, max: 160 }), (all, width) => {
        const points = all.map((name, index): Point => [target(name, "tcp", name, index + 1), index % 2]);
        for (const widths of lineWidths(plain([metric("sockscope.probe.up", [{}, points])], width))) {
          expect(widths).toHaveLength(all.length + 1);
          expect(new Set(widths).size).toBe(1);
          expect(widths[0]).toBeLessThanOrEqual(width);
        }
      }),
    );
  });

  test("a name cannot drive the terminal", () => {
    expect(plain([metric("sockscope.probe.up", [{}, [[target("a\u001b[2J\nb", "tcp", "h", 1), 1]]])])).toBe(
      "Probes\nname           target     outcome\na\\u001b[2J\\nb  tcp://h:1  up     \n",
    );
  });
});

describe("flows", () => {
  const client = (index: number): AttributeSet =>
    group("client", { "network.peer.address": `10.0.0.${index}`, "network.peer.port": 80 });
  const sent = (points: readonly Point[]): MetricColumns =>
    metric("sockscope.flow.io", [{ "network.io.direction": "transmit" }, points]);

  test("are sorted by bytes, then by count, then by endpoint", () => {
    const table = plain([
      metric("sockscope.flow.count", [
        {},
        [
          [client(4), 1],
          [client(3), 1],
          [client(2), 7],
          [client(1), 1],
        ],
      ]),
      sent([[client(9), 5]]),
    ]);
    expect([...table.matchAll(/10\.0\.0\.(\d)/g)].map((match) => match[1])).toEqual(["9", "2", "1", "3", "4"]);
  });

  test("beyond the top 20 are counted", () => {
    const lines = sectionsOf(
      plain([sent(Array.from({ length: 157 }, (_, index): Point => [client(index), index]))]),
    )[0];
    expect(lines).toHaveLength(1 + 20 + 1);
    expect(lines?.[1]).toBe("client  10.0.0.156:80       156");
    expect(lines?.at(-1)).toBe("... and 137 more groups");
  });

  test("of single sockets name both ends", () => {
    const socket = set({
      ...tcp,
      "network.local.address": "10.0.0.1",
      "network.local.port": 40000,
      "network.peer.address": "::1",
      "network.peer.port": 443,
    });
    expect(plain([metric("sockscope.flow.count", [{}, [[socket, 1]]])])).toBe(
      "Flows\nendpoint                    flows\n10.0.0.1:40000 → [::1]:443      1\n",
    );
  });

  test("name the process where it is known", () => {
    const owned = set({ ...tcp, "network.local.port": 443, "process.executable.name": "nginx" });
    const unknown = set({ ...tcp, "network.local.port": 22 });
    const counts: [AttributeSet, number][] = [
      [owned, 2],
      [unknown, 1],
    ];
    expect(plain([metric("sockscope.flow.count", [{}, counts])])).toBe(
      "Flows\nendpoint  process  flows\n:443      nginx        2\n:22       -            1\n",
    );
  });

  test("of the whole host have no endpoint", () => {
    expect(plain([metric("sockscope.flow.count", [{}, [[set(tcp), 41]]])])).toBe("Flows\nflows\n   41\n");
  });
});

test.each([
  [9_999, "sent [B]", "9999"],
  [10_000, "sent [KiB]", "9.77"],
  [10_240_000, "sent [MiB]", "9.77"],
  [5 * 1024 ** 5, "sent [TiB]", "5120.00"],
])("%d bytes are shown as %s %s", (bytes, header, cell) => {
  const table = plain([metric("sockscope.flow.io", [{ "network.io.direction": "transmit" }, [[web, bytes]]])]);
  expect(table).toContain(header);
  expect(table).toMatch(new RegExp(` ${cell}\n$`));
});

describe("what is not there", () => {
  test("an empty snapshot says so", () => {
    expect(plain([])).toBe("No probe ran, and nothing was read.\n");
  });

  test("a source that cannot be read is named", () => {
    const capability = metric(
      "sockscope.agent.capability",
      [{ "sockscope.agent.source": "sockstat" }, [[none, 0]]],
      [{ "sockscope.agent.source": "resolver" }, [[none, 1]]],
      [{ "sockscope.agent.source": "sockets" }, [[none, 0]]],
    );
    expect(plain([metric("sockscope.flow.count", [{}, [[web, 1]]]), capability])).toBe(
      "Flows\nrole    endpoint  flows\nserver  :443          1\n\nNot readable here, the log says why: sockets, sockstat\n",
    );
  });

  const ofFamily = (protocol: Attributes, type?: string, connection?: string): AttributeSet =>
    set({
      ...protocol,
      ...(type === undefined ? {} : { "sockscope.socket.type": type }),
      ...(connection === undefined ? {} : { "network.connection.state": connection }),
    });

  test("sockets of other protocols are by type and state, and unix listeners have their path", () => {
    const unix = { "network.transport": "unix" };
    const packet = ofFamily({ "network.protocol.name": "packet" }, "raw");
    const mptcp = ofFamily({ "network.protocol.name": "mptcp" }, undefined, "listen");
    const text = renderTable(
      snapshot([
        metric("sockscope.listener.accept_queue.usage", [
          {},
          [[set({ ...unix, "network.local.address": "/run/app.sock" }), 3]],
        ]),
        metric("sockscope.socket.count", [
          {},
          [
            [ofFamily(unix, "stream", "established"), 120],
            [ofFamily(unix, "stream", "listen"), 14],
            [ofFamily(unix, "seqpacket", "listen"), 0],
            [packet, 0],
            [mptcp, 2],
          ],
        ]),
        metric("sockscope.socket.drops", [{}, [[packet, 7]]]),
      ]),
      { width: 100, color: false },
    );
    expect(text).toBe(`\
Listeners
address        queue
/run/app.sock      3

Sockets
protocol  type    state        sockets  drops
mptcp     -       listen             2      -
packet    raw     -                  0      7
unix      stream  established      120      -
unix      stream  listen            14      -
`);
  });

  test("a section without points is left out", () => {
    expect(plain([metric("sockscope.flow.count", [{}, []]), connections])).toMatch(/^TCP connections\n/);
  });
});
