import { once } from "node:events";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type AddressInfo, createServer } from "node:net";
import { configFile, startAgent } from "./agent.ts";
import { flattenPoints, type MetricsRequest, type ReceivedPoint } from "./otlp-receiver.ts";
import { fetchText } from "./until.ts";

export type Visit = { readonly by: string; readonly at: number };

/** A target that notes who connects, by the address that each agent of the fleet has, and when. */
export const startVisited = async () => {
  const visits: Visit[] = [];
  const server = createServer((socket) => {
    visits.push({ by: socket.remoteAddress ?? "", at: performance.now() });
    socket.on("error", () => undefined).destroy();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    port: (server.address() as AddressInfo).port,
    visits: visits as readonly Visit[],
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, "close");
    },
  };
};

export type Member = {
  /** Of this agent's connections. */
  readonly address: string;
  readonly page: string;
};

export const memberOf = (place: number): Member => ({
  address: `127.0.0.${11 + place}`,
  page: `http://127.0.0.${11 + place}:9464`,
});

/** Times of a lease that tests can wait for. */
export const quick = "lease_duration: 1500ms, renew_deadline: 1s, retry_period: 200ms";

/** The configuration of an agent that probes `elected` ten times a second as long as it leads, and `common` always. */
export const memberConfig = (
  { address }: Member,
  ports: { readonly elected: number; readonly common: number },
  election: string,
): string => `
collection: { interval: 500ms, timeout: 400ms }
sockets: off
host: off
election: { ${election} }
probes:
  interval: 100ms
  timeout: 100ms
  targets:
    - { name: elected, target: "tcp://127.0.0.1:${ports.elected}", source_address: ${address} }
    - { name: common, target: "tcp://127.0.0.1:${ports.common}", source_address: ${address}, election: off }
export: { prometheus: { listen: "${address}:9464" }, file: { path: metrics.jsonl } }
`;

export const startMember = (member: Member, text: string) => {
  const config = configFile(text);
  const agent = startAgent(config.path);
  return {
    ...member,
    agent,
    /** How often it has begun to lead. */
    terms: () => agent.lines.filter(({ message }) => message.endsWith("leading, the probes run here")).length,
    health: () => fetchText(`${member.page}/healthz`),
    metrics: () => fetchText(`${member.page}/metrics`),
    /** What it has exported of a metric of the elected target. */
    exported: (name: string): ReceivedPoint[] =>
      flattenPoints(
        readFileSync(join(dirname(config.path), "metrics.jsonl"), "utf8")
          .split("\n")
          .slice(0, -1)
          .map((line) => JSON.parse(line) as MetricsRequest),
      ).filter((point) => point.name === name && point.attributes["sockscope.probe.name"] === "elected"),
    [Symbol.asyncDispose]: async () => {
      agent.child.kill("SIGCONT");
      await agent[Symbol.asyncDispose]();
      config[Symbol.dispose]();
    },
  };
};

export type RunningMember = ReturnType<typeof startMember>;

/** How often another agent than before connects. With one leader at a time it is at most once a term. */
export const changesOf = (visits: readonly Visit[]): number =>
  visits.filter(({ by }, index) => index > 0 && visits[index - 1]?.by !== by).length;
