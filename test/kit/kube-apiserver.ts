import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { startEtcd } from "./etcd.ts";
import { startProgram } from "./program.ts";
import { realParts } from "./real-parts.ts";
import { ca, tlsFile } from "./tls-files.ts";
import { until } from "./until.ts";

/** What the tests read of one; of others the fields are not there. */
type Resource = {
  readonly metadata: { readonly labels?: object; readonly annotations?: object };
  readonly spec: { readonly holderIdentity: string; readonly renewTime: string };
  readonly status: { readonly token: string };
};

export type Reply = { readonly status: number; readonly body: Resource };

const admin = "token-of-admin";
const port = 6443;

/** A Kubernetes API server with an etcd of its own, both with their data in the folder. */
export const startKubeApiserver = async (folder: string, open: AsyncDisposableStack) => {
  const etcd = open.use(await startEtcd(folder));
  const accountKey = join(folder, "account.key");
  const tokens = join(folder, "tokens.csv");
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  writeFileSync(accountKey, privateKey.export({ type: "pkcs1", format: "pem" }));
  writeFileSync(tokens, `${admin},admin,1,system:masters\n`);
  const args = [
    `--etcd-servers=${etcd.url}`,
    "--bind-address=127.0.0.1",
    // It wants one that is none of loopback's, and looks for a default route otherwise.
    "--advertise-address=192.0.2.1",
    `--secure-port=${port}`,
    `--tls-cert-file=${tlsFile("server.pem")}`,
    `--tls-private-key-file=${tlsFile("server.key")}`,
    "--service-account-issuer=https://kubernetes.default.svc",
    `--service-account-signing-key-file=${accountKey}`,
    `--service-account-key-file=${accountKey}`,
    "--authorization-mode=RBAC",
    `--token-auth-file=${tokens}`,
    "--service-cluster-ip-range=10.96.0.0/16",
    "--disable-admission-plugins=ServiceAccount",
  ];
  // It has no page without TLS: that of etcd tells nothing of it, and the wait is below.
  const program = open.use(await startProgram({ path: realParts.apiserver, args }, "http://127.0.0.1:2381/health"));
  const ask = async (method: string, path: string, body?: unknown, token = admin): Promise<Reply> => {
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const asked = request({ host: "127.0.0.1", port, path, method, headers, ca, agent: false });
    asked.end(body === undefined ? undefined : JSON.stringify(body));
    const [answer] = (await once(asked, "response")) as [IncomingMessage];
    const content = await text(answer);
    return { status: answer.statusCode ?? 0, body: JSON.parse(content.startsWith("{") ? content : "{}") as Resource };
  };
  await until(
    "the API server is ready",
    async () => (await ask("GET", "/readyz").catch(() => undefined))?.status === 200,
    60_000,
  );
  const must = async (method: string, path: string, body?: unknown): Promise<Resource> => {
    const answer = await ask(method, path, body);
    if (answer.status > 299) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body;
  };
  return {
    child: program.child,
    port,
    ask,
    must,
    /** A new service account, and what makes its tokens. */
    addAccount: async (name: string) => {
      const accounts = "/api/v1/namespaces/default/serviceaccounts";
      await must("POST", accounts, { metadata: { name } });
      return async (): Promise<string> =>
        (await must("POST", `${accounts}/${name}/token`, { spec: { expirationSeconds: 600 } })).status.token;
    },
    /** What docs/CLUSTER.md says an agent needs. */
    allow: async (name: string) => {
      const rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
      const rules = [{ apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["get", "create", "update"] }];
      await must("POST", `${rbac}/roles`, { metadata: { name }, rules });
      await must("POST", `${rbac}/rolebindings`, {
        metadata: { name },
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name },
        subjects: [{ kind: "ServiceAccount", name, namespace: "default" }],
      });
    },
  };
};
