import { X509Certificate } from "node:crypto";
import fc from "fast-check";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { readConfig, readMain } from "../../src/config/parse.ts";
import { ConfigError } from "../../src/model/errors.ts";
import type { Target } from "../../src/model/target.ts";
import { certificate, encryptedKey, key, otherKey } from "../kit/pem.ts";

let folder = "";
const at = (name: string): string => join(folder, name);

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sockscope-targets-"));
});
afterEach(() => rm(folder, { recursive: true }));

const write = async (files: Readonly<Record<string, string>>): Promise<void> => {
  for (const [name, text] of Object.entries(files)) {
    // oxlint-disable-next-line no-await-in-loop -- a folder before what is in it
    await mkdir(dirname(at(name)), { recursive: true });
    // oxlint-disable-next-line no-await-in-loop -- as above
    await writeFile(at(name), text);
  }
};

const load = (env: Readonly<Record<string, string>> = {}) => loadConfig({ file: at("main.yaml"), env });

const faults = async (env: Readonly<Record<string, string>> = {}): Promise<string[]> => {
  try {
    await load(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.replaceAll(`${folder}/`, "").split("\n");
    throw error;
  }
  throw new Error("no fault was found");
};

const targets = async (env: Readonly<Record<string, string>> = {}): Promise<readonly Target[]> =>
  (await load(env)).config.probes.targets;

const main = "probes: { interval: 20s, targets_file: 'targets/*', targets: ['tcp://main:1'] }\n";

describe("files of targets", () => {
  test("follow the targets of the configuration in the order of their names, and inherit its times", async () => {
    await write({
      "main.yaml": main,
      "targets/b.yaml": "- tcp://b:1\n- { name: c, target: 'icmp://c', interval: 1s }\n",
      "targets/a.yaml": "targets: [{ host: a, port: 1, attributes: { team: edge } }]\n",
      "targets/.hidden.yaml": "nothing",
    });
    expect(await targets()).toMatchObject([
      { name: "tcp://main:1" },
      { name: "tcp://a:1", intervalMs: 20_000, attributes: { team: "edge" } },
      { name: "tcp://b:1", intervalMs: 20_000, timeoutMs: 5000 },
      { name: "c", intervalMs: 1000, timeoutMs: 1000 },
    ]);
  });

  test("of Prometheus: without a kind tcp, labels are attributes but for the internal ones", async () => {
    await write({
      "main.yaml": main,
      "targets/sd.json": `[
\t{ "targets": ["db:5432", "udp://ns:53", "icmp://gw", "unix:///run/a", "[::1]:80"],
\t  "labels": { "team": "edge", "tier": 1, "on": true, "__scheme__": "http", "__name__": "x" } },
\t{ "targets": ["other:1"] }, { "targets": [], "labels": {} }
]`,
    });
    const attributes = { team: "edge", tier: "1", on: "true" };
    expect((await targets()).slice(1)).toMatchObject([
      { name: "tcp://db:5432", url: "tcp://db:5432", attributes },
      { name: "udp://ns:53", attributes },
      { name: "icmp://gw", attributes },
      { name: "unix:///run/a", attributes },
      { name: "tcp://[::1]:80", attributes },
      { name: "tcp://other:1", attributes: {} },
    ]);
    expect((await targets())[1]?.attributes).toEqual(attributes);
  });

  test("can be a list, absolute, empty, twice the same, and refer to the environment", async () => {
    await write({
      "main.yaml": `probes: { targets_file: [one.yaml, ./one.yaml, ${at("o*.yaml")}, two/*/x.yml] }`,
      "one.yaml": "- { host: '${env:HOST}', port: '${env:PORT}' }",
      "two/a/x.yml": "[]",
    });
    expect(await targets({ HOST: "h", PORT: "7" })).toMatchObject([{ url: "tcp://h:7" }]);
  });

  test("may not be there yet: a note", async () => {
    await write({ "main.yaml": "probes: { targets_file: [targets/*.yaml, none.json] }" });
    expect((await load()).notes).toEqual([
      "probes.targets_file: no file is there for targets/*.yaml; its targets come when one is.",
      "probes.targets_file: no file is there for none.json; its targets come when one is.",
    ]);
  });
});

describe("faults of all files are told at once", () => {
  test("each with its file and place", async () => {
    await write({
      "main.yaml": `probes:
  timeout: -1s
  targets_file: targets/*
  targets:
    - tcp://main:0
    - { name: same, target: "tcp://main:1" }
    - { target: "tcp://tls:1", tls: { ca_file: none.pem } }
`,
      "targets/a.yaml":
        "- tcp://a:70000\n- { name: same, target: 'tcp://a:1', expect: '(' }\n- { target: 'tcp://a:2', interval: 1s, timeout: 2s }\n",
      "targets/b.json": `[{ "targets": ["b:1", "b", 7, "http://b/"], "labels": { "server.port": "1", "x": null }, "label": 1 }, 3]`,
      "targets/c.yaml": "targets: { a: 1 }\n",
      "targets/d.yaml": "",
      "targets/e.yaml": "hello\n",
      "targets/f.yaml": '- tcp://f:1\n- "tcp://\n',
      "targets/g.yaml": "target: tcp://g:1\n",
      "targets/h.yaml": "- { name: same, target: 'tcp://h:1', tls: { ca_file: none.pem } }\n- tcp://b:1\n",
      "targets/i.json": `[{ "targets": ["b:1", "i:1", "i:1"] }]`,
      "targets/j/k.yaml": "- tcp://k:1",
    });
    expect(await faults()).toEqual([
      "main.yaml:2:12: probes.timeout: must be a duration such as 250ms, 10s, 2m, 1h or 1m30s",
      "main.yaml:5:7: probes.targets[0]: the port must be a whole number from 1 to 65535",
      `main.yaml:7:48: probes.targets[2].tls.ca_file: cannot read ${at("none.pem").replace(`${folder}/`, "")}: no such file`,
      "targets/a.yaml:1:3: [0]: the port must be a whole number from 1 to 65535",
      'targets/a.yaml:2:11: [1].name: "same" is the name of probes.targets[1] of the configuration too: give each target a name of its own',
      "targets/a.yaml:2:46: [1].expect: is no regular expression in RE2's syntax, which has neither look-around nor back-references: error parsing regexp: missing closing ): `(`",
      "targets/a.yaml:3:49: [2].timeout: must not be above the target's interval, 1s",
      "targets/b.json:1:23: [0].targets[1]: the port is missing: write host:port",
      "targets/b.json:1:28: [0].targets[2]: must be host:port or a URL such as tcp://db.internal:5432",
      'targets/b.json:1:31: [0].targets[3]: unknown kind "http"; allowed: tcp, tcp4, tcp6, udp, udp4, udp6, icmp, icmp4, icmp6, unix, unixgram, unixpacket',
      'targets/b.json:1:57: [0].labels["server.port"]: is an attribute that sockscope sets itself: choose another name',
      "targets/b.json:1:82: [0].labels.x: must be text",
      'targets/b.json:1:90: [0].label: unknown key "label", did you mean "labels"? allowed: targets, labels',
      "targets/b.json:1:104: [1]: must be a map of keys",
      "targets/c.yaml:1:10: targets: must be a list of targets",
      "targets/d.yaml:1:1: the file is empty: write a list of targets, or [] for none",
      "targets/e.yaml:1:1: must be a list of targets, or a map with the key targets",
      "targets/f.yaml:2:3: the quote that opens here is not closed",
      'targets/g.yaml:1:1: target: unknown key "target", did you mean "targets"? allowed: targets',
      'targets/h.yaml:1:11: [0].name: "same" is the name of probes.targets[1] of the configuration too: give each target a name of its own',
      "targets/h.yaml:1:54: [0].tls.ca_file: cannot read targets/none.pem: no such file",
      'targets/h.yaml:2:3: [1]: "tcp://b:1" is the name of [0].targets[0] of targets/b.json too: give each target a name of its own',
      'targets/i.json:1:16: [0].targets[0]: "tcp://b:1" is the name of [0].targets[0] of targets/b.json too: list it once',
      'targets/i.json:1:30: [0].targets[2]: "tcp://i:1" is the name of [0].targets[1] too: list it once',
      "targets/j:1:1: cannot read: it is a directory: name the file in it (named by probes.targets_file)",
    ]);
  });

  test("also of files that are no text", async () => {
    await write({ "main.yaml": main });
    await mkdir(at("targets"));
    await writeFile(at("targets/a.yaml"), new Uint8Array([0x23, 0xe9]));
    await writeFile(at("targets/b.yaml"), "\0");
    expect(await faults()).toEqual([
      "targets/a.yaml:1:1: cannot read: it is not UTF-8 text (named by probes.targets_file)",
      "targets/b.yaml:1:1: cannot read: it is a binary file, not YAML text (named by probes.targets_file)",
    ]);
  });

  test("any text is targets or located faults", { timeout: 60_000 }, () => {
    const from = readMain({ file: "main.yaml", text: "{}" }, {});
    const survives = (text: string): void => {
      const { parsed, faults: found } = readConfig(from, [{ file: "t.yaml", text }]);
      expect(parsed === undefined).toBe(found.length > 0);
      for (const { file, line, column } of found) expect([file, Math.min(line, column) > 0]).toEqual(["t.yaml", true]);
    };
    // prettier-ignore
    const pieces = [
      "targets", "labels", "target", "host", "name", "tls", "steps", "send", "- ", "\n", "\n  ", ": ", "[", "]", "{",
      "}", ",", "h:1", "tcp://h:1", "icmp://h", "a", "&a ", "*a", "${env:B", "null", "1", "on", '"', "'", "__x", "#",
    ];
    const text = fc.array(fc.constantFrom(...pieces), { maxLength: 30 }).map((parts) => parts.join(""));
    const groups = fc.array(fc.record({ targets: fc.jsonValue(), labels: fc.jsonValue() }, { requiredKeys: [] }));
    const items = fc.array(
      fc.dictionary(
        fc.constantFrom("target", "host", "port", "path", "protocol", "tls", "steps", "send", "count"),
        fc.jsonValue(),
      ),
    );
    fc.assert(fc.property(fc.oneof(text, fc.string({ unit: "binary" }), fc.json()), survives), { numRuns: 2000 });
    fc.assert(
      fc.property(fc.oneof(groups, items), (value) => survives(JSON.stringify(value))),
      { numRuns: 1000 },
    );
  });
});

describe("files for TLS", () => {
  const text = "probes: { targets: [{ target: 'tcp://h:1', tls: { ca_file: ca, cert_file: cert, key_file: key } }] }";

  test("are found, and each is what it has to be", async () => {
    await write({ "main.yaml": text, ca: `# ours\n${certificate}\n${certificate}`, cert: certificate, key });
    expect(new X509Certificate(certificate).subject).toContain("localhost");
    expect(await targets()).toMatchObject([{ tls: { caFile: at("ca"), certFile: at("cert"), keyFile: at("key") } }]);
  });

  test.each<[string, Readonly<Record<string, string>>, readonly string[]]>([
    ["missing", {}, ["ca: no such file", "cert: no such file", "key: no such file"]],
    [
      "no PEM",
      { ca: "", cert: "a", key: "b" },
      [
        "ca holds no certificate in PEM form",
        "cert holds no certificate in PEM form",
        "key holds no private key in PEM form",
      ],
    ],
    [
      "swapped",
      { ca: key, cert: key, key: certificate },
      [
        "ca holds a private key, and no certificate",
        "cert holds a private key, and no certificate",
        "key holds a certificate, and no private key",
      ],
    ],
    [
      "damaged",
      { ca: certificate.replace("MII", "XXX"), cert: certificate, key: key.replace("\nM", "\nX") },
      ["ca holds a certificate that is damaged", "key holds a private key that is damaged"],
    ],
    [
      "of another certificate",
      { ca: certificate, cert: certificate, key: otherKey },
      ["key holds a private key that does not belong to the certificate in cert_file"],
    ],
    [
      "with a passphrase",
      { ca: certificate, cert: certificate, key: encryptedKey },
      ["key holds a private key with a passphrase: remove the passphrase"],
    ],
  ])("%s", async (_, files, expected) => {
    await write({ "main.yaml": text, ...files });
    const columns: Readonly<Record<string, string>> = {
      ca: "1:60: probes.targets[0].tls.ca_file: ",
      cert: "1:75: probes.targets[0].tls.cert_file: ",
      key: "1:91: probes.targets[0].tls.key_file: ",
    };
    expect(await faults()).toEqual(
      expected.map((fault) => {
        const name = /^\w+/.exec(fault)?.[0] ?? "";
        return `main.yaml:${columns[name]}${/: no such/.test(fault) ? "cannot read " : ""}${fault}`;
      }),
    );
  });

  test("a folder, and what never ends, is refused", async () => {
    await write({
      "main.yaml":
        "probes: { targets: [{ target: 'tcp://h:1', tls: { ca_file: /dev/zero } }, { target: 'tcp://h:2', tls: { ca_file: . } }] }",
    });
    expect(await faults()).toEqual([
      "main.yaml:1:60: probes.targets[0].tls.ca_file: cannot read /dev/zero: it is a pipe, a socket or a device",
      "main.yaml:1:114: probes.targets[1].tls.ca_file: cannot read .: it is a directory: name the file in it",
    ]);
  });

  test("of a destination are checked as those of targets are", async () => {
    await write({
      "main.yaml": "export: { otlp: { endpoint: 'https://h', tls: { ca_file: ca, cert_file: cert, key_file: key } } }",
      ca: key,
      cert: certificate,
      key: otherKey,
    });
    expect(await faults()).toEqual([
      "main.yaml:1:58: export.otlp.tls.ca_file: ca holds a private key, and no certificate",
      "main.yaml:1:89: export.otlp.tls.key_file: key holds a private key that does not belong to the certificate in cert_file",
    ]);
    await write({ ca: certificate, key });
    const { config } = await load();
    expect(config.export.otlp[0]?.tls).toMatchObject({ caFile: at("ca"), certFile: at("cert"), keyFile: at("key") });
  });

  test("of variables are checked where they are used", async () => {
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: "https://h",
      OTEL_EXPORTER_OTLP_CERTIFICATE: at("ca"),
      OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: at("cert"),
      OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY: at("key"),
    };
    await write({ "main.yaml": "{}", cert: certificate, key: otherKey });
    expect(await faults(env)).toEqual([
      "main.yaml:1:1: OTEL_EXPORTER_OTLP_CERTIFICATE: cannot read ca: no such file",
      "main.yaml:1:1: OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY: key holds a private key that does not belong to the certificate in cert_file",
    ]);
    expect(
      (await load({ ...env, OTEL_EXPORTER_OTLP_ENDPOINT: "http://h" })).config.export.otlp[0]?.tls,
    ).toBeUndefined();
    await write({
      "main.yaml": "export: { otlp: { tls: { ca_file: cert, cert_file: cert, key_file: own } } }",
      own: key,
    });
    expect((await load(env)).config.export.otlp[0]?.tls).toMatchObject({ caFile: at("cert"), keyFile: at("own") });
  });
});
