// Run by sources.test.ts in a network namespace of its own: the same sockets by netlink, by ss and from /proc.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type ListenOptions, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { loadLibc } from "../../src/kernel/libc.ts";
import { createSockDiag } from "../../src/kernel/netlink-socket.ts";
import { readProcFile } from "../../src/kernel/proc-files.ts";
import { createProcSockets } from "../../src/kernel/proc-sockets.ts";
import { createSocketSource } from "../../src/kernel/socket-source.ts";
import { createSsCommand } from "../../src/kernel/ss-command.ts";
import { type SocketProtocol, socketProtocols } from "../../src/model/socket.ts";
import { emptyReport, type DumpReport, type SocketBackend } from "../../src/model/sources.ts";
import { dumpsOf } from "../../src/netlink/dumps.ts";
import { planTcpInfo, tcpInfoFields } from "../../src/netlink/tcp-info.ts";
import { bindUdpRaw, listenRaw, openRawIcmp } from "../kit/raw-socket.ts";
import { rowOf } from "../kit/ss-text.ts";

const folder = mkdtempSync(join(tmpdir(), "sockscope-sources-"));
const sockets: Socket[] = [];
const serve = async (options: ListenOptions, bytes: number): Promise<void> => {
  const server = createServer((socket) => void sockets.push(socket.on("data", () => undefined)));
  server.listen(options);
  await once(server, "listening");
  const address = server.address() as AddressInfo | string;
  const host = options.host === "::" ? "127.0.0.1" : options.host;
  const client = typeof address === "string" ? connect(address) : connect(address.port, host);
  await once(client, "connect");
  client.write(Buffer.alloc(bytes));
  sockets.push(client);
};
await serve({ host: "127.0.0.1", port: 0, backlog: 3 }, 100_000);
await serve({ host: "::1", port: 0, backlog: 5 }, 5000);
// Dual-stack: its end of the connection is IPv6 with mapped addresses.
await serve({ host: "::", port: 0, backlog: 7 }, 0);
await serve({ path: join(folder, "a b") }, 10);
await serve({ path: "\0sockscope abstract" }, 0);

using full = listenRaw([127, 0, 0, 1]);
const waiting = connect(full.port, "127.0.0.1").on("error", () => undefined);
await once(waiting, "connect");
using silent = bindUdpRaw();
using raw = openRawIcmp();
void raw;
const sender = createSocket("udp4");
await Promise.all(
  Array.from(
    { length: 500 },
    () => new Promise<void>((resolve) => sender.send(Buffer.alloc(1000), silent.port, "127.0.0.1", () => resolve())),
  ),
);
await setTimeout(500);

const options = { plan: planTcpInfo(tcpInfoFields), congestion: true, program: undefined, timeWait: false };
const netlink: SocketBackend = (protocols) => {
  const diag = createSockDiag(loadLibc(), dumpsOf(protocols, options));
  return { read: diag.read, close: () => diag.close() };
};
const ss = createSsCommand({ proc: "/proc", readFile: readProcFile, path: process.env["PATH"] ?? "" });
const proc = createProcSockets("/proc");

const dump = async (backend: SocketBackend, protocols: readonly SocketProtocol[]) => {
  const report: DumpReport = emptyReport();
  const rows: unknown[] = [];
  const reader = backend(protocols);
  for await (const batch of reader.read(AbortSignal.timeout(5000), report))
    for (let row = 0; row < batch.length; row++)
      rows.push({ protocol: socketProtocols[batch.protocol[row] as number], ...rowOf(batch, row) });
  reader.close();
  return { rows, skipped: report.skipped, lacking: [...report.lacking] };
};

const logged: string[] = [];
const auto: SocketBackend = (protocols) =>
  createSocketSource({
    source: "auto",
    protocols,
    netlink: "refused",
    ss,
    proc,
    log: (level, message) => logged.push(`${level} ${message}`),
  });

const result = {
  netlink: await dump(netlink, ["tcp", "udp"]),
  ss: await dump(ss, ["tcp", "udp", "unix", "raw"]),
  proc: await dump(proc, ["tcp", "udp", "unix", "raw"]),
  again: await dump(proc, ["tcp", "udp", "unix", "raw"]),
  auto: await dump(auto, ["tcp", "udp", "raw"]),
  logged,
  full: full.port,
  silent: silent.port,
};
// NaN is no JSON: absent and undefined are one here.
process.stdout.write(JSON.stringify(result));
rmSync(folder, { recursive: true });
for (const socket of [...sockets, waiting]) socket.destroy();
process.exit(0);
