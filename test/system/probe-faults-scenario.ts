import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout } from "node:timers/promises";
import { loadLibc } from "../../src/kernel/libc.ts";
import { createProbeSockets } from "../../src/kernel/probe-sockets.ts";
import type { Outcome } from "../../src/model/outcome.ts";
import type { Source, Target } from "../../src/model/target.ts";
import { runProbe } from "../../src/probe/index.ts";
import { depsOf, foundAt, icmpTarget, never, tcpTarget, udpTarget } from "../kit/probe.ts";

/** Runs as root in a network namespace that probe-faults.test.ts makes, with loopback up. */
const command = (line: string): void => {
  const [program = "", ...args] = line.split(" ");
  const { status, stderr } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${line}: ${stderr}`);
};
const rule = (text: string): void => command(`nft add rule inet t ${text}`);

command("ip link add hole type veth peer name nowhere");
command("ip link set hole arp off up");
command("ip link set nowhere up");
command("ip addr add 10.98.0.1/16 dev hole");
command("ip link add lan type veth peer name empty");
command("ip link set lan up");
command("ip link set empty up");
command("ip addr add 10.97.0.1/16 dev lan");
command("nft add table inet t");
command("nft add chain inet t in { type filter hook input priority 0 ; }");
command("nft add chain inet t out { type filter hook output priority 0 ; }");
rule("in tcp dport 81 drop");
rule("in udp dport 81 drop");
rule("in tcp dport 83 reject with icmpx type host-unreachable");
rule("in udp dport 83 reject with icmpx type host-unreachable");
rule("in udp dport 84 reject with icmpx type admin-prohibited");
rule("out udp dport 85 drop");
rule("in ip saddr 127.0.0.9 icmp type echo-reply drop");
rule("in ip saddr 127.0.0.8 icmp type echo-reply numgen inc mod 2 0 drop");

const now = (): number => performance.now();
const sockets = createProbeSockets({ libc: loadLibc(), now });
const deps = { ...depsOf({ "half.test": foundAt("10.98.0.2", "127.0.0.1") }), sockets, now };
const run = (target: Target): Promise<Outcome> => runProbe(target, deps, never);
const from = (source: Partial<Source>): { source: Source } => ({
  source: { address: undefined, interface: undefined, ...source },
});

const sources: (string | undefined)[] = [];
const server = createServer((socket) => {
  sources.push(socket.remoteAddress);
  socket.on("error", () => undefined).resume();
});
server.listen(80, "0.0.0.0");
await once(server, "listening");
const echo = createSocket("udp4").on("message", (data, { port, address }) => echo.send(data, port, address));
echo.bind(53, "0.0.0.0");
await once(echo, "listening");

const short = { timeoutMs: 600 };
const send = { send: "x", expect: "y", starttls: false };

/** Connects, and then the network between the two goes away. */
const halfOpen = async (): Promise<Outcome> => {
  const target = tcpTarget("127.0.0.7", 80, { timeoutMs: 1500, steps: [{ ...send, send: undefined }] });
  const running = run(target);
  await setTimeout(300);
  rule("in ip daddr 127.0.0.7 drop");
  return running;
};

const outcomes: Record<string, Outcome> = {};
const all: Record<string, () => Promise<Outcome>> = {
  tcpHole: () => run(tcpTarget("10.98.0.2", 80, short)),
  tcpDropped: () => run(tcpTarget("127.0.0.1", 81, short)),
  tcpRejected: () => run(tcpTarget("127.0.0.1", 83, short)),
  tcpNoNeighbour: () => run(tcpTarget("10.97.0.2", 80)),
  tcpOneDead: () => run(tcpTarget("half.test", 80)),
  tcpAll: () => run(tcpTarget("half.test", 80, { ...short, allAddresses: true })),
  tcpSource: () => run(tcpTarget("127.0.0.1", 80, from({ address: "127.0.0.5" }))),
  tcpNoSource: () => run(tcpTarget("127.0.0.1", 80, from({ address: "192.0.2.1" }))),
  tcpInterface: () => run(tcpTarget("127.0.0.1", 80, from({ interface: "lo" }))),
  tcpOtherInterface: () => run(tcpTarget("10.98.0.2", 80, { ...short, ...from({ interface: "lan" }) })),
  tcpNoInterface: () => run(tcpTarget("127.0.0.1", 80, from({ interface: "eth99" }))),
  halfOpen,
  udpDropped: () => run(udpTarget("127.0.0.1", 81, { silenceMs: 300 })),
  udpRejected: () => run(udpTarget("127.0.0.1", 83)),
  udpProhibited: () => run(udpTarget("127.0.0.1", 84)),
  udpForbidden: () => run(udpTarget("127.0.0.1", 85)),
  udpEchoes: () => run(udpTarget("127.0.0.1", 53, { send: "hi", expect: "^hi$", count: 3, packetIntervalMs: 20 })),
  icmp: () => run(icmpTarget("127.0.0.1", { count: 3, packetIntervalMs: 20 })),
  icmp6: () => run(icmpTarget("::1", { type: "icmp6" })),
  icmpHole: () => run(icmpTarget("10.98.0.2", short)),
  icmpDropped: () => run(icmpTarget("127.0.0.9", short)),
  icmpLossy: () => run(icmpTarget("127.0.0.8", { ...short, count: 4, packetIntervalMs: 20 })),
  icmpNoRoute: () => run(icmpTarget("192.0.2.1")),
  icmpNoNeighbour: () => run(icmpTarget("10.97.0.3")),
};
for (const [name, probe] of Object.entries(all)) outcomes[name] = await probe();
writeFileSync("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
outcomes["icmpPing"] = await run(icmpTarget("127.0.0.1"));
outcomes["icmp6Ping"] = await run(icmpTarget("::1", { type: "icmp6" }));

process.stdout.write(JSON.stringify({ outcomes, sources }));
process.exit();
