import { describe, expect, test } from "vitest";
import { adHocTarget } from "../../src/config/ad-hoc.ts";
import { parseConfig } from "../../src/config/parse.ts";
import type { Target } from "../../src/model/target.ts";
import { configOf } from "./parsing.ts";

const targetsOf = (...items: readonly string[]): readonly Target[] =>
  configOf(`probes:\n  targets:\n${items.map((item) => `    - ${item}\n`).join("")}`).probes.targets;

const notesOf = (text: string): readonly string[] => parseConfig(text, "f.yaml", {}).notes;

describe("a map instead of a URL", () => {
  test.each([
    ["{ host: db.internal, port: 5432 }", "tcp://db.internal:5432"],
    ["{ protocol: tcp4, host: db.internal, port: 5432 }", "tcp4://db.internal:5432"],
    ['{ protocol: udp6, host: "::1", port: 53 }', "udp6://[::1]:53"],
    ['{ protocol: tcp, host: "[2001:db8::1]", port: 53 }', "tcp://[2001:db8::1]:53"],
    ['{ host: "fe80::1%eth0", port: 1 }', "tcp://[fe80::1%eth0]:1"],
    ['{ host: "fe80::1%25eth0", port: 1 }', "tcp://[fe80::1%eth0]:1"],
    ['{ host: "fe80::1%2525eth0", port: 1 }', "tcp://[fe80::1%2525eth0]:1"],
    ["{ protocol: icmp, host: gateway }", "icmp://gateway"],
    ["{ protocol: ip4, host: gateway }", "icmp4://gateway"],
    ['{ protocol: ip6, host: "::1" }', "icmp6://[::1]"],
    ["{ protocol: unix, path: /run/a.sock }", "unix:///run/a.sock"],
    ["{ protocol: unixgram, host: /run/a.sock }", "unixgram:///run/a.sock"],
    ["{ protocol: unixpacket, path: /run/a.sock }", "unixpacket:///run/a.sock"],
  ])("%s is %s", (map, url) => {
    const [written] = targetsOf(url);
    expect(written?.url).toBe(url);
    expect(targetsOf(`{ target: ${map} }`)).toEqual([written]);
    expect(targetsOf(map)).toEqual([written]);
  });

  test("has its place beside the other keys", () => {
    expect(targetsOf("{ name: db, host: db.internal, port: 5432, timeout: 1s, tls: on }")).toMatchObject([
      { name: "db", url: "tcp://db.internal:5432", timeoutMs: 1000, tls: {} },
    ]);
  });

  test("can refer to the environment", () => {
    const text = "probes: { targets: [{ host: '${env:HOST}', port: '${env:PORT}' }] }";
    expect(configOf(text, { HOST: "h", PORT: "80" }).probes.targets).toMatchObject([{ url: "tcp://h:80" }]);
  });
});

describe("options", () => {
  const noFiles = { caFile: undefined, certFile: undefined, keyFile: undefined };
  const standard = { ...noFiles, serverName: undefined, insecure: false };

  test.each([
    ["tls: {}", standard],
    ["tls: on", standard],
    ["tls: true", standard],
    ["tls: off", undefined],
    ["tls:", undefined],
    ["tls: { insecure_skip_verify: true, server_name_override: h }", { ...noFiles, serverName: "h", insecure: true }],
  ])("%s", (written, tls) => {
    expect(targetsOf(`target: tcp://h:1\n      ${written}`)).toMatchObject([{ tls }]);
    expect(targetsOf(`target: unix:///run/a\n      ${written}`)).toMatchObject([{ tls }]);
  });

  test("files for TLS are found beside the file that names them", () => {
    const text =
      "probes: { targets: [{ target: 'tcp://h:1', tls: { ca_file: ca.pem, cert_file: /c.pem, key_file: ../k } }] }";
    const tls = { caFile: "/etc/s/ca.pem", certFile: "/c.pem", keyFile: "/etc/s/../k" };
    expect(parseConfig(text, "/etc/s/f.yaml", {}).config.probes.targets).toMatchObject([{ tls }]);
    expect(parseConfig(text, "f.yaml", {}).config.probes.targets).toMatchObject([{ tls: { caFile: "ca.pem" } }]);
  });

  test("send and expect are one step of a stream, and themselves for a datagram", () => {
    const message = String.raw`send: 'PING\r\n\xff', expect: '^\+PONG'`;
    const step = { send: "PING\r\n\xff", expect: "^\\+PONG", starttls: false };
    expect(targetsOf(`{ target: "tcp://h:1", ${message} }`, "tcp://h:2")).toMatchObject([
      { steps: [step] },
      { steps: [] },
    ]);
    expect(targetsOf(`{ target: "udp://h:1", ${message} }`)).toMatchObject([{ send: step.send, expect: step.expect }]);
    expect(targetsOf('{ target: "unixgram:///a", send: "" }')).toMatchObject([{ send: "", expect: undefined }]);
  });

  test("the escapes of send are those of plain, single-quoted and double-quoted text", () => {
    for (const written of [String.raw`a\r\n`, String.raw`'a\r\n'`, String.raw`"a\r\n"`, String.raw`"a\\r\\n"`])
      expect(targetsOf(`target: udp://h:1\n      send: ${written}`)).toMatchObject([{ send: "a\r\n" }]);
  });

  test("steps", () => {
    const text = `{ target: "tcp://h:25", tls: {}, steps: [{ expect: "^220" }, { send: "STARTTLS\\r\\n", starttls: on }] }`;
    expect(targetsOf(text)).toMatchObject([
      {
        steps: [
          { send: undefined, expect: "^220", starttls: false },
          { send: "STARTTLS\r\n", expect: undefined, starttls: true },
        ],
      },
    ]);
    const many = (count: number): string => `{ target: "tcp://h:1", steps: [${"{ send: a },".repeat(count)}] }`;
    expect(targetsOf(many(100))).toHaveLength(1);
    expect(() => targetsOf(many(101))).toThrow("can hold 100 steps");
  });

  test("what is sent fits a datagram", () => {
    expect(targetsOf(`{ target: "udp://h:1", send: ${"a".repeat(65_507)} }`)).toHaveLength(1);
    expect(() => targetsOf(`{ target: "udp://h:1", send: ${"é".repeat(32_754)} }`)).toThrow(
      "can have 65507 bytes, this one has 65508",
    );
  });

  test("of packets, attempts, addresses and where packets leave from", () => {
    const text =
      '{ target: "icmp6://h", count: 5, packet_interval: 1s, attempts: 3, all_addresses: on, source_address: "::1", interface: lo }';
    expect(targetsOf(text)).toMatchObject([
      {
        count: 5,
        packetIntervalMs: 1000,
        attempts: 3,
        allAddresses: true,
        source: { address: "::1", interface: "lo" },
      },
    ]);
  });
});

describe("notes", () => {
  test("on inherited timeouts that are capped are one", () => {
    const target = (name: string, more: string): string => `{ name: ${name}, host: ${name}, port: 1, ${more} }`;
    const text = (...targets: readonly string[]): string => `probes: { targets: [${targets.join(", ")}] }`;
    expect(notesOf(text(target("a", "interval: 5s"), target("b", "interval: 1s, timeout: 1s")))).toEqual([]);
    expect(notesOf(text(target("a", "interval: 4s"), target("b", "interval: 5s")))).toEqual([
      "probes.timeout, 5s, is capped to the interval of 1 target.",
    ]);
    expect(notesOf(text(target("a", "interval: 4s"), target("b", "interval: 1s")))).toEqual([
      "probes.timeout, 5s, is capped to the interval of 2 targets.",
    ]);
  });

  test("on targets of the same endpoint are a few", () => {
    const text = (count: number): string =>
      `probes: { targets: ["tcp://h:1", ${Array.from({ length: count }, (_, at) => `{ name: t${at}, host: H, port: 1, timeout: ${at + 1}s }`).join(", ")}] }`;
    const pairs = [0, 1, 2].map((at) => `"tcp://h:1" and "t${at}" probe the same endpoint.`);
    expect(notesOf(text(1))).toEqual(pairs.slice(0, 1));
    expect(notesOf(text(3))).toEqual(pairs);
    expect(notesOf(text(4))).toEqual([...pairs, "So does 1 more pair of targets."]);
    expect(notesOf(text(5))).toEqual([...pairs, "So do 2 more pairs of targets."]);
  });

  test("on them are not for another port, dialogue, certificate or source", () => {
    const others = ["port: 2", "send: a", "expect: a", "tls: {}", "source_address: 192.0.2.7", "interface: lo"];
    const targets = others.map(
      (more, at) => `{ name: t${at}, host: h, ${more.startsWith("port") ? "" : "port: 1,"} ${more} }`,
    );
    expect(notesOf(`probes: { targets: ["tcp://h:1", "tcp4://h:1", "udp://h:1", ${targets.join(", ")}] }`)).toEqual([]);
  });
});

describe("a target of the command line", () => {
  test.each([
    ["tcp://h:1", { type: "tcp", steps: [], tls: undefined }],
    ["udp://h:1", { type: "udp", count: 1, silenceMs: 500 }],
    ["icmp://h", { type: "icmp", count: 1 }],
    ["ip6://::1", { type: "icmp6", host: "::1" }],
    ["unix:///a", { type: "unix", path: "/a" }],
    ["unixgram:///a", { type: "unixgram", path: "/a" }],
    ["unixpacket:///a", { type: "unixpacket", path: "/a" }],
  ])("%s", (url, target) => {
    expect(adHocTarget(url, 500)).toMatchObject({ ...target, name: url, url, timeoutMs: 500, attempts: 1 });
  });
});
