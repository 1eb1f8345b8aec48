import { closeSync, openSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { loadLibc } from "../../src/kernel/libc.ts";
import { createProbeSockets } from "../../src/kernel/probe-sockets.ts";
import { createResolver } from "../../src/kernel/resolver.ts";
import { runProbe } from "../../src/probe/index.ts";
import { never, tcpTarget, udpTarget, unixTarget } from "./probe.ts";

/** Probes targets that are up while the process may open no more files, and prints the outcomes. */
const server = createServer((socket) => socket.resume()).listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = server.address() as AddressInfo;
const warm = createResolver();
await warm.resolve("localhost", 4, 5000, never);
const cold = createResolver();
const now = (): number => performance.now();
const libc = loadLibc();
const sockets = createProbeSockets({ libc, now });
const coldSockets = createProbeSockets({ libc, now });
const deps = { resolve: warm.resolve, sockets, now };
await runProbe(tcpTarget("127.0.0.1", port), deps, never);
// The server's end of that closes, too, and its descriptor is free before all are taken.
while ((await new Promise<number>((done) => server.getConnections((_, count) => done(count)))) > 0)
  await new Promise((done) => setTimeout(done, 5));

const files: number[] = [];
try {
  for (;;) files.push(openSync("/dev/null", "r"));
} catch {
  // EMFILE is the point.
}
const outcomes = {
  tcp: await runProbe(tcpTarget("127.0.0.1", port), deps, never),
  udp: await runProbe(udpTarget("127.0.0.1", port), deps, never),
  unix: await runProbe(unixTarget("/absent"), deps, never),
  warm: await runProbe(tcpTarget("localhost", port), deps, never),
  coldSockets: await runProbe(tcpTarget("127.0.0.1", port), { ...deps, sockets: coldSockets }, never),
  cold: await runProbe(tcpTarget("localhost", port), { ...deps, resolve: cold.resolve }, never),
};
for (const file of files) closeSync(file);
const after = await runProbe(tcpTarget("localhost", port), { resolve: cold.resolve, sockets: coldSockets, now }, never);
server.close();
process.stdout.write(JSON.stringify({ ...outcomes, after }));
await Promise.all([warm.close(), cold.close(), sockets.close(), coldSockets.close()]);
