import { createResolver } from "../../src/kernel/resolver.ts";
import { serveNames } from "../kit/name-server.ts";
import { never } from "../kit/probe.ts";

/** Ends, in the way that its argument says, while getaddrinfo(3) waits for a name server that never answers. */
const server = await serveNames({});
const resolver = createResolver();
const lookups = ["slow-1", "slow-2", "slow-3"].map((host) => resolver.resolve(host, 0, 1000, never));
while (resolver.stats().running < 3) await new Promise((done) => setTimeout(done, 10));

if (process.argv[2] === "exit") process.exit(3);
if (process.argv[2] === "close") await resolver.close();
await Promise.all(lookups);
server[Symbol.dispose]();
process.exitCode = 4;
