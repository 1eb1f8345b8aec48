import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatDuration, longestMs, parseDuration } from "../../src/text/duration.ts";
import { editDistance, nearest } from "../../src/text/nearest.ts";
import { formatBytes, parseBytes } from "../../src/config/bytes.ts";
import { formatPath, patternOf } from "../../src/config/path.ts";
import { parseTarget } from "../../src/config/target.ts";
import { unbuiltKey, unbuiltKeys } from "../../src/config/unbuilt.ts";

describe("durations", () => {
  test.each([
    ["250ms", 250],
    ["10s", 10_000],
    ["2m", 120_000],
    ["1h", 3_600_000],
    ["1m30s", 90_000],
    ["1h2m3s4ms", 3_723_004],
    ["90s", 90_000],
    ["0s", 0],
    ["168h", 604_800_000],
  ])("%s", (text, ms) => {
    expect(parseDuration(text, 0)).toBe(ms);
  });

  test.each(["", "s", "1", "1.5s", "-1s", "1s1m", "1s1s", " 1s", "1 s", "1S", "1d", "1us", "1ms1s"])(
    "not %j",
    (text) => {
      expect(parseDuration(text, 0)).toHaveProperty("fault");
    },
  );

  test.each([
    ["99ms", "must be at least 100ms"],
    ["168h1ms", "must be at most 168h"],
    ["99999999999999999999h", "must be at most 168h"],
    ["15", "a duration needs its unit: write 15s for seconds or 15ms for milliseconds"],
    ["soon", "must be a duration such as 250ms, 10s, 2m, 1h or 1m30s"],
  ])("%s is refused with the remedy", (text, fault) => {
    expect(parseDuration(text, 100)).toEqual({ fault });
  });

  test.each([
    [0, "0s"],
    [1, "1ms"],
    [15_000, "15s"],
    [90_000, "1m30s"],
    [3_600_000, "1h"],
    [3_723_004, "1h2m3s4ms"],
  ])("%d ms are written %s", (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  test("read as they are written", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: longestMs }), (ms) => {
        expect(parseDuration(formatDuration(ms), 0)).toBe(ms);
      }),
    );
  });
});

describe("the nearest word", () => {
  test.each([
    ["interval", "interval", 0],
    ["intervall", "interval", 1],
    ["timeuot", "timeout", 1],
    ["", "abc", 3],
    ["abc", "", 3],
    ["kitten", "sitting", 3],
    ["ca", "abc", 3],
  ])("%j and %j are %d edits apart", (from, to, edits) => {
    expect(editDistance(from, to)).toBe(edits);
    expect(editDistance(to, from)).toBe(edits);
  });

  test.each([
    ["intervall", "interval"],
    ["Interval", "interval"],
    ["timeuot", "timeout"],
    ["naem", "name"],
    ["colour", undefined],
    ["x", undefined],
    ["interval".repeat(10), undefined],
  ])("to %s is %s", (word, near) => {
    expect(nearest(word, ["name", "target", "interval", "timeout"])).toBe(near);
  });
});

describe("targets", () => {
  test.each([
    ["tcp://db.internal:5432", { type: "tcp", host: "db.internal", port: 5432 }],
    ["tcp://localhost:1", { type: "tcp", host: "localhost", port: 1 }],
    [
      "tcp://my_service.ns.svc.cluster.local.:65535",
      { type: "tcp", host: "my_service.ns.svc.cluster.local.", port: 65_535 },
    ],
    ["tcp4://10.0.0.1:80", { type: "tcp4", host: "10.0.0.1", port: 80 }],
    ["udp6://[2001:db8::1]:53", { type: "udp6", host: "2001:db8::1", port: 53 }],
    ["tcp://[::1]:443", { type: "tcp", host: "::1", port: 443 }],
    ["tcp://::1:443", { type: "tcp", host: "::1", port: 443 }],
    ["tcp6://[fe80::1%eth0]:80", { type: "tcp6", host: "fe80::1%eth0", port: 80 }],
    ["tcp6://fe80::1%eth0:80", { type: "tcp6", host: "fe80::1%eth0", port: 80 }],
    ["udp://192.0.2.53:53", { type: "udp", host: "192.0.2.53", port: 53 }],
    ["unix:///run/x.sock", { type: "unix", path: "/run/x.sock" }],
    ["unix:/run/x.sock", { type: "unix", path: "/run/x.sock" }],
    ["tcp6://[fe80::1%25eth0]:80", { type: "tcp6", host: "fe80::1%eth0", port: 80 }],
    ["tcp6://fe80::1%25eth0:80", { type: "tcp6", host: "fe80::1%eth0", port: 80 }],
    ["icmp://gateway.internal", { type: "icmp", host: "gateway.internal" }],
    ["icmp4://192.0.2.1", { type: "icmp4", host: "192.0.2.1" }],
    ["icmp6://[2001:db8::1]", { type: "icmp6", host: "2001:db8::1" }],
    ["icmp://::1", { type: "icmp", host: "::1" }],
    ["icmp://[fe80::1%25eth0]", { type: "icmp", host: "fe80::1%eth0" }],
    ["icmp://fe80::1%eth0", { type: "icmp", host: "fe80::1%eth0" }],
    ["ip://h", { type: "icmp", host: "h" }],
    ["ip4://h", { type: "icmp4", host: "h" }],
    ["ip6://h", { type: "icmp6", host: "h" }],
    ["unixgram:///run/x.sock", { type: "unixgram", path: "/run/x.sock" }],
    ["unixpacket:/run/x.sock", { type: "unixpacket", path: "/run/x.sock" }],
    ["unix:///run/x.sock:1", { type: "unix", path: "/run/x.sock:1" }],
    [`unix:///${"a".repeat(106)}`, { type: "unix", path: `/${"a".repeat(106)}` }],
  ])("%s", (url, destination) => {
    expect(parseTarget(url)).toEqual(destination);
  });

  test("the path of a unix socket is measured in bytes", () => {
    expect(parseTarget(`unix:///${"é".repeat(53)}`)).toHaveProperty("path");
    expect(parseTarget(`unix:///${"é".repeat(54)}`)).toEqual({
      fault: "the path of a unix socket can have 107 bytes, this one has 109",
    });
  });

  test("any text is a destination or a fault", () => {
    const written = fc.oneof(
      fc.string(),
      fc.string().map((rest) => `tcp://${rest}`),
      fc.string().map((rest) => `icmp://${rest}`),
      fc.string().map((rest) => `unix:${rest}`),
    );
    fc.assert(
      fc.property(written, (url) => {
        const parsed = parseTarget(url);
        expect("fault" in parsed || "path" in parsed || parsed.host !== "").toBe(true);
        expect(!("port" in parsed) || parsed.port > 0).toBe(true);
      }),
    );
  });
});

describe("bytes", () => {
  test.each([
    ["", ""],
    ["PING", "PING"],
    ["PING\\r\\n", "PING\r\n"],
    ["PING\r\n", "PING\r\n"],
    ["\\t\\0\\\\\\x00\\xFf", "\t\0\\\0\xff"],
    ["\\\\r", "\\r"],
    ["\\x411", "A1"],
    ["é\\xe9", "\xc3\xa9\xe9"],
  ])("%j", (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes);
  });

  test.each(["\\", "a\\\\\\", "\\q", "\\x", "\\x4", "\\xg0", "\\X41", "\\\n"])("not %j", (text) => {
    expect(parseBytes(text)).toHaveProperty("fault");
  });

  test("read as they are written, in printable ASCII", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (octets) => {
        const bytes = Buffer.from(octets).toString("latin1");
        expect(formatBytes(bytes)).toMatch(/^[ -~]*$/);
        expect(parseBytes(formatBytes(bytes))).toBe(bytes);
      }),
    );
  });

  test("of any text are bytes or a fault", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const bytes = parseBytes(text);
        expect(typeof bytes !== "string" || /^[\0-\xff]*$/.test(bytes)).toBe(true);
      }),
    );
  });
});

describe("paths", () => {
  test.each([
    [["probes", "targets", 2, "timeout"], "probes.targets[2].timeout", "probes.targets[].timeout"],
    [["resource", "attributes", "a.b"], 'resource.attributes["a.b"]', 'resource.attributes["a.b"]'],
    [[], "", ""],
    [["x\ny"], '["x\\ny"]', '["x\\ny"]'],
  ])("%j", (path, formatted, pattern) => {
    expect(formatPath(path)).toBe(formatted);
    expect(patternOf(path)).toBe(pattern);
  });
});

describe("what this version does not have", () => {
  test.each(Object.entries(unbuiltKeys))("the key %s", (pattern, remedy) => {
    const path = pattern.split(".").flatMap((step) => (step.endsWith("[]") ? [step.slice(0, -2), 7] : [step]));
    expect(unbuiltKey(path)).toBe(`"${path.at(-1)}" is not supported by this version of sockscope: ${remedy}`);
  });

  test("nothing that it has", () => {
    expect(unbuiltKey(["probes", "targets"])).toBeUndefined();
    expect(unbuiltKey(["toString"])).toBeUndefined();
  });
});
