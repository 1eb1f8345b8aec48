// Run by namespaces.test.ts with some capability taken away: what is read all the same, and what is said of it.
import { once } from "node:events";
import { createServer } from "node:net";
import { performance } from "node:perf_hooks";
import { composeSockets } from "../../src/core-sockets.ts";
import { defaults } from "../../src/config/defaults.ts";
import { loadLibc } from "../../src/kernel/libc.ts";
import type { Config } from "../../src/model/config.ts";
import { pointsOf } from "../kit/points.ts";

const logged: string[] = [];
const server = createServer().listen(8080, "127.0.0.1");
await once(server, "listening");
const part = await composeSockets({
  libc: loadLibc(),
  config: {
    paths: defaults.paths,
    networks: [],
    host: { sockstat: true },
    compat: {},
    resource: { attributes: {} },
  } as unknown as Config,
  sockets: { ...defaults.sockets, groupBy: "host", namespaces: "all" },
  resolve: () => Promise.reject(new Error("no name is to be resolved")),
  now: () => performance.now(),
  log: (level, message) => logged.push(`${level} ${message}`),
});
await part.collect(Date.now(), AbortSignal.timeout(10_000));
const { columns, observations } = await part.collect(Date.now(), AbortSignal.timeout(10_000));
part.close();
process.stdout.write(
  JSON.stringify({
    listeners: pointsOf(columns)
      .filter(({ metric }) => metric === "sockscope.listener.accept_queue.limit")
      .map(({ attributes }) => attributes),
    capabilities: Object.fromEntries(
      observations
        .filter(({ metric }) => metric === "sockscope.agent.capability")
        .map(({ attributes, value }) => [Object.values(attributes).join(), value]),
    ),
    logged,
  }),
);
process.exit(0);
