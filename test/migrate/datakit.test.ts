import { describe, expect, test } from "vitest";
import { commentsOf, configOf, faultsOf, fixture } from "./migrating.ts";

const block = (body: string): string => `[[inputs.socket]]\n${body}\n`;
const withUrl = (url: string): string => block(`dest_url = ["${url}"]`);
const targetsOf = (text: string) => configOf(text).probes.targets;

describe("[[inputs.socket]]", () => {
  test("of the document, with targets in the place of its placeholders", () => {
    const { probes, collection, sockets, host, compat, export: exported } = configOf(fixture("datakit-socket.conf"));
    const common = { intervalMs: 30_000, timeoutMs: 10_000, attributes: { team: "edge" } };
    expect(probes.targets).toMatchObject([
      { name: "tcp://db.internal:5432", type: "tcp", host: "db.internal", port: 5432, ...common },
      { name: "tcp://127.0.0.1:6379", type: "tcp", host: "127.0.0.1", port: 6379, ...common },
      { name: "udp://192.0.2.53:53", type: "udp", host: "192.0.2.53", port: 53, ...common },
    ]);
    expect(collection.intervalMs).toBe(30_000);
    expect([sockets, host.sockstat]).toEqual(["off", false]);
    expect(compat).toMatchObject({ datakit: true, telegraf: undefined });
    expect(exported).toMatchObject({ otlp: [], prometheus: { listen: { host: "127.0.0.1", port: 9464 } } });
  });

  test("has the defaults of the document: 30 s, and 10 s for either kind", () => {
    const targets = targetsOf(block('dest_url = ["tcp://a:1", "udp://b:2"]'));
    expect(targets).toMatchObject([
      { intervalMs: 30_000, timeoutMs: 10_000 },
      { intervalMs: 30_000, timeoutMs: 10_000 },
    ]);
  });

  test.each([
    ['"10s"', 10_000],
    ['"1m"', 60_000],
    ["30", 30_000],
    ['"30"', 30_000],
    ["1.5", 1500],
    ['"1500000us"', 1500],
  ])("interval = %s is %d ms", (written, ms) => {
    expect(targetsOf(block(`dest_url = ["tcp://a:1"]\ninterval = ${written}\n`))).toMatchObject([{ intervalMs: ms }]);
  });

  test("has timeouts of its own for either kind", () => {
    const text = block('dest_url = ["udp://b:2", "tcp://a:1"]\ntcp_timeout = "2s"\nudp_timeout = 3');
    expect(targetsOf(text)).toMatchObject([{ timeoutMs: 3000 }, { timeoutMs: 2000 }]);
  });

  test("with a URL twice: one target", () => {
    expect(targetsOf(block('dest_url = ["tcp://a:1", "tcp://b:1", "tcp://a:1"]')).map(({ name }) => name)).toEqual([
      "tcp://a:1",
      "tcp://b:1",
    ]);
  });

  test("several times, each with its times, tags and targets, of which one may be the same", () => {
    const text =
      block('dest_url = ["tcp://a:1"]\ninterval = "20s"\n[inputs.socket.tags]\nside = "left"') +
      block(
        'dest_url = ["tcp://a:1", "udp://b:2"]\ninterval = "10s"\ntcp_timeout = "1s"\n[inputs.socket.tags]\nside = "right"',
      );
    expect(configOf(text).collection.intervalMs).toBe(10_000);
    expect(targetsOf(text)).toMatchObject([
      { name: "tcp://a:1", url: "tcp://a:1", intervalMs: 20_000, timeoutMs: 10_000, attributes: { side: "left" } },
      { name: "tcp://a:1 (2)", url: "tcp://a:1", intervalMs: 10_000, timeoutMs: 1000, attributes: { side: "right" } },
      { name: "udp://b:2", intervalMs: 10_000, timeoutMs: 10_000, attributes: { side: "right" } },
    ]);
  });

  test.each([
    ["tcp://[::1]:80", "tcp://[::1]:80", "::1"],
    ["tcp://::1:80", "tcp://[::1]:80", "::1"],
    ["tcp://[fe80::1%25eth0]:80", "tcp://[fe80::1%eth0]:80", "fe80::1%eth0"],
    ["TCP://h:80", "tcp://h:80", "h"],
    ["tcp://u:p@h:80/x?y", "tcp://h:80", "h"],
    ["udp://h:53#f", "udp://h:53", "h"],
  ])("%s is %s", (written, url, host) => {
    expect(targetsOf(withUrl(written))).toMatchObject([{ url, host }]);
  });
});

test("election is a block without a backend, and off for the targets of those that say so", () => {
  const text = `[[inputs.socket]]\ndest_url = ["tcp://a:1"]\nelection = true\n[[inputs.socket]]\ndest_url = ["udp://b:2"]\nelection = false`;
  expect(targetsOf(text).map(({ url, everywhere }) => [url, everywhere])).toEqual([
    ["tcp://a:1", undefined],
    ["udp://b:2", true],
  ]);
  expect(configOf(text).election).toBeUndefined();
});

describe("a comment is at", () => {
  test.each<[string, string, RegExp]>([
    [
      "election = true",
      'dest_url = ["tcp://a:1"]\nelection = true',
      /election = true: one agent probes once there is a backend/,
    ],
    [
      "election without a word",
      'dest_url = ["tcp://a:1"]',
      /election = true: one agent probes once there is a backend/,
    ],
    [
      "election = false",
      'dest_url = ["tcp://a:1"]\nelection = false',
      /election = false: these targets are probed by every agent/,
    ],
    ["a number that is cut", 'dest_url = ["tcp://a:1"]\ntcp_timeout = 0.5', /took 0\.5 for 0; here it is what it says/],
    [
      "an interval that is clamped",
      'dest_url = ["tcp://a:1"]\ninterval = "5s"\ntcp_timeout = "1s"\nudp_timeout = "1s"',
      /DataKit makes 10s of this interval/,
    ],
    ["a longer one", 'dest_url = ["tcp://a:1"]\ninterval = "5m"', /DataKit makes 60s of this interval/],
    [
      "a timeout above the interval",
      'dest_url = ["tcp://a:1"]\ninterval = "5s"',
      /longer than the interval, and is capped/,
    ],
    [
      "parts of a URL that say nothing",
      'dest_url = ["tcp://u:p@h:80/x"]',
      /Its URL has more than a host and a port, which DataKit ignores, too/,
    ],
    [
      "a tag that the target has itself",
      'dest_url = ["tcp://a:1"]\n[inputs.socket.tags]\nproto = "x"',
      /The tags "proto" are left out/,
    ],
    ["what nc says", 'dest_url = ["udp://a:1"]', /no nc is run/],
    [
      "where the metrics go",
      'dest_url = ["udp://a:1"]',
      /metrics_endpoint: "http:\/\/localhost:9529\/otel\/v1\/metrics"/,
    ],
  ])("%s", (_, body, said) => {
    expect(commentsOf(block(body))).toMatch(said);
  });

  test("what is not of sockets", () => {
    expect(commentsOf(`${withUrl("tcp://a:1")}[[inputs.cpu]]\n`)).toContain("Not migrated: inputs.cpu.");
  });
});

describe("a fault is", () => {
  test("the shipped sample, whose URLs are placeholders", () => {
    expect(faultsOf(fixture("datakit-sample.conf"))).toEqual([
      'f:5:5: inputs.socket[0].dest_url[0]: "tcp://host:port" is a placeholder of the shipped sample: write the host and the port to probe',
      'f:6:5: inputs.socket[0].dest_url[1]: "udp://host:port" is a placeholder of the shipped sample: write the host and the port to probe',
    ]);
  });

  const skipped =
    "DataKit would have logged an error each time, probed nothing, and put the host tags of the URLs behind it on the wrong ones";

  test.each([
    ["127.0.0.1:80", `is no URL such as tcp://db.internal:5432: ${skipped}`],
    ["h:80", 'must start with tcp:// or udp://: of "h" DataKit would have logged a warning, and probed nothing'],
    [
      "http://h:80",
      'must start with tcp:// or udp://: of "http" DataKit would have logged a warning, and probed nothing',
    ],
    ["tcp:h:80", "has no host: DataKit would have dialled port 0 of no host; write tcp://host:port"],
    ["tcp://h", "has no port: DataKit would have dialled port 0, which never answers; write tcp://host:port"],
    ["tcp://[::1]", "has no port: DataKit would have dialled port 0, which never answers; write tcp://host:port"],
    [
      "tcp://h:",
      "the port must be a whole number from 1 to 65535: DataKit would have dialled port 0, which fails each time",
    ],
    [
      "tcp://h:0",
      "the port must be a whole number from 1 to 65535: DataKit would have dialled port 0, which fails each time",
    ],
    [
      "tcp://h:99999",
      "the port must be a whole number from 1 to 65535: DataKit would have dialled port 99999, which fails each time",
    ],
    ["tcp://h:http", `the port must be a number: ${skipped}`],
    ["udp://:53", "the host is missing: DataKit would have looked up the empty name, which fails each time"],
    [
      "udp://-l:53",
      "the host is neither a name (letters, digits, - and _ between dots) nor an IP address: DataKit would have failed each time",
    ],
  ])("the URL %s", (url, message) => {
    expect(faultsOf(withUrl(url))).toEqual([`f:2:13: inputs.socket[0].dest_url[0]: ${message}`]);
  });

  test.each([
    [
      "dest_url = []",
      "f:1:10: inputs.socket[0]: dest_url names no target: DataKit would have logged a warning each time, and probed nothing",
    ],
    [
      "interval = '10s'",
      "f:1:10: inputs.socket[0]: dest_url names no target: DataKit would have logged a warning each time, and probed nothing",
    ],
    [
      "dest_url = ['tcp://a:1']\ntcp_timeout = 0",
      "f:3:15: inputs.socket[0].tcp_timeout: must be above 0: with it DataKit would have had every check fail at once",
    ],
    [
      "dest_url = ['tcp://a:1']\nudp_timeout = '-1s'",
      "f:3:15: inputs.socket[0].udp_timeout: must be above 0: with it DataKit would have had every check fail at once",
    ],
    [
      "dest_url = ['tcp://a:1']\ninterval = 'soon'",
      'f:3:12: inputs.socket[0].interval: must be a duration such as "10s" or "1m30s", or a number of seconds: DataKit would have taken none of it',
    ],
    [
      "dest_url = ['tcp://a:1']\ninterval = true",
      'f:3:12: inputs.socket[0].interval: must be a duration such as "10s", or a number of seconds',
    ],
    ["dest_url = 'tcp://a:1'", "f:2:12: inputs.socket[0].dest_url: must be a list of URLs"],
    ["dest_url = [1]", "f:2:13: inputs.socket[0].dest_url[0]: must be text"],
    ["dest_url = ['tcp://a:1']\nelection = 'yes'", "f:3:12: inputs.socket[0].election: must be true or false"],
    [
      "dest_url = ['tcp://a:1']\ntimeout = '1s'",
      'f:3:1: inputs.socket[0].timeout: unknown key "timeout"; allowed: dest_url, interval, tcp_timeout, udp_timeout, election, tags',
    ],
    [
      "dest_url = ['tcp://a:1']\n[inputs.socket.tags]\na = 1",
      "f:4:5: inputs.socket[0].tags.a: must be text: put it in quotes",
    ],
  ])("%j", (body, fault) => {
    expect(faultsOf(block(body))).toEqual([fault]);
  });
});
