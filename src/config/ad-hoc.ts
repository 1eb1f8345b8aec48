import { UsageError } from "../model/errors.ts";
import type { Target } from "../model/target.ts";
import { isFault } from "../text/fault.ts";
import { parseTarget } from "./target.ts";
import { targetOf } from "./targets.ts";

/** The target of a URL given on the command line. Throws `UsageError`. */
export const adHocTarget = (url: string, timeoutMs: number): Target => {
  const destination = parseTarget(url);
  if (isFault(destination)) throw new UsageError(`${url}: ${destination.fault}`);
  return targetOf({ target: { url, destination } }, { intervalMs: timeoutMs, timeoutMs });
};
