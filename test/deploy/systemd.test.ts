import { spawnSync } from "node:child_process";
import { chownSync, copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { configFile } from "../kit/agent.ts";
import { parseExposition } from "../kit/exposition.ts";
import { openFlow, startEcho } from "../kit/loopback.ts";
import { isRoot } from "../kit/net-namespace.ts";
import { enterOwnNamespace } from "../kit/own-namespace.ts";
import { scratchFolder } from "../kit/program.ts";
import { readUnit, startByUnit, unitFolder } from "../kit/systemd-unit.ts";
import { fetchText, until } from "../kit/until.ts";

const hasAnalyze = spawnSync("systemd-analyze", ["--version"]).status === 0;
const dropIns: readonly (readonly [tier: string, files: readonly string[], exposure: number])[] = [
  ["tier 0", [], 1.5],
  ["tier 1", ["tier-1.conf"], 2.5],
  ["tier 2", ["tier-2.conf"], 3],
];

/** The unit with its drop-ins as they are installed. */
const install = (folder: string, files: readonly string[]): string => {
  const unit = join(folder, "sockscope.service");
  copyFileSync(join(unitFolder, "sockscope.service"), unit);
  mkdirSync(`${unit}.d`);
  for (const file of files) copyFileSync(join(unitFolder, file), join(`${unit}.d`, file));
  return unit;
};

const analyze = (folder: string, ...args: readonly string[]) => {
  const { status, stdout, stderr } = spawnSync("systemd-analyze", ["--no-pager", ...args], {
    env: { ...process.env, SYSTEMD_UNIT_PATH: `${folder}:` },
    encoding: "utf8",
  });
  return { status, said: stdout + stderr };
};

describe.skipIf(!hasAnalyze)("the unit for systemd", () => {
  test.for(dropIns)("%s: systemd understands all of it", ([, files]) => {
    using folder = scratchFolder();
    expect(analyze(folder.path, "verify", "--man=no", "--generators=no", install(folder.path, files))).toEqual({
      status: 0,
      said: "",
    });
  });

  test.for(dropIns)("%s: little is exposed", ([, files, most]) => {
    using folder = scratchFolder();
    const unit = install(folder.path, files);
    const { status, said } = analyze(folder.path, "security", "--offline=yes", `--threshold=${most * 10}`, unit);
    const exposure = Number(/exposure level for sockscope.service: ([\d.]+)/.exec(said)?.[1]);
    expect(exposure).toBeLessThanOrEqual(most);
    // Each drop-in is in force: a tier exposes more than the one before it.
    expect(exposure).toBeGreaterThan(most - 1);
    expect(status).toBe(0);
  });
});

const configOf = (port: number, folder: string): string => `
collection: { interval: 500ms, timeout: 500ms }
probes:
  interval: 500ms
  timeout: 400ms
  targets:
    - { name: tcp, target: "tcp://localhost:${port}" }
    - { name: udp, target: "udp://127.0.0.1:${port}", udp_silence: 100ms }
    - { name: unix, target: "unix:///run/no-such.sock" }
    - { name: icmp, target: "icmp://127.0.0.1" }
sockets: { protocols: [tcp, udp, unix, packet, netlink], group_by: process }
export:
  otlp: { endpoint: "http://127.0.0.1:${port}", sending_queue: { storage: ${folder}/queue } }
  file: { path: ${folder}/metrics.jsonl }
  prometheus: { listen: "127.0.0.1:9464" }
`;

/** What the kernel says of a process. */
const statusOf = (pid: number | undefined): Record<string, string> =>
  Object.fromEntries(
    readFileSync(`/proc/${pid}/status`, "utf8")
      .split("\n")
      .map((line) => line.split(/:\s+/) as [string, string]),
  );

describe.skipIf(!hasAnalyze || !isRoot)("the agent under the unit's settings", () => {
  let leave: (() => void) | undefined;
  beforeAll(() => {
    leave = enterOwnNamespace();
  });
  afterAll(() => leave?.());

  test.for([
    ["tier 0", ["sockscope.service"], "0000000000000000", false],
    ["tier 1", ["sockscope.service", "tier-1.conf"], "0000000000080004", true],
    ["tier 2", ["sockscope.service", "tier-2.conf"], "0000000000280004", true],
  ] as const)(
    "%s: does all that it is for, by no other system call than the filter allows",
    { timeout: 60_000 },
    async ([, files, capabilities, seesOthers]) => {
      using folder = scratchFolder();
      chownSync(folder.path, 65_534, 65_534);
      await using echo = await startEcho();
      await using flow = await openFlow(echo.port, 1000);
      expect(flow).toBeDefined();
      using config = configFile(configOf(echo.port, folder.path));
      await using agent = startByUnit(readUnit(...files), { config: config.path, writable: folder.path });
      const url = await agent.pageUrl();
      const page = async () => parseExposition((await fetchText(`${url}/metrics`)) ?? "");
      await until("all targets are probed", async () => (await page()).find("sockscope_probe_up").length === 3);
      const { find, value } = await page();
      const of = (name: string, label: string) =>
        Object.fromEntries(find(name).map(({ labels, value: is }) => [labels[label], is]));
      expect(of("sockscope_agent_capability", "sockscope_agent_source")).toMatchObject({
        sockets: 1,
        events: 1,
        sockstat: 1,
      });
      expect(of("sockscope_probe_up", "sockscope_probe_name")).toEqual({ tcp: 1, udp: 0, unix: 0 });
      // The kernel's default lets nobody send echoes, and the unit has no CAP_NET_RAW.
      expect(
        value("sockscope_probe_runs_total", { sockscope_probe_name: "icmp", sockscope_probe_outcome: "not_run" }),
      ).toBeGreaterThan(0);
      expect(find("sockscope_flow_io_bytes_total", { network_io_direction: "receive" })).not.toEqual([]);
      // This test's process is another user's.
      const seen = find("sockscope_flow_count").some(({ labels }) => labels["process_pid"] === String(process.pid));
      expect(seen).toBe(seesOthers);
      expect(find("sockscope_sockstat_time_wait_limit")).toHaveLength(1);

      expect(statusOf(agent.child.pid)).toMatchObject({
        Uid: "65534\t65534\t65534\t65534",
        CapEff: capabilities,
        CapBnd: capabilities,
        NoNewPrivs: "1",
        Seccomp: "2",
      });
      agent.child.kill("SIGHUP");
      await agent.logged(/reload/);
      expect(readFileSync(join(folder.path, "metrics.jsonl"), "utf8")).toContain("sockscope.probe.up");
      expect(await agent.stop()).toEqual({ code: 0, signal: null });
    },
  );
});
