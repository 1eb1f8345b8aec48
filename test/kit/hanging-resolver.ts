import { writeSync } from "node:fs";
import { createResolver } from "../../src/kernel/resolver.ts";
import { never } from "./probe.ts";

/** Ends, in the way that its argument says, while three lookups block their threads for half a minute. */
const resolver = createResolver({ script: new URL("./resolver-thread.ts", import.meta.url) });
const hosts = ["sleep-30000", "sleep-30001", "sleep-30002"];
const abort = new AbortController();
const lookups = hosts.map((host) => resolver.resolve(host, 4, 30_000, abort.signal));
while (resolver.stats().running < hosts.length) await new Promise((done) => setTimeout(done, 10));
process.on("exit", () => void writeSync(1, "bye"));

if (process.argv[2] === "exit") process.exit(3);
if (process.argv[2] === "throw") throw new Error("uncaught");
if (process.argv[2] === "close") await resolver.close();
const late = await Promise.all(hosts.map((host) => resolver.resolve(host, 4, 500, never)));
abort.abort();
await Promise.all(lookups);
process.stdout.write(JSON.stringify(late.map((each) => (each.kind === "found" ? "found" : each.error))));
process.exitCode = 4;
