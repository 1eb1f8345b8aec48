import { createResolver } from "../../src/kernel/resolver.ts";
import { serveNames } from "../kit/name-server.ts";
import { never } from "../kit/probe.ts";

/** Ends, in the way that its argument says, while getaddrinfo(3) waits for a name server that never answers. */
const server = await serveNames({});
const resolver = createResolver();
const hosts = ["slow-1", "slow-2", "slow-3"];
const abort = new AbortController();
const lookups = hosts.map((host) => resolver.resolve(host, 0, 30_000, abort.signal));
while (resolver.stats().running < hosts.length) await new Promise((done) => setTimeout(done, 10));

if (process.argv[2] === "exit") process.exit(3);
if (process.argv[2] === "close") await resolver.close();
if (process.argv[2] === "wait") await Promise.all(hosts.map((host) => resolver.resolve(host, 0, 500, never)));
abort.abort();
await Promise.all(lookups);
server[Symbol.dispose]();
process.exitCode = 4;
