import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { root } from "./agent.ts";
import { realParts } from "./real-parts.ts";

export const chartFolder = join(root, "deploy/helm/sockscope");

type HttpGet = { readonly path: string; readonly host?: string; readonly port: number | string };
type Volume = { readonly name: string; readonly hostPath?: { readonly path: string } };

/** What pods may do, of a pod or of a container. */
export type SecurityContext = {
  readonly runAsUser?: number;
  readonly runAsNonRoot?: boolean;
  readonly readOnlyRootFilesystem?: boolean;
  readonly allowPrivilegeEscalation?: boolean;
  readonly seccompProfile?: { readonly type: string };
  readonly capabilities?: { readonly drop?: readonly string[]; readonly add?: readonly string[] };
};

export type PodSpec = {
  readonly hostNetwork?: boolean;
  readonly hostPID?: boolean;
  readonly dnsPolicy: string;
  readonly tolerations?: readonly unknown[];
  readonly automountServiceAccountToken: boolean;
  readonly serviceAccountName: string;
  readonly securityContext?: SecurityContext;
  readonly volumes: readonly Volume[];
  readonly containers: readonly {
    readonly image: string;
    readonly env: readonly { readonly name: string; readonly value?: string }[];
    readonly resources: { readonly requests: object; readonly limits: object };
    readonly securityContext: SecurityContext;
    readonly livenessProbe: { readonly httpGet: HttpGet };
    readonly readinessProbe: { readonly httpGet: HttpGet };
  }[];
};

export type Manifest = {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: {
    readonly replicas?: number;
    readonly selector?: { readonly matchLabels: object };
    readonly podSelector?: { readonly matchLabels: object };
    readonly maxUnavailable?: number;
    readonly ingress?: readonly unknown[];
    readonly template?: {
      readonly metadata: { readonly labels: object; readonly annotations: Readonly<Record<string, string>> };
      readonly spec: PodSpec;
    };
  };
};

export const helm = (...args: readonly string[]) => {
  const { status, stdout, stderr } = spawnSync(realParts.helm, args, { encoding: "utf8" });
  return { status, stdout, stderr };
};

/** The chart as it is installed as `sockscope` in the namespace `sockscope`, with these values (`key=value`). */
export const renderChart = (...values: readonly string[]): string => {
  const set = values.flatMap((value) => ["--set", value]);
  // Built from its module, helm takes itself for one of Kubernetes 1.20.
  const place = ["--namespace", "sockscope", "--kube-version", "1.34.0"];
  const { status, stdout, stderr } = helm("template", "sockscope", chartFolder, ...place, ...set);
  if (status !== 0) throw new Error(stderr);
  return stdout;
};

export const manifestsOf = (text: string): readonly Manifest[] =>
  parseAllDocuments(text).map((document) => document.toJS() as Manifest);
