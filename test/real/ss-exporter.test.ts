import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cleanEnvironment, configFile, root, sockscope } from "../kit/agent.ts";
import { parseExposition } from "../kit/exposition.ts";
import { openKnownSockets } from "../kit/known-sockets.ts";
import { enterOwnNamespace } from "../kit/own-namespace.ts";
import { canRun, realParts } from "../kit/real-parts.ts";

const metrics = {
  tcp_rtt: "rtt",
  tcp_cwnd: "snd_cwnd",
  tcp_delivery_rate: "delivery_rate",
  tcp_data_segs_in: "data_segs_in",
  tcp_data_segs_out: "data_segs_out",
} as const;
type Metric = keyof typeof metrics;
const names = Object.keys(metrics) as Metric[];

type Ss2Flow = {
  readonly flow: string;
  /** The state as ss2 has it; null where the kernel gave no struct tcp_info. */
  readonly state: string | null;
  readonly values: Readonly<Record<(typeof metrics)[Metric], number>> | null;
  readonly pids: readonly number[];
};

const readSs2 = (): Ss2Flow[] => {
  const { status, stdout, stderr } = spawnSync(realParts.ss2, [join(root, "test/real/ss2-flows.py")], {
    encoding: "utf8",
    env: cleanEnvironment(),
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Ss2Flow[];
};

type Values = Readonly<Partial<Record<Metric, number>>>;

/** What sockscope's series say, by flow. */
const readOurs = async (options: string): Promise<ReadonlyMap<string, Values>> => {
  using file = configFile(`compat: [{ ss_exporter: ${options} }]`);
  const { code, stdout } = await sockscope(["once", "-c", file.path, "--format", "prometheus", "--for", "100ms"]);
  expect(code).toBe(0);
  const { samples } = parseExposition(stdout);
  const flows = new Map<string, Values>();
  for (const { name, labels, value } of samples) {
    const { flow } = labels;
    if (flow !== undefined) flows.set(flow, { ...flows.get(flow), [name]: value });
  }
  return flows;
};

const inFamily6 = (flow: string): boolean => /#[\da-f]*:/.test(flow);

/** Flows of ss2 that have no series here, and why. */
const unlike: Readonly<Record<string, (flow: Ss2Flow) => boolean>> = {
  "SYN-SENT: what does not stand yet has no round trip; the exporter says 0, a best one": ({ state }) =>
    state === "syn-sent",
  "FIN-WAIT-2 of a closed socket: the kernel has no struct tcp_info of it; the exporter says 0, or fails": ({
    values,
  }) => values === null,
};

/** The exporter's figures as ours. Of a rate 0 means that there was no sample: absent here. */
const asOurs = ({ values }: Ss2Flow): Values =>
  Object.fromEntries(
    names
      .map((name) => [name, values?.[metrics[name]]] as const)
      .filter(([name, value]) => value !== undefined && !(name === "tcp_delivery_rate" && value === 0)),
  );

describe.skipIf(!canRun("ss2"))("prometheus_ss_exporter's ss2 beside sockscope", () => {
  let leave: (() => void) | undefined;
  const stack = new AsyncDisposableStack();
  let theirs: readonly Ss2Flow[];

  beforeAll(async () => {
    leave = enterOwnNamespace();
    stack.use(await openKnownSockets());
    theirs = readSs2();
  });
  afterAll(async () => {
    await stack.disposeAsync();
    leave?.();
  });

  test("the same IPv4 flows with the same values, and what ss2 missed", { timeout: 60_000 }, async () => {
    const ours = await readOurs("{}");
    const why = (flow: Ss2Flow): string | undefined => Object.keys(unlike).find((key) => unlike[key]?.(flow));
    const alike = theirs.filter((flow) => why(flow) === undefined);
    expect(alike).toHaveLength(12);
    for (const flow of alike) expect([flow.flow, ours.get(flow.flow)]).toEqual([flow.flow, asOurs(flow)]);
    expect(alike.some((flow) => asOurs(flow).tcp_delivery_rate === undefined)).toBe(true);
    expect(alike.some((flow) => (asOurs(flow).tcp_data_segs_in ?? 0) > 0)).toBe(true);

    const others = theirs.filter((flow) => !alike.includes(flow));
    expect(others).toHaveLength(2);
    expect(new Set(others.map(why))).toEqual(new Set(Object.keys(unlike)));
    for (const flow of others) expect([flow.flow, ours.get(flow.flow)]).toEqual([flow.flow, undefined]);

    const missed = [...ours.keys()].filter((flow) => theirs.every((known) => known.flow !== flow));
    // Both ends of two IPv6 connections, and the server's end of an IPv4 connection to a dual-stack listener.
    expect(missed.filter(inFamily6)).toHaveLength(4);
    expect(missed.filter((flow) => !inFamily6(flow))).toHaveLength(1);
    const [mapped = ""] = missed.filter((flow) => !inFamily6(flow));
    const [, source = "", target = ""] = /^\(SRC#(.*)\)\(DST#(.*)\)$/.exec(mapped) ?? [];
    expect(theirs.map(({ flow }) => flow)).toContain(`(SRC#${target})(DST#${source})`);
    for (const flow of missed) expect(ours.get(flow)?.tcp_rtt, flow).toBeGreaterThan(0);
    expect(ours.size).toBe(alike.length + missed.length);
  });

  test("with pid_condensed the flows go by the processes that ss2 finds", { timeout: 60_000 }, async () => {
    const ours = await readOurs("{ label_folding: pid_condensed }");
    const owned = theirs.filter(({ state, values }) => values !== null && state !== "syn-sent");
    const folded = new Set(owned.map(({ flow, pids }) => flow.replace(/^\(SRC#[^)]*\)/, `(${pids.join()})`)));
    expect(owned.every(({ pids }) => pids.join() === String(process.pid))).toBe(true);
    expect([...ours.keys()].filter((flow) => !inFamily6(flow) && folded.has(flow)).toSorted()).toEqual(
      [...folded].toSorted(),
    );
  });
});
