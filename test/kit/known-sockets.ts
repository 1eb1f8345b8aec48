import { spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { until } from "./until.ts";

const run = (command: string): string => {
  const { status, stdout, stderr } = spawnSync("sh", ["-ec", command], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command}: ${stderr}`);
  return stdout;
};

const inState = (state: string): number => run(`ss -Htan state ${state}`).split("\n").length - 1;

/**
 * Sockets in all states that a test can make them stay in, of IPv4, IPv6, and IPv4 in IPv6 addresses, in a network
 * namespace that has no others. Those of `restless` retransmit: what goes to that port is dropped.
 */
export const openKnownSockets = async () => {
  await using failed = new AsyncDisposableStack();
  const accepted: Socket[] = [];
  const keep = (socket: Socket): void => failed.defer(() => void socket.on("error", () => undefined).destroy());

  const serve = async (host: string): Promise<number> => {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      accepted.push(socket);
      keep(socket);
    }).listen(0, host);
    failed.defer(() => void server.close());
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  };

  /** A connection as both its ends. */
  const open = async (port: number, host: string): Promise<readonly [client: Socket, server: Socket]> => {
    const before = accepted.length;
    const client = connect({ port, host, allowHalfOpen: true });
    keep(client);
    await once(client, "connect");
    const server = await until("it is accepted", () => accepted[before]);
    return [client, server];
  };

  const openUdp = async (family: "udp4" | "udp6", peer: string | undefined): Promise<void> => {
    const socket = createSocket(family);
    failed.defer(() => void socket.close());
    if (peer === undefined) socket.bind(0);
    else socket.connect(9, peer);
    await once(socket, peer === undefined ? "listening" : "connect");
  };

  run("ip address add fe80::1/64 dev lo nodad");
  const [dual, plain, restless] = [await serve("::"), await serve("127.0.0.1"), await serve("127.0.0.1")];

  const [mapped] = await open(dual, "127.0.0.1");
  mapped.write("x".repeat(1000));
  const [local, remote] = await open(dual, "::1");
  remote.write("y".repeat(50));
  local.resume();
  await open(dual, "fe80::1%lo");
  await open(plain, "127.0.0.1");
  const [sending, reading] = await open(plain, "127.0.0.1");
  sending.write(Buffer.alloc(30_000));
  reading.resume();
  const [half] = await open(plain, "127.0.0.1");
  half.end();
  // Closed as a whole the kernel keeps no more of it than of a socket in TIME-WAIT.
  const [orphan] = await open(plain, "127.0.0.1");
  orphan.destroy();
  const [first, last] = await open(plain, "127.0.0.1");
  first.end();
  last.resume().end();
  first.resume();

  const [ending] = await open(restless, "127.0.0.1");
  const [ended, answering] = await open(restless, "127.0.0.1");
  ended.end();
  await until("that one is half closed", () => inState("close-wait") === 3);
  run(`nft add table inet known
nft add chain inet known input '{ type filter hook input priority 0; }'
nft add rule inet known input tcp dport ${restless} drop
nft add rule inet known input tcp sport ${restless} drop`);
  ending.end();
  answering.end();
  keep(connect(restless, "127.0.0.1"));

  for (const [family, peer] of [
    ["udp4", "127.0.0.1"],
    ["udp4", undefined],
    ["udp6", "::1"],
    ["udp6", "::ffff:127.0.0.1"],
    ["udp6", "fe80::1%lo"],
  ] as const)
    await openUdp(family, peer);

  const expected = { "fin-wait-1": 1, "fin-wait-2": 3, "close-wait": 2, "last-ack": 1, "syn-sent": 1, "time-wait": 1 };
  await until("they are in their states", () =>
    Object.entries(expected).every(([state, count]) => inState(state) === count),
  );
  // From the first loss on a window stays as it is.
  await until(
    "those that end have retransmitted",
    () => run("ss -Htin state fin-wait-1 state last-ack").match(/ cwnd:1 /g)?.length === 2,
  );
  const sockets = failed.move();
  return { restless, [Symbol.asyncDispose]: () => sockets.disposeAsync() };
};
