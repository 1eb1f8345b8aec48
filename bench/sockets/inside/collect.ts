// Runs in the namespace of peers.ts: our collections alone.
//   collect.ts PEER COLLECTIONS
import { costOf, cpuOf, createPipeline, peakMemory, requestsOf, result } from "./pipeline.ts";

const [peer = "", collections = "1"] = process.argv.slice(2);
const { collect } = createPipeline("socket", requestsOf(["tcp", "udp"]));
const first = await cpuOf(1, collect);
const cpu = await cpuOf(Number(collections), collect);
// What Telegraf starts; its own getrusage tells only the larger of the two.
const ss = costOf(peer, 1, "ss", "-in", "--tcp");
result({ first, cpu, peak: peakMemory(), ss: ss.bytes, sockets: (await collect()).sockets });
