import { closeSync, openSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
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

const files: number[] = [];
try {
  for (;;) files.push(openSync("/dev/null", "r"));
} catch {
  // EMFILE is the point.
}
const now = (): number => performance.now();
const outcomes = {
  tcp: await runProbe(tcpTarget("127.0.0.1", port), { resolve: warm.resolve, now }, never),
  udp: await runProbe(udpTarget("127.0.0.1", port), { resolve: warm.resolve, now }, never),
  unix: await runProbe(unixTarget("/absent"), { resolve: warm.resolve, now }, never),
  warm: await runProbe(tcpTarget("localhost", port), { resolve: warm.resolve, now }, never),
  cold: await runProbe(tcpTarget("localhost", port), { resolve: cold.resolve, now }, never),
};
for (const file of files) closeSync(file);
const after = await runProbe(tcpTarget("localhost", port), { resolve: cold.resolve, now }, never);
server.close();
process.stdout.write(JSON.stringify({ ...outcomes, after }));
await Promise.all([warm.close(), cold.close()]);
