import type { Attributes } from "../../model/columns.ts";
import type { Target } from "../../model/target.ts";
import { createTargetSeries, type TargetSeries } from "./target-series.ts";

const labelsOf = ({ compat = {}, ...target }: Target): Attributes => ({
  name: compat.name ?? target.name,
  host: compat.host ?? ("path" in target ? target.path : target.host),
  port: compat.port ?? ("port" in target ? String(target.port) : ""),
  protocol: compat.protocol ?? target.type,
});

/** Series of connection-status-exporter. */
export const createConnectionStatus = (): TargetSeries =>
  createTargetSeries<"connection_status">(labelsOf, (table) => {
    const up = table.column("connection_status_up", {});
    return (row, _target, { kind }) => {
      table.values(up)[row] = kind === "not_run" ? Number.NaN : kind === "down" ? 0 : 1;
    };
  });
