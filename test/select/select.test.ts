import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { SelectEntry } from "../../src/model/config.ts";
import type { CgroupInfo, ProcessInfo } from "../../src/model/owner.ts";
import { TCP_CLOSE, TCP_ESTABLISHED, TCP_LISTEN } from "../../src/netlink/constants.ts";
import { compileProgram, mostLeaves } from "../../src/select/program.ts";
import { createSelector, type Origin, type SelectorOwner, type Verdict } from "../../src/select/select.ts";
import { auditFault, runProgram } from "../kit/bytecode-interpreter.ts";
import {
  addressesOfHosts,
  anyConfig,
  aRow,
  entryOfRow,
  kernelConfig,
  networkOf,
  resolveHosts,
  selectOf,
  unknownOwner,
} from "../kit/select.ts";
import { batchOf, type SocketRow } from "../kit/sockets.ts";

const nginxCgroup: CgroupInfo = {
  path: "/system.slice/nginx.service",
  unit: "nginx.service",
  containerId: "0123456789ab".padEnd(64, "0"),
  podUid: undefined,
};
const userCgroup: CgroupInfo = { path: "/user.slice", unit: undefined, containerId: "telemetry", podUid: undefined };
const nginx: ProcessInfo = { pid: 2, executable: "nginx", argv: ["nginx: worker process"], cgroup: undefined };
const python: ProcessInfo = {
  pid: 3,
  executable: "python3.13",
  argv: ["/usr/bin/python3", "/opt/bin/gunicorn", "app:main"],
  cgroup: undefined,
};

type Given = { readonly owner?: SelectorOwner; readonly origin?: Origin };

const decide = (
  include: readonly Partial<SelectEntry>[],
  exclude: readonly Partial<SelectEntry>[],
  row: Partial<SocketRow>,
  { owner = unknownOwner, origin = "dump" }: Given = {},
): Verdict =>
  createSelector(selectOf(include, exclude)).decide(batchOf([{ cookie: 1, ...row }]), 0, () => owner, origin);

const ports = (...numbers: readonly number[]) => numbers.map((port) => ({ from: port, to: port }));

describe("a socket", () => {
  const web: Partial<SocketRow> = { local: "10.0.0.1", localPort: 443, peer: "192.0.2.7", peerPort: 50_000 };

  test("is taken where nothing is selected", () => {
    const selector = createSelector(selectOf([]));
    expect([selector.active, selector.needsProcess, selector.needsCgroup]).toEqual([false, false, false]);
    expect(selector.program()).toBeUndefined();
    expect(decide([], [], web)).toBe("yes");
  });

  test.each<[string, Partial<SelectEntry>, Verdict]>([
    ["its own port", { ports: ports(443), side: "local" }, "yes"],
    ["the other end's port", { ports: ports(443), side: "remote" }, "no"],
    ["either port", { ports: ports(50_000) }, "yes"],
    ["the first port of a range", { ports: [{ from: 443, to: 500 }] }, "yes"],
    ["the last port of a range", { ports: [...ports(1, 2), { from: 400, to: 443 }] }, "yes"],
    [
      "a gap between ranges",
      {
        ports: [
          { from: 1, to: 442 },
          { from: 444, to: 49_999 },
        ],
      },
      "no",
    ],
    ["an address", { addresses: [networkOf("10.0.0.1")] }, "yes"],
    ["an address of the other end", { addresses: [networkOf("10.0.0.1")], side: "remote" }, "no"],
    [
      "its own port with an address of the other end",
      { ports: ports(443), addresses: [networkOf("192.0.2.7")], side: "remote", portSide: "local" },
      "yes",
    ],
    [
      "a port of either end with an address of the other end",
      { ports: ports(443), addresses: [networkOf("192.0.2.7")], side: "remote", portSide: "any" },
      "yes",
    ],
    [
      "a port of either end with its own address as that of the other end",
      { ports: ports(443), addresses: [networkOf("10.0.0.1")], side: "remote", portSide: "any" },
      "no",
    ],
    ["a network", { networks: [networkOf("fe80::/10"), networkOf("192.0.2.0/24")] }, "yes"],
    ["all of IPv4", { networks: [networkOf("0.0.0.0/0")] }, "yes"],
    ["all of IPv6", { networks: [networkOf("::/0")] }, "no"],
    ["loopback", { loopback: true }, "no"],
    ["what is no loopback", { loopback: false }, "yes"],
    ["its protocol", { protocols: ["udp", "tcp"] }, "yes"],
    ["another protocol", { protocols: ["udp"] }, "no"],
    ["its state", { states: ["listen", "established"] }, "yes"],
    ["another state", { states: ["closed"] }, "no"],
    ["all keys of an entry", { ports: ports(443), networks: [networkOf("10.0.0.0/8")] }, "yes"],
    ["not all keys of an entry", { ports: ports(443), networks: [networkOf("11.0.0.0/8")] }, "no"],
  ])("by %s", (_, entry, verdict) => {
    expect(decide([entry], [], web)).toBe(verdict);
    expect(decide([], [entry], web)).toBe(verdict === "yes" ? "no" : "yes");
  });

  test("with an IPv4-mapped address is one of IPv4", () => {
    const row = { ...web, family: 6, local: "::ffff:10.0.0.1", peer: "::ffff:127.0.0.1" } as const;
    expect(decide([{ networks: [networkOf("10.0.0.0/8")] }], [], row)).toBe("yes");
    expect(decide([{ networks: [networkOf("::/0")] }], [], row)).toBe("no");
    expect(decide([{ loopback: true }], [], row)).toBe("yes");
    expect(decide([{ loopback: true, side: "local" }], [], row)).toBe("no");
  });

  test("with an IPv6 address", () => {
    const row = { ...web, family: 6, local: "2001:db8::1", peer: "::1" } as const;
    expect(decide([{ networks: [networkOf("2001:db8::/32")] }], [], row)).toBe("yes");
    expect(decide([{ networks: [networkOf("2001:db9::/32"), networkOf("::/128")] }], [], row)).toBe("no");
    expect(decide([{ loopback: true, side: "remote" }], [], row)).toBe("yes");
  });

  test("that an entry of each side matches is left out", () => {
    expect(decide([{ ports: ports(443) }], [{ networks: [networkOf("10.0.0.0/8")] }], web)).toBe("no");
    expect(decide([{ ports: ports(80) }, { ports: ports(443) }], [{ ports: ports(22) }], web)).toBe("yes");
  });

  test("without ports and addresses has none that match", () => {
    const selector = createSelector(selectOf([{ ports: ports(443) }, { networks: [networkOf("0.0.0.0/0")] }]));
    const batch = batchOf([{ cookie: 1, ...web }]);
    batch.family[0] = 1; // AF_UNIX
    expect(selector.decide(batch, 0, () => unknownOwner, "dump")).toBe("no");
  });

  test("of SCTP has no state of TCP", () => {
    expect(decide([{ states: ["established"] }], [], { ...web, protocol: "sctp", state: TCP_ESTABLISHED })).toBe("no");
  });
});

describe("an owner", () => {
  const of = (process: ProcessInfo | undefined, cgroup?: CgroupInfo): Given => ({ owner: { process, cgroup } });

  test.each<[string, Partial<SelectEntry>, Verdict]>([
    ["pid", { pids: [1, 3] }, "yes"],
    ["another pid", { pids: [1] }, "no"],
    ["name of the executable", { cmds: ["python3.13"] }, "yes"],
    ["base name of argv[0]", { cmds: ["python3"] }, "yes"],
    ["part of a name", { cmds: ["python"] }, "no"],
    ["pattern for the name", { cmds: ["python*"] }, "yes"],
    ["pattern for the command line", { cmds: ["*/gunicorn app:*"] }, "yes"],
    ["pattern for a part of the command line", { cmds: ["gunicorn*"] }, "no"],
    ["argument, as it is", { cmds: ["/opt/bin/gunicorn"] }, "no"],
  ])("by %s", (_, entry, verdict) => {
    expect(decide([entry], [], {}, of(python))).toBe(verdict);
  });

  test.each<[string, Partial<SelectEntry>, Verdict]>([
    ["path", { cgroups: ["/system.slice/nginx.service"] }, "yes"],
    ["path above", { cgroups: ["/system.slice"] }, "yes"],
    ["path above, with a slash", { cgroups: ["/system.slice/"] }, "yes"],
    ["root", { cgroups: ["/"] }, "yes"],
    ["start of a name", { cgroups: ["/system.slice/nginx"] }, "no"],
    ["unit", { cgroups: ["nginx.service"] }, "yes"],
    ["pattern for the path", { cgroups: ["/system.slice/*"] }, "yes"],
    ["pattern for the unit", { cgroups: ["nginx*"] }, "yes"],
    ["id of the container", { containers: ["0123456789ab".padEnd(64, "0")] }, "yes"],
    ["first digits of the id", { containers: ["0123456789ab0"] }, "yes"],
    ["too few digits of the id", { containers: ["0123456789a"] }, "no"],
    ["pattern for the id", { containers: ["0123*"] }, "yes"],
    ["another container", { containers: ["telemetry"] }, "no"],
  ])("by cgroup and container: %s", (_, entry, verdict) => {
    expect(decide([entry], [], {}, of(undefined, nginxCgroup))).toBe(verdict);
  });

  test("without a container is in none", () => {
    expect(decide([{ containers: ["*"] }], [], {}, of(undefined, { ...nginxCgroup, containerId: undefined }))).toBe(
      "no",
    );
  });

  test("that is not known leaves the socket undecided, unless the rest decides", () => {
    const row = { localPort: 443, peerPort: 50_000 };
    expect(decide([{ cmds: ["nginx"] }], [], row)).toBe("undecided");
    expect(decide([{ cmds: ["nginx"], ports: ports(443) }], [], row)).toBe("undecided");
    expect(decide([{ cmds: ["nginx"], ports: ports(80) }], [], row)).toBe("no");
    expect(decide([{ cmds: ["nginx"] }, { ports: ports(443) }], [], row)).toBe("yes");
    expect(decide([], [{ cmds: ["nginx"] }], row)).toBe("undecided");
    expect(decide([], [{ cmds: ["nginx"] }, { ports: ports(443) }], row)).toBe("no");
    expect(decide([{ cgroups: ["/"] }], [{ ports: ports(443) }], row)).toBe("no");
  });

  test("is not asked for where the rest decides", () => {
    const selector = createSelector(selectOf([{ ports: ports(80), cmds: ["nginx"] }]));
    const owner = (): never => {
      throw new Error("asked");
    };
    expect([selector.needsProcess, selector.needsCgroup]).toEqual([true, false]);
    expect(selector.decide(batchOf([{ cookie: 1 }]), 0, owner, "dump")).toBe("no");
    expect(() => selector.decide(batchOf([{ cookie: 1, peerPort: 80 }]), 0, owner, "dump")).toThrow("asked");
  });
});

describe("a destroy event", () => {
  const event = { origin: "event" } as const;

  test("has no state", () => {
    expect(decide([{ states: ["established"] }], [], { state: TCP_CLOSE }, event)).toBe("undecided");
    expect(decide([{ states: ["established"], ports: ports(1) }], [], { state: TCP_CLOSE }, event)).toBe("no");
  });

  test("whose ends were erased is decided by what is left", () => {
    const erased = { local: "0.0.0.0", localPort: 443, peer: "0.0.0.0", peerPort: 0 };
    expect(decide([{ ports: ports(443) }], [], erased, event)).toBe("yes");
    expect(decide([{ ports: ports(80) }], [], erased, event)).toBe("undecided");
    expect(decide([{ ports: ports(80), side: "local" }], [], erased, event)).toBe("no");
    expect(decide([{ networks: [networkOf("10.0.0.0/8")] }], [], erased, event)).toBe("undecided");
    expect(decide([], [{ loopback: true }], erased, event)).toBe("undecided");
    expect(decide([{ ports: ports(80) }], [], erased)).toBe("no");
  });

  test("of UDP has its ends", () => {
    const bound = { protocol: "udp", local: "0.0.0.0", localPort: 53, peer: "0.0.0.0", peerPort: 0 } as const;
    expect(decide([{ ports: ports(80) }], [], bound, event)).toBe("no");
  });
});

describe("hosts", () => {
  const row = { local: "10.0.0.1", peer: "192.0.2.7" };

  test("match the addresses that they were last resolved to", () => {
    const selector = createSelector(
      selectOf([{ hosts: ["a.internal", "b.internal"] }, { hosts: ["b.internal"], pids: [1] }]),
    );
    const verdict = (): Verdict => selector.decide(batchOf([{ cookie: 1, ...row }]), 0, () => unknownOwner, "dump");
    expect(selector.hosts).toEqual(["a.internal", "b.internal"]);
    expect(verdict()).toBe("no");
    selector.setHost("b.internal", ["2001:db8::1", "192.0.2.7"]);
    expect(verdict()).toBe("yes");
    selector.setHost("a.internal", ["10.0.0.1"]);
    selector.setHost("b.internal", ["192.0.2.8"]);
    expect(verdict()).toBe("yes");
    selector.setHost("a.internal", []);
    expect(verdict()).toBe("no");
    selector.setHost("unknown.internal", ["10.0.0.1"]);
    expect(verdict()).toBe("no");
  });

  test("are in a program that is made anew when they change, and only then", () => {
    const selector = createSelector(selectOf([{ hosts: ["a.internal"] }]));
    const entry = entryOfRow(batchOf([{ cookie: 1, ...row }]), 0);
    const accepts = (): boolean => runProgram(selector.program() ?? new Uint8Array(), entry);
    expect(accepts()).toBe(false);
    selector.setHost("a.internal", ["192.0.2.7"]);
    expect(accepts()).toBe(true);
    expect(selector.program()).toBe(selector.program());
  });
});

describe("the kernel's part", () => {
  test("is the states that a taken socket can have", () => {
    const states = (include: Partial<SelectEntry>[], exclude: Partial<SelectEntry>[] = []): number =>
      createSelector(selectOf(include, exclude)).states();
    expect(states([])).toBe(0xffff);
    expect(states([{ states: ["established", "listen"] }])).toBe((1 << TCP_ESTABLISHED) | (1 << TCP_LISTEN));
    expect(states([{ states: ["established"] }, { states: ["listen"], pids: [1] }])).toBe(
      (1 << TCP_ESTABLISHED) | (1 << TCP_LISTEN),
    );
    expect(states([{ states: ["established"] }, { pids: [1] }])).toBe(0xffff);
    expect(states([], [{ states: ["listen"] }, { states: ["closed"], pids: [1] }])).toBe(0xffff & ~(1 << TCP_LISTEN));
  });

  test("is a program only where ports or addresses tell something", () => {
    const hasProgram = (include: Partial<SelectEntry>[], exclude: Partial<SelectEntry>[] = []): boolean =>
      createSelector(selectOf(include, exclude)).program() !== undefined;
    expect(hasProgram([{ pids: [1] }])).toBe(false);
    expect(hasProgram([{ pids: [1] }, { ports: ports(1) }])).toBe(false);
    expect(hasProgram([{ pids: [1], ports: ports(2) }, { ports: ports(1) }])).toBe(true);
    expect(hasProgram([], [{ pids: [1], ports: ports(2) }])).toBe(false);
    expect(hasProgram([{ pids: [1] }], [{ ports: ports(2) }])).toBe(true);
  });

  test("leaves out the conditions that are too many, the longest first", () => {
    const many = Array.from({ length: 20 }, (_, at) => networkOf(`10.${at}.0.0/16`));
    const selector = createSelector(selectOf([{ networks: many, ports: ports(443), side: "any" }]));
    // Two conditions on ports, 8 bytes each, and the jump between them.
    expect(selector.program()).toHaveLength(20);
    expect(createSelector(selectOf([{ networks: many }])).program()).toBeUndefined();
    expect(createSelector(selectOf([{ networks: many, side: "local" }])).program()).toBeDefined();
    expect(createSelector(selectOf([{ networks: many }], [{ ports: ports(1) }])).program()).toHaveLength(24);
    expect(mostLeaves).toBe(30);
  });

  const entries = fc.array(aRow, { minLength: 1, maxLength: 20 });

  test("and decide() agree on every socket where the kernel can decide", () => {
    let within = 0;
    fc.assert(
      fc.property(kernelConfig, entries, (config, rows) => {
        const selector = resolveHosts(createSelector(config));
        const whole = compileProgram(config, addressesOfHosts, Infinity);
        const batch = batchOf(rows);
        const decided = rows.map((_, row) => selector.decide(batch, row, () => unknownOwner, "dump"));
        if (whole === undefined) return;
        const accepted = rows.map((_, row) => (runProgram(whole, entryOfRow(batch, row)) ? "yes" : "no"));
        expect(accepted).toEqual(decided);
        if (selector.program()?.length !== whole.length) return;
        expect(selector.program()).toEqual(whole);
        within++;
      }),
      { numRuns: 3000 },
    );
    expect(within).toBeGreaterThan(1000);
  });

  const owner = fc.record({
    process: fc.constantFrom(undefined, nginx, python),
    cgroup: fc.constantFrom(undefined, nginxCgroup, userCgroup),
  });

  test("rejects no socket that decide() takes or leaves undecided, and passes the kernel's audit", () => {
    fc.assert(
      fc.property(anyConfig, entries, owner, (config, rows, held) => {
        const selector = resolveHosts(createSelector(config));
        const program = selector.program();
        if (program !== undefined) expect(auditFault(program)).toBeUndefined();
        const batch = batchOf(rows);
        for (const row of rows.keys()) {
          if (selector.decide(batch, row, () => held, "dump") === "no") continue;
          expect(((selector.states() >> (batch.state[row] as number)) & 1) === 1).toBe(true);
          if (program !== undefined) expect(runProgram(program, entryOfRow(batch, row))).toBe(true);
        }
      }),
      { numRuns: 3000 },
    );
  });

  test("what is decided without an owner stays so whoever it is, and an event decides nothing that a dump decides otherwise", () => {
    fc.assert(
      fc.property(anyConfig, entries, owner, (config, rows, held) => {
        const selector = resolveHosts(createSelector(config));
        const batch = batchOf(rows);
        for (const row of rows.keys()) {
          const known = selector.decide(batch, row, () => held, "dump");
          for (const origin of ["dump", "event"] as const) {
            const verdict = selector.decide(batch, row, () => unknownOwner, origin);
            if (verdict !== "undecided" && known !== "undecided") expect(verdict).toBe(known);
          }
          if (held.process !== undefined && held.cgroup !== undefined) expect(known).not.toBe("undecided");
        }
      }),
      { numRuns: 2000 },
    );
  });
});
