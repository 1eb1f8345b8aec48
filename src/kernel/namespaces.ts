import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { SourceError } from "../model/errors.ts";
import type { Log } from "../model/log.ts";
import { cookiesOfNetns, ownNetns, type SocketBatch, type SocketProtocol, unknownNetns } from "../model/socket.ts";
import type { DumpReport, Namespaces, ReadSockets } from "../model/sources.ts";
import type { DumpRequest } from "../netlink/message.ts";
import { parseSockstat, type Sockstat } from "../text/sockstat.ts";
import type { Libc } from "./libc.ts";
import { createSockDiag } from "./netlink-socket.ts";
import { createNetnsFiles, type FoundNetns, type NetnsFilesOptions } from "./netns-files.ts";
import { createNetnsIds } from "./netns-ids.ts";
import type { NetnsSwitch } from "./netns-switch.ts";

export type NamespacesOptions = Omit<NetnsFilesOptions, "device" | "own"> & {
  readonly libc: Libc;
  readonly way: NetnsSwitch;
  /** TIME_WAIT sockets are dumped. */
  readonly timeWait: boolean;
  /** Cookies are unique over all namespaces, as since Linux 5.4. */
  readonly cookiesAreUnique: boolean;
  /** Monotonic ms. */
  readonly now: () => number;
  readonly log: Log;
};

type Netns = {
  readonly number: number;
  readonly inode: number;
  readonly name: string;
  paths: readonly string[];
  /** As with `NetnsFacts.isUnmet`. */
  unmet: boolean;
  /** A dump has been complete since. */
  dumped: boolean;
  /** Its id, by which events name it. */
  id: number | undefined;
  /** Of the last dump. */
  sockstat: Sockstat | undefined;
  /** The scan that no longer found it. */
  gone: number | undefined;
};

const mostNamespaces = 1_024;
/** Scans that a namespace is still known for, whose last events may be to come. */
const scansAfterEnd = 2;
/** Between two scans that events of an unknown namespace ask for. */
const leastRestMs = 1_000;
const namespacesOfSlice = 8;

/** Nobody is in it any more. */
class NetnsGone extends SourceError {}

/** Sockets that a namespace can have of a protocol; more are not looked for. Infinity: sockstat does not tell. */
const mostSockets = ({ values }: Sockstat, protocol: SocketProtocol, timeWait: boolean): number => {
  const inUse = (line: string): number =>
    (values.get(line)?.get("inuse") ?? 0) + (values.get(`${line}6`)?.get("inuse") ?? 0);
  const used = values.get("sockets")?.get("used");
  if (used === undefined) return Infinity;
  switch (protocol) {
    case "tcp":
      return timeWait && (values.get("TCP")?.get("tw") ?? 0) > 0 ? Infinity : inUse("TCP");
    case "udp":
      return inUse("UDP");
    case "raw":
      return inUse("RAW");
    default:
      return used > 0 ? Infinity : 0;
  }
};

/**
 * The sockets of other network namespaces than the agent's own. They are found by their files before each dump, and
 * entered to open a socket there; none is held between two dumps, so that each ends with its last process. What
 * sockstat says of a namespace decides which dumps it needs: one walks the table of the whole host, however few of its
 * sockets are in the namespace. Where there are only listeners, a connection that is not established yet is not seen.
 */
export const createNamespaces = (options: NamespacesOptions) => {
  const { libc, way, proc, selection, now, log } = options;
  const files = createNetnsFiles({ ...options, device: way.device, own: way.own });
  const ids = createNetnsIds(libc);
  const byInode = new Map<number, Netns>();
  const byNumber = new Map<number, Netns>();
  const byId = new Map<number, number>();
  const unread = new Set<number>();
  const said = new Set<string>();
  let ownName = String(way.own);
  let ownSockstat: Sockstat | undefined;
  let numbers = ownNetns;
  let scans = 0;
  let scanned = false; // all of the host, once
  let scanning: Promise<void> | undefined;
  let lastScan = -Infinity;
  let isClosed = false;
  let isHeard = false;
  /** A namespace has no id, and can be given none. */
  let isDeafened = false;
  let errors = 0;

  const sayOnce = (what: string, reason: string): void => {
    if (said.has(what)) return;
    said.add(what);
    log("warn", `${what}: ${reason}`);
  };

  /** Calls with the namespace's file open, of several the first that still leads there. */
  const withFile = <T>(
    { inode, name, paths }: Pick<Netns, "inode" | "name" | "paths">,
    call: (file: number) => T,
  ): T => {
    let refusal: string | undefined;
    for (const path of paths) {
      let file: number;
      try {
        file = openSync(path, "r");
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === "EACCES" || code === "EPERM") refusal = `${path} cannot be opened: ${code}`;
        continue;
      }
      try {
        if (fstatSync(file).ino === inode) return call(file);
      } finally {
        closeSync(file);
      }
    }
    throw refusal === undefined ? new NetnsGone(`${name} is gone`) : new SourceError(refusal);
  };

  const within = <T>(netns: Netns, call: () => T): T => withFile(netns, (file) => way.enter(file, call));

  const failed = (error: SourceError): void => {
    errors++;
    sayOnce("a network namespace cannot be read, the others are", error.message);
  };

  const identify = (netns: Netns): void => {
    if (!isHeard || isClosed) return;
    try {
      netns.id = withFile(netns, ids.idOf);
      byId.set(netns.id, netns.number);
    } catch (error) {
      if (!(error instanceof SourceError)) throw error;
      if (error instanceof NetnsGone) return;
      isDeafened = true;
      sayOnce("the end of sockets is not heard of in all network namespaces", error.message);
    }
  };

  const forget = (netns: Netns): void => {
    byNumber.delete(netns.number);
    if (netns.id !== undefined && byId.get(netns.id) === netns.number) byId.delete(netns.id);
  };

  const end = (netns: Netns): void => {
    byInode.delete(netns.inode);
    netns.gone = scans;
  };

  const add = (inode: number, name: string, paths: readonly string[]): void => {
    const netns: Netns = {
      number: ++numbers,
      inode,
      name,
      paths,
      unmet: !scanned,
      dumped: false,
      id: undefined,
      sockstat: undefined,
      gone: undefined,
    };
    byInode.set(inode, netns);
    byNumber.set(netns.number, netns);
    identify(netns);
  };

  const take = (inode: number, { name: named, paths }: FoundNetns): void => {
    const name = named ?? String(inode);
    const known = byInode.get(inode);
    if (known?.name === name) {
      known.paths = [...paths];
      return;
    }
    // The number of its inode is another's now, or it has a name that it had not.
    if (known !== undefined) end(known);
    if (byInode.size < mostNamespaces) add(inode, name, [...paths]);
    else sayOnce(`no more than ${mostNamespaces} network namespaces are read`, "the others are left out");
  };

  const scan = async (signal: AbortSignal): Promise<void> => {
    const { complete, found, refused } = await files.scan(signal);
    scans++;
    lastScan = now();
    ownName = found.get(way.own)?.name ?? ownName;
    if (complete) for (const netns of byInode.values()) if (found.get(netns.inode)?.wanted !== true) end(netns);
    for (const [inode, netns] of found) if (inode !== way.own && netns.wanted) take(inode, netns);
    if (complete) scanned = true;
    for (const netns of byNumber.values())
      if (netns.gone !== undefined && scans - netns.gone > scansAfterEnd) forget(netns);
    if (refused > 0)
      sayOnce(
        "the network namespaces of other users' processes are not all seen",
        "it takes CAP_SYS_PTRACE to look at them",
      );
  };

  const refresh = (signal: AbortSignal): Promise<void> =>
    (scanning ??= scan(signal).finally(() => {
      scanning = undefined;
    }));

  const readSockstat = (): Sockstat => {
    const read = (name: string): string => {
      try {
        return readFileSync(`${proc}/thread-self/net/${name}`, "utf8");
      } catch {
        return "";
      }
    };
    return parseSockstat(read("sockstat") + read("sockstat6"));
  };

  const markRows = (batch: SocketBatch, from: number, number: number): void => {
    batch.netns.fill(number, from, batch.length);
    if (options.cookiesAreUnique) return;
    for (let at = from; at < batch.length; at++)
      batch.cookie[at] = cookiesOfNetns(number) + (batch.cookie[at] as number);
  };

  /** The sockets of all namespaces but the agent's own. One that cannot be read costs nothing but itself. */
  const readOthers = (requests: readonly DumpRequest[]): ReadSockets => {
    let current: Netns | undefined;
    let sockstat = parseSockstat("");
    const diag = createSockDiag(libc, requests, {
      within: (call) => {
        if (current !== undefined) within(current, call);
      },
      isEnough: (protocol, sockets) => sockets >= mostSockets(sockstat, protocol, options.timeWait),
    });

    async function* readOne(netns: Netns, signal: AbortSignal, report: DumpReport): AsyncGenerator<SocketBatch> {
      current = netns;
      netns.sockstat = undefined;
      sockstat = within(netns, readSockstat);
      netns.sockstat = sockstat;
      const own: DumpReport = {
        skipped: 0,
        // What the kernel lacks, it lacks in the agent's own namespace as well.
        lacking: new Set(),
        retries: 0,
        restart: (protocol) => report.restart(protocol, netns.number),
      };
      try {
        for await (const batch of diag.read(signal, own)) {
          markRows(batch, 0, netns.number);
          yield batch;
        }
        netns.dumped = true;
      } finally {
        diag.close();
        report.skipped += own.skipped;
        report.retries += own.retries;
      }
    }

    return async function* (signal, report) {
      unread.clear();
      let handled = 0;
      for (const netns of byInode.values()) {
        if (++handled % namespacesOfSlice === 0) await setImmediate();
        signal.throwIfAborted();
        try {
          yield* readOne(netns, signal, report);
        } catch (error) {
          if (!(error instanceof SourceError)) throw error;
          if (error instanceof NetnsGone) continue;
          unread.add(netns.number);
          failed(error);
        }
      }
    };
  };

  const wake = (): void => {
    if (!isClosed && scanning === undefined && now() - lastScan >= leastRestMs)
      void refresh(new AbortController().signal);
  };

  const namespaces: Namespaces = {
    facts: {
      several: true,
      nameOf: (number) => (number === ownNetns ? ownName : byNumber.get(number)?.name),
      isUnmet: (number) => byNumber.get(number)?.unmet ?? false,
      unread,
      all: () => [ownNetns, ...[...byInode.values()].map(({ number }) => number)],
      sockstat: (number) => (number === ownNetns ? ownSockstat : byNumber.get(number)?.sockstat)?.values,
    },
    settled() {
      for (const netns of byInode.values()) if (netns.dumped) netns.unmet = false;
    },
    isHeard: () => isHeard && !isDeafened,
    errors: () => errors,
  };

  return {
    ...namespaces,
    refresh,
    /** Of all namespaces, the agent's own by `read`, and first. */
    readAll: (read: ReadSockets, requests: readonly DumpRequest[]): ReadSockets => {
      const others = readOthers(requests);
      return async function* (signal, report) {
        await refresh(signal);
        ownSockstat = readSockstat();
        yield* read(signal, report);
        yield* others(signal, report);
      };
    },
    /** For the destroy events of all of them. */
    events: {
      /** Said before the first event: whether those of other namespaces come. */
      heard: (refusal: string | undefined): void => {
        isHeard = refusal === undefined;
        if (refusal === undefined) {
          // The agent's own may have one as well, of ip-netns(8); it needs none.
          const id = withFile({ inode: way.own, name: ownName, paths: [way.path] }, ids.knownId);
          if (id !== undefined) byId.set(id, ownNetns);
          for (const netns of byInode.values()) identify(netns);
        } else sayOnce("the end of sockets is not heard of in other network namespaces", refusal);
      },
      /** Marks the rows from `from` on, which are of the namespace with this id; false: they are not to be counted. */
      mark: (batch: SocketBatch, from: number, id: number | undefined): boolean => {
        if (id === undefined) {
          markRows(batch, from, ownNetns);
          return true;
        }
        const number = byId.get(id);
        if (number === undefined) wake();
        if (number === undefined && (selection !== "all" || !scanned)) return false;
        markRows(batch, from, number ?? unknownNetns);
        return true;
      },
    },
    close: () => {
      isClosed = true;
      ids.close();
      way.close();
    },
  };
};
