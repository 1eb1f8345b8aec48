import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attributeSet, noAttributes } from "../../src/model/columns.ts";
import { cleanEnvironment, root } from "../kit/agent.ts";
import { startCluster } from "../kit/cluster.ts";
import { collectorUrl, shipped } from "../kit/collector.ts";
import { attributesOf, type MetricsRequest } from "../kit/otlp-receiver.ts";
import { descriptorOf, snapshotOf } from "../kit/otlp-snapshots.ts";
import { openDestination } from "../kit/otlp-sending.ts";
import { enterOwnNamespace } from "../kit/own-namespace.ts";
import { scratchFolder, startProgram } from "../kit/program.ts";
import { canRun, realParts } from "../kit/real-parts.ts";
import { until } from "../kit/until.ts";

const kubernetes = join(root, "config/collector/kubernetes.yaml");
const environment = { KUBE_NODE_NAME: "node-1", OTLP_ENDPOINT: "http://127.0.0.1:1", OTLP_TOKEN: "token" };

/** What `validate` objects to. */
const faultsOf = (file: string): string => {
  const { status, stdout, stderr } = spawnSync(realParts.otelcol, ["validate", "--config", file], {
    env: { ...cleanEnvironment(), ...environment },
    encoding: "utf8",
  });
  return status === 0 ? "" : stdout + stderr;
};

describe.skipIf(!canRun("otelcol"))("the shipped configurations of the Collector", () => {
  let leave: (() => void) | undefined;
  beforeAll(() => {
    leave = enterOwnNamespace();
  });
  afterAll(() => leave?.());

  test("are valid, the block that is commented out too", () => {
    using folder = scratchFolder();
    expect(faultsOf(shipped)).toBe("");
    expect(faultsOf(kubernetes)).toBe("");
    const text = readFileSync(shipped, "utf8");
    const filled = text.replace(/^ {2}# otlp_http:\n(?: {2}#.*\n)+/m, (block) => block.replaceAll(/^ {2}# /gm, "  "));
    const all = join(folder.path, "all.yaml");
    writeFileSync(all, filled.replace("exporters: [debug, prometheus]", "exporters: [debug, prometheus, otlp_http]"));
    expect(readFileSync(all, "utf8")).toContain("\n  otlp_http:\n    endpoint: https://");
    expect(faultsOf(all)).toBe("");
  });

  test(
    "kubernetes.yaml names the pod of a container's flows, and leaves the rest alone",
    { timeout: 60_000 },
    async () => {
      using folder = scratchFolder();
      const [first, second] = ["a".repeat(64), "b".repeat(64)];
      await using cluster = await startCluster(folder.path, [
        { name: "cart-0", uid: "11111111-0000-4000-8000-000000000000", container: "cart", id: first },
        { name: "till-0", uid: "22222222-0000-4000-8000-000000000000", container: "till", id: second },
      ]);
      const file = join(folder.path, "exported.json");
      await using collector = await startProgram(
        {
          path: realParts.otelcol,
          args: [kubernetes, join(root, "test/collector/kubernetes-file.yaml")].flatMap((path) => ["--config", path]),
          env: { ...environment, KUBECONFIG: cluster.kubeconfig, OTELCOL_FILE: file },
        },
        "http://127.0.0.1:13133/",
      );

      await using destination = openDestination(`${collectorUrl}/v1/metrics`);
      const own = [{ "container.id": first }, { "k8s.pod.uid": "22222222-0000-4000-8000-000000000000" }, {}];
      const snapshot = snapshotOf({
        descriptor: descriptorOf("sockscope.flow.io", "counter"),
        numbers: [
          {
            own: noAttributes,
            sets: own.map((values) => attributeSet({ ...values, "network.transport": "tcp" })),
            starts: Float64Array.of(0, 0, 0),
            values: Float64Array.of(1, 2, 3),
          },
        ],
        histograms: [],
        ended: [],
      });
      await destination.send(snapshot);
      const lines = await until("it is exported", () => {
        const text = existsSync(file) ? readFileSync(file, "utf8") : "";
        return text.endsWith("\n") && text.trim().split("\n");
      });
      const resources = lines.flatMap((line) => (JSON.parse(line) as MetricsRequest).resourceMetrics ?? []);
      const found = resources.map(({ resource, scopeMetrics }) => {
        const point = scopeMetrics?.[0]?.metrics?.[0]?.sum?.dataPoints?.[0];
        return {
          value: Number(point?.asInt),
          of: attributesOf(resource?.attributes),
          point: attributesOf(point?.attributes),
        };
      });
      expect(found.sort((a, b) => a.value - b.value)).toMatchObject([
        { value: 1, of: { "container.id": first, "k8s.pod.name": "cart-0", "k8s.container.name": "cart" } },
        { value: 2, of: { "k8s.pod.name": "till-0", "k8s.namespace.name": "shop" } },
        { value: 3, of: { "service.name": "sockscope" } },
      ]);
      expect(found.map(({ point }) => point)).toEqual([0, 1, 2].map(() => ({ "network.transport": "tcp" })));
      expect(collector.output()).not.toMatch(/\t(?:error|fatal)\t/);
      expect(found[2]?.of).toEqual({ "service.name": "sockscope" });
      expect(found[0]?.of).toMatchObject({
        "service.name": "sockscope",
        "container.image.name": "registry.example/cart",
      });
    },
  );
});
