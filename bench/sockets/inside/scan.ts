// Run by owners.ts in mount, network and pid namespaces of its own, so that nothing else of the machine is measured.
// The cost of owners: the scan of 20,000 open files for processes, a lookup, and a walk over cgroups.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmdirSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import { createCgroups } from "../../../src/kernel/cgroups.ts";
import { createProcesses } from "../../../src/kernel/processes.ts";
import { parseSocketLink } from "../../../src/text/proc-pid.ts";

const rounds = 9;
const log = (_level: string, message: string): void => void process.stderr.write(`${message}\n`);
const signal = new AbortController().signal;
const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
const print = (what: string, value: string): void => void process.stdout.write(`${what.padEnd(66)} ${value}\n`);
const ms = (value: number): string => `${value.toFixed(2)} ms`;

/** CPU of all threads and wall time in ms, and the longest time that the event loop did not turn. */
const measure = async (work: () => Promise<void>): Promise<{ cpu: number; wall: number; delay: number }> => {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await setTimeout(5);
  delay.reset();
  const cpu = process.cpuUsage();
  const start = performance.now();
  await work();
  const wall = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  await setTimeout(5);
  delay.disable();
  return { cpu: (user + system) / 1000, wall, delay: delay.max / 1e6 - 1 };
};

const report = (what: string, measured: readonly { cpu: number; wall: number; delay: number }[]): void => {
  const of = (key: "cpu" | "wall" | "delay"): string => ms(median(measured.map((one) => one[key])));
  print(what, `${of("wall")} wall, ${of("cpu")} CPU, loop delay ${of("delay")}`);
};

/** A process that holds UDP sockets, and opens one more for each byte that it reads. */
const holder = `
const open = () => new Promise((done) => { const s = require("node:dgram").createSocket("udp4"); s.bind(0, "127.0.0.1", done); });
(async () => { for (let n = 0; n < Number(process.argv[1]); n++) await open(); process.stdout.write("."); })();
process.stdin.on("data", async () => { await open(); process.stdout.write("."); });
`;

const said = async (child: ChildProcess): Promise<void> => {
  if (child.stdout !== null) await once(child.stdout, "data");
};

const hold = async (sockets: number): Promise<ChildProcess> => {
  const child = spawn(process.execPath, ["-e", holder, String(sockets)], { stdio: ["pipe", "pipe", "inherit"] });
  await said(child);
  return child;
};

const socketsOf = (pid: number): number[] =>
  readdirSync(`/proc/${pid}/fd`)
    .map((fd) => parseSocketLink(readlinkSync(`/proc/${pid}/fd/${fd}`)))
    .filter((inode) => inode !== 0);

const benchProcesses = async (children: number, each: number): Promise<void> => {
  const held = await Promise.all(Array.from({ length: children }, () => hold(each)));
  const name = `${children} x ${each} sockets`;
  const inodes = held.flatMap(({ pid }) => socketsOf(pid ?? 0));
  const full: Awaited<ReturnType<typeof measure>>[] = [];
  const none: typeof full = [];
  const incremental: typeof full = [];
  let links = 0;
  let lookup = 0;
  for (let round = 0; round < rounds; round++) {
    const processes = createProcesses({ proc: "/proc", log, budget: 100_000 });
    const ask = (): void => {
      for (const inode of inodes) processes.process(inode);
    };
    ask();
    full.push(await measure(() => processes.refresh(signal)));
    const found = inodes.filter((inode) => processes.process(inode) !== undefined).length;
    if (found !== inodes.length) print("  NOT FOUND", String(inodes.length - found));
    await processes.refresh(signal);
    ask();
    none.push(await measure(() => processes.refresh(signal)));
    const grown = held[round % children];
    if (grown === undefined) continue;
    grown.stdin?.write(".");
    await said(grown);
    const added = socketsOf(grown.pid ?? 0).find((inode) => !inodes.includes(inode));
    if (added === undefined) throw new Error("no new socket");
    inodes.push(added);
    const before = processes.stats().links;
    ask();
    incremental.push(await measure(() => processes.refresh(signal)));
    links = processes.stats().links - before;
    const start = performance.now();
    ask();
    lookup = ((performance.now() - start) * 1e6) / inodes.length;
  }
  report(`${name}: full scan`, full);
  report(`${name}: a tick with nothing new`, none);
  report(`${name}: a tick with one new socket (${links} links)`, incremental);
  print(`${name}: lookup`, `${lookup.toFixed(0)} ns`);
  for (const child of held) child.kill("SIGKILL");
};

const benchCgroups = async (count: number): Promise<void> => {
  const mount = mkdtempSync(join(tmpdir(), "sockscope-bench-"));
  execFileSync("mount", ["-t", "cgroup2", "none", mount]);
  const parent = join(mount, `sockscope-bench-${process.pid}-${Date.now()}`);
  const made = [parent, ...Array.from({ length: count }, (_, at) => join(parent, `${at}.service`))];
  for (const path of made) mkdirSync(path);
  const ids = made.map((path) => statSync(path).ino);
  try {
    const walks: Awaited<ReturnType<typeof measure>>[] = [];
    let directories = 0;
    let lookup = 0;
    for (let round = 0; round < rounds; round++) {
      const cgroups = createCgroups({ root: mount, log });
      cgroups.cgroup(1e15);
      walks.push(await measure(() => cgroups.refresh(signal)));
      ({ directories } = cgroups.stats());
      for (const id of ids) cgroups.cgroup(id);
      const start = performance.now();
      for (let time = 0; time < 1_000_000; time++) cgroups.cgroup(ids[time % ids.length] ?? 0);
      lookup = performance.now() - start;
    }
    report(`${directories} cgroups: a walk`, walks);
    print(`${directories} cgroups: a lookup, and 50,000`, `${lookup.toFixed(1)} ns, ${ms(lookup * 0.05)}`);
  } finally {
    for (const path of made.toReversed()) rmdirSync(path);
    execFileSync("umount", [mount]);
    rmdirSync(mount);
  }
};

await benchProcesses(100, 200);
await benchProcesses(2, 10_000);
await benchCgroups(320);
await benchCgroups(5_000);
process.exit(0);
