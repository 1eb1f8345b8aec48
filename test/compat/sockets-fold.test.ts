import { expect, test } from "vitest";
import type { SocketsCompat } from "../../src/collect/socket-fold.ts";
import { createSocketsPart } from "../../src/collect/sockets.ts";
import { defaults } from "../../src/config/defaults.ts";
import type { OwnersPart } from "../../src/collect/owners.ts";
import type { SocketsConfig } from "../../src/model/config.ts";
import { SourceError } from "../../src/model/errors.ts";
import { notGiven } from "../../src/model/socket.ts";
import type { ReadSockets } from "../../src/model/sources.ts";
import {
  TCP_CLOSE,
  TCP_CLOSE_WAIT,
  TCP_FIN_WAIT2,
  TCP_LISTEN,
  TCP_SYN_RECV,
  TCP_SYN_SENT,
  TCP_TIME_WAIT,
} from "../../src/netlink/constants.ts";
import { allSockets } from "../kit/all-sockets.ts";
import { endedOf, histogramsOf, pointsOf, valuesOf } from "../kit/points.ts";
import { batchOf, type SocketRow } from "../kit/sockets.ts";

const telegraf: SocketsCompat["telegraf"] = {
  protocols: ["tcp", "udp", "unix"],
  host: "here",
  deviceName: (ifindex) => `dev${ifindex}`,
};
const ssExporter = { ...defaults.ssExporter, rttBoundsMs: [1, 10] };

type Options = {
  readonly compat: Partial<SocketsCompat>;
  readonly config?: Partial<SocketsConfig>;
  /** Pids by inode. */
  readonly pids?: ReadonlyMap<number, number>;
  /** The first half of each dump comes twice. */
  readonly restart?: boolean;
};

const createTest = (dumps: (readonly SocketRow[] | Error)[], { compat, config, pids, restart }: Options) => {
  const read: ReadSockets = async function* (_signal, report) {
    const dump = dumps.shift() ?? [];
    if (dump instanceof Error) throw dump;
    if (restart === true) {
      yield batchOf(dump.slice(0, dump.length >> 1));
      report.restart("tcp");
    }
    yield batchOf(dump.slice(0, 1));
    yield batchOf(dump.slice(1));
  };
  // Before the first dump those who hold sockets are looked for, by a dump of its own.
  if (pids !== undefined) dumps.unshift([]);
  const owners: OwnersPart | undefined = pids && {
    wanted: { process: true, cgroup: false },
    process: (inode) => {
      const pid = pids.get(inode);
      return pid === undefined ? undefined : { pid, argv: [], executable: "x", cgroup: undefined };
    },
    cgroup: () => undefined,
    refresh: async () => undefined,
    observations: () => [],
  };
  const part = createSocketsPart({
    ...allSockets,
    config: { ...defaults.sockets, events: "off", ...config },
    compat: { telegraf: undefined, ssExporter: undefined, ...compat },
    read,
    subscribe: undefined,
    readTcp: undefined,
    owners,
    ephemeral: [32_768, 60_999],
    now: () => 0,
    log: () => undefined,
  });
  let time = 0;
  return async () => (await part.collect((time += 1000), AbortSignal.timeout(1000))).columns;
};

const tagsOf = (columns: Awaited<ReturnType<ReturnType<typeof createTest>>>) =>
  pointsOf(columns)
    .filter(({ metric }) => metric === "socketstat_recv_q")
    .map(({ attributes, value }) => [...Object.values(attributes), value].join(" "));

test("telegraf: the states that ss shows without -a, and its spelling of addresses", async () => {
  const tick = createTest(
    [
      [
        { cookie: 1, state: TCP_LISTEN, localPort: 80, peerPort: 0 },
        { cookie: 2, state: TCP_SYN_RECV, info: false },
        { cookie: 3, state: TCP_TIME_WAIT, info: false },
        { cookie: 4, state: TCP_CLOSE },
        { cookie: 5, state: TCP_SYN_SENT, localPort: 1, peerPort: 2 },
        { cookie: 6, state: TCP_CLOSE_WAIT, family: 6, localPort: 1, peerPort: 2, rqueue: 3 },
        { cookie: 7, state: TCP_FIN_WAIT2, info: false, family: 6, local: "::ffff:10.0.0.1", peer: "fe80::1" },
        { cookie: 8, protocol: "udp", state: TCP_CLOSE, localPort: 53, peerPort: 0 },
        { cookie: 9, protocol: "udp", family: 6, local: "::", localPort: 53, peer: "::1", peerPort: 9, info: false },
        { cookie: 10, protocol: "raw", localPort: 1, peerPort: 0, info: false },
        {
          cookie: 11,
          protocol: "unix",
          name: "/run/a b.sock",
          inode: 77,
          local: "0.0.0.0",
          peer: "0.0.0.0",
          info: false,
        },
      ],
    ],
    { compat: { telegraf } },
  );
  expect(tagsOf(await tick())).toEqual([
    "tcp 127.0.0.1 1 127.0.0.1 2 SYN-SENT here 0",
    "tcp [::1] 1 [::1] 2 CLOSE-WAIT here 3",
    "tcp [::ffff:10.0.0.1] 40000 [fe80::1] 443 FIN-WAIT-2 here 0",
    "udp * 53 [::1] 9 here 0",
    "unix /run/a b.sock 77 * * here 0",
  ]);
});

test("telegraf: 0 is 0, and absent is what the kernel does not give", async () => {
  const tick = createTest(
    [[{ cookie: 1, rqueue: notGiven, info: { bytes_acked: 0, segs_in: 7, data_segs_in: undefined } }]],
    { compat: { telegraf } },
  );
  const given = pointsOf(await tick()).filter(({ metric }) => metric.startsWith("socketstat_"));
  expect(Object.fromEntries(given.map(({ metric, value }) => [metric, value]))).toEqual({
    socketstat_send_q: 0,
    socketstat_bytes_acked: 0,
    socketstat_bytes_received: 0,
    socketstat_segs_out: 0,
    socketstat_segs_in: 7,
    socketstat_data_segs_out: 0,
  });
});

test("telegraf: sockets of the same tags are one series with their sum, each counted once", async () => {
  const twins: SocketRow[] = [
    { cookie: 1, rqueue: 1 },
    { cookie: 2, rqueue: 20 },
    { cookie: 3, rqueue: 300 },
    { cookie: 2, rqueue: 20 },
    { cookie: 1, rqueue: 1 },
  ];
  for (const restart of [false, true]) {
    const tick = createTest([twins, twins], { compat: { telegraf }, restart });
    for (let ticks = 0; ticks < 2; ticks++)
      expect(tagsOf(await tick())).toEqual(["tcp 127.0.0.1 40000 127.0.0.1 443 ESTAB here 321"]);
  }
});

test("telegraf: beyond the budget there is one overflow series, whose sum is that of the rest", async () => {
  const rows = [1, 2, 3, 4].map((cookie): SocketRow => ({ cookie, localPort: cookie, rqueue: 10 ** cookie }));
  const tick = createTest([rows, rows.slice(2), []], { compat: { telegraf }, config: { maxGroups: 2 }, restart: true });
  expect(tagsOf(await tick())).toEqual([
    "tcp 127.0.0.1 1 127.0.0.1 443 ESTAB here 10",
    "tcp 127.0.0.1 2 127.0.0.1 443 ESTAB here 100",
    "true 11000",
  ]);
  await tick();
  const last = await tick();
  expect(tagsOf(last)).toEqual([]);
});

test("telegraf: a change of state ends one series and begins another; each end is told once", async () => {
  const row: SocketRow = { cookie: 1, localPort: 5, info: false };
  const tick = createTest([[row], [{ ...row, state: TCP_CLOSE_WAIT }], [], []], { compat: { telegraf } });
  const ends = async () =>
    endedOf(await tick())
      .filter(({ metric }) => metric === "socketstat_recv_q")
      .map(({ attributes }) => attributes["state"]);
  expect([await ends(), await ends(), await ends(), await ends()]).toEqual([[], ["ESTAB"], ["CLOSE-WAIT"], []]);
});

test("a dump that failed ends all series, which come back with the next one", async () => {
  const row: SocketRow = { cookie: 1, info: { rtt: 2000, snd_cwnd: 10 } };
  const tick = createTest([[row], new SourceError("no"), [row]], { compat: { telegraf, ssExporter } });
  await tick();
  const failed = await tick();
  const names = (of: readonly { readonly metric: string }[]): string[] =>
    of.map(({ metric }) => metric).filter((metric) => /^(?:tcp_|socketstat_)/.test(metric));
  expect(names(pointsOf(failed))).toEqual([]);
  expect(names(endedOf(failed)).toSorted()).toEqual([
    "socketstat_bytes_acked",
    "socketstat_bytes_received",
    "socketstat_data_segs_in",
    "socketstat_data_segs_out",
    "socketstat_recv_q",
    "socketstat_segs_in",
    "socketstat_segs_out",
    "socketstat_send_q",
    "tcp_cwnd",
    "tcp_data_segs_in",
    "tcp_data_segs_out",
    "tcp_rtt",
    "tcp_rtt_hist_ms",
  ]);
  const back = await tick();
  expect(valuesOf(back, "tcp_rtt")).toEqual({ "(SRC#127.0.0.1|40000)(DST#127.0.0.1|443)": 2 });
  expect(histogramsOf(back).find(({ metric }) => metric === "tcp_rtt_hist_ms")).toMatchObject({
    counts: [0, 2, 0],
    sum: 4,
  });
});

test("ss_exporter: both ends as they are, IPv6 too, rates that the application limited too, no sample no value", async () => {
  const tick = createTest(
    [
      [
        {
          cookie: 1,
          info: { rtt: 53_376, snd_cwnd: 10, delivery_rate: 5, delivery_rate_app_limited: 1, data_segs_in: 7 },
        },
        { cookie: 2, family: 6, local: "::ffff:10.0.0.1", peer: "2001:db8::2", info: { rtt: 0, data_segs_out: 3 } },
        { cookie: 3, state: TCP_SYN_SENT, localPort: 9 },
      ],
    ],
    { compat: { ssExporter } },
  );
  const columns = await tick();
  const one = "(SRC#127.0.0.1|40000)(DST#127.0.0.1|443)";
  const other = "(SRC#10.0.0.1|40000)(DST#2001:db8::2|443)";
  expect(valuesOf(columns, "tcp_rtt")).toEqual({ [one]: 53.376 });
  expect(valuesOf(columns, "tcp_cwnd")).toEqual({ [one]: 10, [other]: 0 });
  expect(valuesOf(columns, "tcp_delivery_rate")).toEqual({ [one]: 5 });
  expect(valuesOf(columns, "tcp_data_segs_in")).toEqual({ [one]: 7, [other]: 0 });
  expect(valuesOf(columns, "tcp_data_segs_out")).toEqual({ [one]: 0, [other]: 3 });
});

test("ss_exporter: what is switched off is not there", async () => {
  const compat = { ssExporter: { ...ssExporter, metrics: ["cwnd"] as const, rttBoundsMs: undefined } };
  const columns = await createTest([[{ cookie: 1, info: { rtt: 5 } }]], { compat })();
  const names = [...pointsOf(columns), ...histogramsOf(columns)].map(({ metric }) => metric);
  expect(names.filter((name) => name.startsWith("tcp_"))).toEqual(["tcp_cwnd"]);
});

test("ss_exporter: by pid, flows are folded: means, a sum, and sums of increments that outlive their flows", async () => {
  const flow = (cookie: number, inode: number, rtt: number, segments: number): SocketRow => ({
    cookie,
    inode,
    localPort: 40_000 + cookie,
    info: { rtt, snd_cwnd: rtt / 100, delivery_rate: rtt, data_segs_out: segments },
  });
  const tick = createTest(
    [
      [flow(1, 11, 1000, 100), flow(2, 12, 3000, 50), flow(3, 13, 500, 9), flow(4, 0, 700, 4)],
      [flow(1, 11, 1000, 110), flow(2, 12, 3000, 55), flow(5, 11, 2000, 6), flow(4, 0, 700, 5)],
      [flow(5, 11, 2000, 8)],
      [flow(5, 11, 2000, 8)],
    ],
    {
      compat: { ssExporter: { ...ssExporter, labelFolding: "pid_condensed" } },
      pids: new Map([
        [11, 7],
        [12, 7],
        [13, 8],
      ]),
    },
  );
  const [seven, eight, unknown] = ["7", "8", "?"].map((pid) => `(${pid})(DST#127.0.0.1|443)`) as [
    string,
    string,
    string,
  ];
  const first = await tick();
  expect(valuesOf(first, "tcp_rtt")).toEqual({ [seven]: 2, [eight]: 0.5, [unknown]: 0.7 });
  expect(valuesOf(first, "tcp_cwnd")).toEqual({ [seven]: 20, [eight]: 5, [unknown]: 7 });
  expect(valuesOf(first, "tcp_delivery_rate")).toEqual({ [seven]: 4000, [eight]: 500, [unknown]: 700 });
  expect(valuesOf(first, "tcp_data_segs_out")).toEqual({ [seven]: 0, [eight]: 0, [unknown]: 0 });
  const second = await tick();
  expect(valuesOf(second, "tcp_rtt")).toEqual({ [seven]: 2, [unknown]: 0.7 });
  expect(valuesOf(second, "tcp_data_segs_out")).toEqual({ [seven]: 21, [eight]: 0, [unknown]: 1 });
  await tick();
  expect(valuesOf(await tick(), "tcp_data_segs_out")).toEqual({ [seven]: 23, [eight]: 0, [unknown]: 1 });
});

test("ss_exporter: beyond the budget there is one overflow series", async () => {
  const rows = [1, 2, 3].map((cookie): SocketRow => ({
    cookie,
    localPort: cookie,
    info: { snd_cwnd: cookie, delivery_rate: 5 },
  }));
  const columns = await createTest([rows], { compat: { ssExporter }, config: { maxGroups: 1 } })();
  expect(valuesOf(columns, "tcp_delivery_rate")).toEqual({ "(SRC#127.0.0.1|1)(DST#127.0.0.1|443)": 5, true: 10 });
});

test("nothing of it is there when compat is off, and what is there is the same when it is on", async () => {
  const rows: SocketRow[] = [
    { cookie: 1, state: TCP_LISTEN, localPort: 80, peerPort: 0 },
    { cookie: 2, info: { rtt: 1000, bytes_acked: 5 } },
    { cookie: 3, protocol: "udp", state: TCP_CLOSE, localPort: 53, peerPort: 0, info: false },
  ];
  const off = await createTest([rows], { compat: {} })();
  expect(off.filter(({ descriptor }) => descriptor.verbatim === true)).toEqual([]);
  const connected: SocketRow = { cookie: 4, protocol: "udp", localPort: 99, info: false };
  const on = await createTest([[...rows, connected]], { compat: { telegraf, ssExporter } })();
  expect(pointsOf(on.filter(({ descriptor }) => descriptor.verbatim !== true))).toEqual(pointsOf(off));
});
