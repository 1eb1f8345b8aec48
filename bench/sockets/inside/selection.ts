// Runs in the namespace of selection.ts: collections of all sockets and of the selected ones alternate.
//   selection.ts PEER ports|networks SOCKETS SELECTED
import { parseNetwork } from "../../../src/model/address.ts";
import { createSelector } from "../../../src/select/select.ts";
import { median } from "../../bars.ts";
import { selection } from "../namespace.ts";
import { cpuOf, createPipeline, dumpByC, requestsOf, result } from "./pipeline.ts";

const [peer = "", by = "ports", sockets = "0", selected = "0"] = process.argv.slice(2);
const rounds = 9;
const dumps = 10;

const network = parseNetwork(...selection.network);
if (network === undefined) throw new Error("the selected network is none");
const { port } = selection;
const entry = by === "ports" ? { ports: [{ from: port, to: port }] } : { networks: [network] };
const selector = createSelector({ include: [{ ...entry, side: "any" }], exclude: [] });
const requests = { all: requestsOf(["tcp"]), selected: requestsOf(["tcp"], selector.program()) };
const all = createPipeline("endpoint", requests.all);
const some = createPipeline("endpoint", requests.selected, { selector });

const cost: Record<"all" | "selected" | "c", number[]> = { all: [], selected: [], c: [] };
for (let count = 0; count < 30; count++) {
  await all.collect();
  await some.collect();
}
for (let round = 0; round < rounds; round++) {
  cost.all.push(await cpuOf(dumps, all.collect));
  cost.selected.push(await cpuOf(10 * dumps, some.collect));
  cost.c.push(dumpByC(peer, 10 * dumps, requests.selected).cpu);
}
// The listeners are no part of a selection.
const listeners = dumpByC(peer, 1, requests.all.slice(0, 1)).sockets;
const seen = { all: (await all.collect()).sockets - listeners, selected: (await some.collect()).sockets - listeners };
if (seen.all !== Number(sockets) || seen.selected !== Number(selected))
  throw new Error(`${seen.selected} of ${seen.all} sockets instead of ${selected} of ${sockets}`);
result({
  all: median(cost.all),
  selected: median(cost.selected),
  c: median(cost.c),
  ratio: median(cost.all.map((value, round) => value / (cost.selected[round] as number))),
});
