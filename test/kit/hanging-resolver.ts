import { createResolver } from "../../src/kernel/resolver.ts";

/** Ends, in the way that its argument says, while three lookups block their threads for half a minute. */
const resolver = createResolver({ script: new URL("./resolver-thread.ts", import.meta.url) });
const { signal } = new AbortController();
const lookups = ["sleep-30000", "sleep-30001", "sleep-30002"].map((host) => resolver.resolve(host, 4, 2000, signal));
while (resolver.stats().running < 3) await new Promise((done) => setTimeout(done, 10));

if (process.argv[2] === "exit") process.exit(3);
if (process.argv[2] === "throw") throw new Error("uncaught");
if (process.argv[2] === "close") await resolver.close();
const resolutions = await Promise.all(lookups);
process.stdout.write(
  JSON.stringify(resolutions.map((each) => (each.kind === "down" || each.kind === "not_run" ? each.error : each.kind))),
);
process.exitCode = 4;
