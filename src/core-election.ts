import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { type Campaign, startCampaign } from "./cluster/campaign.ts";
import { createEtcd } from "./cluster/etcd.ts";
import { createGate } from "./kernel/boot-clock.ts";
import type { ElectionConfig, EtcdConfig } from "./model/config.ts";
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

const openBackend = ({ endpoints, tls, credentials }: EtcdConfig, timeoutMs: number) =>
  createEtcd({ endpoints, tls: tls ?? standardTls, credentials, timeoutMs });

/** Takes part in the election of the configuration, from now on. */
export const composeElection = ({ config, clock, log, onChange }: ElectionParts): Campaign => {
  const { name, namespace, leaseDurationMs, renewDeadlineMs, retryPeriodMs, backend } = config;
  const opened = openBackend(backend, Math.ceil(renewDeadlineMs / requestShare));
  const key = `/sockscope/${namespace}/${name}/leader`;
  const campaign = startCampaign({
    name: `${namespace}/${name}`,
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
