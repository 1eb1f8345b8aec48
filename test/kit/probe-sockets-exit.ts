import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { createProbeSockets } from "../../src/kernel/probe-sockets.ts";
import { never } from "./probe.ts";
import { dialling, inMs, sending } from "./probe-sockets.ts";
import { bindUdpRaw } from "./raw-socket.ts";

/** Ends in the way of its argument while a probe waits, or none does. */
const way = process.argv[2];
const server = createServer((socket) => socket.resume()).listen(0, "127.0.0.1");
await once(server, "listening");
const to = { address: "127.0.0.1", family: 4 as const, port: (server.address() as AddressInfo).port };
const sockets = createProbeSockets();
const silent = { ...to, port: bindUdpRaw().port };

if (way === "starting") {
  void sockets.dial(to, dialling(), never);
  setImmediate(() => process.exit(3));
} else {
  const { kind } = await sockets.dial(to, dialling(), never);
  server.close();
  process.stdout.write(kind);
  // Far beyond what the test waits for.
  if (way !== "idle") void sockets.sendPacket(silent, sending({ deadline: inMs(600_000) }), never);
  await new Promise((done) => setTimeout(done, 50));
  if (way === "exit") process.exit(3);
  if (way === "throw") throw new Error("as a bug would");
  if (way === "close") {
    await sockets.close();
    process.stdout.write(" closed");
  }
}
