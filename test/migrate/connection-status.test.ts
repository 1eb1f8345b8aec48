import { describe, expect, test } from "vitest";
import { commentsOf, configOf, faultsOf, fixture } from "./migrating.ts";

const sockets = (...items: readonly string[]): string => `sockets:\n${items.map((item) => `  - ${item}\n`).join("")}`;

describe("a connection-status-exporter file", () => {
  test("of the document", () => {
    const { probes, compat, sockets: read, export: exported } = configOf(fixture("connection-status.yaml"));
    expect(probes.targets).toMatchObject([
      { name: "hostname-http", type: "tcp", host: "127.0.0.1", port: 80, timeoutMs: 5000, intervalMs: 15_000 },
      { name: "hostname-https", type: "tcp", host: "localhost", port: 8080, timeoutMs: 2000, intervalMs: 15_000 },
    ]);
    expect(compat).toMatchObject({ connectionStatus: true, datakit: false });
    expect(read).toBe("off");
    expect(exported.prometheus?.listen).toEqual({ host: "0.0.0.0", port: 9293 });
  });

  test("with all twelve protocols, and the labels as they were", () => {
    expect(configOf(fixture("connection-status-protocols.yaml")).probes.targets).toMatchObject([
      { name: "db", url: "tcp://db.internal:5432" },
      { name: "db (2)", url: "tcp://db.internal:5433", compat: { name: "db" } },
      { name: "web4", url: "tcp4://www.internal:443", timeoutMs: 2000 },
      { name: "web6", url: "tcp6://[2001:db8::10]:443", host: "2001:db8::10", compat: { host: "[2001:db8::10]" } },
      { name: "dns", url: "udp://192.0.2.53:53" },
      { name: "dns4", url: "udp4://dns.internal:53" },
      { name: "dns6", url: "udp6://dns.internal:53" },
      {
        name: "meter",
        type: "icmp",
        host: "meter.internal",
        timeoutMs: 30_000,
        intervalMs: 30_000,
        compat: { port: "1", protocol: "ip" },
      },
      { name: "meter4", type: "icmp4", compat: { port: "1", protocol: "ip4" } },
      { name: "meter6", type: "icmp6", compat: { port: "1", protocol: "ip6" } },
      { name: "app", type: "unix", path: "/run/app.sock", compat: { port: "1" } },
      { name: "bus", type: "unixgram", path: "/run/bus.sock", compat: { port: "1" } },
      { name: "queue", type: "unixpacket", path: "/run/queue.sock" },
    ]);
  });

  test.each<[string, RegExp]>([
    [
      "{ name: a, host: h, port: 1, protocol: ip4 }",
      /cannot dial ip4, and reports 0 each time\. Here it is an ICMP echo/,
    ],
    ["{ name: a, host: /run/x, port: 1, protocol: unix }", /dials the path with ":1" behind it/],
    ['{ name: a, host: "::1", port: 80 }', /cannot dial an IPv6 address without brackets/],
    ["{ name: a, host: h, port: 1, timeout: 0.5 }", /cuts the timeout to whole seconds and took 5s/],
    ["{ name: a, host: h, port: 1, timeout: 2.5 }", /took 2s; here it is what it says/],
    ["{ name: a, host: h, port: 1, timeout: 20 }", /longer than the interval of the others/],
    ["{ name: a, host: h, port: 1, protocol: udp }", /UDP: the exporter sends nothing and reports 1/],
    ["{ name: a, host: h, port: 1 }", /0\.0\.0\.0|every machine that reaches this one can read the page/],
  ])("says what is not one to one: %s", (item, said) => {
    expect(commentsOf(sockets(item))).toMatch(said);
  });

  test.each([
    ["timeout: 0.5", 500],
    ["timeout: 2", 2000],
    ["timeout: 0", 5000],
  ])("%s", (timeout, ms) => {
    expect(configOf(sockets(`{ name: a, host: h, port: 1, ${timeout} }`)).probes.targets).toMatchObject([
      { timeoutMs: ms },
    ]);
  });
});

describe("a fault is", () => {
  test.each([
    [
      "{ name: a, host: '', port: 80 }",
      "2:22: sockets[0].host: must not be empty: the exporter would have dialled this machine; write localhost for that",
    ],
    [
      "{ name: a, port: 80 }",
      "2:5: sockets[0]: host is missing: the exporter would have dialled this machine; write localhost for that",
    ],
    ["{ name: a, protocol: unix }", "2:5: sockets[0]: host is missing: it is the path of the socket"],
    ["{ host: h, port: 80 }", "2:5: sockets[0].name: is missing: it must be the name of the socket"],
    [
      "{ name: '', host: h, port: 80 }",
      "2:13: sockets[0].name: must not be empty: the exporter does not start with it",
    ],
    ["{ name: a, host: h }", "2:5: sockets[0]: port is missing: the exporter does not start without a port"],
    [
      "{ name: a, host: h, port: 0 }",
      "2:31: sockets[0].port: must be a whole number from 1 to 65535: the exporter does not start with port 0",
    ],
    [
      "{ name: a, host: h, port: -1 }",
      "2:31: sockets[0].port: must be a whole number from 1 to 65535: the exporter would have reported 0 each time",
    ],
    [
      "{ name: a, host: h, port: 70000 }",
      "2:31: sockets[0].port: must be a whole number from 1 to 65535: the exporter would have reported 0 each time",
    ],
    [
      "{ name: a, host: h, port: 80.9 }",
      "2:31: sockets[0].port: must be a whole number from 1 to 65535: the exporter would have dialled 80",
    ],
    ["{ name: a, host: h, port: '80' }", "2:31: sockets[0].port: must be a port, a number without quotes"],
    [
      "{ name: a, host: h, port: 1, timeout: -1 }",
      "2:43: sockets[0].timeout: must be a number of seconds above 0: with it the exporter would have reported 0 at once",
    ],
    ["{ name: a, host: h, port: 1, timeout: 2s }", "2:43: sockets[0].timeout: must be a number of seconds"],
    [
      "{ name: a, host: h, port: 1, protocol: TCP }",
      "2:44: sockets[0].protocol: must be tcp, tcp4, tcp6, udp, udp4, udp6, ip, ip4, ip6, unix, unixgram or unixpacket",
    ],
    [
      "{ name: a, host: h, port: 1, protocol: 'ip4:icmp' }",
      "2:44: sockets[0].protocol: must be tcp, tcp4, tcp6, udp, udp4, udp6, ip, ip4, ip6, unix, unixgram or unixpacket",
    ],
    [
      "{ name: a, host: 10.0.0.1, port: 1, protocol: tcp6 }",
      "2:22: sockets[0].host: tcp6 needs an IPv6 address or a name: the host is an IPv4 address, write tcp4; the exporter would have reported 0 each time",
    ],
    [
      "{ name: a, host: x.sock, protocol: unix }",
      "2:22: sockets[0].host: a unix socket needs an absolute path, as in unix:///run/app.sock; the exporter would have reported 0 each time",
    ],
    [
      "{ name: a, host: h, port: 1, proto: tcp }",
      '2:34: sockets[0].proto: unknown key "proto"; allowed: name, host, port, protocol, timeout',
    ],
  ])("%s", (item, fault) => {
    expect(faultsOf(sockets(item))).toEqual([`f:${fault}`]);
  });

  test("a list of nothing", () => {
    expect(faultsOf("sockets: []")).toEqual([
      "f:1:10: sockets: names no socket: the exporter would have exported nothing",
    ]);
  });
});

describe("the same series twice", () => {
  const twice = sockets(
    "{ name: a, host: h, port: 1 }",
    "{ name: a, host: h, port: 2 }",
    "{ name: a, host: h, port: 1, protocol: tcp, timeout: 1 }",
  );

  test("is the last of them, under its name", () => {
    expect(configOf(twice).probes.targets).toMatchObject([
      { name: "a", url: "tcp://h:2" },
      { name: "a (2)", url: "tcp://h:1", timeoutMs: 1000, compat: { name: "a" } },
    ]);
    expect(commentsOf(twice)).toContain("It is in the list more than once; this is the last one");
  });

  test("has its faults told all the same", () => {
    const item = "{ name: a, host: h, port: 1, timeout: -1 }";
    expect(faultsOf(sockets(item, item))).toHaveLength(2);
  });
});
