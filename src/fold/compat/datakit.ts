import { isIPv4 } from "node:net";
import type { Attributes } from "../../model/columns.ts";
import type { Target } from "../../model/target.ts";
import { createTargetSeries, type TargetSeries } from "./target-series.ts";

const isLoopback = (host: string): boolean =>
  host.toLowerCase() === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));

const protoOf = (target: Target): "tcp" | "udp" | undefined => {
  if (!("port" in target)) return undefined;
  return target.type.startsWith("tcp") ? "tcp" : "udp";
};

/** Tags as DataKit merges them: its own win over configured ones, and `host` is the target unless something speaks against it. */
const tagsOf = (target: Target): Attributes | undefined => {
  const proto = protoOf(target);
  if (proto === undefined || !("port" in target)) return undefined;
  return {
    ...(isLoopback(target.host) ? {} : { host: target.host }),
    ...target.attributes,
    dest_host: target.host,
    dest_port: String(target.port),
    proto,
  };
};

const microseconds = (seconds: number): number => Math.round(seconds * 1e6);

/** Series of DataKit's input `socket`. */
export const createDatakit = (): TargetSeries =>
  createTargetSeries<"datakit">(tagsOf, (table) => {
    const success = { tcp: table.column("tcp.success", {}), udp: table.column("udp.success", {}) };
    const responseTime = table.column("tcp.response_time", {});
    const responseTimeWithDns = table.column("tcp.response_time_with_dns", {});
    return (row, target, outcome) => {
      const proto = protoOf(target);
      if (proto === undefined) return;
      const succeeded = outcome.kind === "up" || outcome.kind === "unanswered";
      table.values(success[proto])[row] = outcome.kind === "not_run" ? Number.NaN : succeeded ? 1 : -1;
      if (proto === "udp") return;
      const { connect = Number.NaN, resolve = 0 } = outcome.phases;
      table.values(responseTime)[row] = succeeded ? microseconds(connect) : Number.NaN;
      table.values(responseTimeWithDns)[row] = succeeded ? microseconds(connect + resolve) : Number.NaN;
    };
  });
