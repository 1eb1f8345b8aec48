import { hostname, platform } from "node:os";
import { performance } from "node:perf_hooks";
import { createHostNames } from "./collect/hosts.ts";
import { createHostPart } from "./collect/host.ts";
import { createProbesPart, type ProbesPart } from "./collect/probes.ts";
import { createOwners, type OwnersPart } from "./collect/owners.ts";
import { createSocketsPart } from "./collect/sockets.ts";
import { createTicker, type Ticker } from "./collect/tick.ts";
import { createTelemetry, type Telemetry } from "./export/otel.ts";
import { mapLargeBuffers } from "./kernel/allocator.ts";
import { createCgroups } from "./kernel/cgroups.ts";
import { createProcesses } from "./kernel/processes.ts";
import { readMachineId, uuidV5 } from "./kernel/identity.ts";
import { type Libc, loadLibc } from "./kernel/libc.ts";
import { createSockDiag } from "./kernel/netlink-socket.ts";
import { readProcFile } from "./kernel/proc-files.ts";
import { createProcSockets } from "./kernel/proc-sockets.ts";
import { createResolver } from "./kernel/resolver.ts";
import { createSocketSource } from "./kernel/socket-source.ts";
import { createSsCommand } from "./kernel/ss-command.ts";
import type { Attributes, Snapshot } from "./model/columns.ts";
import type { Config, SocketsConfig } from "./model/config.ts";
import { SourceError } from "./model/errors.ts";
import type { Log } from "./model/log.ts";
import type { ReadSockets, RunProbe, SocketBackend, SocketReader, SubscribeDestroyEvents } from "./model/sources.ts";
import { createGrouping } from "./fold/flow-group.ts";
import { subscribeDestroyEvents } from "./kernel/destroy-events.ts";
import { createInetDecoder } from "./netlink/inet-diag.ts";
import { type DumpOptions, dumpsOf } from "./netlink/dumps.ts";
import { planTcpInfo } from "./netlink/tcp-info.ts";
import { flowFields } from "./fold/flow-columns.ts";
import { createSelector, type Selector } from "./select/select.ts";
import { runProbe } from "./probe/index.ts";

export type CoreOptions = {
  readonly config: Config;
  /** The file that the configuration came from. */
  readonly file: string;
  readonly version: string;
  readonly log: Log;
};

/** Monotonic ms. */
export const now = (): number => performance.now();
/** In one line: some modules append where they looked. */
export const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n", 1).join("");

/** The C library, or undefined with a line in the log. */
export const tryLibc = (log: Log): Libc | undefined => {
  try {
    return loadLibc();
  } catch (error) {
    log(
      "warn",
      `the C library cannot be called: sockets are not read by netlink, and names resolve on Node's threads: ${reasonOf(error)}`,
    );
    return undefined;
  }
};

/** The source of a machine that has none: fails with the reason, which the part says once. */
const unavailable = (reason: string): ReadSockets =>
  // oxlint-disable-next-line require-yield -- a source that has nothing to give
  async function* () {
    throw new SourceError(reason);
  };

type SocketSource = SocketReader & { readonly subscribe: SubscribeDestroyEvents | undefined };

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

const socketSource = (
  libc: Libc | undefined,
  config: SocketsConfig,
  selector: Selector,
  proc: string,
  log: Log,
): SocketSource => {
  if (platform() !== "linux")
    return { read: unavailable("sockets are read on Linux only"), subscribe: undefined, close: () => undefined };
  const { source, protocols, metrics, groupBy, timeWait } = config;
  const plan = planTcpInfo(flowFields(metrics));
  const { needsCongestion } = createGrouping(groupBy);
  const options: DumpOptions = {
    plan,
    congestion: needsCongestion,
    timeWait: timeWait === "dump",
    program: selector.program,
    states: selector.states(),
  };
  const reader = createSocketSource({
    source,
    protocols,
    netlink: libc === undefined ? "the C library cannot be called" : sockDiagOf(libc, options),
    ss: createSsCommand({ proc, readFile: readProcFile, path: process.env["PATH"] ?? "" }),
    proc: createProcSockets(proc),
    log,
  });
  // Events tell a socket by its cookie, which texts do not always have.
  const hears = libc !== undefined && (source === "auto" || source === "netlink");
  return {
    ...reader,
    subscribe: hears ? () => subscribeDestroyEvents(libc, createInetDecoder("tcp", plan, true)) : undefined,
  };
};

/** Owners of sockets, as far as the grouping and the selection ask for them. */
const ownersOf = (
  { groupBy }: SocketsConfig,
  selector: Selector,
  paths: Config["paths"],
  log: Log,
): OwnersPart | undefined => {
  const grouping = createGrouping(groupBy);
  const needsProcess = grouping.needsProcess || selector.needsProcess;
  const needsCgroup = grouping.needsCgroup || selector.needsCgroup;
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

const resourceOf = async ({ config, file, version }: CoreOptions): Promise<Attributes> => {
  const service = String(config.resource.attributes["service.name"] ?? "sockscope");
  return {
    "service.name": service,
    "service.version": version,
    "service.instance.id": uuidV5([await readMachineId(), service, file].join("/")),
    "host.name": hostname(),
    "os.type": platform(),
    ...config.resource.attributes,
  };
};

/** What `run` and `once` have in common: the parts, and the pipeline that collects them. */
export type Core = {
  readonly telemetry: Telemetry;
  readonly ticker: Ticker;
  readonly probes: ProbesPart;
  readonly run: RunProbe;
  /** Puts sources for this configuration in the place of the present ones. */
  readonly setSources: (config: Config) => Promise<void>;
  readonly close: () => Promise<void>;
};

export const createCore = async (
  options: CoreOptions,
  consume: (snapshot: Snapshot) => Promise<void>,
): Promise<Core> => {
  const { config, version, log } = options;
  const libc = tryLibc(log);
  if (libc !== undefined) mapLargeBuffers(libc);
  const resolver = createResolver({ libc });
  // The reader's timeout would discard what a tick has read so far: the tick's own comes first.
  const ticker = createTicker({}, { timeoutMs: config.collection.timeoutMs * 0.9, clock: Date.now, log });
  const telemetry = createTelemetry({
    resource: await resourceOf(options),
    version,
    ...config.collection,
    collect: () => ticker.tick(),
    consume,
    log,
  });
  const probes = createProbesPart(telemetry.record);
  await ticker.replace("probes", probes);
  let closeSockets = (): void => undefined;

  const setSockets = async ({ sockets, paths, networks }: Config): Promise<void> => {
    const closeOld = closeSockets;
    if (sockets === "off") {
      closeSockets = () => undefined;
      await ticker.replace("sockets", undefined);
    } else {
      const selector = createSelector(sockets.select);
      const { hosts, setHost } = selector;
      const { read, subscribe, close } = socketSource(libc, sockets, selector, paths.proc, log);
      const ephemeral = await readEphemeralPorts(paths.proc);
      const part = createSocketsPart({
        config: sockets,
        read,
        subscribe,
        owners: ownersOf(sockets, selector, paths, log),
        selector,
        networks,
        hostNames:
          hosts.length > 0 ? createHostNames({ hosts, resolve: resolver.resolve, setHost, now, log }) : undefined,
        ephemeral,
        now,
        log,
      });
      closeSockets = () => {
        part.close();
        close();
      };
      await ticker.replace("sockets", part);
    }
    closeOld();
  };

  const setHost = async ({ sockets, paths, host }: Config): Promise<void> => {
    const timeWait = sockets !== "off" && sockets.protocols.includes("tcp") && sockets.timeWait === "sockstat";
    const wanted = platform() === "linux" && (host.sockstat || timeWait);
    const pageSize = libc === undefined ? undefined : Number(libc.func("int getpagesize()")());
    const settings = { proc: paths.proc, read: readProcFile, pageSize, sockstat: host.sockstat, timeWait, log };
    await ticker.replace("host", wanted ? createHostPart(settings) : undefined);
  };

  return {
    telemetry,
    ticker,
    probes,
    run: (target, signal) => runProbe(target, { resolve: resolver.resolve, now }, signal),
    setSources: async (next) => {
      await setSockets(next);
      await setHost(next);
    },
    close: async () => {
      closeSockets();
      await resolver.close();
    },
  };
};
