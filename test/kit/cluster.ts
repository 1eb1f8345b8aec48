import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

export type Pod = { readonly name: string; readonly uid: string; readonly container: string; readonly id: string };

const objectOf = ({ name, uid, container, id }: Pod) => ({
  metadata: { name, uid, namespace: "shop", resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" },
  spec: { nodeName: "node-1", containers: [{ name: container, image: `registry.example/${container}:1.2` }] },
  status: {
    phase: "Running",
    podIP: "10.0.0.7",
    startTime: "2026-01-01T00:00:00Z",
    containerStatuses: [
      {
        name: container,
        containerID: `containerd://${id}`,
        image: `registry.example/${container}:1.2`,
        restartCount: 0,
      },
    ],
  },
});

/**
 * As much of a Kubernetes API server as a client needs that lists and watches: these pods, which never change, and
 * nothing else. Writes a kubeconfig for it into the folder.
 */
export const startCluster = async (folder: string, pods: readonly Pod[]) => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://cluster");
    asked.push(url.pathname + url.search);
    response.setHeader("content-type", "application/json");
    // A watch in which nothing happens; the list that some clients want by a watch is refused, as older servers do.
    if (url.searchParams.get("sendInitialEvents") === "true") response.writeHead(422).end("{}");
    else if (url.searchParams.get("watch") !== null) response.writeHead(200).flushHeaders();
    else {
      const [kind, items] = url.pathname.endsWith("/pods") ? ["PodList", pods.map(objectOf)] : ["List", []];
      response.end(JSON.stringify({ kind, apiVersion: "v1", metadata: { resourceVersion: "1" }, items }));
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const kubeconfig = join(folder, "kubeconfig.json");
  const name = "test";
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{ name, cluster: { server: `http://127.0.0.1:${port}` } }],
      users: [{ name, user: {} }],
      contexts: [{ name, context: { cluster: name, user: name } }],
      "current-context": name,
    }),
  );
  return {
    kubeconfig,
    asked: asked as readonly string[],
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
};
