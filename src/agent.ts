import { setTimeout } from "node:timers/promises";
import type { Campaign } from "./cluster/campaign.ts";
import { createDeliveryPart } from "./collect/delivery.ts";
import { createElectionPart } from "./collect/election.ts";
import { type CoreOptions, createCore } from "./core.ts";
import { composeElection } from "./core-election.ts";
import { now, reasonOf } from "./core-parts.ts";
import { createProbing } from "./core-probing.ts";
import { createConsole, type Console, type ConsoleOptions } from "./export/console.ts";
import { OtlpDestinations } from "./export/otlp-destinations.ts";
import { destinationHealth, type Health } from "./export/health.ts";
import { createPage, type Page } from "./export/page.ts";
import { createOtlpFile, type OtlpFile } from "./export/otlp-file.ts";
import type { Snapshot } from "./model/columns.ts";
import type { Config } from "./model/config.ts";
import type { Permit } from "./model/sources.ts";

/** The shutdown's bound: container runtimes kill after 10 s. */
const farewellMs = 5000;

/** Of the shutdown, for letting go of a lease; without it the others wait until it ends. */
const releaseMs = 2000;

const countTargets = (count: number): string => `${count} target${count === 1 ? "" : "s"}`;

const listed = (names: readonly string[]): string => names.join(", ").replace(/, ([^,]*)$/, " and $1");

const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);

/** What a change of which needs other sources; the series of probes, which `compat` also names, do not. */
const sourcesOf = ({ sockets, networks, host, paths, compat }: Config) => {
  const { telegraf, ssExporter, sockstat } = compat;
  return { sockets, networks, host, paths, telegraf, ssExporter, sockstat };
};

export type Agent = {
  /** Puts a new configuration in force. What needs a restart keeps its value, and the log says so. */
  reload(config: Config): Promise<void>;
  /** Flushes and ends everything within 5 s. */
  stop(): Promise<void>;
};

export type AgentOptions = CoreOptions & {
  /** Where `export.console` prints. */
  readonly stdout: Pick<ConsoleOptions, "out" | "color">;
};

/** Starts the agent. Throws `FatalError` where the page's port cannot be had; nothing runs then. */
export const startAgent = async (options: AgentOptions): Promise<Agent> => {
  const { version, log } = options;
  let config = options.config;
  /** As the file has it, with what waits for a restart. */
  let asked = config;
  let latest: { readonly snapshot: Snapshot; readonly at: number } | undefined;
  let page: Page | undefined;
  let file: OtlpFile | undefined;
  let printer: Console | undefined;
  let campaign: Campaign | undefined;
  const started = now();
  const userAgent = `sockscope/${version} OTel-OTLP-Exporter-JavaScript/${version}`;
  const destinations = new OtlpDestinations({
    log,
    userAgent,
    record: (...recorded) => core.telemetry.record(...recorded),
  });

  const health = (): Health => {
    const patience = 3 * config.collection.intervalMs;
    const age = (at: number): string => `${Math.round((now() - at) / 1000)} s`;
    const last = latest?.at ?? started;
    const unwritten = file?.trouble();
    const stats = destinations.stats();
    const late = stats.filter(({ lastSuccessMs, startedMs }) => Date.now() - (lastSuccessMs ?? startedMs) > patience);
    return {
      live: now() - last > patience + config.collection.timeoutMs ? `no collection for ${age(last)}` : undefined,
      ready: latest === undefined ? "no collection has finished yet" : undefined,
      healthy:
        late.length > 0
          ? `no export to ${listed(late.map(({ host }) => host))} in the last ${patience / 1000} s`
          : unwritten && `cannot write ${config.export.file?.path} (${unwritten})`,
      election: campaign?.describe(),
      destinations: stats.map(destinationHealth),
    };
  };

  const hasHealth = (): boolean => config.compat.ssExporter !== undefined;

  const openPage = ({ export: { prometheus } }: Config): Promise<Page> | undefined =>
    prometheus && createPage({ ...prometheus, snapshot: () => latest?.snapshot, health, hasHealth, log });

  const consume = async (snapshot: Snapshot): Promise<void> => {
    latest = { snapshot, at: now() };
    file?.export(snapshot);
    printer?.export(snapshot);
    await destinations.export(snapshot, AbortSignal.timeout(config.collection.timeoutMs));
  };

  page = await openPage(config);
  /** Of one tick its probes and what it says of the election agree. */
  let ledAtTick = false;
  const beforeTick = (): void => {
    ledAtTick = campaign?.leads() === true;
  };
  const core = await createCore({ ...options, beforeTick }, consume);
  const permit = (): Permit | undefined => campaign?.permit();
  const duty = config.election && { leads: () => campaign?.leads() === true, permit };
  const probing = createProbing(core, duty);

  const setFile = async (next: Config): Promise<void> => {
    // Two of them would take turns with one file.
    await file?.shutdown(AbortSignal.timeout(farewellMs));
    file = next.export.file && createOtlpFile({ ...next.export.file, log });
  };

  const setConsole = async ({ export: { console: format } }: Config): Promise<void> => {
    await printer?.shutdown(AbortSignal.timeout(farewellMs));
    printer = format && createConsole({ ...options.stdout, format, log });
  };

  const announcePage = (): void => {
    if (page === undefined) return;
    const { host, port } = page.address;
    const scheme = config.export.prometheus?.tls === undefined ? "http" : "https";
    log("info", `metrics: ${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}/metrics`);
  };

  const announce = (): void => {
    const { sockets, probes, export: to, collection } = config;
    const what = sockets === "off" ? "no sockets" : `${listed(sockets.protocols)} sockets`;
    // Only flows are grouped.
    const grouped =
      sockets !== "off" && sockets.protocols.includes("tcp") ? ` by ${listed([sockets.groupBy].flat())}` : "";
    const every = `collected every ${collection.intervalMs / 1000} s`;
    log("info", `sockscope ${version}: ${countTargets(probes.targets.length)}, ${what}${grouped}, ${every}`);
    if (config.disabled) return;
    announcePage();
    if (to.otlp.length > 0) {
      const sent = to.otlp.map(({ url, proxy }) => {
        const through = proxy === undefined ? "" : ` through the proxy ${proxy.authority}`;
        return `${new URL(url).host}${through}`;
      });
      log("info", `metrics are sent to ${listed(sent)} by OTLP`);
    } else {
      log(
        "info",
        "no metrics are sent: set export.otlp.endpoint, or OTEL_EXPORTER_OTLP_ENDPOINT, to send them by OTLP",
      );
    }
    if (to.file !== undefined) log("info", `metrics are written to ${to.file.path}`);
    if (to.otlp.length === 0 && page === undefined && to.file === undefined && to.console === undefined)
      log("warn", "nobody can see the metrics: set export.prometheus.listen, or one of those");
  };

  const replacePage = async (before: Config, next: Config): Promise<void> => {
    const old = page;
    // Two pages cannot listen at one address.
    const inPlace = same(before.export.prometheus?.listen, next.export.prometheus?.listen);
    try {
      if (inPlace) await old?.close();
      page = await openPage(next);
      await old?.close();
      announcePage();
    } catch (error) {
      log("error", `the page stays as it is: ${reasonOf(error)}`);
      if (inPlace) page = await openPage(before)?.catch(() => undefined);
    }
  };

  await core.setSources(config);
  destinations.replace(config.export.otlp, AbortSignal.timeout(farewellMs), core.lockFile);
  await core.ticker.replace(
    "delivery",
    createDeliveryPart(() => destinations.stats()),
  );
  await setFile(config);
  await setConsole(config);
  await probing.set(config.probes);
  announce();
  if (config.election !== undefined) {
    const { election } = config;
    campaign = await composeElection({ config: election, clock: core.bootClock, log, onChange: probing.refresh });
    await core.ticker.replace(
      "election",
      createElectionPart(() => ledAtTick),
    );
  }
  void core.telemetry.collectNow();

  return {
    async reload(next) {
      for (const key of ["collection", "resource", "election"] as const) {
        // Said once: a reload for a file of targets asks for the same again.
        if (!same(next[key], config[key]) && !same(next[key], asked[key]))
          log("warn", `a change of ${key} needs a restart; the value of the start stays`);
      }
      asked = next;
      const old = config;
      config = { ...next, collection: old.collection, resource: old.resource, election: old.election };
      core.probes.setCompat(config.compat);
      if (!same(sourcesOf(old), sourcesOf(config))) await core.setSources(config);
      destinations.replace(config.export.otlp, AbortSignal.timeout(farewellMs), core.lockFile);
      if (!same(old.export.file, config.export.file)) await setFile(config);
      if (old.export.console !== config.export.console) await setConsole(config);
      if (!same(old.export.prometheus, config.export.prometheus)) await replacePage(old, config);
      await probing.set(config.probes);
      log("info", `reloaded: ${countTargets(config.probes.targets.length)}`);
    },
    async stop() {
      const farewell = AbortSignal.timeout(farewellMs);
      const over = setTimeout(farewellMs, undefined, { ref: false });
      await probing.stop();
      const released = campaign?.stop(releaseMs);
      await Promise.race([core.telemetry.shutdown(), over]);
      await Promise.all([
        released,
        destinations.shutdown(farewell),
        file?.shutdown(farewell),
        printer?.shutdown(farewell),
      ]);
      await page?.close();
      await core.close();
    },
  };
};
