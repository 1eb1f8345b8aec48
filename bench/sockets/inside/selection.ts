// Runs in the namespace of selection.ts: collections of all sockets and of the selected ones alternate.
//   selection.ts PEER ports|networks SOCKETS SELECTED
import { median } from "../bars.ts";
import { selection } from "../namespace.ts";
import { cpuOf, createPipeline, dumpByC, requestsOf, result } from "./pipeline.ts";

const [peer = "", by = "ports", sockets = "0", selected = "0"] = process.argv.slice(2);
const rounds = 9;
const dumps = 10;

/** INET_DIAG_BC_*: the condition holds for the local or the peer's end. */
const eitherEnd = (codes: readonly [number, number], args: Uint8Array): Uint8Array => {
  const length = 4 + args.length;
  const leaf = (code: number): number[] => [code, length, length + 4, 0, ...args];
  // What the first leaf accepts goes to the jump past the second; what it rejects, to the second.
  const jump = [1, 4, length + 4, 0];
  return Uint8Array.from([...leaf(codes[0]), ...jump, ...leaf(codes[1])]);
};

const portProgram = (port: number): Uint8Array => eitherEnd([11, 12], Uint8Array.of(0, 0, port & 255, port >> 8));

const networkProgram = (network: string): Uint8Array => {
  const [address = "", prefix] = network.split("/");
  return eitherEnd(
    [7, 8],
    Uint8Array.of(2, Number(prefix), 0, 0, 255, 255, 255, 255, ...address.split(".").map(Number)),
  );
};

const program = by === "ports" ? portProgram(selection.port) : networkProgram(selection.network);
const requests = { all: requestsOf(["tcp"]), selected: requestsOf(["tcp"], program) };
const all = createPipeline("endpoint", requests.all);
const some = createPipeline("endpoint", requests.selected);

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
