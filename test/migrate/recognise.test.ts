import { describe, expect, test } from "vitest";
import { translate } from "../../src/migrate/migrate.ts";
import { faultsOf, fixture, migrated } from "./migrating.ts";

const noteOf = (text: string, file = "f"): string | undefined => translate({ file, text })?.note;

describe("a file is recognised by its content", () => {
  test.each([
    ["telegraf-socketstat.conf", "a Telegraf configuration"],
    ["telegraf-whole.conf", "a Telegraf configuration"],
    ["datakit-socket.conf", "a configuration of DataKit's socket input"],
    ["ss-exporter-minimal.yml", "a prometheus_ss_exporter configuration"],
    ["connection-status.yaml", "a connection-status-exporter configuration"],
  ])("%s", (name, title) => {
    expect(noteOf(fixture(name))).toBe(`f was taken for ${title}: \`sockscope migrate f\` prints what it means here.`);
    expect(translate({ file: "f", text: fixture(name) })?.text).toBe(migrated(fixture(name)));
  });

  test.each([
    ["[agent]\ninterval = '5s'\n", "Telegraf"],
    ["# only tags\n\n[global_tags]\n", "Telegraf"],
    ["[[inputs.cpu]]\n", "Telegraf"],
    ["[[outputs.file]]\n", "Telegraf"],
    ["[inputs.socketstat]\n", "Telegraf"],
    ["agent.interval = '5s'\n", "Telegraf"],
    ["[[inputs.cpu]]\n[[inputs.socket]]\ndest_url = ['tcp://a:1']\n", "DataKit"],
    ["logic:\n", "prometheus_ss_exporter"],
    ['{ "sockets": [{ "name": "a", "host": "h", "port": 1 }] }', "connection-status-exporter"],
  ])("%j", (text, tool) => {
    expect(noteOf(text)).toContain(tool);
  });

  test.each([
    "sockets: off",
    "sockets: { protocols: [tcp] }",
    "probes: { targets: [] }",
    "{}",
    "",
    "# nothing",
    // Slips of a sockscope file, whose own faults are to be told.
    "sockets: []\nprobes: {}",
    "logic: {}\nhost: off",
    "sockets: [",
    "[tcp, udp]",
    "- sockets: [tcp]",
    "export: { console: on } # sockets: [1]",
  ])("%j is sockscope's own", (text) => {
    expect(noteOf(text)).toBeUndefined();
  });
});

describe("what cannot be told", () => {
  test("a file of none of the kinds", () => {
    const none =
      "f:1:1: is none of the files that can be migrated: a Telegraf configuration (TOML with [agent], [[inputs.socketstat]] or another plugin), " +
      "a configuration of DataKit's socket input (TOML with [[inputs.socket]]), a prometheus_ss_exporter configuration (YAML with the key logic), " +
      "a connection-status-exporter configuration (YAML with a list of sockets); the sockstat recipe has no file (--from sockstat)";
    for (const text of ["host: off", "socket: [{ name: a }]", "[dataway]\nurls = []\n", "just text", "- a\n- b"])
      expect(faultsOf(text)).toEqual([none]);
  });

  test("a TOML file of none of the kinds is no sockscope file either", () => {
    expect(() => noteOf("[dataway]\nurls = []\n")).toThrow(/^f:1:1: is none of the files/);
  });

  test.each([
    [
      "[[inputs.socketstat]]\n[[inputs.socket]]\n",
      "f:2:10: inputs.socket: is of two kinds: inputs.socketstat is of a Telegraf configuration, inputs.socket of a configuration of DataKit's socket input; keep them in files of their own, or name one with --from",
    ],
    [
      "[agent]\n\n[[inputs.socket]]\n",
      "f:3:10: inputs.socket: is of two kinds: agent is of a Telegraf configuration, inputs.socket of a configuration of DataKit's socket input; keep them in files of their own, or name one with --from",
    ],
    [
      "logic: {}\nsockets:\n  - { name: a, host: h, port: 1 }\n",
      "f:2:1: sockets: is of two kinds: logic is of a prometheus_ss_exporter configuration, sockets of a connection-status-exporter configuration; keep them in files of their own, or name one with --from",
    ],
  ])("a file of two kinds: %j", (text, fault) => {
    expect(faultsOf(text)).toEqual([fault]);
    expect(() => noteOf(text)).toThrow(fault);
  });

  test("is decided by --from", () => {
    const text = "[agent]\n[[inputs.socket]]\ndest_url = ['tcp://a:1']\n";
    expect(migrated(text, "datakit")).toContain("Not migrated: agent.");
    expect(migrated(text, "telegraf")).toContain("Not migrated, leave them to Telegraf: inputs.socket.");
  });

  test("a file that is not what --from says", () => {
    expect(faultsOf("host: off", "ss_exporter")).toEqual(['f:1:1: host: unknown key "host"; allowed: logic']);
    expect(faultsOf("host: off", "telegraf")).toEqual(["f:1:5: no valid TOML: unexpected character"]);
    expect(faultsOf("[agent]", "datakit")).toEqual(["f:1:1: inputs: must have tables, as in [[inputs.socket]]"]);
    expect(faultsOf("logic: {}", "connection_status")).toEqual([
      'f:1:1: logic: unknown key "logic"; allowed: sockets',
      "f:1:1: sockets: must be a list of sockets",
    ]);
  });
});

describe("text that does not parse", () => {
  test.each([
    ["[[inputs.socket]]\ndest_url = [\n", "f:3:1: no valid TOML: unspecified values are invalid"],
    ["[agent]\ninterval = 10s\n", "f:2:14: no valid TOML: must be a newline"],
    ["[agent]\ninterval = '10s\n", "f:2:16: no valid TOML: unterminated string constant"],
    ["[agent]\n[agent]\n", "f:2:2: no valid TOML: defining a key multiple times is invalid"],
    [
      "[agent]\ninterval = $INTERVAL\n",
      "f:2:12: no valid TOML: unexpected character: put a reference to the environment in quotes",
    ],
    ["[agent]\n__proto__ = 1\n", "f:2:1: __proto__ cannot be a key"],
    ["logic: {", "f:1:9: the indentation does not fit, or a { or [ before this place is not closed"],
    ["logic: {}\nlogic: {}\n", 'f:2:1: logic: the key "logic" is set twice, first in line 1'],
  ])("%s", (text, fault) => {
    expect(faultsOf(text)[0]).toBe(fault);
  });

  test("is one that is nested too deeply", () => {
    const lists = "[".repeat(100_000) + "]".repeat(100_000);
    expect(faultsOf(`a = ${lists}`)).toEqual(["f:1:1: nested too deeply"]);
    expect(faultsOf(`logic: ${lists}`)[0]).toContain("nested too deeply");
  });
});
