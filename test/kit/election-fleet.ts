import { once } from "node:events";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type AddressInfo, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { configFile, startAgent } from "./agent.ts";
import { randomOf } from "./election-model.ts";
import { parseExposition } from "./exposition.ts";
import { type FaultyWay, startFaultyWay } from "./faulty-way.ts";
import { flattenPoints, type MetricsRequest, type ReceivedPoint } from "./otlp-receiver.ts";
import { fetchText, until } from "./until.ts";

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
compat: [datakit, connection_status]
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
    /** What /healthz says of the election; undefined as long as that is not well. */
    health: async () => {
      const body = await fetchText(`${member.page}/healthz`);
      return body === undefined ? undefined : (JSON.parse(body) as { readonly election?: string }).election;
    },
    metrics: () => fetchText(`${member.page}/metrics`),
    /** What it has exported of a metric of the elected target, whose series have that attribute. */
    exported: (name: string, attribute = "sockscope.probe.name", value = "elected"): ReceivedPoint[] =>
      flattenPoints(
        readFileSync(join(dirname(config.path), "metrics.jsonl"), "utf8")
          .split("\n")
          .slice(0, -1)
          .map((line) => JSON.parse(line) as MetricsRequest),
      ).filter((point) => point.name === name && point.attributes[attribute] === value),
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

/** A few agents of one election, each with a way of its own to port `backend`, and what they probe. */
export const openFleet = async (
  open: AsyncDisposableStack,
  backend: number,
  size: number,
  electionOf: (place: number, port: number) => string,
) => {
  const [elected, common] = [open.use(await startVisited()), open.use(await startVisited())];
  const ports = { elected: elected.port, common: common.port };
  const ways: FaultyWay[] = [];
  const members: RunningMember[] = [];
  const start = (place: number): void => {
    const election = electionOf(place, ways[place]?.port ?? 0);
    members[place] = open.use(startMember(memberOf(place), memberConfig(memberOf(place), ports, election)));
  };
  for (let place = 0; place < size; place++) {
    ways.push(open.use(await startFaultyWay(backend)));
    start(place);
  }
  /** Which agents connected in the last so many ms. */
  const visitors = (ms: number): string[] => [
    ...new Set(elected.visits.filter(({ at }) => at > performance.now() - ms).map(({ by }) => by)),
  ];
  const leader = async (): Promise<number> => {
    const only = await until("one agent probes", () => {
      const [first, ...others] = visitors(500);
      return others.length === 0 && first;
    });
    return members.findIndex(({ address }) => address === only);
  };
  return { elected, common, ways, members, start, leader };
};

export type Fleet = Awaited<ReturnType<typeof openFleet>>;

/** What somebody does to the lease, and a stop of its backend. */
export type BackendFaults = {
  readonly remove: () => Promise<unknown>;
  readonly edit: () => Promise<unknown>;
  readonly spoil: () => Promise<unknown>;
  readonly freeze: (ms: number) => Promise<unknown>;
};

/** Injects faults of all kinds, most of them into the leader, and expects that the target never heard of two at a time. */
export const injectFaults = async (
  { elected, ways, members, start, leader }: Fleet,
  faults: number,
  backend: BackendFaults,
): Promise<void> => {
  const random = randomOf(7);
  let ended = 0;
  const endAndStart = async (place: number, signal: NodeJS.Signals): Promise<void> => {
    const member = members[place];
    member?.agent.child.kill(signal);
    await member?.agent.exited;
    ended += member?.terms() ?? 0;
    start(place);
  };
  const injected: readonly ((place: number) => Promise<unknown>)[] = [
    (place) => endAndStart(place, "SIGKILL"),
    (place) => endAndStart(place, "SIGTERM"),
    async (place) => {
      members[place]?.agent.child.kill("SIGSTOP");
      await sleep(500 + random.below(3500));
      members[place]?.agent.child.kill("SIGCONT");
    },
    async (place) => {
      ways[place]?.set("error");
      await sleep(random.below(3000));
      ways[place]?.set("open");
    },
    async (place) => {
      ways[place]?.set("hang");
      await sleep(random.below(4000));
      ways[place]?.set("open");
      ways[place]?.reset();
    },
    async (place) => {
      ways[place]?.set(100 + random.below(700));
      await sleep(random.below(4000));
      ways[place]?.set("open");
    },
    async (place) => ways[place]?.reset(),
    backend.remove,
    backend.edit,
    backend.spoil,
    () => backend.freeze(random.below(3000)),
  ];
  for (let count = 0; count < faults; count++) {
    const place = random.chance(0.8) ? await leader() : random.below(members.length);
    // Each kind before any comes again.
    await injected[count % injected.length]?.(place);
  }
  await leader();
  await sleep(500);
  const terms = members.reduce((sum, member) => sum + member.terms(), ended);
  expect(elected.visits.length).toBeGreaterThan(faults);
  expect(terms).toBeGreaterThan(faults / 4);
  expect(changesOf(elected.visits)).toBeLessThan(terms);
  // What a long run is told by.
  if (faults > 16) process.stdout.write(`${faults} faults, ${terms} terms, ${elected.visits.length} visits\n`);
};

/** `sockscope.probe.up` of a target on the page. */
export const upOf = async (member: RunningMember | undefined, target: string): Promise<number | undefined> =>
  parseExposition((await member?.metrics()) ?? "")
    .find("sockscope_probe_up")
    .find(({ labels }) => labels["sockscope_probe_name"] === target)?.value;

/** What the page says of the election. */
export const leadsOf = async (member: RunningMember | undefined): Promise<number | undefined> =>
  parseExposition((await member?.metrics()) ?? "").find("sockscope_agent_election_leader")[0]?.value;
