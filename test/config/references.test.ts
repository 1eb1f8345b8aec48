import { describe, expect, test } from "vitest";
import { configOf, messageOf } from "./parsing.ts";

describe("references to the environment", () => {
  const env = {
    PORT: "5432",
    HOST: "db.internal",
    COUNT: "64",
    EMPTY: "",
    NESTED: "${env:HOST}",
    SWITCH: "off",
    CODE: "0123",
    LIST: "[tcp]",
  };

  test("stand in the middle of text, and next to each other", () => {
    const { targets } = configOf(
      "probes: { targets: ['tcp://${env:HOST}:${env:PORT}', 'tcp://${HOST}:1'] }",
      env,
    ).probes;
    expect(targets.map(({ url }) => url)).toEqual(["tcp://db.internal:5432", "tcp://db.internal:1"]);
  });

  test("are numbers and switches where those are asked, in quotes too", () => {
    const config = configOf(
      'probes:\n  concurrency: ${env:COUNT}\nsockets: { max_groups: "${env:COUNT}" }\nhost: ${env:SWITCH}',
      env,
    );
    expect(config.probes.concurrency).toBe(64);
    expect(config.sockets).toMatchObject({ maxGroups: 64 });
    expect(config.host.sockstat).toBe(false);
  });

  test("are text where text is asked", () => {
    const text =
      "export:\n  otlp:\n    headers:\n      x-plain: ${env:COUNT}\n      x-quoted: '${env:CODE}'\n      x-empty: ${env:EMPTY}\n";
    expect(configOf(text, env).export.otlp[0]?.headers).toEqual({ "x-plain": "64", "x-quoted": "0123", "x-empty": "" });
  });

  test("are, as attributes, what YAML makes of them, and text when they are in quotes", () => {
    const text =
      'resource:\n  attributes:\n    plain: ${env:COUNT}\n    quoted: "${env:COUNT}"\n    part: a${env:COUNT}\n';
    expect(configOf(text, env).resource.attributes).toEqual({ plain: 64, quoted: "64", part: "a64" });
  });

  test("take the default of a variable that is not set, not of one that is empty", () => {
    const text = "resource: { attributes: { a: 'x${env:NONE:-y:-z}', b: 'x${env:EMPTY:-y}', c: 'x${env:NONE:-}' } }";
    expect(configOf(text, env).resource.attributes).toEqual({ a: "xy:-z", b: "x", c: "x" });
  });

  test("that are empty leave the key to its default", () => {
    expect(configOf("collection:\n  interval: ${env:EMPTY}", env).collection.intervalMs).toBe(15_000);
  });

  test("are not looked for in what they stand for, nor in keys", () => {
    const text = "resource: { attributes: { a: '${env:NESTED}', '${env:HOST}': b } }";
    expect(configOf(text, env).resource.attributes).toEqual({ a: "${env:HOST}", "${env:HOST}": "b" });
  });

  test("are escaped with $$", () => {
    const text = "resource: { attributes: { a: '$${env:HOST}', b: $$5, c: $5, d: $$$$, e: '$$${env:HOST}' } }";
    expect(configOf(text, env).resource.attributes).toEqual({
      a: "${env:HOST}",
      b: "$5",
      c: "$5",
      d: "$$",
      e: "$db.internal",
    });
  });

  test("never stand for a list or a map", () => {
    expect(messageOf("sockets:\n  protocols: ${env:LIST}", env)).toBe(
      "f.yaml:2:14: sockets.protocols: must be a list of protocols, as in [tcp, udp]",
    );
  });

  test("find own variables only", () => {
    expect(messageOf("resource: { attributes: { a: '${env:constructor}' } }", {})).toContain(
      "the environment variable constructor is not set",
    );
  });
});
