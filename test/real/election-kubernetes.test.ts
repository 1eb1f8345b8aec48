import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { changesOf, injectFaults, leadsOf, openFleet, quick } from "../kit/election-fleet.ts";
import { startKubeApiserver } from "../kit/kube-apiserver.ts";
import { enterOwnNamespace } from "../kit/own-namespace.ts";
import { scratchFolder } from "../kit/program.ts";
import { canRun } from "../kit/real-parts.ts";
import { tlsFile } from "../kit/tls-files.ts";
import { until } from "../kit/until.ts";

const leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
const lease = `${leases}/sockscope`;
/** Above 200 for a long run. */
const faults = Number(process.env["SOCKSCOPE_TEST_FAULTS"] ?? 11);

const electionOf =
  (tokenFile: string, more = "") =>
  (place: number, port: number): string =>
    `backend: kubernetes, endpoints: ["https://127.0.0.1:${port}"], token_file: ${tokenFile}, tls: { ca_file: ${tlsFile("ca.pem")} }, identity: agent-${place}, ${quick}${more}`;

describe.skipIf(!canRun("etcd", "apiserver"))("an election by Kubernetes", () => {
  let leave: (() => void) | undefined;
  beforeAll(() => {
    leave = enterOwnNamespace();
  });
  afterAll(() => leave?.());

  test(
    "one agent probes, as the Lease says; tokens are renewed, and a missing right is said",
    { timeout: 120_000 },
    async () => {
      using folder = scratchFolder();
      await using open = new AsyncDisposableStack();
      const api = await startKubeApiserver(folder.path, open);
      const tokenFile = join(folder.path, "token");
      const newToken = await api.addAccount("probes");
      writeFileSync(tokenFile, await newToken());
      const { elected, members, leader } = await openFleet(open, api.port, 2, electionOf(tokenFile));
      const denied = await members[0]?.agent.logged(/answers 403/);
      expect(denied?.message).toMatch(
        /cannot get resource "leases".*the service account needs to get, create and update leases in the namespace default/,
      );
      expect(elected.visits).toEqual([]);
      await api.allow("probes");

      const first = await leader();
      const held = await api.must("GET", lease);
      expect(held.spec).toMatchObject({
        holderIdentity: `agent-${first}`,
        leaseDurationSeconds: 2,
        leaseTransitions: 0,
      });
      expect(Math.abs(Date.parse(held.spec.renewTime) - Date.now())).toBeLessThan(60_000);
      await until("the other one says so", async () => (await leadsOf(members[1 - first])) === 0);

      // What others put there stays.
      const labels = { "app.kubernetes.io/name": "sockscope" };
      await until("it has a label", async () => {
        const now = await api.must("GET", lease);
        const { status } = await api.ask("PUT", lease, { ...now, metadata: { ...now.metadata, labels } });
        return status === 200;
      });
      await sleep(1000);
      expect((await api.must("GET", lease)).metadata.labels).toEqual(labels);

      writeFileSync(tokenFile, "no.token.at-all");
      await members[first]?.agent.logged(/answers 401/);
      writeFileSync(tokenFile, `${await newToken()}\n`);
      await members[first]?.agent.logged(/its backend answers again/);
      await leader();
      for (const { agent } of members) for (const line of agent.raw) expect(line).not.toContain("no.token");

      const second = await leader();
      expect(await members[second]?.agent.stop()).toEqual({ code: 0, signal: null });
      await until("the last one probes", () => elected.visits.at(-1)?.by === members[1 - second]?.address);
      expect((await api.must("GET", lease)).spec.holderIdentity).toBe(`agent-${1 - second}`);
      expect(changesOf(elected.visits)).toBeLessThanOrEqual(2);
    },
  );

  test("a Lease that another program holds is left alone", { timeout: 60_000 }, async () => {
    using folder = scratchFolder();
    await using open = new AsyncDisposableStack();
    const api = await startKubeApiserver(folder.path, open);
    const tokenFile = join(folder.path, "token");
    const newToken = await api.addAccount("probes");
    await api.allow("probes");
    writeFileSync(tokenFile, await newToken());
    const spec = { holderIdentity: "somebody-else", leaseDurationSeconds: 1 };
    await api.must("POST", leases, { metadata: { name: "sockscope" }, spec });
    const { elected, members } = await openFleet(open, api.port, 1, electionOf(tokenFile));
    await members[0]?.agent.logged(
      /sockscope in Kubernetes at 127.0.0.1:\d+ holds something that sockscope did not write/,
    );
    await sleep(2500);
    expect((await api.must("GET", lease)).spec).toEqual(spec);
    expect(elected.visits).toEqual([]);
    await api.must("DELETE", lease);
    await until("it probes", () => elected.visits.length > 0);
  });

  test("whatever happens, the target never hears of two", { timeout: 60_000 + faults * 12_000 }, async () => {
    using folder = scratchFolder();
    await using open = new AsyncDisposableStack();
    const api = await startKubeApiserver(folder.path, open);
    const tokenFile = join(folder.path, "token");
    const newToken = await api.addAccount("probes");
    await api.allow("probes");
    writeFileSync(tokenFile, await newToken());
    const fleet = await openFleet(open, api.port, 3, electionOf(tokenFile));
    const change = async (spec: object, annotations?: object): Promise<void> => {
      const { status, body: now } = await api.ask("GET", lease);
      // Somebody else has just deleted it.
      if (status === 404) return;
      const metadata = annotations === undefined ? now.metadata : { ...now.metadata, annotations };
      await api.ask("PUT", lease, {
        ...now,
        metadata: { ...metadata, resourceVersion: undefined },
        spec: { ...now.spec, ...spec },
      });
    };
    await injectFaults(fleet, faults, {
      remove: () => api.ask("DELETE", lease),
      edit: () => change({ holderIdentity: "" }),
      spoil: async () => {
        await change({ holderIdentity: "somebody-else" }, {});
        await sleep(500);
        await api.ask("DELETE", lease);
      },
      freeze: async (ms) => {
        api.child.kill("SIGSTOP");
        await sleep(ms);
        api.child.kill("SIGCONT");
      },
    });
  });
});
