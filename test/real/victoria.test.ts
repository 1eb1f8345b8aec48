import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { configFile, root, startAgent } from "../kit/agent.ts";
import { closedPort, openFlow, startEcho } from "../kit/loopback.ts";
import { readMetricsDoc } from "../kit/metrics-doc.ts";
import { enterOwnNamespace } from "../kit/own-namespace.ts";
import { scratchFolder, startProgram } from "../kit/program.ts";
import { queryNow, storedNames } from "../kit/promql.ts";
import { canRun, realParts } from "../kit/real-parts.ts";
import { until } from "../kit/until.ts";

/** Rows take seconds until a query finds them. */
const patience = 30_000;

const database = "http://127.0.0.1:8428";

const startDatabase = (folder: string) =>
  startProgram(
    {
      path: realParts.victoria,
      args: [`-storageDataPath=${folder}`, "-httpListenAddr=127.0.0.1:8428", "-opentelemetry.usePrometheusNaming"],
    },
    `${database}/health`,
  );

const configOf = (targets: readonly string[]): string => `
collection: { interval: 500ms, timeout: 500ms }
probes:
  interval: 500ms
  timeout: 400ms
  targets: [${targets.join(", ")}]
sockets: { group_by: endpoint }
export:
  otlp: { endpoint: "${database}/opentelemetry" }
`;

/** The names in the second column of README's table of metrics. */
const readmeNames = (): string[] =>
  [...readFileSync(join(root, "README.md"), "utf8").matchAll(/^\| `[a-z_.]+` \| `([a-z_]+)` \|/gm)].map(
    ([, name = ""]) => name,
  );

describe.skipIf(!canRun("victoria"))("a time-series database that takes OTLP", () => {
  let leave: (() => void) | undefined;
  beforeAll(() => {
    leave = enterOwnNamespace();
  });
  afterAll(() => leave?.());

  test("values come back by README's names, and what ends has ended", { timeout: 90_000 }, async () => {
    using folder = scratchFolder();
    await using echo = await startEcho();
    await using probed = await startEcho();
    const up = `{ name: echo, target: "tcp://127.0.0.1:${probed.port}", attributes: { team: edge } }`;
    const down = `{ name: refusing, target: "tcp://127.0.0.1:${await closedPort()}" }`;
    using config = configFile(configOf([up, down]));
    await using open = new AsyncDisposableStack();
    open.use(await startDatabase(folder.path));
    await using agent = startAgent(config.path);
    const now = (query: string) => queryNow(database, query);
    const value = async (query: string): Promise<number | undefined> => (await now(query))[0]?.value;

    await until(
      "a target is up",
      async () => (await value(`sockscope_probe_up{sockscope_probe_name="echo",team="edge"}`)) === 1,
      patience,
    );
    const refusing = `sockscope_probe_up{sockscope_probe_name="refusing"}`;
    await until("another is not", async () => (await value(refusing)) === 0, patience);
    open.use(await openFlow(echo.port, 10_000));
    const bytes = `sockscope_flow_io_bytes_total{sockscope_flow_role="server",network_local_port="${echo.port}",network_io_direction="receive"}`;
    await until("the flow's bytes are there", async () => (await value(bytes)) === 10_000, patience);
    const labels = (await now(bytes))[0]?.labels;
    expect(labels).toMatchObject({ service_name: "sockscope", network_transport: "tcp" });

    expect(readmeNames().length).toBeGreaterThanOrEqual(6);
    for (const name of readmeNames()) expect(await now(name), name).not.toEqual([]);
    const documented = [...readMetricsDoc().metrics.values()].flatMap(({ prometheus }) => prometheus);
    const names = await storedNames(database);
    expect(documented).toEqual(expect.arrayContaining(names));
    expect(names).toContain("sockscope_probe_up");

    // The target goes on reload; its series have nothing now, and what they had.
    config.write(configOf([up]));
    agent.child.kill("SIGHUP");
    await until("it has ended", async () => (await now(refusing)).length === 0, patience);
    expect(await now(`{sockscope_probe_name="refusing"}`)).toEqual([]);
    expect(await value(`last_over_time(${refusing}[5m])`)).toBe(0);
    expect(await value(`count_over_time(${refusing}[5m])`)).toBeGreaterThan(1);
    expect(await value(`sockscope_probe_up{sockscope_probe_name="echo"}`)).toBe(1);
    expect(await agent.stop()).toEqual({ code: 0, signal: null });
    expect(agent.lines.filter(({ level }) => level !== "info")).toEqual([]);
  });
});
