import { spawnSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { CgroupInfo, ProcessInfo } from "../../src/model/owner.ts";
import { cleanEnvironment } from "../kit/agent.ts";

type InCgroup = { readonly path: string; readonly after: CgroupInfo; readonly process: ProcessInfo };
type Scenario = {
  readonly cgroups: {
    readonly parent: string;
    readonly seen: { readonly docker: InCgroup; readonly pod: InCgroup };
    readonly capability: number;
    readonly removed: readonly string[];
    readonly late: unknown;
    readonly walks: { readonly first: number; readonly later: number };
  };
  readonly reused: {
    readonly pids: readonly [number, number];
    readonly found: readonly unknown[];
    readonly incremental: number;
    readonly after: readonly unknown[];
  };
  readonly inherited: {
    readonly own: number;
    readonly child: number;
    readonly shared: number;
    readonly alone: number;
  };
  readonly nobody: { readonly without: unknown; readonly with: unknown };
  readonly lines: readonly string[];
};

/** In namespaces whose first process the script is, with cgroup v2 mounted where its argument says. */
const run = (command: string, ...args: readonly string[]) => {
  const mount = mkdtempSync(join(tmpdir(), "sockscope-cgroup2-"));
  const setup = `ip link set lo up && mount -t cgroup2 none ${mount} && ${command}`;
  const namespaces = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
  try {
    return spawnSync("unshare", [...namespaces, "sh", "-ec", setup, ...args, mount], {
      encoding: "utf8",
      timeout: 60_000,
      env: cleanEnvironment(),
    });
  } finally {
    rmdirSync(mount);
  }
};

const canMount = process.platform === "linux" && process.getuid?.() === 0 && run("true").status === 0;

describe.skipIf(!canMount)("owners of sockets", () => {
  let seen = {} as Scenario;
  beforeAll(() => {
    const script = new URL("./owners-scenario.ts", import.meta.url).pathname;
    const child = run('exec "$0" "$@"', process.execPath, script);
    expect(child.stderr).toBe("");
    seen = JSON.parse(child.stdout) as Scenario;
  }, 60_000);

  const id = "0123456789abcdef".repeat(4);
  test.each([
    ["docker", { unit: `docker-${id}.scope`, containerId: id }],
    ["pod", { unit: `cri-containerd-${id}.scope`, containerId: id, podUid: "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0" }],
  ] as const)("the cgroup that a socket was made in: %s", (name, says) => {
    const { path, after, process: holder } = seen.cgroups.seen[name];
    expect(after).toEqual({ path: `/${path}`, ...says });
    expect(holder).toMatchObject({ pid: seen.inherited.own, executable: expect.stringMatching(/^node/) });
    // Read once a process: it is where the process was then.
    expect(holder.cgroup?.path).toBe(`/${seen.cgroups.seen.docker.path}`);
  });

  test("a removed cgroup keeps its name, and who comes later walks in vain once", () => {
    const { removed, seen: before, late, capability, walks } = seen.cgroups;
    expect(removed).toEqual([`/${before.docker.path}`, `/${before.pod.path}`]);
    expect(late).toEqual({ known: [null, null], walks: 1 });
    expect(capability).toBe(1);
    expect(walks).toEqual({ first: 2, later: 2 });
  });

  test("a process that got the pid of another owns none of its sockets", () => {
    const { pids, found, after, incremental } = seen.reused;
    expect(pids[1]).toBe(pids[0]);
    expect(found).toEqual([pids[0]]);
    expect(after).toEqual([null, pids[1]]);
    expect(incremental).toBe(0);
  });

  test("an inherited connection is the lowest pid's, and the child's when that one has closed it", () => {
    const { own, child, shared, alone } = seen.inherited;
    expect([shared, alone]).toEqual([own, child]);
  });

  test("another user knows its own sockets, and with two capabilities all", () => {
    expect(seen.nobody.without).toEqual({
      mine: true,
      theirs: null,
      capability: "own",
      lines: [expect.stringContaining("CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH")],
    });
    expect(seen.nobody.with).toEqual({ mine: true, theirs: seen.inherited.own, capability: "all", lines: [] });
  });

  test("root lacks nothing", () => {
    expect(seen.lines).toEqual([]);
  });
});
