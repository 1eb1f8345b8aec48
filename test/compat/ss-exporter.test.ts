import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startCompatAgent } from "../kit/compat.ts";
import { expectAsDocumented } from "../kit/documented.ts";
import type { Exposition } from "../kit/exposition.ts";
import { openFlow, startEcho } from "../kit/loopback.ts";
import { until } from "../kit/until.ts";
import { parsePage } from "../export/prometheus-parser.ts";

const onLinux = process.platform === "linux";
const hasSs = onLinux && spawnSync("ss", ["-V"]).status === 0;

/** The line of `ss -tinH` for each connection of a port, by its ends as `flow` has them. */
const readSs = (port: number): Map<string, string> => {
  const { stdout } = spawnSync("ss", ["-tinH", `( sport = :${port} or dport = :${port} )`], { encoding: "utf8" });
  const lines = stdout.replaceAll(/\n\s+/g, " ").split("\n");
  return new Map(
    lines.flatMap((line) => {
      const [, local, localPort, peer, peerPort] = /(127\.0\.0\.1):(\d+)\s+(127\.0\.0\.1):(\d+)/.exec(line) ?? [];
      return local === undefined ? [] : [[`(SRC#${local}|${localPort})(DST#${peer}|${peerPort})`, line]];
    }),
  );
};

const figure = (line: string, pattern: RegExp): number | undefined => {
  const found = pattern.exec(line)?.[1];
  return found === undefined ? undefined : Number(found);
};

const select = (port: number): string => `sockets: { select: { include: [{ ports: [${port}] }] } }`;

/** What the document of prometheus_ss_exporter says of its metrics. */
describe.skipIf(!hasSs)("ss_exporter with raw_endpoint", () => {
  const stack = new AsyncDisposableStack();
  let agent: Awaited<ReturnType<typeof startCompatAgent>>;
  let page: Exposition;
  let port = 0;

  beforeAll(async () => {
    const echo = stack.use(await startEcho());
    ({ port } = echo);
    for (const bytes of [100, 5000, 0]) stack.use(await openFlow(port, bytes));
    await sleep(100);
    agent = stack.use(await startCompatAgent(`compat: [ss_exporter]\n${select(port)}`));
    page = await agent.pageWhen("six flows", ({ find }) => find("tcp_rtt").length === 6);
  });
  afterAll(() => stack.disposeAsync());

  test("gauges and counters of each flow are the kernel's, under the label of the document", () => {
    const shown = readSs(port);
    expect(shown.size).toBe(6);
    for (const [flow, line] of shown) {
      const value = (name: string) => page.value(name, { flow });
      expect(value("tcp_rtt")).toBeCloseTo(figure(line, /\srtt:([\d.]+)\//) ?? Number.NaN, 3);
      expect(value("tcp_cwnd")).toBe(figure(line, /\scwnd:(\d+)/));
      const bits = figure(line, /\sdelivery_rate (\d+)bps/);
      expect(value("tcp_delivery_rate")).toBe(bits === undefined ? undefined : bits / 8);
      expect(value("tcp_data_segs_in")).toBe(figure(line, /\sdata_segs_in:(\d+)/) ?? 0);
      expect(value("tcp_data_segs_out")).toBe(figure(line, /\sdata_segs_out:(\d+)/) ?? 0);
    }
    expect(page.find("tcp_delivery_rate").length).toBeGreaterThan(0);
    for (const name of ["tcp_rtt", "tcp_cwnd", "tcp_delivery_rate"]) expect(page.types.get(name)).toBe("gauge");
    for (const name of ["tcp_data_segs_in", "tcp_data_segs_out"]) expect(page.types.get(name)).toBe("counter");
  });

  test("the histogram has the documented bounds, is cumulative over all samples, and never falls", async () => {
    expect(page.types.get("tcp_rtt_hist_ms")).toBe("histogram");
    const buckets = page.find("tcp_rtt_hist_ms_bucket");
    expect(buckets.map(({ labels }) => labels)).toEqual(
      "0.001 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1.0 2.5 5.0 10.0 25.0 50.0 100.0 250.0 500.0 1000.0 +Inf"
        .split(" ")
        .map((le) => ({ le })),
    );
    const count = page.value("tcp_rtt_hist_ms_count") ?? 0;
    expect(count % 6).toBe(0);
    expect(buckets.at(-1)?.value).toBe(count);
    const rtts = page.find("tcp_rtt").map(({ value }) => value);
    const ticks = count / 6;
    for (const { labels, value } of buckets)
      expect(value).toBe(ticks * rtts.filter((rtt) => rtt <= Number(labels["le"]?.replace("+Inf", "Infinity"))).length);
    expect(page.value("tcp_rtt_hist_ms_sum")).toBeCloseTo(ticks * rtts.reduce((sum, rtt) => sum + rtt, 0), 6);
    const later = await agent.pageWhen("a later tick", ({ value }) => (value("tcp_rtt_hist_ms_count") ?? 0) > count);
    for (const [at, { value }] of later.find("tcp_rtt_hist_ms_bucket").entries())
      expect(value).toBeGreaterThanOrEqual(buckets[at]?.value ?? Infinity);
  });

  test("both formats of the page are valid; OpenMetrics has counters without _total as unknown", async () => {
    const accept = "application/openmetrics-text; version=1.0.0";
    const openmetrics = await (await fetch(`${agent.url}/metrics`, { headers: { accept } })).text();
    const families = parsePage(openmetrics, "openmetrics");
    expect(families.get("tcp_data_segs_in")).toMatchObject({ type: "unknown", unit: undefined });
    expect(families.get("tcp_data_segs_in")?.samples.map(({ name }) => name)).toEqual(
      Array(6).fill("tcp_data_segs_in"),
    );
    expect(families.get("tcp_rtt")).toMatchObject({ type: "gauge", unit: undefined });
    const text = await (await fetch(`${agent.url}/metrics`)).text();
    expect(parsePage(text, "text").get("tcp_data_segs_out")?.type).toBe("counter");
  });

  test("/health answers 200 beside /livez, and only with this tool", async () => {
    for (const path of ["/health", "/livez"]) expect((await fetch(`${agent.url}${path}`)).status).toBe(200);
    await agent.reload(select(port));
    expect((await fetch(`${agent.url}/health`)).status).toBe(404);
    await agent.reload(`compat: [ss_exporter]\n${select(port)}`);
    await agent.pageWhen("the flows again", ({ find }) => find("tcp_rtt").length === 6);
  });

  test("by OTLP the points are as documented, and a flow that ends ends its series once", async () => {
    const flow = await openFlow(port, 10);
    const own = `(SRC#127.0.0.1|${flow.localPort})(DST#127.0.0.1|${port})`;
    await until("its points", () =>
      agent.points("tcp_data_segs_out").some(({ attributes }) => attributes["flow"] === own),
    );
    await flow.close();
    const ends = () =>
      agent.receiver
        .points()
        .filter(({ name, attributes, flags }) => name.startsWith("tcp_") && attributes["flow"] === own && flags === 1);
    await until("its ends", () => ends().length >= 4);
    await sleep(500);
    const names = ends().map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    const points = agent.receiver.points().filter(({ name, flags }) => name.startsWith("tcp_") && flags === 0);
    expectAsDocumented(points, { groupBy: "endpoint" });
    expect(new Map(points.map(({ name, kind, unit }) => [name, `${kind} ${unit}`]))).toEqual(
      new Map([
        ["tcp_rtt", "gauge ms"],
        ["tcp_cwnd", "gauge {segment}"],
        ["tcp_delivery_rate", "gauge By/s"],
        ["tcp_data_segs_in", "sum {segment}"],
        ["tcp_data_segs_out", "sum {segment}"],
        ["tcp_rtt_hist_ms", "histogram ms"],
      ]),
    );
  });
});

describe.skipIf(!hasSs)("ss_exporter with pid_condensed", () => {
  test("flows of a process to one end are one series, whose counters add up increments and never fall", async () => {
    await using stack = new AsyncDisposableStack();
    const echo = stack.use(await startEcho());
    const flows = [await openFlow(echo.port, 10), await openFlow(echo.port, 10), await openFlow(echo.port, 10)];
    for (const flow of flows) stack.use(flow);
    const options = "{ label_folding: pid_condensed, metrics: { delivery_rate: off }, rtt_histogram: off }";
    const agent = stack.use(await startCompatAgent(`compat: [{ ss_exporter: ${options} }]\n${select(echo.port)}`));
    const flow = `(${process.pid})(DST#127.0.0.1|${echo.port})`;
    const clients = (): string[] =>
      [...readSs(echo.port)].filter(([own]) => own.endsWith(`(DST#127.0.0.1|${echo.port})`)).map(([, line]) => line);
    const sumOf = (pattern: RegExp): number => clients().reduce((sum, line) => sum + (figure(line, pattern) ?? 0), 0);
    const page = await agent.pageWhen("the folded flow", ({ value }) => value("tcp_rtt", { flow }) !== undefined);
    expect(page.find("tcp_rtt", { flow })).toHaveLength(1);
    expect(page.value("tcp_rtt", { flow })).toBeCloseTo(sumOf(/\srtt:([\d.]+)\//) / 3, 3);
    expect(page.value("tcp_cwnd", { flow })).toBeCloseTo(sumOf(/\scwnd:(\d+)/) / 3, 6);
    expect(page.value("tcp_data_segs_out", { flow })).toBe(0);
    // The other ends: the same process, and an end of the peer each.
    expect(page.find("tcp_rtt").filter(({ labels }) => labels["flow"]?.startsWith(`(${process.pid})`))).toHaveLength(4);
    for (const name of ["tcp_delivery_rate", "tcp_rtt_hist_ms_count"]) expect(page.find(name)).toEqual([]);

    const more = stack.use(await openFlow(echo.port, 2000));
    const counted = await agent.pageWhen(
      "what the fourth has sent",
      (now) => (now.value("tcp_data_segs_out", { flow }) ?? 0) > 0,
    );
    const sent = figure(
      [...readSs(echo.port)].find(([own]) => own.startsWith(`(SRC#127.0.0.1|${more.localPort})`))?.[1] ?? "",
      /\sdata_segs_out:(\d+)/,
    );
    expect(counted.value("tcp_data_segs_out", { flow })).toBe(sent);
    for (const each of [more, ...flows.slice(0, 2)]) await each.close();
    const ended = await agent.pageWhen("the ends", ({ find }) => find("tcp_rtt").length === 2);
    expect(ended.value("tcp_data_segs_out", { flow })).toBe(sent);
    const values = agent.receiver
      .points()
      .filter(
        ({ name, attributes, flags }) => name === "tcp_data_segs_out" && attributes["flow"] === flow && flags === 0,
      )
      .map(({ value }) => value ?? Number.NaN);
    expect(values).toEqual(values.toSorted((a, b) => a - b));
  });
});
