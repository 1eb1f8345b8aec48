import type { Phase, Verdict } from "../model/outcome.ts";
import type { Address, Family } from "../model/sources.ts";
import { failureOf, tellingMost } from "./errors.ts";
import type { Run } from "./run.ts";

/** A test of one address, of which `run` has the address already. */
export type ProbeAddress = (address: Address, run: Run) => Promise<Verdict>;

type Reach = { readonly host: string; readonly allAddresses: boolean };

/** The address family that the name of a kind ends with. */
export const familyOf = (type: string): Family => (type.endsWith("4") ? 4 : type.endsWith("6") ? 6 : 0);

/** Resolves the host; then tests each of its addresses where that is wanted, or what `otherwise` makes of them. */
export const overAddresses = async (
  { host, allAddresses }: Reach,
  family: Family,
  run: Run,
  each: ProbeAddress,
  otherwise: (addresses: readonly Address[]) => Promise<Verdict>,
): Promise<Verdict | readonly Verdict[]> => {
  const resolved = await run.resolve(host, family);
  if (resolved.kind !== "found") return resolved;
  // The name took all the time there was; that no socket was opened any more is not the agent's doing.
  if (run.leftMs === 0) return run.down("connect_timeout", "connect", "no time was left after name resolution");
  if (!allAddresses) return otherwise(resolved.addresses);
  return Promise.all(resolved.addresses.map((address) => each(address, run.at(address.address))));
};

/**
 * Tests one address after the other until one is not refused and can be sent to, so that `localhost` finds a service
 * that listens on 127.0.0.1 alone. Of failures the most telling one counts.
 */
export const oneAfterTheOther = async (
  addresses: readonly Address[],
  run: Run,
  each: ProbeAddress,
): Promise<Verdict> => {
  const failures: Extract<Verdict, { readonly error: unknown }>[] = [];
  for (const address of addresses) {
    // oxlint-disable-next-line no-await-in-loop -- one address after the other
    const verdict = await each(address, run.at(address.address));
    if (!("error" in verdict) || verdict.error === "cancelled" || verdict.error === "read_timeout") return verdict;
    failures.push(verdict);
    if (run.leftMs === 0) break;
  }
  return tellingMost(failures) ?? run.down("_OTHER", "resolve", "no address");
};

/** The verdict of an errno name. */
export const failedBy = (run: Run, code: string, phase: Phase, table: "ip" | "unix" = "ip"): Verdict =>
  run.failed(failureOf(code, table, phase), phase, code);
