import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { type Watch, watchTargets } from "../../src/config/watch.ts";
import type { Config } from "../../src/model/config.ts";
import { certificate } from "../kit/pem.ts";
import { until } from "../kit/until.ts";

let folder = "";
let watch: Watch | undefined;
const at = (name: string): string => join(folder, name);
/** At once: half a file would be a fault of its own. */
const put = async (name: string, text: string): Promise<void> => {
  await writeFile(at("new"), text);
  await rename(at("new"), at(name));
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sockscope-watch-"));
  await mkdir(at("targets"));
});
afterEach(async () => {
  await watch?.stop();
  await rm(folder, { recursive: true });
});

const pollMs = 5;
/** Long enough for a change to be seen, if it were one. */
const quiet = (): Promise<void> => setTimeout(20 * pollMs);

const start = async (main = "probes: { targets_file: 'targets/*.yaml', targets: ['tcp://main:1'] }") => {
  await put("main.yaml", main);
  const load = () => loadConfig({ file: at("main.yaml"), env: {} });
  const loaded = await load();
  const logged: string[] = [];
  const applied: Config[] = [];
  watch = watchTargets({
    loaded,
    load,
    pollMs,
    log: (level, message) => logged.push(`${level}: ${message.replaceAll(`${folder}/`, "")}`),
    apply: async (config) => void applied.push(config),
  });
  const names = (): string[] => (applied.at(-1) ?? loaded.config).probes.targets.map(({ name }) => name);
  const become = async (...expected: readonly string[]): Promise<void> => {
    await until(`${expected.join()}, not ${names().join()}`, () => names().join() === expected.join());
  };
  return { watch, logged, applied, names, become };
};

const kept = "error: the targets of these files stay as they were:\n";

describe("files of targets", () => {
  test("that come, change and go are in force; what does not change is not applied again", async () => {
    const { become, applied, logged } = await start();
    await put("targets/b.yaml", "- tcp://b:1");
    await become("tcp://main:1", "tcp://b:1");
    await put("targets/a.yaml", "- tcp://a:1");
    await become("tcp://main:1", "tcp://a:1", "tcp://b:1");
    await put("targets/b.yaml", "- tcp://b:22");
    await become("tcp://main:1", "tcp://a:1", "tcp://b:22");
    await put("targets/b.yaml", "- tcp://b:22");
    await quiet();
    expect(applied).toHaveLength(3);
    await rm(at("targets/a.yaml"));
    await become("tcp://main:1", "tcp://b:22");
    await rm(at("targets"), { recursive: true });
    await become("tcp://main:1");
    expect(logged).toEqual([
      "info: probes.targets_file: no file is there for targets/*.yaml; its targets come when one is.",
    ]);
  });

  test("are followed through links that change, as those of a ConfigMap do", async () => {
    await mkdir(at("targets/..1"));
    await mkdir(at("targets/..2"));
    await put("targets/..1/a.yaml", "- tcp://a:1");
    await put("targets/..2/a.yaml", "- tcp://a:2");
    await symlink("..1", at("targets/..data"));
    await symlink("..data/a.yaml", at("targets/a.yaml"));
    const { become } = await start();
    await become("tcp://main:1", "tcp://a:1");
    await symlink("..2", at("targets/..new"));
    await rename(at("targets/..new"), at("targets/..data"));
    await become("tcp://main:1", "tcp://a:2");
  });

  test("with a fault keep their targets, and those of the others change", async () => {
    await put("targets/a.yaml", "- tcp://a:1");
    const { become, names, logged } = await start();
    await put("targets/a.yaml", "- tcp://a:0\n- tpc://a:1");
    await put("targets/c.yaml", "- ?");
    await put("targets/b.yaml", "- tcp://b:1");
    await become("tcp://main:1", "tcp://a:1", "tcp://b:1");
    await quiet();
    const faults = logged.flatMap((line) => line.split("\n")).filter((line) => line.startsWith("targets/"));
    expect(faults.filter((line) => line.startsWith("targets/a.yaml:1:3: [0]: the port must"))).not.toEqual([]);
    expect(faults.some((line) => line.startsWith('targets/a.yaml:2:3: [1]: unknown kind "tpc"'))).toBe(true);
    expect(faults.some((line) => line.startsWith("targets/c.yaml:1:"))).toBe(true);

    await put("targets/a.yaml", "- tcp://a:2");
    await rm(at("targets/c.yaml"));
    await become("tcp://main:1", "tcp://a:2", "tcp://b:1");
    expect(names()).toHaveLength(3);
  });

  test("with a fault are complained of once for each change", async () => {
    await put("targets/a.yaml", "- tcp://a:1");
    const { logged, applied } = await start();
    const fault = `${kept}targets/a.yaml:1:3: [0]: the port must be a whole number from 1 to 65535`;
    await put("targets/a.yaml", "- tcp://a:0");
    await until("a line in the log", () => logged.length === 1);
    await quiet();
    expect(logged).toEqual([fault]);
    await put("targets/a.yaml", "- tcp://b:0");
    await until("a line in the log", () => logged.length === 2);
    expect(logged).toEqual([fault, fault]);
    expect(applied).toEqual([]);
  });

  test("that take the name of another file's target are refused, whichever comes first", async () => {
    await put("targets/b.yaml", "- { name: same, target: 'tcp://b:1' }");
    const { become, logged } = await start();
    await put("targets/a.yaml", "- { name: same, target: 'tcp://a:1' }");
    await until("a line in the log", () => logged.length === 1);
    expect(logged[0]).toBe(
      `${kept}targets/b.yaml:1:11: [0].name: "same" is the name of [0] of targets/a.yaml too: give each target a name of its own`,
    );
    await put("targets/c.yaml", "- tcp://c:1");
    await become("tcp://main:1", "same", "tcp://c:1");
    await rm(at("targets/b.yaml"));
    await become("tcp://main:1", "same", "tcp://c:1");
  });

  test("wait for the files that they name", async () => {
    const { become, logged } = await start();
    await put("targets/a.yaml", "- { name: a, target: 'tcp://a:1', tls: { ca_file: ca.pem } }");
    await until("a line in the log", () => logged.length === 1);
    expect(logged[0]).toBe(`${kept}targets/a.yaml:1:51: [0].tls.ca_file: cannot read targets/ca.pem: no such file`);
    await put("targets/ca.pem", certificate);
    await become("tcp://main:1", "a");
    await rm(at("targets/ca.pem"));
    await put("targets/b.yaml", "- tcp://b:1");
    await become("tcp://main:1", "a", "tcp://b:1");
    expect(logged).toHaveLength(1);
  });
});

describe("the configuration itself", () => {
  test("is read again by a reload only", async () => {
    const { watch: own, become } = await start();
    await put("main.yaml", "probes: { targets_file: targets/*.yaml, targets: ['tcp://other:1'] }");
    await put("targets/a.yaml", "- tcp://a:1");
    await become("tcp://main:1", "tcp://a:1");
    await put("targets/a.yaml", "- tcp://a:2");
    await own.reload();
    await become("tcp://other:1", "tcp://a:2");
    await put("main.yaml", "probes: { targets_file: targets/*.yml }");
    await put("targets/b.yml", "- tcp://b:1");
    await own.reload();
    await become("tcp://b:1");
    await put("targets/b.yml", "- tcp://b:2");
    await become("tcp://b:2");
  });

  test("with a fault, or one in a file of targets, leaves everything as it was", async () => {
    await put("targets/a.yaml", "- tcp://a:1");
    const { watch: own, logged, applied, become } = await start();
    await put("main.yaml", "probes: { targets_file: targets/*.yaml, targets: ['tcp://main:0'] }");
    await own.reload();
    expect(logged).toEqual([
      "error: the configuration stays as it was:\nmain.yaml:1:51: probes.targets[0]: the port must be a whole number from 1 to 65535",
    ]);
    expect(applied).toEqual([]);
    await put("targets/a.yaml", "- tcp://a:2");
    await become("tcp://main:1", "tcp://a:2");
  });
});

test("nothing is read after the end", async () => {
  const { watch: own, applied } = await start();
  await own.stop();
  await put("targets/a.yaml", "- tcp://a:1");
  await quiet();
  expect(applied).toEqual([]);
});
