import { hostname, platform, release } from "node:os";
import { createHostNames } from "./collect/hosts.ts";
import { createNamespacesPart } from "./collect/namespaces.ts";
import { createOwners, type OwnersPart } from "./collect/owners.ts";
import { createSocketsPart, type SocketsOptions, type SocketsPart } from "./collect/sockets.ts";
import { ssExporterFields } from "./fold/compat/ss-exporter.ts";
import { telegrafFields } from "./fold/compat/telegraf.ts";
import { flowFields } from "./fold/flow-columns.ts";
import { createGrouping } from "./fold/flow-group.ts";
import { createDeviceName } from "./kernel/device-name.ts";
import { createCgroups, isUnified } from "./kernel/cgroups.ts";
import { subscribeDestroyEvents } from "./kernel/destroy-events.ts";
import type { Libc } from "./kernel/libc.ts";
import { createNamespaces } from "./kernel/namespaces.ts";
import { createSockDiag } from "./kernel/netlink-socket.ts";
import { readOwnNetns } from "./kernel/netns-files.ts";
import { createNetnsSwitch, type NetnsSwitch } from "./kernel/netns-switch.ts";
import { readProcFile } from "./kernel/proc-files.ts";
import { createProcSockets } from "./kernel/proc-sockets.ts";
import { createProcesses } from "./kernel/processes.ts";
import { createSocketSource } from "./kernel/socket-source.ts";
import { createSsCommand } from "./kernel/ss-command.ts";
import type { CompatConfig, Config, SocketsConfig } from "./model/config.ts";
import { SourceError } from "./model/errors.ts";
import type { Log } from "./model/log.ts";
import {
  type NetnsFacts,
  noNetnsFacts,
  type ReadSockets,
  type Resolve,
  type SocketBackend,
  type SocketReader,
} from "./model/sources.ts";
import { type DumpOptions, dumpsOf } from "./netlink/dumps.ts";
import { createInetDecoder } from "./netlink/inet-diag.ts";
import { planTcpInfo } from "./netlink/tcp-info.ts";
import { holdsContainers } from "./select/matchers.ts";
import { createSelector, type Selector } from "./select/select.ts";

/** The source of a machine that has none: fails with the reason, which the part says once. */
const unavailable = (reason: string): ReadSockets =>
  // oxlint-disable-next-line require-yield -- a source that has nothing to give
  async function* () {
    throw new SourceError(reason);
  };

type SocketSource = SocketReader & Pick<SocketsOptions, "subscribe" | "readTcp">;

/** The sock_diag backend; a protocol that it has no request for is lacking. */
const sockDiagOf =
  (libc: Libc, options: DumpOptions): SocketBackend =>
  (protocols) => {
    const diag = createSockDiag(libc, dumpsOf(protocols, options));
    return {
      read: (signal, report) => {
        for (const each of protocols) if (dumpsOf([each], options).length === 0) report.lacking.add(each);
        return diag.read(signal, report);
      },
      close: diag.close,
    };
  };

type NetnsSource = ReturnType<typeof createNamespaces>;

/** Since this version of Linux a cookie is one of the whole host, not of its network namespace. */
const firstWithUniqueCookies = [5, 4] as const;

const hasUniqueCookies = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split(/[.-]/).map(Number);
  return (
    major > firstWithUniqueCookies[0] || (major === firstWithUniqueCookies[0] && minor >= firstWithUniqueCookies[1])
  );
};

/** The way into other namespaces, or undefined with a line in the log. */
const openWay = (libc: Libc | undefined, log: Log): NetnsSwitch | undefined => {
  const refuse = (why: string): undefined => {
    log("warn", `of the network namespaces the agent's own alone is read: ${why}`);
    return undefined;
  };
  if (platform() !== "linux" || libc === undefined) return refuse("there is no setns() here");
  const fatal = (reason: string): never => {
    log("error", reason);
    process.exit(1);
  };
  try {
    const way = createNetnsSwitch(libc, fatal);
    if (way.refusal === undefined) return way;
    way.close();
    return refuse(`it takes CAP_SYS_ADMIN to enter others (${way.refusal})`);
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
};

/** Network namespaces beside the agent's own; undefined: none are asked for, or none can be entered. */
const namespacesOf = async ({
  libc,
  config,
  sockets,
  now,
  log,
}: SocketsComposition): Promise<NetnsSource | undefined> => {
  const { namespaces: selection } = sockets;
  if (selection === "own") return undefined;
  const way = openWay(libc, log);
  if (way === undefined || libc === undefined) return undefined;
  const namespaces = createNamespaces({
    libc,
    way,
    proc: config.paths.proc,
    selection,
    isWanted: holdsContainers(selection === "all" ? [] : selection.containers),
    timeWait: sockets.timeWait === "dump",
    cookiesAreUnique: hasUniqueCookies(release()),
    now,
    log,
  });
  // What there is now is as old as the agent.
  await namespaces.refresh(AbortSignal.timeout(firstScanMs));
  return namespaces;
};

/** What the agent's own namespace is called, where that is all that is asked for. */
const ownFacts = ({ groupBy }: SocketsConfig, proc: string): NetnsFacts => {
  if (platform() !== "linux" || typeof groupBy === "string" || !groupBy.includes("sockscope.netns"))
    return noNetnsFacts;
  const name = readOwnNetns(proc);
  return { ...noNetnsFacts, nameOf: () => name };
};

const socketSource = (
  libc: Libc | undefined,
  config: SocketsConfig,
  compat: CompatConfig,
  selector: Selector,
  proc: string,
  namespaces: NetnsSource | undefined,
  log: Log,
): SocketSource => {
  if (platform() !== "linux")
    return {
      read: unavailable("sockets are read on Linux only"),
      subscribe: undefined,
      readTcp: undefined,
      close: () => undefined,
    };
  const { source, protocols, metrics, groupBy, timeWait } = config;
  const plan = planTcpInfo([
    ...flowFields(metrics),
    ...(compat.telegraf === undefined ? [] : telegrafFields(compat.telegraf)),
    ...(compat.ssExporter === undefined ? [] : ssExporterFields(compat.ssExporter)),
  ]);
  const connectedUdp = compat.telegraf?.protocols.includes("udp") === true;
  const { needsCongestion } = createGrouping(groupBy);
  const options: DumpOptions = {
    plan,
    congestion: needsCongestion,
    timeWait: timeWait === "dump",
    program: selector.program,
    states: selector.states(),
    connectedUdp,
    unixPeers: compat.telegraf?.protocols.includes("unix") === true,
  };
  const reader = createSocketSource({
    source,
    protocols,
    netlink: libc === undefined ? "the C library cannot be called" : sockDiagOf(libc, options),
    ss: createSsCommand({ proc, readFile: readProcFile, path: process.env["PATH"] ?? "", connectedUdp }),
    proc: createProcSockets(proc, connectedUdp),
    log,
  });
  // Events tell a socket by its cookie, which texts do not always have.
  if (libc === undefined || source === "ss" || source === "proc")
    return { ...reader, subscribe: undefined, readTcp: undefined };
  const tcpDumps = dumpsOf(["tcp"], { ...options, timeWait: false });
  const tcp = createSockDiag(libc, tcpDumps);
  return {
    read: namespaces?.readAll(reader.read, dumpsOf(protocols, options)) ?? reader.read,
    subscribe: () => subscribeDestroyEvents(libc, createInetDecoder("tcp", plan, true), { netns: namespaces?.events }),
    readTcp: namespaces?.readAll(tcp.read, tcpDumps) ?? tcp.read,
    close: () => {
      reader.close();
      tcp.close();
    },
  };
};

/** Owners of sockets, as far as the grouping and the selection ask for them. */
const ownersOf = (
  { groupBy }: SocketsConfig,
  { ssExporter }: CompatConfig,
  selector: Selector,
  paths: Config["paths"],
  log: Log,
): OwnersPart | undefined => {
  const grouping = createGrouping(groupBy);
  const needsCgroup = grouping.needsCgroup || selector.needsCgroup;
  // Where the sockets' own cgroups say nothing, their processes' do.
  const byProcess = needsCgroup && !isUnified(paths.cgroup);
  const condensed = ssExporter?.labelFolding === "pid_condensed";
  const needsProcess = grouping.needsProcess || selector.needsProcess || byProcess || condensed;
  if (platform() !== "linux" || !(needsProcess || needsCgroup)) return undefined;
  return createOwners({
    cgroups: createCgroups({ root: paths.cgroup, log }),
    processes: createProcesses({ proc: paths.proc, log }),
    wanted: { process: needsProcess, cgroup: needsCgroup },
  });
};

/** net.ipv4.ip_local_port_range, else the kernel's default. */
const readEphemeralPorts = async (proc: string): Promise<readonly [number, number]> => {
  const text = await readProcFile(`${proc}/sys/net/ipv4/ip_local_port_range`).catch(() => undefined);
  const [low, high] = (text ?? "").trim().split(/\s+/).map(Number);
  return low !== undefined && high !== undefined && low > 0 && high >= low ? [low, high] : [32_768, 60_999];
};

export type SocketsComposition = {
  readonly libc: Libc | undefined;
  readonly config: Config;
  readonly sockets: SocketsConfig;
  readonly resolve: Resolve;
  /** Monotonic ms. */
  readonly now: () => number;
  readonly log: Log;
};

/** How long the first look for network namespaces may take. */
const firstScanMs = 5_000;

/** `several`: what sockstat says of a network namespace is said of each here, TIME_WAIT sockets as well. */
export type ComposedSockets = SocketsPart & { readonly several: boolean };

/** The part that reads sockets, with all that it reads them by; `close` ends what it holds open. */
export const composeSockets = async (composition: SocketsComposition): Promise<ComposedSockets> => {
  const { libc, config, sockets, resolve, now, log } = composition;
  const { paths, networks, compat } = config;
  const selector = createSelector(sockets.select);
  const { hosts, setHost } = selector;
  const hostNames = hosts.length > 0 ? createHostNames({ hosts, resolve, setHost, now, log }) : undefined;
  // A connection that is selected only after the first dump would count as one that began after it.
  hostNames?.refresh(new AbortController().signal);
  await hostNames?.settled();
  const namespaces = await namespacesOf(composition);
  const { read, subscribe, readTcp, close } = socketSource(
    libc,
    sockets,
    compat,
    selector,
    paths.proc,
    namespaces,
    log,
  );
  const part = createSocketsPart({
    config: sockets,
    read,
    subscribe,
    readTcp,
    owners: ownersOf(sockets, compat, selector, paths, log),
    selector,
    networks,
    compat: {
      telegraf: compat.telegraf && {
        ...compat.telegraf,
        host: String(config.resource.attributes["host.name"] ?? hostname()),
        deviceName: createDeviceName(libc),
      },
      ssExporter: compat.ssExporter,
    },
    netns: namespaces?.facts ?? ownFacts(sockets, paths.proc),
    namespaces: sockets.namespaces === "own" ? undefined : createNamespacesPart(namespaces, config.host.sockstat),
    hostNames,
    ephemeral: await readEphemeralPorts(paths.proc),
    now,
    log,
  });
  return {
    ...part,
    several: namespaces !== undefined,
    close: () => {
      part.close();
      close();
      namespaces?.close();
    },
  };
};
