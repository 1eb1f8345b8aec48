// Runs in the namespace of owners.ts: collections with the owners of sockets by their cgroup, and without, alternate.
//   owners.ts PEER SOCKETS
import { createOwners } from "../../../src/collect/owners.ts";
import { createCgroups } from "../../../src/kernel/cgroups.ts";
import { createProcesses } from "../../../src/kernel/processes.ts";
import { median } from "../../bars.ts";
import { cpuOf, createPipeline, requestsOf, result } from "./pipeline.ts";

const [, sockets = "0"] = process.argv.slice(2);
const rounds = 9;
const dumps = 5;
const log = (_level: string, message: string): void => void process.stderr.write(`${message}\n`);

const owners = createOwners({
  cgroups: createCgroups({ root: "/sys/fs/cgroup", log }),
  processes: createProcesses({ proc: "/proc", log }),
  wanted: { process: false, cgroup: true },
});
const plain = createPipeline(["network.transport"], requestsOf(["tcp"]));
const owned = createPipeline(["network.transport", "sockscope.systemd.unit", "container.id"], requestsOf(["tcp"]), {
  owners,
});

const first = { plain: await cpuOf(1, plain.collect), owned: await cpuOf(1, owned.collect) };
for (let count = 0; count < 20; count++) {
  await plain.collect();
  await owned.collect();
}
const ratios: number[] = [];
const cost: Record<"plain" | "owned", number[]> = { plain: [], owned: [] };
for (let round = 0; round < rounds; round++) {
  const without = await cpuOf(dumps, plain.collect);
  const withOwners = await cpuOf(dumps, owned.collect);
  cost.plain.push(without);
  cost.owned.push(withOwners);
  ratios.push(withOwners / without);
}
const seen = await owned.collect();
if (seen.sockets < Number(sockets)) throw new Error(`${seen.sockets} sockets instead of ${sockets}`);
result({
  plain: median(cost.plain),
  owned: median(cost.owned),
  ratio: median(ratios),
  first,
});
