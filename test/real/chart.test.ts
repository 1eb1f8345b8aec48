import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { configFile, root, sockscope } from "../kit/agent.ts";
import { chartFolder, helm, type Manifest, manifestsOf, type PodSpec, renderChart } from "../kit/chart.ts";
import { realParts } from "../kit/real-parts.ts";

const tiers = [0, 1, 2] as const;

const find = (manifests: readonly Manifest[], kind: string, name: string): Manifest => {
  const found = manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
  return found;
};

const podOf = (manifest: Manifest): PodSpec => {
  const pod = manifest.spec?.template?.spec;
  if (pod === undefined) throw new Error(`${manifest.kind} has no pods`);
  return pod;
};

const socketsOf = (manifests: readonly Manifest[]) => podOf(find(manifests, "DaemonSet", "sockscope-sockets"));
const probesOf = (manifests: readonly Manifest[]) => podOf(find(manifests, "Deployment", "sockscope-probes"));

const environmentOf = (pod: PodSpec) => Object.fromEntries(pod.containers[0]?.env.map((one) => [one.name, one]) ?? []);

describe.skipIf(realParts.helm === "")("the chart", () => {
  test("helm finds no fault in it, and its version is the package's", () => {
    const { status, stdout } = helm("lint", "--strict", "--quiet", chartFolder);
    expect({ status, stdout }).toMatchObject({ status: 0 });
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
    const chart = readFileSync(join(chartFolder, "Chart.yaml"), "utf8");
    expect(chart).toContain(`\nversion: ${version}\nappVersion: ${version}\n`);
  });

  test.for(tiers)("deploy/kubernetes/tier-%i.yaml is what it renders", async (tier) => {
    const header = `# Rendered from deploy/helm/sockscope. After a change of it: npm test -- test/real/chart -u
#
#     kubectl create namespace sockscope
#     kubectl label namespace sockscope pod-security.kubernetes.io/enforce=privileged
#     kubectl apply -f deploy/kubernetes/tier-${tier}.yaml
`;
    await expect(header + renderChart(`sockets.tier=${tier}`)).toMatchFileSnapshot(
      join(root, `deploy/kubernetes/tier-${tier}.yaml`),
    );
  });

  test.for([
    ["as it comes"],
    ["a page for Prometheus on another port", "sockets.page.host=0.0.0.0", "sockets.page.port=9465"],
    ["a configuration", "sockets.config.sockets.group_by=container", "sockets.config.collection.interval=30s"],
    ["sockets off", "sockets.enabled=false", "probes.config.probes.interval=10s"],
  ])("sockscope takes its configurations: %s", { timeout: 30_000 }, async ([, ...values]) => {
    const manifests = manifestsOf(renderChart(...values));
    const configurations = manifests.filter(({ kind }) => kind === "ConfigMap");
    expect(configurations).toHaveLength(values.includes("sockets.enabled=false") ? 1 : 2);
    for (const { data, metadata } of configurations) {
      using file = configFile(data?.["sockscope.yaml"] ?? "");
      expect(await sockscope(["check", "-c", file.path]), metadata.name).toMatchObject({ code: 0 });
    }
  });

  test.for([
    [0, 65_534, undefined, undefined],
    [1, 0, true, ["SYS_PTRACE", "DAC_READ_SEARCH"]],
    [2, 0, true, ["SYS_PTRACE", "DAC_READ_SEARCH", "SYS_ADMIN"]],
  ] as const)("tier %i: the pod of sockets has what it needs and no more", ([tier, user, hostPID, add]) => {
    const pod = socketsOf(manifestsOf(renderChart(`sockets.tier=${tier}`)));
    expect({ ...pod, volumes: pod.volumes.map(({ hostPath }) => hostPath?.path) }).toMatchObject({
      hostNetwork: true,
      dnsPolicy: "ClusterFirstWithHostNet",
      automountServiceAccountToken: false,
      tolerations: [{ operator: "Exists" }],
      volumes: [undefined, "/sys/fs/cgroup"],
    });
    expect(pod.hostPID).toBe(hostPID);
    const security = pod.containers[0]?.securityContext;
    expect(security).toMatchObject({
      runAsUser: user,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      seccompProfile: { type: "RuntimeDefault" },
    });
    expect(security?.runAsNonRoot).toBe(tier === 0 ? true : undefined);
    expect(security?.capabilities).toEqual({ drop: ["ALL"], ...(add && { add }) });
  });

  test("the pod of probes is one that the Pod Security level restricted lets run, in its own network", () => {
    const pod = probesOf(manifestsOf(renderChart("sockets.tier=2")));
    expect(pod).not.toHaveProperty("hostNetwork");
    expect(pod).not.toHaveProperty("hostPID");
    expect(pod.volumes.some(({ hostPath }) => hostPath !== undefined)).toBe(false);
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
    expect(pod.containers.map(({ securityContext }) => securityContext)).toEqual([
      { readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } },
    ]);
    expect(pod.automountServiceAccountToken).toBe(false);
  });

  test("it restarts by /livez, waits by /readyz, asks /healthz of nobody, and asks where the page is", () => {
    const text = renderChart("sockets.page.port=9465", "probes.page.port=9466");
    expect(text).not.toContain("healthz");
    const manifests = manifestsOf(text);
    const asks = [socketsOf(manifests), probesOf(manifests)].map(({ containers: [container] }) => [
      container?.livenessProbe.httpGet,
      container?.readinessProbe.httpGet,
    ]);
    expect(asks).toEqual([
      ["/livez", "/readyz"].map((path) => ({ path, host: "127.0.0.1", port: 9465 })),
      ["/livez", "/readyz"].map((path) => ({ path, port: "page" })),
    ]);
    const config = (name: string) => find(manifests, "ConfigMap", name).data?.["sockscope.yaml"];
    expect(config("sockscope-sockets")).toContain("listen: 127.0.0.1:9465\n");
    expect(config("sockscope-probes")).toContain("listen: 0.0.0.0:9466\n");
    expect(config("sockscope-probes")).toContain("sockets: false\n");
    expect(socketsOf(manifestsOf(renderChart("sockets.page.host=0.0.0.0"))).containers[0]?.livenessProbe).toMatchObject(
      {
        httpGet: { path: "/livez", port: 9464 },
      },
    );
  });

  test("one prober, which may move, and whose page nobody reads unless it is said who", () => {
    const manifests = manifestsOf(renderChart());
    const deployment = find(manifests, "Deployment", "sockscope-probes");
    expect(deployment.spec).toMatchObject({ replicas: 1, strategy: { type: "Recreate" } });
    const labels = deployment.spec?.template?.metadata.labels;
    const selected = (kind: string) => find(manifests, kind, "sockscope-probes").spec;
    expect(selected("PodDisruptionBudget")?.maxUnavailable).toBe(1);
    expect(labels).toMatchObject(selected("PodDisruptionBudget")?.selector?.matchLabels ?? { none: true });
    expect(selected("NetworkPolicy")?.ingress).toEqual([]);
    expect(labels).toMatchObject(selected("NetworkPolicy")?.podSelector?.matchLabels ?? { none: true });
    const scrapers = "networkPolicy.scrapers[0].namespaceSelector.matchLabels.name=monitoring";
    expect(find(manifestsOf(renderChart(scrapers)), "NetworkPolicy", "sockscope-probes").spec?.ingress).toEqual([
      {
        ports: [{ port: "page", protocol: "TCP" }],
        from: [{ namespaceSelector: { matchLabels: { name: "monitoring" } } }],
      },
    ]);
    expect(manifests.map(({ kind }) => kind).filter((kind) => kind.includes("Role"))).toEqual([]);
  });

  test("the collector is named by value, the node's own one too, and headers come from a secret", () => {
    const manifests = manifestsOf(
      renderChart(
        "collector.endpoint=http://$(HOST_IP):4318",
        "collector.headersSecret.name=otlp",
        "collector.headersSecret.key=headers",
      ),
    );
    for (const pod of [socketsOf(manifests), probesOf(manifests)]) {
      const environment = environmentOf(pod);
      expect(environment["OTEL_EXPORTER_OTLP_ENDPOINT"]?.value).toBe("http://$(HOST_IP):4318");
      expect(environment["OTEL_EXPORTER_OTLP_HEADERS"]).toMatchObject({
        valueFrom: { secretKeyRef: { name: "otlp", key: "headers" } },
      });
      // Kubernetes replaces what stands before it in the list only.
      const names = Object.keys(environment);
      expect(names.indexOf("HOST_IP")).toBeLessThan(names.indexOf("OTEL_EXPORTER_OTLP_ENDPOINT"));
    }
    expect(environmentOf(probesOf(manifestsOf(renderChart())))).not.toHaveProperty("OTEL_EXPORTER_OTLP_ENDPOINT");
  });

  test("another configuration makes other pods, of that workload alone", () => {
    const sums = (...values: readonly string[]) => {
      const manifests = manifestsOf(renderChart(...values));
      return [find(manifests, "DaemonSet", "sockscope-sockets"), find(manifests, "Deployment", "sockscope-probes")].map(
        ({ spec }) => spec?.template?.metadata.annotations["checksum/config"],
      );
    };
    const [sockets, probes] = sums();
    const [otherSockets, otherProbes] = sums("sockets.config.sockets.max_groups=100");
    expect(otherSockets).not.toBe(sockets);
    expect(otherProbes).toBe(probes);
  });

  test.for([
    ["sockets.tier=3", "/sockets/tier"],
    ["sockets.teir=1", "teir"],
    ["collector.endpoint=collector:4318", "/collector/endpoint"],
    ["collector.headersSecret.name=otlp", "headersSecret"],
    ["sockets.page.port=0", "/sockets/page/port"],
    ["probes.replicas=2", "replicas"],
    ["resources.limits.memory=1Gi", "resources"],
  ])("%s is refused", ([value, place]) => {
    expect(() => renderChart(value ?? "")).toThrow(place);
  });
});
