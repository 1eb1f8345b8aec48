// Run by owners.test.ts in mount, network and pid namespaces of its own: sockets in cgroups and processes of its making.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { createCgroups } from "../../src/kernel/cgroups.ts";
import { loadLibc } from "../../src/kernel/libc.ts";
import { createSockDiag } from "../../src/kernel/netlink-socket.ts";
import { createProcesses } from "../../src/kernel/processes.ts";
import { dumpsOf } from "../../src/netlink/dumps.ts";
import { emptyReport } from "../../src/model/sources.ts";
import { planTcpInfo } from "../../src/netlink/tcp-info.ts";
import { never } from "../kit/probe.ts";

const [mount = ""] = process.argv.slice(2);
const lines: string[] = [];
const log = (level: string, message: string): void => void lines.push(`${level} ${message}`);
const options = { plan: planTcpInfo([]), congestion: false, program: undefined, timeWait: false };
const { read } = createSockDiag(loadLibc(), dumpsOf(["tcp"], options));

type Found = { readonly inode: number; readonly cgroup: number };

/** The inode and the cgroup id of the TCP sockets in this namespace, by their local port and their peer's. */
const dump = async (): Promise<Map<string, Found>> => {
  const found = new Map<string, Found>();
  for await (const batch of read(never, emptyReport()))
    for (let at = 0; at < batch.length; at++)
      found.set(`${batch.localPort[at]} ${batch.peerPort[at]}`, {
        inode: batch.inode[at] ?? 0,
        cgroup: batch.cgroup[at] ?? 0,
      });
  return found;
};

const listen = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
};

/** The socket of a listener, or of the connection to it from a port. */
const socketOf = async (port: number, peer = 0): Promise<Found> => {
  const socket = (await dump()).get(`${port} ${peer}`);
  if (socket === undefined) throw new Error("the socket is not in the dump");
  return socket;
};

const portOf = async ({ stdout }: ChildProcess): Promise<number> => {
  if (stdout === null) throw new Error("no stdout");
  const [chunk] = (await once(stdout, "data")) as [Buffer];
  return Number(chunk.toString());
};

const container = "0123456789abcdef".repeat(4);
const names = {
  docker: `system.slice/docker-${container}.scope`,
  pod: `kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0f1e2d3c_4b5a_6978_8796_a5b4c3d2e1f0.slice/cri-containerd-${container}.scope`,
};

/** Sockets that this process makes while it is in a cgroup, and what is known of it then and after it was removed. */
const inCgroups = async () => {
  const home = /^0::(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))?.[1] ?? "/";
  const parent = `sockscope-${process.hrtime.bigint()}`;
  const enter = (path: string): void => writeFileSync(join(mount, path, "cgroup.procs"), "0");
  const created: string[] = [];
  const cgroups = createCgroups({ root: mount, log });
  const processes = createProcesses({ proc: "/proc", log });
  const seen: Record<string, unknown> = {};
  const made: { name: string; id: number }[] = [];
  try {
    for (const [name, path] of Object.entries(names)) {
      let below = parent;
      for (const element of ["", ...path.split("/")]) {
        below = join(below, element);
        if (created.includes(below)) continue;
        mkdirSync(join(mount, below));
        created.push(below);
      }
      enter(below);
      const socket = await socketOf(await listen());
      const before = cgroups.cgroup(socket.cgroup);
      processes.process(socket.inode);
      await cgroups.refresh(never);
      await processes.refresh(never);
      seen[name] = {
        path: below,
        before,
        after: cgroups.cgroup(socket.cgroup),
        process: processes.process(socket.inode),
      };
      made.push({ name, id: socket.cgroup });
    }
  } finally {
    enter(home);
    for (const path of created.toReversed()) rmdirSync(join(mount, path));
  }
  const { walks } = cgroups.stats();
  const late = createCgroups({ root: mount, log });
  for (let tick = 0; tick < 4; tick++) {
    for (const { id } of made) late.cgroup(id);
    await late.refresh(never);
    await cgroups.refresh(never);
  }
  return {
    parent,
    seen,
    capability: cgroups.capability(),
    removed: made.map(({ id }) => cgroups.cgroup(id)?.path),
    late: { known: made.map(({ id }) => late.cgroup(id) ?? null), walks: late.stats().walks },
    walks: { first: walks, later: cgroups.stats().walks },
  };
};

/** A process that holds a socket ends, and another one gets its pid. */
const reusedPid = async () => {
  const script = new URL("../kit/hold-socket.ts", import.meta.url).pathname;
  const processes = createProcesses({ proc: "/proc", log });
  const start = async () => {
    const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
    const { inode } = await socketOf(await portOf(child));
    return { child, inode };
  };
  const end = async (child: ChildProcess): Promise<void> => {
    child.kill("SIGKILL");
    await once(child, "exit");
  };
  const find = async (...inodes: readonly number[]) => {
    for (const inode of inodes) processes.process(inode);
    await processes.refresh(never);
    return inodes.map((inode) => processes.process(inode)?.pid ?? null);
  };

  const first = await start();
  const found = await find(first.inode);
  const idle = processes.stats().links;
  await find(first.inode);
  const incremental = processes.stats().links - idle;
  await end(first.child);
  writeFileSync("/proc/sys/kernel/ns_last_pid", String((first.child.pid ?? 0) - 1));
  const second = await start();
  const after = await find(first.inode, second.inode);
  await end(second.child);
  return { pids: [first.child.pid, second.child.pid], found, incremental, after };
};

/** A connection that a child inherits and that its parent closes. */
const inherited = async () => {
  const port = await listen();
  const connection = connect(port, "127.0.0.1");
  await once(connection, "connect");
  const fd = (Reflect.get(connection, "_handle") as { readonly fd: number }).fd;
  const child = spawn("sleep", ["60"], { stdio: ["ignore", "ignore", "ignore", fd] });
  await once(child, "spawn");
  const inode = (await socketOf(connection.localPort ?? 0, port)).inode;
  const processes = createProcesses({ proc: "/proc", log });
  const pidOf = async (): Promise<number | undefined> => {
    processes.process(inode);
    await processes.refresh(never);
    return processes.process(inode)?.pid;
  };
  const shared = await pidOf();
  const closed = once(connection, "close");
  connection.destroy();
  await closed;
  // The first tick finds out that it is not ours any more.
  await pidOf();
  const alone = await pidOf();
  child.kill("SIGKILL");
  return { own: process.pid, child: child.pid, shared, alone };
};

/** What another user knows of a socket of root's and of one of its own, without and with the capabilities. */
const asNobody = async () => {
  const script = new URL("./owners-as-nobody.ts", import.meta.url).pathname;
  const inode = (await socketOf(await listen())).inode;
  const run = (...flags: readonly string[]): unknown =>
    JSON.parse(
      execFileSync(
        "setpriv",
        ["--reuid=65534", "--regid=65534", "--clear-groups", ...flags, process.execPath, script, String(inode)],
        { encoding: "utf8" },
      ),
    );
  const capabilities = "+sys_ptrace,+dac_read_search";
  return {
    without: run(),
    with: run(`--inh-caps=${capabilities}`, `--ambient-caps=${capabilities}`),
  };
};

const result = {
  cgroups: await inCgroups(),
  reused: await reusedPid(),
  inherited: await inherited(),
  nobody: await asNobody(),
  lines,
};
process.stdout.write(JSON.stringify(result));
process.exit(0);
