import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createNetnsFiles, type NetnsFilesOptions, readOwnNetns } from "../../src/kernel/netns-files.ts";
import { holdsContainers } from "../../src/select/matchers.ts";

const container = "0123456789abcdef".repeat(4);

describe.skipIf(process.platform !== "linux")("files of network namespaces", () => {
  let root = "";
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "sockscope-netns-"));
    mkdirSync(join(root, "netns"));
  });
  afterEach(() => rmSync(root, { recursive: true }));

  /** A process in the namespace with this inode. */
  const start = (pid: number, inode: number, cgroup = "/"): void => {
    const folder = join(root, String(pid));
    mkdirSync(join(folder, "ns"), { recursive: true });
    rmSync(join(folder, "ns/net"), { force: true });
    symlinkSync(`net:[${inode}]`, join(folder, "ns/net"));
    writeFileSync(join(folder, "cgroup"), `0::${cgroup}\n`);
  };
  const end = (pid: number): void => rmSync(join(root, String(pid)), { recursive: true });
  /** A name of the namespace that its file is. */
  const add = (name: string): number => {
    const path = join(root, "netns", name);
    writeFileSync(path, "");
    return statSync(path).ino;
  };

  const create = (options: Partial<NetnsFilesOptions> = {}) => {
    const files = createNetnsFiles({
      proc: root,
      device: statSync(root).dev,
      own: 1,
      selection: "all",
      isWanted: () => false,
      folders: { named: [join(root, "netns")], others: [] },
      ...options,
    });
    return async () => {
      const { complete, found } = await files.scan(new AbortController().signal);
      const wanted = [...found].filter(([, netns]) => netns.wanted);
      return { complete, wanted: Object.fromEntries(wanted.map(([inode, { name }]) => [inode, name])), found };
    };
  };

  test("a namespace is found once, by its processes and by its name", async () => {
    start(10, 1);
    start(11, 2);
    start(12, 2);
    const blue = add("blue");
    start(13, blue);
    // One that says nothing is not told from an inode.
    const digits = add("4026531840");
    const { complete, wanted, found } = await create()();
    expect({ complete, wanted }).toEqual({
      complete: true,
      wanted: { 2: undefined, [blue]: "blue", [digits]: undefined },
    });
    expect(found.get(2)?.paths).toEqual([`${root}/11/ns/net`, `${root}/12/ns/net`]);
    expect(found.get(blue)?.paths).toEqual([`${root}/netns/blue`, `${root}/13/ns/net`]);
  });

  test("what is left of a name is no namespace", async () => {
    add("gone");
    expect((await create({ device: -1 })()).wanted).toEqual({});
  });

  test("a scan goes on where the budget of the last one ended, and begins anew after all", async () => {
    for (let pid = 10; pid < 15; pid++) start(pid, pid);
    const scan = create({ budget: 2 });
    const first = await scan();
    expect([first.complete, Object.keys(first.wanted)]).toEqual([false, ["10", "11"]]);
    end(10);
    const second = await scan();
    expect([second.complete, Object.keys(second.wanted)]).toEqual([false, ["10", "11", "12", "13"]]);
    const third = await scan();
    expect([third.complete, Object.keys(third.wanted)]).toEqual([true, ["10", "11", "12", "13", "14"]]);
    expect(Object.keys((await scan()).wanted)).toEqual(["11", "12"]);
  });

  test("a selection takes those of its containers, processes and names", async () => {
    start(10, 10);
    start(11, 11, `/system.slice/docker-${container}.scope`);
    start(12, 12);
    start(13, 13);
    const [blue] = [add("blue"), add("red")];
    const selection = { containers: [container.slice(0, 12)], pids: [12, 99], names: ["blue", "green"] };
    const scan = create({ selection, isWanted: holdsContainers(selection.containers) });
    expect((await scan()).wanted).toEqual({ 11: undefined, 12: undefined, [blue]: "blue" });
    const green = add("green");
    expect((await scan()).wanted).toMatchObject({ [green]: "green" });
  });

  test("where neither all nor containers are asked for, processes are not looked at", async () => {
    start(10, 10);
    start(12, 12);
    const { complete, found } = await create({ selection: { containers: [], pids: [12], names: [] } })();
    expect([complete, [...found.keys()]]).toEqual([true, [12]]);
  });

  test("the agent's own namespace has the number of its inode where it has no name", () => {
    const none = { named: [join(root, "netns")], others: [] };
    expect(readOwnNetns("/proc", none)).toBe(String(statSync("/proc/self/ns/net").ino));
  });
});
