import { spawn } from "node:child_process";
import { once } from "node:events";
import { readlinkSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { createProcesses } from "../../src/kernel/processes.ts";
import { parseSocketLink } from "../../src/text/proc-pid.ts";
import { createFakeProc, type FakeProc } from "../kit/fake-proc.ts";
import { never } from "../kit/probe.ts";

const create = (proc: string, budget?: number) => {
  const lines: string[] = [];
  const log = (level: string, message: string): void => void lines.push(`${level} ${message}`);
  const processes = createProcesses({ proc, log, ...(budget === undefined ? {} : { budget }) });
  /** One tick: these inodes are in the dump, and then their processes are looked for. Links that were read for it. */
  const tick = async (...inodes: readonly number[]): Promise<number> => {
    const { links } = processes.stats();
    for (const inode of inodes) processes.process(inode);
    await processes.refresh(never);
    return processes.stats().links - links;
  };
  const pidOf = (inode: number): number | undefined => processes.process(inode)?.pid;
  return { ...processes, lines, tick, pidOf };
};

describe.skipIf(process.platform !== "linux")("a directory like /proc", () => {
  const open = (): FakeProc => {
    const proc = createFakeProc();
    onTestFinished(() => proc[Symbol.dispose]());
    return proc;
  };

  test("nothing is read until it is asked for, and nothing for a socket without a file", async () => {
    const proc = open();
    proc.start(10, [100, 101]);
    const { tick, process, stats } = create(proc.path);
    expect(await tick()).toBe(0);
    expect(await tick(0)).toBe(0);
    expect(process(0)).toBeUndefined();
    expect(stats()).toMatchObject({ sockets: 0, wanted: 0 });
  });

  test("a process by its socket", async () => {
    const proc = open();
    const cgroup = `/system.slice/docker-${"ab".repeat(32)}.scope`;
    proc.start(10, [100], { comm: "web", exe: "/usr/sbin/nginx (deleted)", cmdline: "nginx\0-g\0x y\0", cgroup });
    const { tick, process } = create(proc.path);
    await tick(100);
    expect(process(100)).toEqual({
      pid: 10,
      executable: "nginx",
      argv: ["nginx", "-g", "x y"],
      cgroup: expect.objectContaining({ path: cgroup, containerId: "ab".repeat(32) }),
    });
  });

  test("without a link to the executable it has the kernel's name", async () => {
    const proc = open();
    proc.start(10, [100], { comm: "kworker/0:1" });
    const { tick, process } = create(proc.path);
    await tick(100);
    expect(process(100)).toMatchObject({ executable: "kworker/0:1", argv: [] });
  });

  test("a new socket costs the files of the process that has one more", async () => {
    const proc = open();
    proc.start(10, [100, 101, 102]);
    proc.start(11, [110, 111, 112, 113, 114]);
    proc.start(12, [120, 121]);
    const { tick, pidOf } = create(proc.path);
    expect(await tick(100, 110, 120)).toBe(3 + 5 + 2);
    expect(await tick(100, 110, 120)).toBe(0);
    proc.open(12, 122);
    // The newest descriptor is the first that is read.
    expect(await tick(100, 110, 120, 122)).toBe(1);
    expect(pidOf(122)).toBe(12);
    expect(await tick(100, 110, 120, 122)).toBe(0);
  });

  test("one in the place of another is found once it has lasted a tick", async () => {
    const proc = open();
    proc.start(10, [100, 101]);
    proc.start(11, [110, 111]);
    const { tick, pidOf } = create(proc.path);
    await tick(100, 110);
    proc.swap(11, 110, 119);
    expect(await tick(100, 119)).toBe(0);
    expect(await tick(100, 119)).toBeGreaterThan(0);
    expect(pidOf(119)).toBe(11);
  });

  test("a socket that several processes hold is the lowest pid's", async () => {
    const proc = open();
    proc.start(12, [100]);
    proc.start(9, [100]);
    proc.start(100, [100]);
    const { tick, pidOf } = create(proc.path);
    await tick(100);
    expect(pidOf(100)).toBe(9);
    // Its holder ends: the next one takes over.
    proc.end(9);
    await tick(100);
    await tick(100);
    await tick(100);
    expect(pidOf(100)).toBe(12);
  });

  test("a lower pid that is read later takes the socket over", async () => {
    const proc = open();
    proc.start(20, [100]);
    const { tick, pidOf } = create(proc.path);
    await tick(100);
    proc.start(10, [100, 101]);
    await tick(100, 101);
    expect(pidOf(100)).toBe(20);
    await tick(100, 102);
    await tick(100, 102);
    expect(pidOf(100)).toBe(10);
  });

  test("a socket that its process closed and another one holds", async () => {
    const proc = open();
    proc.start(10, [100, 101]);
    proc.start(11, [100]);
    const { tick, pidOf } = create(proc.path);
    await tick(100, 101);
    proc.close(10, 100);
    for (let time = 0; time < 4; time++) await tick(100, 101, 102);
    expect(pidOf(100)).toBe(11);
    expect(pidOf(101)).toBe(10);
  });

  test("a connection that its server has closed by the next tick is its child's", async () => {
    const proc = open();
    proc.start(10, [100, 101]);
    const { tick, pidOf, stats } = create(proc.path);
    await tick(100, 101);
    proc.start(11, [101]);
    proc.close(10, 101);
    await tick(100, 101);
    await tick(100, 101);
    expect([pidOf(100), pidOf(101)]).toEqual([10, 11]);
    const { checks } = stats();
    await tick(100, 101);
    await tick(100, 101);
    expect(stats().checks).toBe(checks + 1);
  });

  test("a process with the pid of one that ended owns none of its sockets", async () => {
    const proc = open();
    proc.start(10, [100], { comm: "old", starttime: 5 });
    const { tick, process } = create(proc.path);
    await tick(100);
    expect(process(100)?.executable).toBe("old");
    proc.start(10, [110], { comm: "new", starttime: 6 });
    await tick(100, 110);
    expect(process(100)).toBeUndefined();
    await tick(110);
    expect(process(110)?.executable).toBe("new");
    expect(process(100)).toBeUndefined();
  });

  test("after an exec it is the new program", async () => {
    const proc = open();
    proc.start(10, [100], { comm: "sh", exe: "/bin/sh", cmdline: "sh\0" });
    const { tick, process } = create(proc.path);
    await tick(100);
    proc.exec(10, { comm: "server", exe: "/opt/server", cmdline: "server\0-v\0" });
    expect(await tick(100)).toBe(0);
    expect(process(100)).toMatchObject({ executable: "server", argv: ["server", "-v"] });
  });

  test("no tick reads more than its budget, and the next one goes on from there", async () => {
    const proc = open();
    for (const pid of [10, 11, 12])
      proc.start(
        pid,
        Array.from({ length: 10 }, (_, at) => pid * 100 + at),
      );
    const { tick, pidOf } = create(proc.path, 7);
    const all = [1000, 1100, 1200];
    const reads: number[] = [];
    for (let time = 0; time < 5; time++) reads.push(await tick(...all));
    expect(reads).toEqual([7, 7, 7, 7, 2]);
    expect(all.map(pidOf)).toEqual([10, 11, 12]);
  });

  test("an inode of nobody is given up, looked for again much later, and forgotten", async () => {
    const proc = open();
    proc.start(10, [100, 101, 102]);
    const { tick, stats, pidOf } = create(proc.path);
    const reads: number[] = [];
    for (let time = 0; time < 60; time++) reads.push(await tick(999));
    // The new process, two sweeps, and the same again.
    expect(reads.slice(0, 10)).toEqual([3, 3, 3, 0, 0, 0, 0, 0, 0, 0]);
    expect(reads.slice(10).reduce((sum, count) => sum + count, 0)).toBe(6);
    proc.open(10, 999);
    await tick(999, 103);
    expect(pidOf(999)).toBe(10);
    for (let time = 0; time < 21; time++) await tick();
    expect(stats()).toMatchObject({ sockets: 0, wanted: 0 });
  });

  test("a socket that was gone before the next tick costs no sweep", async () => {
    const proc = open();
    proc.start(10, [100, 101, 102]);
    const { tick } = create(proc.path);
    await tick(100);
    const reads: number[] = [];
    for (let time = 0; time < 10; time++) reads.push(await tick(100, 900 + time));
    expect(reads.slice(1)).toEqual(reads.slice(1).map(() => 0));
  });

  test.each([
    ["all", 2],
    ["own", 1],
  ])("%s processes can be read; where the first one is hidden, so are others", async (reach, hidden) => {
    const proc = open();
    proc.start(2, []);
    proc.end(hidden);
    const { tick, capability, lines } = create(proc.path);
    await tick();
    await tick(100);
    expect(capability()).toBe(reach);
    expect(lines).toHaveLength(reach === "all" ? 0 : 1);
  });

  test("without a /proc there are no processes, which is said once", async () => {
    const { tick, capability, lines } = create("/nonexistent");
    await tick(100);
    await tick(100);
    expect(capability()).toBe("none");
    expect(lines).toEqual([
      expect.stringMatching(/^info not every socket's process is known: no processes can be read/),
    ]);
  });

  test("a tick that is aborted ends at once, and the next one is whole", async () => {
    const proc = open();
    proc.start(10, [100]);
    const processes = create(proc.path);
    processes.process(100);
    await processes.refresh(AbortSignal.abort());
    expect(processes.stats().links).toBe(0);
    await processes.tick(100);
    expect(processes.pidOf(100)).toBe(10);
  });
});

describe.skipIf(process.platform !== "linux")("this machine's /proc", () => {
  /** The descriptor of a connection, which node:net keeps to itself. */
  const fdOf = (socket: Socket): number =>
    (Reflect.get(socket, "_handle") as { readonly fd: number } | undefined)?.fd ?? -1;

  test("a connection that a child has inherited", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const connection = connect(port, "127.0.0.1");
    await once(connection, "connect");
    const fd = fdOf(connection);
    const child = spawn("sleep", ["60"], { stdio: ["ignore", "ignore", "ignore", fd] });
    onTestFinished(() => {
      child.kill();
      connection.destroy();
      server.close();
    });
    await once(child, "spawn");
    // Whatever else runs here may hold more files than a tick reads.
    const own = create("/proc", 1_000_000);
    const inode = parseSocketLink(readlinkSync(`/proc/self/fd/${fd}`));
    await own.tick(inode);
    // Both hold it; pids may have begun anew between the two.
    expect(own.pidOf(inode)).toBe(Math.min(process.pid, child.pid ?? 0));
    expect(own.process(inode)).toMatchObject(
      process.pid < (child.pid ?? 0)
        ? { executable: process.execPath.replace(/.*\//, "") }
        : { executable: "sleep", argv: ["sleep", "60"] },
    );
  });
});
