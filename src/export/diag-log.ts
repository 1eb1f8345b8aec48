import { diag } from "@opentelemetry/api";
import type { Log } from "../model/log.ts";

/** The log of an application's OpenTelemetry, which is silent unless the application gives it a logger. */
export const createDiagLog = (): Log => {
  const logger = diag.createComponentLogger({ namespace: "sockscope" });
  return (level, message, fields) => logger[level](message, ...(fields === undefined ? [] : [fields]));
};
