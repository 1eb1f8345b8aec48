// Run by families.test.ts in a network namespace of its own: sockets of all families, as sockscope and as ss see them.
import { allSockets } from "../kit/all-sockets.ts";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { createSocketsPart } from "../../src/collect/sockets.ts";
import { defaults } from "../../src/config/defaults.ts";
import { loadLibc } from "../../src/kernel/libc.ts";
import { createSockDiag } from "../../src/kernel/netlink-socket.ts";
import { socketProtocols } from "../../src/model/socket.ts";
import { dumpsOf } from "../../src/netlink/dumps.ts";
import { planTcpInfo } from "../../src/netlink/tcp-info.ts";
import { pointsOf } from "../kit/points.ts";

const folder = mkdtempSync(join(tmpdir(), "sockscope-families-"));

/** Through a file: a pipe to this process would be two more unix sockets. */
const ss = (args: string): string => {
  const file = join(folder, "ss");
  spawnSync("sh", ["-c", `ss ${args} > ${file}`], { stdio: "ignore" });
  return readFileSync(file, "utf8");
};

const python = spawn("python3", [join(import.meta.dirname, "families-sockets.py"), folder], {
  stdio: ["pipe", "pipe", "inherit"],
});
const lines = createInterface({ input: python.stdout })[Symbol.asyncIterator]();
const answer = async (): Promise<void> => {
  const { done } = await lines.next();
  if (done === true) throw new Error("the sockets' process ended");
};
await answer();
// What the connections still have to say to each other would be drops of the packet socket.
await setTimeout(300);

const logged: string[] = [];
const options = { plan: planTcpInfo([]), congestion: false, program: undefined, timeWait: true };
const part = createSocketsPart({
  ...allSockets,
  config: {
    ...defaults.sockets,
    protocols: socketProtocols,
    timeWait: "dump",
    groupBy: "host",
    maxGroups: 1000,
    seriesTtl: 1,
    rttBounds: [1],
  },
  read: createSockDiag(loadLibc(), dumpsOf(socketProtocols, options)).read,
  subscribe: undefined,
  readTcp: undefined,
  owners: undefined,
  ephemeral: [32_768, 60_999],
  now: () => performance.now(),
  log: (_level, message) => logged.push(message),
});
const tick = async () => {
  const { columns, observations } = await part.collect(Date.now(), AbortSignal.timeout(5000));
  return { points: pointsOf(columns), observations };
};

const seen = {
  unix: ss("-xa"),
  packet: ss("-0a"),
  netlink: ss("-A netlink -a"),
  mptcp: ss("-Ma"),
  timeWait: ss("-Htan state time-wait"),
};
const first = await tick();
const dropsBefore = ss("-m -0 -A netlink -a");
python.stdin.write("\n");
await answer();
const second = await tick();
const dropsAfter = ss("-m -0 -A netlink -a");
python.stdin.end();
rmSync(folder, { recursive: true });
process.stdout.write(JSON.stringify({ folder, seen, first, second, dropsBefore, dropsAfter, logged }));
process.exit(0);
