// Run by select.test.ts in a network namespace of its own: known sockets, filtered by the kernel, by sockscope and by ss.
import { emptyReport } from "../../src/model/sources.ts";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import fc from "fast-check";
import type { SelectConfig } from "../../src/model/config.ts";
import { parseConfig } from "../../src/config/parse.ts";
import { loadLibc } from "../../src/kernel/libc.ts";
import { createSockDiag } from "../../src/kernel/netlink-socket.ts";
import { addressText, local, peer } from "../../src/netlink/address.ts";
import { TCP_ESTABLISHED } from "../../src/netlink/constants.ts";
import { dumpsOf } from "../../src/netlink/dumps.ts";
import { planTcpInfo } from "../../src/netlink/tcp-info.ts";
import { createSelector } from "../../src/select/select.ts";
import { kernelConfig, resolveHosts, unknownOwner } from "../kit/select.ts";
import { filters } from "./select-filters.ts";

const ip = (...args: readonly string[]): string => execFileSync("ip", args, { encoding: "utf8" });
for (const address of ["10.0.0.1/32", "10.0.0.2/32", "10.1.0.1/32"]) ip("addr", "add", address, "dev", "lo");
ip("-6", "addr", "add", "2001:db8::1/128", "dev", "lo", "nodad");

const sockets: Socket[] = [];
const listen = async (port: number, host: string, ipv6Only: boolean) => {
  const server = createServer((socket) => sockets.push(socket));
  await once(server.listen({ port, host, ipv6Only }), "listening");
  return server;
};
// 80 and 443 take both families by one IPv6 socket, so that their ends of IPv4 connections are IPv4-mapped.
const servers = await Promise.all([
  listen(80, "::", false),
  listen(443, "::", false),
  listen(22, "0.0.0.0", false),
  listen(8000, "0.0.0.0", false),
  listen(8000, "::", true),
  listen(8443, "::", false),
]);
const open = async (localAddress: string, host: string, port: number): Promise<void> => {
  const socket = connect({ host, port, localAddress });
  sockets.push(socket);
  await once(socket, "connect");
};
for (const port of [22, 80, 443, 8000, 8443]) {
  for (const host of ["127.0.0.1", "10.0.0.1", "10.1.0.1"])
    for (const from of ["127.0.0.1", "10.0.0.2"]) await open(from, host, port);
  if (port !== 22) for (const host of ["::1", "2001:db8::1"]) await open("2001:db8::1", host, port);
}
while (sockets.length < 2 * 38) await new Promise((resolve) => setImmediate(resolve));

const libc = loadLibc();
const plan = planTcpInfo(["rtt"]);

/** The established connections that a dump with this program gives, and of these the ones that `decide` takes. */
const dump = async (config: SelectConfig, program: Uint8Array | undefined) => {
  const selector = resolveHosts(createSelector(config));
  const diag = createSockDiag(
    libc,
    dumpsOf(["tcp"], { plan, congestion: false, program: () => program, timeWait: false }),
  );
  const all: string[] = [];
  const taken: string[] = [];
  for await (const batch of diag.read(AbortSignal.timeout(5000), emptyReport()))
    for (let row = 0; row < batch.length; row++) {
      if (batch.state[row] !== TCP_ESTABLISHED) continue;
      const ends = `${addressText(batch, row, local)} ${batch.localPort[row]} ${addressText(batch, row, peer)} ${batch.peerPort[row]}`;
      all.push(ends);
      if (selector.decide(batch, row, () => unknownOwner, "dump") === "yes") taken.push(ends);
    }
  diag.close();
  return { all: all.sort(), taken: taken.sort() };
};

const programOf = (config: SelectConfig): Uint8Array | undefined => resolveHosts(createSelector(config)).program();

const endOf = (text: string): string => {
  const [, address = "", port] = /^\[?(?:::ffff:)?([^\]]*)\]?:(\d+)$/.exec(text) ?? [];
  return `${address} ${port}`;
};

const ss = (expression: string): string[] =>
  execFileSync("ss", ["-tnH", "state", "established", expression], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [, , own = "", other = ""] = line.trim().split(/\s+/);
      return `${endOf(own)} ${endOf(other)}`;
    })
    .sort();

const configOf = (select: string): SelectConfig => {
  const { sockets: read } = parseConfig(`sockets: { select: ${select} }`, "f.yaml", {}).config;
  if (read === "off") throw new Error("sockets are off");
  return read.select;
};

const everything = { include: [], exclude: [] } as const;
const results = [];
for (const { select, expression } of filters) {
  const config = configOf(select);
  const program = programOf(config);
  results.push({
    select,
    hasProgram: program !== undefined,
    kernel: (await dump(everything, program)).all,
    decided: (await dump(config, undefined)).taken,
    ss: ss(expression),
  });
}

// Random filters, of which some are beyond what a program takes.
const differences: unknown[] = [];
for (const config of fc.sample(kernelConfig, { numRuns: 400, seed: 1 })) {
  const program = programOf(config);
  const { taken } = await dump(config, undefined);
  const { all, taken: takenOfThem } = await dump(config, program);
  if (all.length < taken.length || takenOfThem.join() !== taken.join()) differences.push({ config, taken, all });
}

process.stdout.write(JSON.stringify({ total: (await dump(everything, undefined)).all.length, results, differences }));
for (const socket of sockets) socket.destroy();
for (const server of servers) server.close();
process.exit(0);
