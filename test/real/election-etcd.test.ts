import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  changesOf,
  injectFaults,
  leadsOf,
  memberConfig,
  memberOf,
  openFleet,
  quick,
  startMember,
  startVisited,
  upOf,
} from "../kit/election-fleet.ts";
import { type Etcd, startEtcd } from "../kit/etcd.ts";
import { enterOwnNamespace } from "../kit/own-namespace.ts";
import { scratchFolder } from "../kit/program.ts";
import { canRun } from "../kit/real-parts.ts";
import { tlsFile } from "../kit/tls-files.ts";
import { until } from "../kit/until.ts";

const key = "/sockscope/default/sockscope/leader";
/** Above 200 for a long run. */
const faults = Number(process.env["SOCKSCOPE_TEST_FAULTS"] ?? 16);

const portOf = ({ url }: Etcd): number => Number(new URL(url).port);

const electionOf =
  (more = "") =>
  (place: number, port: number): string =>
    `backend: etcd, endpoints: ["http://127.0.0.1:${port}"], identity: agent-${place}, ${quick}${more}`;

describe.skipIf(!canRun("etcd"))("an election by etcd", () => {
  let leave: (() => void) | undefined;
  beforeAll(() => {
    leave = enterOwnNamespace();
  });
  afterAll(() => leave?.());

  test("one agent probes; when it is killed another one does, when it ends at once", { timeout: 120_000 }, async () => {
    using folder = scratchFolder();
    await using open = new AsyncDisposableStack();
    const etcd = open.use(await startEtcd(folder.path));
    const { elected, common, members, leader } = await openFleet(open, portOf(etcd), 3, electionOf());
    const first = await leader();
    const others = [0, 1, 2].filter((place) => place !== first);
    await until("all probe what is not elected", () => new Set(common.visits.map(({ by }) => by)).size === 3);
    await until("the leader says so", async () => (await upOf(members[first], "elected")) === 1);
    for (const place of others) {
      await until("it shows what it probes", async () => (await upOf(members[place], "common")) === 1);
      expect(await upOf(members[place], "elected")).toBeUndefined();
      expect(await leadsOf(members[place])).toBe(0);
      expect(await members[place]?.health()).toBe(`standing by, agent-${first} leads`);
    }
    expect(await leadsOf(members[first])).toBe(1);
    expect(await members[first]?.health()).toBe("leading, the probes run here");

    members[first]?.agent.child.kill("SIGKILL");
    const killedAt = performance.now();
    await until("another one probes", () => elected.visits.at(-1)?.by !== members[first]?.address);
    const second = await leader();
    const changedAt = elected.visits.find(({ by, at }) => at > killedAt && by === members[second]?.address)?.at ?? 0;
    expect(changedAt - killedAt).toBeGreaterThan(300);
    expect(changedAt - killedAt).toBeLessThan(10_000);

    const [third] = others.filter((place) => place !== second);
    expect(await members[second]?.agent.stop()).toEqual({ code: 0, signal: null });
    await until("the last one probes", () => elected.visits.at(-1)?.by === members[third ?? -1]?.address);
    expect(JSON.parse((await etcd.get(key)) ?? "{}")).toMatchObject({ identity: `agent-${third}`, released: false });
    expect(changesOf(elected.visits)).toBe(2);
  });

  test("a leader that is cut off stands by, and its series end", { timeout: 60_000 }, async () => {
    using folder = scratchFolder();
    await using open = new AsyncDisposableStack();
    const etcd = open.use(await startEtcd(folder.path));
    const { elected, members, ways, leader } = await openFleet(open, portOf(etcd), 2, electionOf());
    const first = await leader();
    const cut = members[first];
    const other = members[1 - first];
    await until("it has exported", async () => (await upOf(cut, "elected")) === 1);
    ways[first]?.set("hang");
    await cut?.agent.logged(/did not answer within 0.334 s/);
    await until("it stands by", async () => (await leadsOf(cut)) === 0);
    expect(await upOf(cut, "elected")).toBeUndefined();
    expect(await upOf(cut, "common")).toBe(1);
    await until("the other one leads", async () => (await upOf(other, "elected")) === 1);
    for (const [name = "", ...where] of [
      ["sockscope.probe.up"],
      ["sockscope.probe.runs"],
      ["sockscope.probe.latency"],
      ["tcp.success", "dest_port", String(elected.port)],
      ["connection_status_up", "name", "elected"],
    ]) {
      const points = cut?.exported(name, ...where) ?? [];
      // The last one of each has no value, and it came once.
      expect([name, points.filter(({ flags }) => flags === 1).length, points.at(-1)?.flags]).toEqual([name, 1, 1]);
      expect(other?.exported(name, ...where).every(({ flags }) => flags === 0)).toBe(true);
    }
    ways[first]?.set("open");
    ways[first]?.reset();
    await cut?.agent.logged(/its backend answers again/);
    await until("it says who leads", async () => (await cut?.health())?.endsWith(`agent-${1 - first} leads`) === true);
    expect(changesOf(elected.visits)).toBe(1);
  });

  test("whatever happens, the target never hears of two", { timeout: 60_000 + faults * 12_000 }, async () => {
    using folder = scratchFolder();
    await using open = new AsyncDisposableStack();
    const etcd = open.use(await startEtcd(folder.path));
    const fleet = await openFleet(open, portOf(etcd), 3, electionOf());
    await injectFaults(fleet, faults, {
      remove: () => etcd.remove(key),
      edit: async () => {
        const record: unknown = JSON.parse((await etcd.get(key)) ?? "{}");
        await etcd.put(key, JSON.stringify({ ...(record as object), identity: "", session: "" }));
      },
      spoil: async () => {
        await etcd.put(key, "not what it was");
        await sleep(500);
        await etcd.remove(key);
      },
      freeze: async (ms) => {
        etcd.child.kill("SIGSTOP");
        await sleep(ms);
        etcd.child.kill("SIGCONT");
      },
    });
  });

  test(
    "without etcd at the start nothing is probed; it is said once, and it starts when etcd is there",
    { timeout: 60_000 },
    async () => {
      using folder = scratchFolder();
      await using open = new AsyncDisposableStack();
      const [elected, common] = [open.use(await startVisited()), open.use(await startVisited())];
      const election = `backend: etcd, endpoints: ["http://127.0.0.1:2379"], identity: agent, ${quick}`;
      const member = open.use(
        startMember(memberOf(0), memberConfig(memberOf(0), { elected: elected.port, common: common.port }, election)),
      );
      await member.agent.logged(
        /^election default\/sockscope: etcd at 127.0.0.1:2379 ECONNREFUSED; trying again every 0.2 s/,
      );
      await until("what is not elected is probed", () => common.visits.length > 5);
      await until(
        "the page is there",
        async () => (await member.health()) === "standing by, the backend has not answered yet",
      );
      expect(elected.visits).toEqual([]);
      open.use(await startEtcd(folder.path));
      await member.agent.logged(/its backend answers again/);
      await until("it probes", () => elected.visits.length > 0);
      expect(member.agent.lines.filter(({ message }) => message.includes("ECONNREFUSED"))).toHaveLength(1);
    },
  );

  test("an identity used twice, and a key of somebody else's", { timeout: 60_000 }, async () => {
    using folder = scratchFolder();
    await using open = new AsyncDisposableStack();
    const etcd = open.use(await startEtcd(folder.path));
    const { elected, members, leader } = await openFleet(open, portOf(etcd), 2, electionOf(", name: twins"));
    const first = await leader();
    expect(changesOf(elected.visits)).toBe(0);
    const twin = open.use(
      startMember(
        memberOf(2),
        memberConfig(
          memberOf(2),
          { elected: elected.port, common: elected.port },
          `backend: etcd, endpoints: ["${etcd.url}"], name: twins, identity: agent-${first}, ${quick}`,
        ).replace(/ {4}- \{ name: common.*\n/, ""),
      ),
    );
    const said = /another agent has the identity agent-\d, too: give each its own election.identity/;
    await twin.agent.logged(said);
    await members[first]?.agent.logged(said);
    expect(changesOf(elected.visits)).toBe(0);

    await etcd.put("/sockscope/default/twins/leader", '{"somebody":"else"}');
    await members[first]?.agent.logged(
      /\/sockscope\/default\/twins\/leader in etcd at 127.0.0.1:\d+ holds something that sockscope did not write/,
    );
    const visits = elected.visits.length;
    await sleep(2000);
    expect(elected.visits.length - visits).toBeLessThan(5);
    expect(await etcd.get("/sockscope/default/twins/leader")).toBe('{"somebody":"else"}');
  });

  test("with TLS, a user and a password; a wrong one and a missing right are said", { timeout: 60_000 }, async () => {
    using folder = scratchFolder();
    await using open = new AsyncDisposableStack();
    const plain = await startEtcd(folder.path);
    const base64 = (text: string): string => Buffer.from(text).toString("base64");
    for (const name of ["root", "probes", "stranger"])
      await plain.ask("/v3/auth/user/add", { name, password: `of ${name}` });
    for (const name of ["root", "election"]) await plain.ask("/v3/auth/role/add", { name });
    const perm = { permType: "READWRITE", key: base64("/sockscope/"), range_end: base64("/sockscope0") };
    await plain.ask("/v3/auth/role/grant", { name: "election", perm });
    await plain.ask("/v3/auth/user/grant", { user: "root", role: "root" });
    await plain.ask("/v3/auth/user/grant", { user: "probes", role: "election" });
    await plain.ask("/v3/auth/enable", {});
    await plain.stop();
    open.use(
      await startEtcd(folder.path, {
        tls: [`--cert-file=${tlsFile("server.pem")}`, `--key-file=${tlsFile("server.key")}`],
      }),
    );
    const [elected, common] = [open.use(await startVisited()), open.use(await startVisited())];
    const startAs = (place: number, user: string, password: string) =>
      open.use(
        startMember(
          memberOf(place),
          memberConfig(
            memberOf(place),
            { elected: elected.port, common: common.port },
            `backend: etcd, endpoints: ["https://127.0.0.1:2379"], identity: agent-${place}, lease_duration: 6s, renew_deadline: 4s, retry_period: 500ms, username: ${user}, password: ${password}, tls: { ca_file: "${tlsFile("ca.pem")}" }`,
          ),
        ),
      );
    const right = startAs(0, "probes", "of probes");
    const wrong = startAs(1, "probes", "something else");
    const stranger = startAs(2, "stranger", "of stranger");
    await right.agent.logged(/leading/);
    const refused = await wrong.agent.logged(/authentication failed/);
    expect(refused.message).toContain("set election.username and election.password");
    expect(refused.message).not.toContain("something else");
    const denied = await stranger.agent.logged(/permission denied/);
    expect(denied.message).toContain(`may read and write ${key}`);
    await until("it probes", () => elected.visits.length > 3);
    expect(new Set(elected.visits.map(({ by }) => by))).toEqual(new Set([right.address]));
  });
});
