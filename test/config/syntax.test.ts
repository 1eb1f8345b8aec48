import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/parse.ts";
import { ConfigError } from "../../src/model/errors.ts";
import { configOf, messageOf } from "./parsing.ts";

describe("YAML that cannot be read", () => {
  test.each([
    [
      "an unclosed bracket, after a fault of another kind",
      "probes: { interval: 30, targets: [ tcp://a.internal:1 }\nhost: maybe\n",
      [
        "f.yaml:1:21: probes.interval: a duration needs its unit: write 30s for seconds or 30ms for milliseconds",
        "f.yaml:1:55: the indentation does not fit, or a { or [ before this place is not closed",
      ],
    ],
    [
      "wrong indentation; what stands behind it is not judged",
      "probes:\n  interval: 30\n  targets:\n    - tcp://a.internal:1\n   timeout: 5\nsockets:\n  max_groups: 0\n",
      [
        "f.yaml:2:13: probes.interval: a duration needs its unit: write 30s for seconds or 30ms for milliseconds",
        "f.yaml:5:1: the indentation does not fit, or a { or [ before this place is not closed",
      ],
    ],
    ["tabs", "probes:\n\tinterval: 5s\nhost: off\n", ["f.yaml:2:1: a tab cannot indent: use spaces"]],
    [
      "an unclosed quote, found where it opens",
      'export:\n  otlp:\n    headers:\n      authorization: "Bearer secret\n    timeout: 10\n',
      ["f.yaml:4:22: the quote that opens here is not closed"],
    ],
    [
      "an unknown escape",
      'export:\n  otlp:\n    headers: { authorization: "secret\\qin" }\n',
      ["f.yaml:3:38: no such escape in double quotes: write \\\\ for a backslash, or use single quotes"],
    ],
    [
      "a reserved character",
      "resource:\n  attributes: { a: @secret }\n",
      ["f.yaml:2:20: text cannot start with this character: put it in quotes"],
    ],
    [
      "a key without a colon",
      "collection:\n  interval 5s\nhost: off\n",
      ["f.yaml:2:3: collection: must be a map of keys"],
    ],
    [
      "text with a colon and a space",
      "resource:\n  attributes:\n    a: b: c\n",
      ["f.yaml:3:8: a map or list cannot start here: put text that holds a colon and a space in quotes"],
    ],
    [
      "two faults in two lines",
      "collection: { interval: @a }\nprobes: { interval: `b }\n",
      [
        "f.yaml:1:25: text cannot start with this character: put it in quotes",
        "f.yaml:2:21: text cannot start with this character: put it in quotes",
      ],
    ],
  ])("%s", (_, text, expected) => {
    const message = messageOf(text);
    expect(message.split("\n")).toEqual(expected);
    expect(message).not.toContain("secret");
  });

  test("nesting without end", () => {
    expect(messageOf(`host: ${"[".repeat(5_000)}`)).toContain("nested too deeply");
  });

  test("nesting that is too deep to mean anything", () => {
    const text = `host: ${"[".repeat(100)}${"]".repeat(100)}`;
    expect(messageOf(text)).toContain("nested too deeply");
  });
});

describe("aliases", () => {
  test("stand for values, and a merged key yields to an own one", () => {
    const { targets } = configOf(`
probes:
  targets:
    - &db { name: a, target: "tcp://a.internal:1", interval: 10s, timeout: 2s }
    - { <<: *db, name: b, timeout: 3s }
    - { <<: [{ timeout: 4s }, *db], name: c }
`).probes;
    expect(targets.map(({ name, intervalMs, timeoutMs }) => [name, intervalMs, timeoutMs])).toEqual([
      ["a", 10_000, 2_000],
      ["b", 10_000, 3_000],
      ["c", 10_000, 4_000],
    ]);
  });

  test("stand for the last anchor before them", () => {
    const { collection, probes } = configOf(
      "collection: { interval: &t 5s, timeout: *t }\nprobes: { interval: &t 7s, targets: [{ target: 'tcp://a.internal:1', timeout: *t }] }",
    );
    expect(collection).toEqual({ intervalMs: 5_000, timeoutMs: 5_000 });
    expect(probes.targets[0]?.timeoutMs).toBe(7_000);
  });

  test("that stand for billions of values are refused in time", () => {
    const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"];
    for (let level = 1; level < 12; level++)
      lines.push(
        `a${level}: &a${level} [${Array(10)
          .fill(`*a${level - 1}`)
          .join(", ")}]`,
      );
    expect(messageOf(lines.join("\n"))).toContain("the aliases of the file stand for more than 300000 values");
  });

  test("that merge without end are refused in time", () => {
    const lines = ["a0: &a0 { a: 1 }"];
    for (let level = 1; level < 40; level++)
      lines.push(`a${level}: &a${level} { <<: [*a${level - 1}, *a${level - 1}] }`);
    expect(messageOf(lines.join("\n"))).toContain("the aliases of the file stand for more than 300000 values");
  });
});

describe("any text", () => {
  const survives = (text: string): void => {
    try {
      const { config, notes } = parseConfig(text, "f.yaml", { A: "x", N: "1" });
      expect(config.collection.timeoutMs).toBeLessThanOrEqual(config.collection.intervalMs);
      expect(notes).toEqual([]);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      expect(error.faults).not.toEqual([]);
      for (const { line, column } of error.faults) expect(Math.min(line, column)).toBeGreaterThanOrEqual(1);
    }
  };

  // prettier-ignore
  const pieces = [
    "probes", "targets", "collection", "interval", "timeout", "sockets", "export", "otlp", "headers", "attributes",
    "resource", "name", "target", "host", "paths", "proc", ":", ": ", "\n", "\n  ", "\n    ", "- ", "[", "]", "{", "}",
    ",", "&a ", "*a", "<<: *a", "!!set ", "!!omap ", "!!binary ", "!!str ", "!!int ", "!x ", "? ", "|", "|\n", ">", '"',
    "'", "#", "---\n", "...", "%YAML 1.1\n---\n", "${env:A}", "${env:N}", "${env:B", "$$", "${", "null", "~", "1e999",
    "0x1", ".nan", "-1", "15s", "tcp://h:1", "unix:/a", "udp://[::1]:5", "icmp://h", "__proto__", "constructor", "toString", "\t",
    "\0", "\u2028", "\ud800", "off", "on", "true", "\r", "\ufeff", "@", "`", "!!timestamp 2001-01-01", "{}",
  ];

  test("is a configuration or a ConfigError, when it is made of pieces of configurations", () => {
    const text = fc.array(fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...pieces) }, fc.string()), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(text, (parts) => survives(parts.join(""))),
      { numRuns: 4_000 },
    );
  });

  test("is a configuration or a ConfigError, when it is any text", () => {
    fc.assert(fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.json()), survives), { numRuns: 1_000 });
  });

  test("is a configuration or a ConfigError, when any value stands at a known key", () => {
    const path = fc.constantFrom(
      ["collection", "interval"],
      ["resource", "attributes"],
      ["paths", "proc"],
      ["probes", "targets"],
      ["probes", "targets_file"],
      ["probes", "concurrency"],
      ["sockets"],
      ["sockets", "protocols"],
      ["networks"],
      ["sockets", "select"],
      ["sockets", "select", "include"],
      ["sockets", "rtt_histogram", "bounds"],
      ["host"],
      ["export", "otlp", "endpoint"],
      ["export", "otlp", "headers"],
      ["export", "prometheus", "listen"],
    );
    fc.assert(
      fc.property(path, fc.jsonValue(), (keys, value) => {
        survives(JSON.stringify(keys.reduceRight<unknown>((held, key) => ({ [key]: held }), value)));
      }),
      { numRuns: 1_000 },
    );
  });

  test.each(["${", "$$", "- a\n", "? ", "&a ", "'", "|\n", "{a: ", "- &a [*a]\n"])(
    "is read in time: %j, repeated",
    (piece) => {
      const start = performance.now();
      survives(piece.repeat(20_000));
      expect(performance.now() - start).toBeLessThan(10_000);
    },
  );
});
