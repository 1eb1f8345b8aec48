import { expect, test } from "vitest";
import { createOwners } from "../../src/collect/owners.ts";
import type { CgroupInfo, ProcessInfo, ProcessReach } from "../../src/model/owner.ts";
import { never } from "../kit/probe.ts";

const cgroup: CgroupInfo = { path: "/a.service", unit: "a.service", containerId: undefined, podUid: undefined };
const holder: ProcessInfo = { pid: 7, executable: "a", argv: [], cgroup };

const create = (wanted: { process: boolean; cgroup: boolean }, can: { cgroups: 0 | 1; processes: ProcessReach }) => {
  const refreshed: string[] = [];
  const refresh = (name: string) => async (): Promise<void> => void refreshed.push(name);
  const owners = createOwners({
    cgroups: { cgroup: () => cgroup, refresh: refresh("cgroups"), capability: () => can.cgroups },
    processes: { process: () => holder, refresh: refresh("processes"), capability: () => can.processes },
    wanted,
  });
  const capabilities = () =>
    Object.fromEntries(
      owners.observations().map(({ metric, value, attributes }) => {
        expect(metric).toBe("sockscope.agent.capability");
        return [Object.values(attributes).join(" "), value];
      }),
    );
  return { owners, refreshed, capabilities };
};

test("both", async () => {
  const { owners, refreshed, capabilities } = create({ process: true, cgroup: true }, { cgroups: 1, processes: "all" });
  expect([owners.process(1), owners.cgroup(1)]).toEqual([holder, cgroup]);
  await owners.refresh(never);
  expect(refreshed).toEqual(["cgroups", "processes"]);
  expect(capabilities()).toEqual({ cgroups: 1, processes: 1, all_processes: 1 });
});

test("what is not wanted is neither known nor looked for nor said to be there", async () => {
  const { owners, refreshed, capabilities } = create(
    { process: false, cgroup: true },
    { cgroups: 0, processes: "all" },
  );
  expect([owners.process(1), owners.cgroup(1)]).toEqual([undefined, cgroup]);
  await owners.refresh(never);
  expect(refreshed).toEqual(["cgroups"]);
  expect(capabilities()).toEqual({ cgroups: 0 });
});

test.each([
  ["own", { processes: 1, all_processes: 0 }],
  ["none", { processes: 0, all_processes: 0 }],
] as const)("processes: %s", (processes, capabilities) => {
  expect(create({ process: true, cgroup: false }, { cgroups: 1, processes }).capabilities()).toEqual(capabilities);
});
