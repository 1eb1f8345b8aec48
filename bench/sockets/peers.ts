import { atLeast, type Figure, median, megabytes, milliseconds, only } from "../bars.ts";
import { peerProgram } from "../peers.ts";
import { createNamespace } from "./namespace.ts";

const sockets = 10_000;
const rounds = 3;
const collections = 20;

type Peer = { readonly cpu: number; readonly peak: number; readonly metrics: number };
type Ours = Readonly<Record<"first" | "cpu" | "peak" | "ss" | "sockets", number>>;

/** Our collection by socket, which is what the peers' series are by, against theirs. */
export const benchPeers = async (peer: string): Promise<Figure[]> => {
  const telegraf = [peerProgram("SOCKSCOPE_PEER_TELEGRAF"), "3"];
  const ss2 = [peerProgram("SOCKSCOPE_PEER_SS2"), new URL("../peer/ss2_collect.py", import.meta.url).pathname, "1"];
  await using namespace = await createNamespace(peer);
  await using _ = await namespace.hold(sockets);
  const collect = (command: readonly string[]): Peer => {
    const result = JSON.parse(namespace.run(...command)) as Peer;
    if (result.metrics !== sockets) throw new Error(`${command.join(" ")} saw ${result.metrics} of ${sockets} sockets`);
    return result;
  };
  const all = Array.from({ length: rounds }, () => ({
    ours: namespace.measure("collect", collections) as Ours,
    telegraf: collect(telegraf),
    ss2: collect(ss2),
    ss2Alone: collect([...ss2, "--without-processes"]),
  }));

  const ours = (value: keyof Ours): number => median(all.map((round) => round.ours[value]));
  const compare = (name: string, key: "telegraf" | "ss2" | "ss2Alone", extra: string): Figure => {
    const ratio = median(all.map((round) => round[key].cpu / round.ours.cpu));
    const cpu = milliseconds(median(all.map((round) => round[key].cpu)));
    const peak = megabytes(median(all.map((round) => round[key].peak)) * 1024);
    const text = `${sockets} sockets by ${name}: ${cpu} CPU a collection, ${ratio.toFixed(1)} x ours, peak ${peak}${extra}`;
    return atLeast(text, ratio, 1, "x");
  };
  return [
    only(
      `${sockets} sockets by ours, by socket: ${milliseconds(ours("cpu"))} CPU a collection, ` +
        `${milliseconds(ours("first"))} the first, peak ${megabytes(ours("peak"))}`,
    ),
    compare("Telegraf's socketstat", "telegraf", ` and ${megabytes(ours("ss"))} of the ss it starts`),
    compare("prometheus_ss_exporter", "ss2", ""),
    compare("the same without processes", "ss2Alone", ""),
  ];
};
