// Run by namespaces.test.ts in mount, network and pid namespaces of its own: what an agent in one network namespace
// sees of 50 others, as the arguments name them (by file), and of such as come and go.
import { execFileSync, spawn } from "node:child_process";
import { readdirSync, readlinkSync } from "node:fs";
import { createInterface } from "node:readline";
import { once } from "node:events";
import { performance } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import { composeSockets } from "../../src/core-sockets.ts";
import { defaults } from "../../src/config/defaults.ts";
import { loadLibc } from "../../src/kernel/libc.ts";
import type { Config, SocketsConfig } from "../../src/model/config.ts";
import { pointsOf } from "../kit/points.ts";
import { createReceiver } from "../kit/receiver.ts";

const files = process.argv.slice(2);
const script = new URL("./namespaces-sockets.py", import.meta.url).pathname;
const logged: string[] = [];

/** Sockets in these namespaces, by the commands of the script. */
const startSockets = (...namespaces: readonly string[]) => {
  const child = spawn("python3", [script, ...namespaces], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return {
    ask: async (command: string): Promise<void> => {
      child.stdin.write(`${command}\n`);
      const { value, done } = await lines.next();
      if (done === true || value !== command.split(" ")[0]) throw new Error(`${command}: ${String(value)}`);
    },
    end: async (): Promise<void> => {
      child.stdin.end();
      await once(child, "close");
    },
  };
};

const createWatch = async (sockets: Partial<SocketsConfig>) => {
  const part = await composeSockets({
    libc: loadLibc(),
    config: {
      paths: defaults.paths,
      networks: [],
      host: { sockstat: true },
      compat: {},
      resource: { attributes: {} },
    } as unknown as Config,
    sockets: { ...defaults.sockets, namespaces: "all", seriesTtl: 1, ...sockets },
    resolve: () => Promise.reject(new Error("no name is to be resolved")),
    now: () => performance.now(),
    log: (level, message) => logged.push(`${level} ${message}`),
  });
  const receiver = createReceiver();
  const tick = async () => {
    const { columns, observations } = await part.collect(Date.now(), AbortSignal.timeout(10_000));
    receiver.receive(columns);
    const observed = Object.fromEntries(
      observations.map(({ metric, attributes, value }) => [[metric, ...Object.values(attributes)].join(" "), value]),
    );
    return { points: pointsOf(columns), observed };
  };
  return { tick, receiver, close: part.close };
};

type Watch = Awaited<ReturnType<typeof createWatch>>;

/** Ids that this namespace has for others: the kernel takes one back when its namespace is no more. */
const countIds = (): number => execFileSync("ip", ["netns", "list-id"], { encoding: "utf8" }).split("\n").length - 1;

/** Collects while something goes on; how many collections met more than `namespaces`. */
const meanwhile = async (watch: Watch, namespaces: number, going: Promise<unknown>): Promise<number> => {
  let more = 0;
  let over = false;
  const end = going.finally(() => {
    over = true;
  });
  for (;;) {
    const { observed } = await watch.tick();
    if ((observed["sockscope.agent.namespaces"] ?? 0) > namespaces) more++;
    if (over) break;
    await setTimeout(2);
  }
  await end;
  return more;
};

const sockets = startSockets(...files);
await sockets.ask("open");

const watches = {
  endpoint: await createWatch({ groupBy: "endpoint" }),
  socket: await createWatch({ groupBy: "socket", maxGroups: 10_000 }),
};
const tickAll = async () => ({ endpoint: await watches.endpoint.tick(), socket: await watches.socket.tick() });
const sumsOf = ({ receiver }: Watch) => ({
  transmit: receiver.sum("sockscope.flow.io", '"network.io.direction","transmit"'),
  receive: receiver.sum("sockscope.flow.io", '"network.io.direction","receive"'),
  opened: receiver.sum("sockscope.flow.opened"),
  closed: receiver.sum("sockscope.flow.closed"),
});

const first = await tickAll();
await sockets.ask("send");
const sent = await tickAll();
await sockets.ask("short 20");
const short = await tickAll();
const sums = sumsOf(watches.endpoint);

const pidOf = (file: string): number => Number(/^\/proc\/(\d+)/.exec(file)?.[1]);
const selected = await createWatch({
  namespaces: {
    containers: [],
    pids: files
      .map(pidOf)
      .filter((pid) => pid > 0)
      .slice(0, 1),
    names: ["n3", "none"],
  },
});
const selection = await selected.tick();
selected.close();

// One that the agent has not seen yet: its connections count from their birth when it is met.
const addNamed = async (name: string) => {
  execFileSync("ip", ["netns", "add", name]);
  const late = startSockets(`/run/netns/${name}`);
  await late.ask("open");
  return late;
};
const late = await addNamed("late");
await late.ask("send");
const metLate = await tickAll();

// One that has an id, and that tells of its connections before the agent knows it.
const beforeHeard = sumsOf(watches.endpoint);
execFileSync("ip", ["netns", "add", "heard"]);
execFileSync("ip", ["netns", "set", "heard", "7"]);
const heard = startSockets("/run/netns/heard");
await heard.ask("open");
await heard.ask("short 20");
await tickAll();
const afterHeard = sumsOf(watches.endpoint);

// 1,000 namespaces, of which some are met, and none may be held.
const idsBefore = countIds();
const churn = startSockets();
const met = await meanwhile(watches.endpoint, files.length + 3, churn.ask("churn 1000"));
await churn.end();
const afterChurn = await tickAll();
for (let patience = 0; patience < 100 && countIds() > idsBefore; patience++) await setTimeout(50);
const ids = { before: idsBefore, after: countIds() };

// Those with names go while they are read.
const removing = (async () => {
  await sockets.ask("close");
  await Promise.all([sockets.end(), late.end(), heard.end()]);
  for (const name of readdirSync("/run/netns")) execFileSync("ip", ["netns", "del", name]);
})();
await meanwhile(watches.socket, files.length, removing);
for (let ticks = 0; ticks < 4; ticks++) await tickAll();
const unnamed = files.filter((file) => file.startsWith("/proc/")).length;
for (let patience = 0; patience < 100 && countIds() > unnamed; patience++) await setTimeout(50);
const last = await tickAll();

for (const { close } of Object.values(watches)) close();
process.stdout.write(
  JSON.stringify({
    own: readlinkSync("/proc/self/ns/net"),
    unnamed: files.filter((file) => file.startsWith("/proc/")).map((file) => readlinkSync(file)),
    first,
    sent,
    short,
    sums,
    selection,
    metLate,
    heard: { before: beforeHeard, after: afterHeard },
    churn: { met, ids, after: afterChurn },
    last,
    idsAtEnd: countIds(),
    logged,
  }),
  () => process.exit(0),
);
