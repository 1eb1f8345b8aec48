import type { Observation } from "../metrics/observation.ts";
import type { CgroupSource, Owners, ProcessSource } from "../model/owner.ts";

export type OwnersOptions = {
  readonly cgroups: CgroupSource;
  readonly processes: ProcessSource;
  /** What the grouping and the selection ask for: the rest is not looked for. */
  readonly wanted: { readonly process: boolean; readonly cgroup: boolean };
};

export type OwnersPart = Owners & {
  /** What is looked for: nothing else need be waited for. */
  readonly wanted: OwnersOptions["wanted"];
  /** After a dump: looks for what was asked for and is not known. Never rejects. */
  readonly refresh: (signal: AbortSignal) => Promise<void>;
  readonly observations: () => Observation[];
};

type Named = "cgroups" | "processes" | "all_processes";

const observe = (source: Named, inForce: boolean): Observation => ({
  metric: "sockscope.agent.capability",
  value: inForce ? 1 : 0,
  attributes: { "sockscope.agent.source": source },
});

const nobody = (): undefined => undefined;

/** Owners of sockets by their inode and by the cgroup that they were made in. */
export const createOwners = ({ cgroups, processes, wanted }: OwnersOptions): OwnersPart => ({
  wanted,
  process: wanted.process ? processes.process : nobody,
  cgroup: wanted.cgroup ? cgroups.cgroup : nobody,
  refresh: async (signal) => {
    if (wanted.cgroup) await cgroups.refresh(signal);
    if (wanted.process) await processes.refresh(signal);
  },
  observations: () => [
    ...(wanted.cgroup ? [observe("cgroups", cgroups.capability() === 1)] : []),
    ...(wanted.process
      ? [
          observe("processes", processes.capability() !== "none"),
          observe("all_processes", processes.capability() === "all"),
        ]
      : []),
  ],
});
