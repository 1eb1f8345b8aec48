import { describe, expect, test } from "vitest";
import { messageOf } from "./parsing.ts";

describe("a fault", () => {
  test("of a default does not make other faults of what inherits it", () => {
    const text = "probes: { interval: soon, targets: [{ target: 'tcp://a:1', timeout: 1h }] }";
    expect(messageOf(text)).toBe(
      "f.yaml:1:21: probes.interval: must be a duration such as 250ms, 10s, 2m, 1h or 1m30s",
    );
  });

  test("of one target leaves the checks of the others in force", () => {
    const text = "probes:\n  targets:\n    - tcp://a:0\n    - tcp://b:1\n    - tcp://b:1\n";
    expect(messageOf(text).split("\n")).toEqual([
      "f.yaml:3:7: probes.targets[0]: the port must be a whole number from 1 to 65535",
      'f.yaml:5:7: probes.targets[2]: "tcp://b:1" is the name of probes.targets[1] too: give each target a name of its own',
    ]);
  });

  test("behind an anchor is reported once, where it is written", () => {
    const text = "probes:\n  targets:\n    - &db { target: 'tcp://a:0' }\n    - *db\n    - { <<: *db, name: b }\n";
    expect(messageOf(text)).toBe(
      "f.yaml:3:21: probes.targets[0].target: the port must be a whole number from 1 to 65535",
    );
  });

  test("of a key that is set twice does not hide that of its value", () => {
    expect(messageOf("paths: { proc: a, proc: b }").split("\n")).toEqual([
      "f.yaml:1:16: paths.proc: must be an absolute path, as in /proc",
      'f.yaml:1:19: paths.proc: the key "proc" is set twice, first in line 1',
    ]);
  });

  test("does not hold what may be a secret that starts with a star", () => {
    expect(messageOf("export: { otlp: { headers: { a: *secret } } }")).toBe(
      "f.yaml:1:33: export.otlp.headers.a: no anchor stands before this alias: put text that starts with * in quotes",
    );
  });

  test("has columns that count from 1 in lines that end in CR LF, and after a byte order mark", () => {
    expect(messageOf("\ufeffhost: off\r\nsockets: maybe\r\n")).toBe(
      "f.yaml:2:10: sockets: must be on, off or a map of keys",
    );
  });
});
