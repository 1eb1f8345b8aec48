import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { createCgroups, isUnified } from "../../src/kernel/cgroups.ts";
import { never } from "../kit/probe.ts";

/** A directory like a mount of cgroup v2, with the inode numbers that it happens to have. */
const createTree = (under = "") => {
  const root = mkdtempSync(join(tmpdir(), "sockscope-cgroup-"));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const mount = join(root, under);
  mkdirSync(mount, { recursive: true });
  writeFileSync(join(mount, "cgroup.controllers"), "");
  return {
    root,
    add: (path: string): number => {
      mkdirSync(join(mount, path), { recursive: true });
      writeFileSync(join(mount, path, "cgroup.procs"), "");
      return statSync(join(mount, path)).ino;
    },
    remove: (path: string) => rmSync(join(mount, path), { recursive: true }),
  };
};

const create = (root: string, limit?: number) => {
  const lines: string[] = [];
  const log = (level: string, message: string): void => void lines.push(`${level} ${message}`);
  const cgroups = createCgroups({ root, log, ...(limit === undefined ? {} : { limit }) });
  /** One tick: these ids are in the dump, and then their names are looked for. */
  const tick = async (...ids: readonly number[]): Promise<void> => {
    for (const id of ids) cgroups.cgroup(id);
    await cgroups.refresh(never);
  };
  return { ...cgroups, lines, tick, pathOf: (id: number) => cgroups.cgroup(id)?.path };
};

describe("the tree", () => {
  test.each(["", "unified"])("mounted as %j is walked for an id that is not known", async (under) => {
    const tree = createTree(under);
    const id = tree.add("system.slice/nginx.service");
    const other = tree.add("system.slice/other.service");
    const { tick, cgroup, stats } = create(tree.root);
    await tick();
    expect(stats().walks).toBe(0);
    expect(cgroup(id)).toBeUndefined();
    await tick();
    expect(cgroup(id)).toEqual({
      path: "/system.slice/nginx.service",
      unit: "nginx.service",
      containerId: undefined,
      podUid: undefined,
    });
    expect(cgroup(id)).toBe(cgroup(id));
    expect(cgroup(other)?.unit).toBe("other.service");
    await tick(id, other);
    expect(stats()).toEqual({ known: 4, unknown: 0, walks: 1, directories: 4 });
  });

  test("an id that is nowhere is looked for again after ten ticks, and forgotten when nobody asks", async () => {
    const tree = createTree();
    const { tick, stats, pathOf } = create(tree.root);
    const walks: number[] = [];
    for (let time = 0; time < 25; time++) {
      await tick(999_999_999_999);
      walks.push(stats().walks);
    }
    expect(walks).toEqual(walks.map((_, time) => 1 + Math.floor(time / 10)));
    // A new cgroup does not wait for that.
    const id = tree.add("a.service");
    await tick(999_999_999_999, id);
    expect(pathOf(id)).toBe("/a.service");
    for (let time = 0; time < 30; time++) await tick();
    expect(stats().walks).toBe(4);
    await tick(888_888_888_888);
    expect(stats()).toMatchObject({ unknown: 1, walks: 5 });
  });

  test("0 is no id", async () => {
    const { tick, stats } = create(createTree().root);
    await tick(0);
    await tick(0);
    expect(stats()).toMatchObject({ unknown: 0, walks: 0 });
  });

  test("what was removed keeps its name", async () => {
    const tree = createTree();
    const id = tree.add("gone.service");
    const { tick, pathOf } = create(tree.root);
    await tick(id);
    tree.remove("gone.service");
    const next = tree.add("next.service");
    if (next !== id) await tick(next);
    expect(pathOf(id)).toBe("/gone.service");
  });

  test("no more are remembered than the limit: the ones that are asked for", async () => {
    const tree = createTree();
    const ids = Array.from({ length: 30 }, (_, at) => tree.add(`${at}.service`));
    const { tick, stats, pathOf } = create(tree.root, 8);
    for (const id of ids) await tick(id);
    for (let time = 0; time < 3; time++) await tick(ids[3] ?? 0, ids[29] ?? 0);
    expect(stats().known).toBeLessThanOrEqual(8);
    expect([pathOf(ids[3] ?? 0), pathOf(ids[29] ?? 0)]).toEqual(["/3.service", "/29.service"]);
    for (let id = 1e12; id < 1e12 + 100; id++) await tick(id);
    expect(stats().unknown).toBeLessThanOrEqual(8);
  });

  test("a walk that is aborted decides nothing", async () => {
    const tree = createTree();
    for (let at = 0; at < 250; at++) tree.add(`${at}.service`);
    const { cgroup, refresh, tick, stats } = create(tree.root);
    cgroup(999_999_999_999);
    const abort = new AbortController();
    const refreshed = refresh(abort.signal);
    abort.abort();
    await refreshed;
    expect(stats()).toMatchObject({ walks: 1, directories: 200 });
    await tick(999_999_999_999);
    expect(stats()).toMatchObject({ walks: 2, directories: 451 });
  });
});

describe("what cannot be seen is said once", () => {
  test("no cgroup v2", async () => {
    const { tick, capability, lines } = create("/nonexistent");
    await tick(5);
    await tick(5);
    expect(capability()).toBe(0);
    expect(lines).toEqual([
      "info not every socket's cgroup has a name: there is no cgroup v2 in /nonexistent; paths.cgroup is where the host's is mounted",
    ]);
  });

  test("the cgroups of a container", async () => {
    const tree = createTree();
    const id = tree.add("inner.service");
    const { tick, capability, lines, pathOf } = create(tree.root);
    await tick(id);
    expect(capability()).toBe(0);
    expect(pathOf(id)).toBe("/inner.service");
    expect(lines).toHaveLength(1);
  });
});

test("a folder holds version 2 alone where it says which controllers there are", () => {
  const folder = mkdtempSync(join(tmpdir(), "sockscope-"));
  expect(isUnified(folder)).toBe(false);
  mkdirSync(join(folder, "unified"));
  writeFileSync(join(folder, "unified", "cgroup.controllers"), "cpu\n");
  expect(isUnified(folder)).toBe(false);
  writeFileSync(join(folder, "cgroup.controllers"), "cpu\n");
  expect(isUnified(folder)).toBe(true);
  rmSync(folder, { recursive: true });
});
