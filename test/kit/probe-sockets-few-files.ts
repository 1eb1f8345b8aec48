import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { createProbeSockets } from "../../src/kernel/probe-sockets.ts";
import { never } from "./probe.ts";
import { dialling, sending } from "./probe-sockets.ts";

/** Dials while the process may open no more files, with a thread that runs and with one that cannot start. */
const gone = Promise.withResolvers<void>();
const server = createServer((socket) => socket.resume().on("close", gone.resolve)).listen(0, "127.0.0.1");
await once(server, "listening");
const to = { address: "127.0.0.1", family: 4 as const, port: (server.address() as AddressInfo).port };
const warm = createProbeSockets();
await warm.dial(to, dialling(), never);
// Its descriptor would be free to take, in the middle of what follows.
await gone.promise;
const cold = createProbeSockets();

const files: number[] = [];
try {
  for (;;) files.push(openSync("/dev/null", "r"));
} catch {
  // EMFILE is the point.
}
const dialled = await warm.dial(to, dialling(), never);
const sent = await warm.sendPacket(to, sending(), never);
const late = await cold.dial(to, dialling(), never);
const again = await cold.dial(to, dialling(), never);
for (const file of files) closeSync(file);
const after = { warm: await warm.dial(to, dialling(), never), cold: await cold.dial(to, dialling(), never) };
server.close();
await Promise.all([warm.close(), cold.close()]);
process.stdout.write(JSON.stringify({ dialled, sent, cold: [late, again], after }));
