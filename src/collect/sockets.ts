import {
  abandonBound,
  beginBound,
  type Bound,
  collectBound,
  countBound,
  createListeners,
  createUdpPorts,
  foldBound,
  settleBound,
} from "../fold/bound.ts";
import { isIpv4, local } from "../netlink/address.ts";
import { rttOf } from "../fold/flow-columns.ts";
import type { RoleFacts } from "../fold/flow-group.ts";
import { createFlows } from "../fold/flow-state.ts";
import { abandonFlows, beginFlows, collectFlows, countGroups, foldFlow, settleFlows } from "../fold/flows.ts";
import { addRtt, collectRtt, createRttHistogram } from "../fold/rtt.ts";
import { countState, createStateCounts, type DumpedState, dumpedStates, type StateCounts } from "../fold/states.ts";
import type { Observation } from "../metrics/observation.ts";
import type { MetricColumns } from "../model/columns.ts";
import type { SocketsConfig } from "../model/config.ts";
import { SourceError } from "../model/errors.ts";
import type { Log } from "../model/log.ts";
import { protocolIndex, type SocketBatch, type SocketProtocol } from "../model/socket.ts";
import type { DumpReport, ReadSockets } from "../model/sources.ts";
import {
  TCP_CLOSE_WAIT,
  TCP_CLOSING,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT1,
  TCP_FIN_WAIT2,
  TCP_LAST_ACK,
  TCP_LISTEN,
} from "../netlink/constants.ts";
import { inSlices, type Part } from "./reading.ts";

export type SocketsOptions = {
  readonly config: SocketsConfig;
  readonly read: ReadSockets;
  /** net.ipv4.ip_local_port_range. */
  readonly ephemeral: RoleFacts["ephemeral"];
  /** Monotonic ms. */
  readonly now: () => number;
  readonly log: Log;
};

/** The states of a flow, which has reached ESTABLISHED: a refused or unused socket, a listener or a request has not. */
const flowStates =
  (1 << TCP_ESTABLISHED) |
  (1 << TCP_FIN_WAIT1) |
  (1 << TCP_FIN_WAIT2) |
  (1 << TCP_CLOSE_WAIT) |
  (1 << TCP_LAST_ACK) |
  (1 << TCP_CLOSING);

type Fold = ReturnType<typeof createFold>;

const createFold = ({ config, ephemeral }: SocketsOptions) => {
  let listening = new Set<number>();
  let listenedBefore = listening;
  return {
    flows: createFlows(config),
    listeners: createListeners(config.maxGroups),
    udpPorts: createUdpPorts(config.maxGroups),
    rtt: createRttHistogram(config.rttBounds),
    facts: {
      listening: (port: number) => listening.has(port) || listenedBefore.has(port),
      ephemeral,
    } satisfies RoleFacts,
    listens: (port: number): void => {
      listening.add(port);
    },
    nextDump: (): void => {
      listenedBefore = listening;
      listening = new Set();
    },
  };
};

const foldBatch = (fold: Fold, counts: StateCounts, batch: SocketBatch): void => {
  for (let at = 0; at < batch.length; at++) {
    if (batch.protocol[at] !== protocolIndex.tcp) {
      foldBound(fold.udpPorts, batch, at);
      continue;
    }
    const state = batch.state[at] as number;
    const ipv4 = isIpv4(batch, at, local);
    countState(counts, state & 15, ipv4);
    if (state === TCP_LISTEN) {
      fold.listens(batch.localPort[at] as number);
      foldBound(fold.listeners, batch, at);
    } else if (batch.full[at] === 1 && ((1 << state) & flowStates) !== 0) {
      foldFlow(fold.flows, batch, at, fold.facts);
      const rtt = rttOf(batch, at);
      const { lastTime, time } = fold.flows;
      if (!Number.isNaN(rtt)) addRtt(fold.rtt, ipv4, rtt, lastTime === 0 ? time : lastTime);
    }
  }
};

const stateObservations = (counts: StateCounts): Observation[] =>
  (Object.keys(dumpedStates) as DumpedState[]).flatMap((state) =>
    (["ipv4", "ipv6"] as const).map((type): Observation => ({
      metric: "system.network.connection.count",
      value: counts[type][dumpedStates[state]] as number,
      attributes: { "network.transport": "tcp", "network.connection.state": state, "network.type": type },
    })),
  );

const budgetObservations = ({ flows, listeners, udpPorts }: Fold): Observation[] => {
  const budgets = { groups: countGroups(flows), listeners: countBound(listeners), udp_ports: countBound(udpPorts) };
  return (Object.keys(budgets) as (keyof typeof budgets)[]).flatMap((series): Observation[] => {
    const attributes = { "sockscope.series": series };
    return [
      { metric: "sockscope.agent.groups", value: budgets[series].own, attributes },
      { metric: "sockscope.agent.groups.overflowed", value: budgets[series].overflowed, attributes },
    ];
  });
};

/** Reads the kernel's sockets once a tick, folds them, and says once when it cannot. */
export const createSocketsPart = (options: SocketsOptions): Part => {
  const { read, now, log } = options;
  const fold = createFold(options);
  const source = { "sockscope.agent.source": "sockets" } as const;
  const reportedLacking = new Set<SocketProtocol>();
  let failing = false;
  let errors = 0;
  let skipped = 0;

  const dump = async (counts: StateCounts, signal: AbortSignal): Promise<number> => {
    const report: DumpReport = { skipped: 0, lacking: new Set() };
    let sockets = 0;
    for await (const batch of read(signal, report)) {
      sockets += batch.length;
      foldBatch(fold, counts, batch);
    }
    skipped += report.skipped;
    for (const protocol of report.lacking) {
      if (reportedLacking.has(protocol)) continue;
      reportedLacking.add(protocol);
      log("warn", `this kernel gives no ${protocol} sockets by sock_diag; the others are read`);
    }
    return sockets;
  };

  const failed = (error: unknown): void => {
    errors++;
    if (!failing)
      log(
        "warn",
        `sockets cannot be read, the other sources go on: ${error instanceof Error ? error.message : String(error)}`,
      );
    failing = true;
    abandonFlows(fold.flows);
    abandonBound(fold.listeners);
    abandonBound(fold.udpPorts);
  };

  const settle = async (): Promise<void> => {
    if (failing) log("info", "sockets can be read again");
    failing = false;
    await inSlices(settleFlows(fold.flows));
    settleBound(fold.listeners);
    settleBound(fold.udpPorts);
    fold.nextDump();
  };

  const columns = async (absent: boolean): Promise<MetricColumns[]> => {
    const rtt = absent ? undefined : collectRtt(fold.rtt);
    return [
      ...(await inSlices(collectFlows(fold.flows, absent))),
      ...(await inSlices(collectBound(fold.listeners, absent))),
      ...(await inSlices(collectBound(fold.udpPorts, absent))),
      ...(rtt === undefined ? [] : [rtt]),
    ];
  };

  return {
    async collect(time, signal) {
      const counts = createStateCounts();
      const started = now();
      beginFlows(fold.flows, time);
      for (const bound of [fold.listeners, fold.udpPorts] satisfies Bound[]) beginBound(bound, time);
      const observations: Observation[] = [];
      try {
        const sockets = await dump(counts, signal);
        await settle();
        if (options.config.protocols.includes("tcp")) observations.push(...stateObservations(counts));
        observations.push(
          { metric: "sockscope.agent.dump.sockets", value: sockets, attributes: {} },
          { metric: "sockscope.agent.dump.duration", value: (now() - started) / 1000, attributes: {} },
          ...budgetObservations(fold),
        );
      } catch (error) {
        if (!(error instanceof SourceError) && !signal.aborted) throw error;
        failed(error);
      }
      observations.push(
        { metric: "sockscope.agent.capability", value: failing ? 0 : 1, attributes: source },
        { metric: "sockscope.agent.source.errors", value: errors, attributes: source },
        { metric: "sockscope.agent.rows.skipped", value: skipped, attributes: source },
      );
      return { columns: await columns(failing), observations };
    },
    end: () => columns(true),
  };
};
