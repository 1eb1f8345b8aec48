// Run by owners-scenario.ts as another user than that of the socket in its argument.
import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";
import { createProcesses } from "../../src/kernel/processes.ts";
import { parseSocketLink } from "../../src/text/proc-pid.ts";
import { never } from "../kit/probe.ts";

const theirs = Number(process.argv[2]);
const server = createServer().listen(0, "127.0.0.1");
await once(server, "listening");
const socketOf = (fd: string): number => {
  try {
    return parseSocketLink(readlinkSync(`/proc/self/fd/${fd}`));
  } catch {
    return 0; // the descriptor by which the directory was read
  }
};
const mine = Math.max(...readdirSync("/proc/self/fd").map(socketOf));
const lines: string[] = [];
const processes = createProcesses({ proc: "/proc", log: (level, message) => void lines.push(`${level} ${message}`) });
for (let tick = 0; tick < 3; tick++) {
  for (const inode of [mine, theirs]) processes.process(inode);
  await processes.refresh(never);
}
const found = {
  mine: processes.process(mine)?.pid === process.pid,
  theirs: processes.process(theirs)?.pid ?? null,
  capability: processes.capability(),
  lines,
};
process.stdout.write(JSON.stringify(found));
server.close();
