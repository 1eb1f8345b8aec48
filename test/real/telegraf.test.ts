import { spawnSync } from "node:child_process";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { attributesKey } from "../../src/model/columns.ts";
import { cleanEnvironment, configFile, root, sockscope } from "../kit/agent.ts";
import { parseExposition } from "../kit/exposition.ts";
import { openKnownSockets } from "../kit/known-sockets.ts";
import { enterOwnNamespace } from "../kit/own-namespace.ts";
import { scratchFolder } from "../kit/program.ts";
import { canRun, realParts } from "../kit/real-parts.ts";

type Metric = { readonly tags: Readonly<Record<string, string>>; readonly fields: Readonly<Record<string, unknown>> };

const info = ["bytes_acked", "bytes_received", "segs_out", "segs_in", "data_segs_out", "data_segs_in"];

/** How the metrics of the plugin become our series: all that is not the same, and why. */
const differences: Readonly<Record<string, (metric: Metric) => Metric>> = {
  "The state is a field of text; a metric has no text for a value, so it is a label.": ({ tags, fields }) => {
    const { state, ...others } = fields;
    return { tags: typeof state === "string" ? { ...tags, state } : tags, fields: others };
  },
  "A field that ss does not print because it is 0 is missing; here it is 0.": ({ tags, fields }) => ({
    tags,
    // Of what the kernel knows anything of, it knows that a segment went or came.
    fields:
      "segs_out" in fields || "segs_in" in fields
        ? { ...Object.fromEntries(info.map((field) => [field, 0])), ...fields }
        : fields,
  }),
  "The tag host is added by the agent around the plugin.": ({ tags, fields }) => ({
    tags: { ...tags, host: hostname() },
    fields,
  }),
};

type Series = ReadonlyMap<string, Readonly<Record<string, unknown>>>;

/** Fields by tags; two of the same tags throw. */
const byTags = (metrics: readonly Metric[]): Series => {
  const series = new Map(metrics.map(({ tags, fields }) => [attributesKey(tags), fields]));
  expect(series.size).toBe(metrics.length);
  return series;
};

/** Runs the plugin once. */
const runTelegraf = (protocols: readonly string[], path?: string) => {
  const { status, stdout, stderr } = spawnSync(realParts.telegraf, ["show", ...protocols], {
    encoding: "utf8",
    env: { ...cleanEnvironment(), ...(path === undefined ? {} : { PATH: path }) },
  });
  const lines = stdout.split("\n").filter((line) => line !== "");
  return { status, stderr, metrics: lines.map((line) => JSON.parse(line) as Metric) };
};

/** The plugin's metrics with all differences applied, each of which must show. */
const asOurs = (metrics: readonly Metric[], unseen: readonly string[] = []): Series => {
  const seen = new Set<string>();
  const turned = metrics.map((metric) =>
    Object.entries(differences).reduce((before, [why, turn]) => {
      const after = turn(before);
      if (JSON.stringify(after) !== JSON.stringify(before)) seen.add(why);
      return after;
    }, metric),
  );
  expect([...seen, ...unseen].toSorted()).toEqual(Object.keys(differences).toSorted());
  return byTags(turned);
};

/** The series of socketstat that sockscope has with this configuration, or Telegraf's own file. */
const runOurs = async (text: string, path?: string): Promise<Series> => {
  using file = configFile(text);
  const args = ["once", "-c", file.path, "--format", "prometheus", "--for", "100ms"];
  const env = { ...cleanEnvironment(), ...(path === undefined ? {} : { PATH: `${path}:${process.env["PATH"]}` }) };
  const { code, stdout, stderr } = await sockscope(args, { env });
  expect([code, stderr]).toEqual([0, expect.anything()]);
  const series = new Map<string, Record<string, unknown>>();
  for (const { name, labels, value } of parseExposition(stdout).samples) {
    if (!name.startsWith("socketstat_")) continue;
    const key = attributesKey(labels);
    series.set(key, { ...series.get(key), [name.slice("socketstat_".length)]: value });
  }
  return series;
};

describe.skipIf(!canRun("telegraf"))("Telegraf's socketstat beside sockscope", () => {
  let leave: (() => void) | undefined;
  beforeAll(() => {
    leave = enterOwnNamespace();
  });
  afterAll(() => leave?.());

  test(
    "the same sockets of tcp and udp with the same fields, by Telegraf's own file",
    { timeout: 60_000 },
    async () => {
      await using sockets = await openKnownSockets();
      const before = asOurs(runTelegraf(["tcp", "udp"]).metrics);
      const ours = await runOurs('[[inputs.socketstat]]\n  protocols = ["tcp", "udp"]\n');
      const after = asOurs(runTelegraf(["tcp", "udp"]).metrics);

      expect([...ours.keys()].toSorted()).toEqual([...before.keys()].toSorted());
      expect([...after.keys()].toSorted()).toEqual([...before.keys()].toSorted());
      const retransmits = (key: string): boolean => key.includes(String(sockets.restless));
      for (const [key, fields] of ours) {
        if (!retransmits(key)) {
          expect([key, fields]).toEqual([key, before.get(key)]);
          continue;
        }
        expect(Object.keys(fields).toSorted()).toEqual(Object.keys(before.get(key) ?? {}).toSorted());
        for (const [field, value] of Object.entries(fields)) {
          expect(value, `${key} ${field}`).toBeGreaterThanOrEqual(Number(before.get(key)?.[field]));
          expect(value, `${key} ${field}`).toBeLessThanOrEqual(Number(after.get(key)?.[field]));
        }
      }

      const values = (tag: string) => new Set([...ours.keys()].map((key) => Object.fromEntries(JSON.parse(key))[tag]));
      expect(values("state")).toEqual(
        new Set(["ESTAB", "SYN-SENT", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "LAST-ACK", undefined]),
      );
      expect(values("local_addr")).toEqual(new Set(["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[fe80::1]%lo"]));
      expect(ours.size).toBe(23);
    },
  );
});

/** A folder with an `ss` of this release that prints `all` with -a, and `begun` without. */
const stubSs = (release: string, all: string, begun = all) => {
  const folder = scratchFolder();
  const script = `#!/bin/sh
case " $* " in
*" -V "*) echo "ss utility, iproute2-${release}" ;;
*" -a "*) cat "\${0%/*}/all" ;;
*) cat "\${0%/*}/begun" ;;
esac
`;
  for (const [name, text] of Object.entries({ ss: script, all, begun })) writeFileSync(join(folder.path, name), text);
  chmodSync(join(folder.path, "ss"), 0o755);
  return folder;
};

/** What a release prints of one and the same sockets. */
const fixture = (release: string): string => readFileSync(join(root, `test/fixtures/ss/${release}.tcp.txt`), "utf8");

/** What the same release prints without -a, -e and -m: no listeners, and nothing behind the other end. */
const begunOf = (text: string): string =>
  text
    .replaceAll(/^LISTEN.*\n.*\n/gm, "")
    .replaceAll(/ +(?:timer|ino|sk):.*/g, "")
    .replaceAll(/skmem:\S+ ?/g, "");

const readStub = (protocol: string): string =>
  `compat: [{ telegraf: { protocols: [${protocol}] } }]\nsockets: { protocols: [${protocol}], source: ss }`;

const zeroDifference = Object.keys(differences).find((why) => why.includes("here it is 0")) ?? "";

describe.skipIf(!canRun("telegraf"))("Telegraf's socketstat and sockscope by the same ss", () => {
  test.each([
    ["5.5", "ss200127"],
    ["6.6", "6.6.0, libbpf 1.1.2"],
    ["7.1", "7.1.0"],
  ])("of iproute2 %s: the same fields", { timeout: 60_000 }, async (release, version) => {
    using stub = stubSs(version, fixture(release), begunOf(fixture(release)));
    const { status, metrics } = runTelegraf(["tcp"], `${stub.path}:${process.env["PATH"]}`);
    expect([status, metrics.length]).toEqual([0, 8]);
    expect(await runOurs(readStub("tcp"), stub.path)).toEqual(asOurs(metrics));
  });

  test(
    "of iproute2 3.12: the same but for brackets around IPv6, which only later releases print",
    { timeout: 60_000 },
    async () => {
      using stub = stubSs("ss131122", fixture("3.12"), begunOf(fixture("3.12")));
      const { metrics } = runTelegraf(["tcp"], `${stub.path}:${process.env["PATH"]}`);
      const ours = await runOurs(readStub("tcp"), stub.path);
      const bracketed = (address: string): string => (address.includes(":") ? `[${address}]` : address);
      const later = metrics.map(({ tags, fields }) => ({
        tags: {
          ...tags,
          local_addr: bracketed(tags["local_addr"] ?? ""),
          remote_addr: bracketed(tags["remote_addr"] ?? ""),
        },
        fields,
      }));
      // A release that prints none of the fields does not say that they are 0.
      expect(ours).toEqual(asOurs(later, [zeroDifference]));
      expect([...ours.values()].filter((fields) => "segs_in" in fields)).toEqual([]);
      expect(ours.size).toBe(8);
    },
  );

  test(
    "of iproute2 4.17, with columns that run into each other: the plugin ends the agent, here all are read",
    { timeout: 60_000 },
    async () => {
      using stub = stubSs("ss180608", fixture("4.17"), begunOf(fixture("4.17")));
      const { status, stderr, metrics } = runTelegraf(["tcp"], `${stub.path}:${process.env["PATH"]}`);
      expect(status).toBe(2);
      expect(stderr).toContain("panic: runtime error: index out of range");
      expect(metrics).toEqual([]);
      using later = stubSs("7.1.0", fixture("7.1"));
      const ours = await runOurs(readStub("tcp"), stub.path);
      expect(ours.size).toBe(8);
      expect(ours).toEqual(await runOurs(readStub("tcp"), later.path));
    },
  );

  test(
    "of udp: the same fields, but an address without its device, which ss gives as a name",
    { timeout: 60_000 },
    async () => {
      const all = `State  Recv-Q Send-Q Local Address:Port Peer Address:Port Process
UNCONN 0      0            0.0.0.0:53         0.0.0.0:*     ino:11 sk:11 cgroup:/ <->
\t skmem:(r0,rb212992,t0,tb212992,f0,w0,o0,bl0,d0)
ESTAB  4352   0        127.0.0.1%lo:4001    127.0.0.1:4002  ino:12 sk:12 cgroup:/ <->
\t skmem:(r4352,rb212992,t0,tb212992,f0,w0,o0,bl0,d0)
ESTAB  0      768            [::1]:4003         [::1]:4004  ino:13 sk:13 cgroup:/ v6only:1 <->
\t skmem:(r0,rb212992,t768,tb212992,f0,w0,o0,bl0,d0)
`;
      // Without -a all are connected, and there is no column for it.
      const begun = begunOf(all)
        .replaceAll(/^UNCONN.*\n.*\n/gm, "")
        .replaceAll(/^(?:State|ESTAB) +/gm, "");
      using stub = stubSs("6.1.0", all, begun.replaceAll(/^\t \n/gm, ""));
      const { metrics } = runTelegraf(["udp"], `${stub.path}:${process.env["PATH"]}`);
      expect(metrics.map(({ tags }) => tags["local_addr"])).toEqual(["127.0.0.1%lo", "[::1]"]);
      const bare = metrics.map(({ tags, fields }) => ({
        tags: { ...tags, local_addr: tags["local_addr"]?.replace("%lo", "") ?? "" },
        fields,
      }));
      const host = hostname();
      expect(await runOurs(readStub("udp"), stub.path)).toEqual(
        byTags(bare.map(({ tags, fields }) => ({ tags: { ...tags, host }, fields }))),
      );
    },
  );

  test("packet sockets: the plugin ends the agent, here they are read", { timeout: 60_000 }, async () => {
    const text = `Netid Recv-Q Send-Q Local Address:Port Peer Address:PortProcess
p_raw 1216   0                 *:lo               *     ino:23110 sk:1 cgroup:/ <->
\t skmem:(r1216,rb212992,t0,tb212992,f2880,w0,o0,bl0,d0)
`;
    using stub = stubSs("6.1.0", text, begunOf(text));
    const { status, stderr } = runTelegraf(["packet"], `${stub.path}:${process.env["PATH"]}`);
    expect(status).toBe(2);
    expect(stderr).toContain("panic: runtime error: index out of range");
    const tags = { proto: "packet", local_addr: "*", local_port: "*", remote_addr: "*", remote_port: "*" };
    expect(await runOurs(readStub("packet"), stub.path)).toEqual(
      new Map([[attributesKey({ ...tags, host: hostname() }), { recv_q: 1216, send_q: 0 }]]),
    );
  });

  test(
    "unix sockets: the plugin takes the state for a queue and parts a path at its space, here neither",
    { timeout: 60_000 },
    async () => {
      using stub = stubSs(
        "6.1.0",
        `Netid State Recv-Q Send-Q Local Address:Port Peer Address:PortProcess
u_str ESTAB 5      7          /run/app.sock 4101            * 4102 <-> skmem:(r5,rb212992,t7,tb212992,f0,w0,o0,bl0,d0)
u_str ESTAB 5      0              /run/a b 4103            * 4104 <-> skmem:(r5,rb212992,t0,tb212992,f0,w0,o0,bl0,d0)
`,
      );
      const theirs = runTelegraf(["unix"], `${stub.path}:${process.env["PATH"]}`);
      const plain = {
        proto: "unix",
        local_addr: "/run/app.sock",
        local_port: "4101",
        remote_addr: "*",
        remote_port: "4102",
      };
      const spaced = { ...plain, local_addr: "/run/a b", local_port: "4103", remote_port: "4104" };
      expect(theirs.metrics).toEqual([
        { tags: plain, fields: { netid: "u_str", send_q: 5 } },
        {
          tags: { ...plain, local_addr: "/run/a", local_port: "b", remote_addr: "4103", remote_port: "*" },
          fields: { netid: "u_str", send_q: 5 },
        },
      ]);
      const host = hostname();
      expect(await runOurs(readStub("unix"), stub.path)).toEqual(
        new Map([
          [attributesKey({ ...plain, host }), { recv_q: 5, send_q: 7 }],
          [attributesKey({ ...spaced, host }), { recv_q: 5, send_q: 0 }],
        ]),
      );
    },
  );
});
