import { isRoot } from "./net-namespace.ts";

const named = (name: string): string => process.env[`SOCKSCOPE_${name}`] ?? "";

/** The real programs, by the variables that .ci/real-parts and .ci/peers set; empty where one is not there. */
export const realParts = {
  otelcol: named("OTELCOL"),
  victoria: named("VICTORIA"),
  prometheus: named("PROMETHEUS"),
  promtool: named("PROMTOOL"),
  helm: named("HELM"),
  etcd: named("ETCD"),
  apiserver: named("APISERVER"),
  telegraf: named("PEER_TELEGRAF"),
  ss2: named("PEER_SS2"),
  dial: named("PEER_DIAL"),
};

/** Whether tests can run beside these programs, in a network namespace of their own. */
export const canRun = (...parts: readonly (keyof typeof realParts)[]): boolean =>
  isRoot && parts.every((part) => realParts[part] !== "");
