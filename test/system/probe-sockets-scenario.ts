import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { encodeEcho } from "../../src/kernel/echo.ts";
import { loadLibc } from "../../src/kernel/libc.ts";
import { createProbeSockets } from "../../src/kernel/probe-sockets.ts";
import { AF_INET, bindSocketCalls, IPPROTO_ICMP, SOCK_RAW, SOL_IP } from "../../src/kernel/socket-calls.ts";
import { bindEncodeAddress } from "../../src/kernel/socket-name.ts";
import type { SendOptions } from "../../src/model/sources.ts";
import { never } from "../kit/probe.ts";
import { dialling, inMs, sending, textOf } from "../kit/probe-sockets.ts";

/**
 * Runs in the namespace that probe-sockets.test.ts makes: loopback, and a link to a router in a namespace of its own,
 * beyond which 10.9.1.0/24 is silent and all else without a route. Prints what probes end with, and their times in ms.
 */
const sockets = createProbeSockets();
const results: Record<string, unknown> = {};

const to = (address: string, port = 0) => ({
  address,
  family: address.includes(":") ? (6 as const) : (4 as const),
  port,
});

const ping = async (address: string, more: Partial<SendOptions> = {}) => {
  const options = sending({ type: "icmp", payload: Buffer.from(`ping ${Math.random()}`), ...more });
  const sent = await sockets.sendPacket(to(address), options, never);
  if (sent.kind === "answered") {
    return {
      kind: sent.kind,
      own: textOf(sent.reply) === textOf({ bytes: options.payload }),
      ttl: sent.reply.ttl,
      ms: sent.reply.at - sent.sentAt,
    };
  }
  if (sent.kind === "silence") return { kind: sent.kind, others: sent.others, ms: sent.at - sent.sentAt };
  return sent.kind === "failed"
    ? { kind: sent.kind, phase: sent.phase, code: sent.code, ms: sent.at - sent.startedAt }
    : sent;
};

const dial = async (address: string, port: number, more: Parameters<typeof dialling>[0] = {}) => {
  const dialled = await sockets.dial(to(address, port), dialling(more), never);
  if (dialled.kind === "late" || dialled.kind === "cancelled") return dialled;
  const ms = dialled.at - dialled.startedAt;
  return dialled.kind === "failed" ? { kind: dialled.kind, code: dialled.code, ms } : { kind: dialled.kind, ms };
};

const udp = async (address: string, port: number, more: Partial<SendOptions> = {}) => {
  const sent = await sockets.sendPacket(to(address, port), sending(more), never);
  return sent.kind === "failed" ? { kind: sent.kind, phase: sent.phase, code: sent.code } : { kind: sent.kind };
};

const from = (address: string | undefined, through: string | undefined) => ({
  source: { address, interface: through },
});

const asNobody = (): unknown =>
  JSON.parse(
    execFileSync(
      "setpriv",
      ["--reuid=65534", "--regid=65534", "--clear-groups", process.execPath, import.meta.filename, "nobody"],
      { encoding: "utf8" },
    ),
  );

const sh = (command: string): string => execFileSync("sh", ["-ec", command], { encoding: "utf8" });
const allowPing = (range: string): void => writeFileSync("/proc/sys/net/ipv4/ping_group_range", range);

const server = createServer((socket) => socket.resume()).listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = server.address() as AddressInfo;

if (process.argv[2] === "nobody") {
  results["v4"] = await ping("127.0.0.1");
  results["v6"] = await ping("::1");
  results["device"] = await dial("127.0.0.1", port, from(undefined, "lo"));
} else {
  const router = spawn("unshare", ["-n", "sh", "-c", "echo; exec sleep 600"], { stdio: ["ignore", "pipe", "inherit"] });
  process.on("exit", () => router.kill());
  await once(router.stdout, "data");
  const inRouter = `nsenter -t ${router.pid} -n`;
  sh(`ip link add veth0 type veth peer name veth1 netns ${router.pid}
    ip addr add 10.9.0.1/24 dev veth0
    ip addr add fd00:9::1/64 dev veth0 nodad
    ip link set veth0 up
    ip route add default via 10.9.0.2
    ${inRouter} ip link set lo up
    ${inRouter} ip addr add 10.9.0.2/24 dev veth1
    ${inRouter} ip addr add fd00:9::2/64 dev veth1 nodad
    ${inRouter} ip addr add fe80::9/64 dev veth1 nodad
    ${inRouter} ip link set veth1 up
    ${inRouter} ip link add dead0 type veth peer name dead1
    ${inRouter} ip addr add 10.9.1.254/24 dev dead0
    ${inRouter} ip link set dead0 up
    ${inRouter} ip link set dead1 up
    ${inRouter} ip neigh add 10.9.1.1 lladdr 02:00:00:00:00:01 dev dead0 nud permanent
    ${inRouter} sysctl -qw net.ipv4.ip_forward=1 net.ipv4.ip_default_ttl=77 net.ipv4.icmp_ratelimit=0 net.ipv6.conf.veth1.hop_limit=99
    nft add table inet filter
    nft add chain inet filter input '{ type filter hook input priority 0; }'
    nft add chain inet filter output '{ type filter hook output priority 0; }'
    nft add rule inet filter input tcp dport 81 drop
    nft add rule inet filter input udp dport 81 drop
    nft add rule inet filter input ip daddr 127.0.0.81 icmp type echo-request drop
    nft add rule inet filter input meta l4proto '{ tcp, udp }' th dport 82 reject with icmpx type admin-prohibited
    nft add rule inet filter output udp dport 83 drop`);

  allowPing("1 0");
  results["raw"] = {
    v4: await ping("127.0.0.1"),
    v6: await ping("::1"),
    router4: await ping("10.9.0.2"),
    router6: await ping("fd00:9::2"),
    linkLocal: await ping("fe80::9%veth0"),
    source: await ping("127.0.0.1", from("127.0.0.5", "lo")),
    many: await Promise.all(Array.from({ length: 50 }, () => ping("127.0.0.1"))),
    empty: await ping("127.0.0.1", { payload: new Uint8Array() }),
    noRoute: await ping("198.51.100.1"),
    noRoute6: await ping("2001:db8::1"),
    dropped: await ping("127.0.0.81", { deadline: inMs(200) }),
  };
  results["refused"] = asNobody();
  allowPing("0 2147483647");
  results["ping"] = asNobody();
  results["pingErrors"] = { noRoute: await ping("198.51.100.1") };

  // A traceroute to the same host: its errors reach every raw socket that is connected with that host.
  allowPing("1 0");
  const libc = loadLibc();
  const calls = bindSocketCalls(libc);
  const IP_TTL = 2;
  const IP_RECVERR = 11;
  const waiting = ping("10.9.1.1", { deadline: inMs(600) });
  await sleep(100);
  const traceroute = calls.open(AF_INET, SOCK_RAW, IPPROTO_ICMP);
  calls.setNumber(traceroute, SOL_IP, IP_TTL, 1);
  calls.setNumber(traceroute, SOL_IP, IP_RECVERR, 1);
  calls.connect(traceroute, bindEncodeAddress(libc)(to("10.9.1.1")));
  calls.send(traceroute, encodeEcho(8, 0x1234, Buffer.from("traceroute")));
  await sleep(100);
  results["traceroute"] = { waiting: await waiting, error: calls.errnoName(calls.takeError(traceroute)) };
  calls.close(traceroute);

  results["filtered"] = {
    tcpDropped: await dial("127.0.0.1", 81, { deadline: inMs(200) }),
    udpDropped: await udp("127.0.0.1", 81, { deadline: inMs(200) }),
    tcpRejected: await dial("127.0.0.1", 82),
    udpRejected: await udp("127.0.0.1", 82),
    udpNotSent: await udp("127.0.0.1", 83),
  };
  results["device"] = {
    loopback: await dial("127.0.0.1", port, from(undefined, "lo")),
    other: await dial("127.0.0.1", port, { ...from(undefined, "veth0"), deadline: inMs(300) }),
    source: await dial("127.0.0.1", port, from("10.9.0.1", undefined)),
    udp: await udp("127.0.0.1", 9, from("127.0.0.5", "lo")),
  };
  // A router tells a host once a second that there is no route; only TCP asks again.
  await sleep(2000);
  results["routed"] = {
    udp: await udp("198.51.100.1", 80),
    tcp: await dial("198.51.100.1", 80),
    silent: await dial("10.9.1.1", 80, { deadline: inMs(200) }),
    tcp6: await dial("2001:db8::1", 80),
    udp6: await udp("2001:db8::1", 80),
  };
  const [tcp4, tcp6, udp4, icmp4, icmp6] = await Promise.all([
    dial("10.9.0.77", 80, { deadline: inMs(10_000) }),
    dial("fd00:9::77", 80, { deadline: inMs(10_000) }),
    udp("10.9.0.77", 80, { deadline: inMs(10_000) }),
    ping("10.9.0.77", { deadline: inMs(10_000) }),
    ping("fd00:9::77", { deadline: inMs(10_000) }),
  ]);
  results["neighbour"] = { tcp4, tcp6, udp4, icmp4, icmp6 };

  // With so few local ports, the kernel soon takes the target's own: a SYN that meets itself is answered.
  writeFileSync("/proc/sys/net/ipv4/ip_local_port_range", "40000 40003");
  const met = new Set<string>();
  for (let time = 0; time < 40; time++) {
    for (const ended of [
      await dial("127.0.0.1", 40_000 + (time % 4)),
      await udp("127.0.0.1", 40_000 + (time % 4), { deadline: inMs(200) }),
    ]) {
      met.add("code" in ended ? ended.code : ended.kind);
    }
  }
  results["met"] = [...met];
  router.kill();
}
server.close();
await sockets.close();
process.stdout.write(JSON.stringify(results));
