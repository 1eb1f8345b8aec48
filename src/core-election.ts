import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { type Campaign, startCampaign } from "./cluster/campaign.ts";
import { createEtcd } from "./cluster/etcd.ts";
import { createKubernetes } from "./cluster/kubernetes.ts";
import { createGate } from "./kernel/boot-clock.ts";
import type { ElectionConfig } from "./model/config.ts";
import { FatalError } from "./model/errors.ts";
import type { Log } from "./model/log.ts";
import type { TlsOptions } from "./model/target.ts";

type ElectionParts = {
  readonly config: ElectionConfig;
  /** ms of the boot clock. */
  readonly clock: () => number;
  readonly log: Log;
  readonly onChange: () => void;
};

const standardTls: TlsOptions = {
  caFile: undefined,
  certFile: undefined,
  keyFile: undefined,
  serverName: undefined,
  insecure: false,
};

/** A leader has that many requests in which to renew, should each take its longest. */
const requestShare = 3;

const defaultNamespace = "default";

/** https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/#directly-accessing-the-rest-api */
const account = "/var/run/secrets/kubernetes.io/serviceaccount";

const podEndpoint = (): string => {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = "443" } = process.env;
  if (host === undefined)
    throw new FatalError(
      "election.backend is kubernetes, and this is no pod of a cluster: set election.endpoints and election.token_file",
    );
  return `https://${host.includes(":") ? `[${host}]` : host}:${port}`;
};

const podNamespace = async (): Promise<string> => {
  const text = await readFile(`${account}/namespace`, "utf8").catch(() => "");
  return text.trim() || defaultNamespace;
};

/** The backend, and what the lease is called there. */
const openBackend = async ({ backend, name, namespace, renewDeadlineMs }: ElectionConfig) => {
  const timeoutMs = Math.ceil(renewDeadlineMs / requestShare);
  if (backend.kind === "etcd") {
    const { endpoints, tls = standardTls, credentials } = backend;
    const chosen = namespace ?? defaultNamespace;
    const key = `/sockscope/${chosen}/${name}/leader`;
    return { opened: createEtcd({ endpoints, tls, credentials, timeoutMs }), key, title: `${chosen}/${name}` };
  }
  const { endpoints = [podEndpoint()], tokenFile = `${account}/token` } = backend;
  const tls = backend.tls ?? {
    ...standardTls,
    caFile: backend.endpoints === undefined ? `${account}/ca.crt` : undefined,
  };
  const chosen = namespace ?? (await podNamespace());
  const opened = createKubernetes({ endpoints, tls, tokenFile, namespace: chosen, timeoutMs });
  return { opened, key: name, title: `${chosen}/${name}` };
};

/** Takes part in the election of the configuration, from now on. */
export const composeElection = async ({ config, clock, log, onChange }: ElectionParts): Promise<Campaign> => {
  const { leaseDurationMs, renewDeadlineMs, retryPeriodMs } = config;
  const { opened, key, title } = await openBackend(config);
  const campaign = startCampaign({
    name: title,
    lease: {
      read: opened.read(key),
      write: opened.write(key),
      get where() {
        return `${key} in ${opened.where}`;
      },
    },
    settings: {
      identity: config.identity ?? hostname(),
      session: randomUUID(),
      leaseDurationMs,
      renewDeadlineMs,
      retryPeriodMs,
    },
    clock,
    gate: createGate(),
    log,
    onChange,
  });
  return {
    ...campaign,
    stop: async (ms) => {
      await campaign.stop(ms);
      opened.close();
    },
  };
};
