import { setImmediate } from "node:timers/promises";
import { collectSsExporter } from "../fold/compat/ss-exporter.ts";
import { beginTelegraf, collectTelegraf, countTelegraf, settleTelegraf } from "../fold/compat/telegraf.ts";
import { abandonBound, beginBound, type Bound, collectBound, countBound, settleBound } from "../fold/bound.ts";
import type { FlowFacts } from "../fold/flow-group.ts";
import {
  abandonFlows,
  beginFlows,
  beginResync,
  collectFlows,
  countGroups,
  endResync,
  letWait,
  settleFlows,
  takeWaiting,
} from "../fold/flows.ts";
import { collectRtt } from "../fold/rtt.ts";
import {
  abandonSocketCounts,
  beginSocketCounts,
  collectSocketCounts,
  settleSocketCounts,
} from "../fold/socket-counts.ts";
import { beginNetnsStates, collectNetnsStates, settleNetnsStates } from "../fold/netns-states.ts";
import { allStates, dumpedStates, resetStates, type StateCounts } from "../fold/states.ts";
import type { attributes } from "../metrics/catalogue.ts";
import type { Observation } from "../metrics/observation.ts";
import type { MetricColumns } from "../model/columns.ts";
import type { NamedNetworks, SocketsConfig } from "../model/config.ts";
import { SourceError } from "../model/errors.ts";
import type { Log } from "../model/log.ts";
import { ownNetns, type SocketBatch, type SocketProtocol } from "../model/socket.ts";
import {
  type DumpReport,
  emptyReport,
  type NetnsFacts,
  type ReadSockets,
  type SubscribeDestroyEvents,
} from "../model/sources.ts";
import type { OwnersPart } from "./owners.ts";
import type { Selector } from "../select/select.ts";
import type { HostNames } from "./hosts.ts";
import type { NamespacesPart } from "./namespaces.ts";
import { inSlices, type Part, type Reading } from "./reading.ts";
import { createSocketEvents } from "./socket-events.ts";
import {
  askForOwners,
  createSocketFold,
  foldBatch,
  foldWaiting,
  restartFold,
  resyncBatch,
  type SocketFold,
  type SocketsCompat,
} from "./socket-fold.ts";
import { createSocketResync } from "./socket-resync.ts";

export type SocketsOptions = {
  readonly config: SocketsConfig;
  readonly read: ReadSockets;
  /** Undefined where the source of the sockets has none. */
  readonly subscribe: SubscribeDestroyEvents | undefined;
  /** TCP sockets alone, after events were lost; undefined: the next tick shows what is left. */
  readonly readTcp: ReadSockets | undefined;
  /** Undefined: sockets have no owners here. */
  readonly owners: OwnersPart | undefined;
  readonly selector: Selector;
  /** `networks` of the configuration. */
  readonly networks: readonly NamedNetworks[];
  readonly compat?: SocketsCompat;
  /** Those that `read`, `readTcp` and `subscribe` are of. */
  readonly netns: NetnsFacts;
  /** Undefined: the configuration asks for the agent's own only. */
  readonly namespaces: NamespacesPart | undefined;
  /** The names that the selection asks for; undefined where it names none. */
  readonly hostNames: HostNames | undefined;
  /** net.ipv4.ip_local_port_range. */
  readonly ephemeral: FlowFacts["ephemeral"];
  /** Monotonic ms. */
  readonly now: () => number;
  readonly log: Log;
};

export type SocketsPart = Part & { readonly close: () => void };

const stateObservations = (counts: StateCounts, { timeWait }: SocketsConfig): Observation[] =>
  (Object.keys(timeWait === "dump" ? allStates : dumpedStates) as (keyof typeof allStates)[]).flatMap((state) =>
    (["ipv4", "ipv6"] as const).map((type): Observation => ({
      metric: "system.network.connection.count",
      value: counts[type][allStates[state]] as number,
      attributes: { "network.transport": "tcp", "network.connection.state": state, "network.type": type },
    })),
  );

type Budget = (typeof attributes)["sockscope.series"]["values"][number];

const budgetObservations = ({ flows, listeners, udpPorts, telegraf, ssExporter }: SocketFold): Observation[] => {
  const budgets: Partial<Record<Budget, ReturnType<typeof countGroups>>> = {
    groups: countGroups(flows),
    listeners: countBound(listeners),
    udp_ports: countBound(udpPorts),
    ...(telegraf === undefined ? {} : { telegraf: countTelegraf(telegraf) }),
    ...(ssExporter === undefined ? {} : { ss_exporter: countGroups(ssExporter.flows) }),
  };
  return (Object.entries(budgets) as [Budget, ReturnType<typeof countGroups>][]).flatMap(
    ([series, { own, overflowed }]): Observation[] => {
      const attributes = { "sockscope.series": series };
      return [
        { metric: "sockscope.agent.groups", value: own, attributes },
        { metric: "sockscope.agent.groups.overflowed", value: overflowed, attributes },
      ];
    },
  );
};

/** Reads the kernel's sockets once a tick, folds them, and says once when it cannot. */
export const createSocketsPart = (options: SocketsOptions): SocketsPart => {
  const { config, read, owners, now, log } = options;
  const fold = createSocketFold(options);
  const bounds: readonly Bound[] = [fold.listeners, fold.udpPorts];
  const tcp = config.protocols.includes("tcp");
  const looksForOwners = owners !== undefined && (fold.needs.process || fold.needs.cgroup) ? owners : undefined;
  const source = { "sockscope.agent.source": "sockets" } as const;
  const reportedLacking = new Set<SocketProtocol>();
  let failing = false;
  let errors = 0;
  let skipped = 0;
  let retries = 0;

  const sayLacking = (lacking: ReadonlySet<SocketProtocol>): void => {
    for (const protocol of lacking) {
      if (reportedLacking.has(protocol)) continue;
      reportedLacking.add(protocol);
      log("warn", `there is no way to read ${protocol} sockets here; the others are read`);
    }
  };

  /** Before the first dump nobody is known: those who hold sockets now are looked for all at once. */
  const meetOwners = async (signal: AbortSignal): Promise<void> => {
    if (looksForOwners === undefined || fold.flows.lastTime > 0) return;
    for await (const batch of read(signal, emptyReport())) askForOwners(fold, batch);
    await looksForOwners.refresh(signal);
  };

  /** New flows whose owners were not known are folded when those have been looked for. */
  const foldLate = async (signal: AbortSignal, add: (batch: SocketBatch) => void): Promise<void> => {
    const waiting = takeWaiting(fold.flows);
    await looksForOwners?.refresh(signal);
    for (const batch of waiting) {
      add(batch);
      await setImmediate();
    }
  };

  const dump = async (signal: AbortSignal): Promise<DumpReport> => {
    const report: DumpReport = {
      skipped: 0,
      lacking: new Set(),
      retries: 0,
      restart: (protocol, netns) => restartFold(fold, protocol, netns),
    };
    resetStates(fold.states);
    if (fold.netnsStates !== undefined) beginNetnsStates(fold.netnsStates);
    fold.dumped.fill(0);
    if (looksForOwners !== undefined) letWait(fold.flows);
    try {
      for await (const batch of read(signal, report)) foldBatch(fold, batch);
    } finally {
      skipped += report.skipped;
      retries += report.retries;
    }
    await foldLate(signal, (batch) => foldWaiting(fold, batch));
    sayLacking(report.lacking);
    return report;
  };

  const resync = createSocketResync(async (signal) => {
    const { flows } = fold;
    // Substituted cookies are no other source's.
    if (options.readTcp === undefined || flows.lastTime === 0 || flows.substituted) return;
    const wait = (): void => {
      if (looksForOwners !== undefined) letWait(flows);
    };
    // Of another namespace's flows, those that wait already are told by their cookies when they come again.
    const restart: DumpReport["restart"] = (_protocol, netns = ownNetns) => {
      if (netns === ownNetns) wait();
    };
    const report: DumpReport = { ...emptyReport(), restart };
    for (const each of fold.allFlows) beginResync(each);
    wait();
    try {
      for await (const batch of options.readTcp(signal, report)) resyncBatch(fold, batch);
      await foldLate(signal, (batch) => {
        // What waits for an owner is left to the tick that could not wait for this.
        if (!signal.aborted) resyncBatch(fold, batch);
      });
    } finally {
      for (const each of fold.allFlows) endResync(each);
      skipped += report.skipped;
      retries += report.retries;
    }
  }, now);
  const events = createSocketEvents(config.events, tcp ? options.subscribe : undefined, fold, resync.want, log);

  const failed = (error: unknown): void => {
    errors++;
    if (!failing)
      log(
        "warn",
        `sockets cannot be read, the other sources go on: ${error instanceof Error ? error.message : String(error)}`,
      );
    failing = true;
    for (const flows of fold.allFlows) abandonFlows(flows);
    for (const bound of bounds) abandonBound(bound);
    abandonSocketCounts(fold.socketCounts);
  };

  const settle = async ({ lacking }: DumpReport): Promise<void> => {
    if (failing) log("info", "sockets can be read again");
    failing = false;
    for (const flows of fold.allFlows) await inSlices(settleFlows(flows, options.netns.unread));
    if (fold.telegraf !== undefined) await inSlices(settleTelegraf(fold.telegraf));
    for (const bound of bounds) settleBound(bound);
    settleSocketCounts(fold.socketCounts, lacking);
    if (fold.netnsStates !== undefined) settleNetnsStates(fold.netnsStates, fold.flows.time);
    options.namespaces?.settled(fold.flows.time);
    fold.listening.nextDump();
  };

  const columns = async (absent: boolean): Promise<MetricColumns[]> => {
    const rtt = absent ? undefined : collectRtt(fold.rtt);
    return [
      ...(await inSlices(collectFlows(fold.flows, absent))),
      ...(await inSlices(collectBound(fold.listeners, absent))),
      ...(await inSlices(collectBound(fold.udpPorts, absent))),
      ...(await inSlices(collectSocketCounts(fold.socketCounts, absent))),
      ...(tcp && fold.netnsStates !== undefined ? await inSlices(collectNetnsStates(fold.netnsStates, absent)) : []),
      ...((await options.namespaces?.columns(absent)) ?? []),
      ...(rtt === undefined ? [] : [rtt]),
      ...(fold.telegraf === undefined ? [] : await inSlices(collectTelegraf(fold.telegraf, absent))),
      ...(fold.ssExporter === undefined ? [] : await inSlices(collectSsExporter(fold.ssExporter, absent))),
    ];
  };

  /** What was read, or nothing but that it could not be. */
  const observe = async (started: number, signal: AbortSignal): Promise<Observation[]> => {
    try {
      const report = await dump(signal);
      await events.drain();
      events.hold(true);
      await settle(report);
      const sockets = fold.dumped.reduce((sum, count) => sum + count, 0);
      return [
        ...(tcp && fold.netnsStates === undefined ? stateObservations(fold.states, config) : []),
        { metric: "sockscope.agent.dump.sockets", value: sockets, attributes: {} },
        { metric: "sockscope.agent.dump.duration", value: (now() - started) / 1000, attributes: {} },
        ...budgetObservations(fold),
      ];
    } catch (error) {
      if (!(error instanceof SourceError) && !signal.aborted) throw error;
      failed(error);
      return [];
    }
  };

  const close = (): void => {
    events.close();
    void resync.stop();
    options.hostNames?.close();
  };

  const collect = async (time: number, signal: AbortSignal): Promise<Reading> => {
    const started = now();
    options.hostNames?.refresh(signal);
    await events.drain();
    await resync.stop();
    await meetOwners(signal).catch((error: unknown) => {
      // The dump meets the same failure, and says it.
      if (!(error instanceof SourceError) && !signal.aborted) throw error;
    });
    for (const flows of fold.allFlows) beginFlows(flows, time);
    if (fold.telegraf !== undefined) beginTelegraf(fold.telegraf);
    for (const bound of bounds) beginBound(bound, time);
    beginSocketCounts(fold.socketCounts, time);
    const observations = await observe(started, signal);
    observations.push(
      { metric: "sockscope.agent.capability", value: failing ? 0 : 1, attributes: source },
      { metric: "sockscope.agent.source.errors", value: errors, attributes: source },
      { metric: "sockscope.agent.rows.skipped", value: skipped, attributes: source },
      { metric: "sockscope.agent.dump.retries", value: retries, attributes: {} },
      ...events.observations(),
      ...(options.namespaces?.observations() ?? []),
      ...(looksForOwners?.observations() ?? []),
    );
    return { columns: await columns(failing), observations };
  };

  return {
    collect: (time, signal) =>
      collect(time, signal).finally(() => {
        events.hold(false);
        resync.resume();
      }),
    async end() {
      close();
      await resync.stop();
      return columns(true);
    },
    close,
  };
};
