import { SourceError } from "../model/errors.ts";
import type { Log } from "../model/log.ts";
import type { SocketBatch, SocketProtocol } from "../model/socket.ts";
import type { DumpReport, SocketBackend, SocketReader } from "../model/sources.ts";
import type { SocketSource } from "../model/config.ts";

type BackendName = Exclude<SocketSource, "auto">;

export type SocketSourceOptions = {
  readonly source: SocketSource;
  readonly protocols: readonly SocketProtocol[];
  readonly log: Log;
} & {
  /** A text: why there is none on this machine. */
  readonly [Name in BackendName]: SocketBackend | string;
};

/** The best first: ss has no cgroups, and /proc no counters and no cookies. */
const preference: readonly BackendName[] = ["netlink", "ss", "proc"];
const readBy: Readonly<Record<BackendName, string>> = {
  netlink: "by netlink",
  ss: "by ss",
  proc: "from /proc, without struct tcp_info",
};

/** Dumps in a row that a backend may fail which has worked before: it is out of its depth, not in trouble. */
const patience = 3;

/**
 * Reads each protocol by the first backend that can, and remembers which: `lacking` and a failure before the first
 * complete dump send a protocol to the next one, and so does a backend that fails for good. A protocol never goes back
 * to a better one, since a change to or from /proc changes the cookies. One that has come to the end is reported as
 * lacking; where all have, by a failure, `read` throws `SourceError`, and starts with the first one again.
 */
export const createSocketSource = (options: SocketSourceOptions): SocketReader => {
  const { source, protocols, log } = options;
  const order = source === "auto" ? preference : [source];
  /** Index into `order`, which is `order.length` for a protocol that none has. */
  const places = new Map<SocketProtocol, number>(protocols.map((protocol) => [protocol, 0]));
  /** Why a protocol is not where it was first. */
  const reasons = new Map<SocketProtocol, string[]>();
  const failed = new Set<SocketProtocol>();
  const readers = order.map(() => ({ protocols: "", reader: undefined as SocketReader | undefined }));
  const failures = order.map(() => 0);
  /** The backends that have given a complete dump. */
  const proven = new Set<number>();
  /** The backends whose protocols are read one by one, to find those that fail. */
  const alone = new Set<number>();
  const said = new Set<string>();

  const move = (protocol: SocketProtocol, from: number, reason: string): void => {
    places.set(protocol, from + 1);
    reasons.set(protocol, [...(reasons.get(protocol) ?? []), reason]);
  };
  const fail = (protocol: SocketProtocol, from: number, reason: string): void => {
    move(protocol, from, reason);
    failed.add(protocol);
  };

  const say = (at: number, own: readonly SocketProtocol[]): void => {
    const name = order[at] ?? "proc";
    for (const protocol of own) {
      const line = `${protocol} sockets are read ${readBy[name]}: ${(reasons.get(protocol) ?? []).join("; ")}`;
      if (at > 0 && places.get(protocol) === at && !said.has(line)) log(name === "proc" ? "warn" : "info", line);
      said.add(line);
    }
  };

  const isFailure = (error: unknown, signal: AbortSignal): boolean => error instanceof SourceError || signal.aborted;
  const reasonOf = (error: unknown): string =>
    error instanceof SourceError ? error.message : "it did not end in time";

  /** Passes one dump on; what a backend lacks is for the next one. */
  async function* passOn(
    at: number,
    reader: SocketReader,
    own: readonly SocketProtocol[],
    signal: AbortSignal,
    report: DumpReport,
  ): AsyncGenerator<SocketBatch> {
    const dump: DumpReport = { ...report, skipped: 0, lacking: new Set(), retries: 0 };
    try {
      yield* reader.read(signal, dump);
    } finally {
      report.skipped += dump.skipped;
      report.retries += dump.retries;
    }
    for (const protocol of own) if (dump.lacking.has(protocol)) move(protocol, at, `${order[at]} has none`);
    say(at, own);
  }

  async function* readAlone(
    at: number,
    backend: SocketBackend,
    own: readonly SocketProtocol[],
    signal: AbortSignal,
    report: DumpReport,
  ): AsyncGenerator<SocketBatch> {
    for (const protocol of own) {
      const reader = backend([protocol]);
      let given = false;
      try {
        for await (const batch of passOn(at, reader, [protocol], signal, report)) {
          given = true;
          yield batch;
        }
      } catch (error) {
        if (!isFailure(error, signal)) throw error;
        fail(protocol, at, reasonOf(error));
        if (given || signal.aborted) throw error;
      } finally {
        reader.close();
      }
    }
    alone.delete(at);
    failures[at] = 0;
  }

  async function* readTogether(
    at: number,
    backend: SocketBackend,
    own: readonly SocketProtocol[],
    signal: AbortSignal,
    report: DumpReport,
  ): AsyncGenerator<SocketBatch> {
    const kept = readers[at];
    if (kept === undefined) return;
    if (kept.protocols !== own.join()) {
      kept.reader?.close();
      kept.reader = undefined;
    }
    kept.protocols = own.join();
    kept.reader ??= backend(own);
    let given = false;
    try {
      for await (const batch of passOn(at, kept.reader, own, signal, report)) {
        given = true;
        yield batch;
      }
      failures[at] = 0;
      proven.add(at);
    } catch (error) {
      if (!isFailure(error, signal)) throw error;
      failures[at] = (failures[at] ?? 0) + 1;
      const patient = proven.has(at) && failures[at] < patience;
      if (!patient) alone.add(at);
      // Sockets that were given already would be given twice.
      if (patient || given || signal.aborted) throw error;
      yield* readAlone(at, backend, own, signal, report);
    }
  }

  /** Every protocol came to the end, and not for want of it. */
  const giveUp = (): SourceError => {
    const [protocol] = failed;
    const reason = protocol === undefined ? "" : (reasons.get(protocol) ?? []).join("; ");
    for (const each of protocols) places.set(each, 0);
    reasons.clear();
    failed.clear();
    proven.clear();
    return new SourceError(reason);
  };

  return {
    async *read(signal, report) {
      for (const [at, name] of order.entries()) {
        const own = protocols.filter((protocol) => places.get(protocol) === at);
        const backend = options[name];
        if (own.length === 0) continue;
        if (typeof backend === "string") for (const protocol of own) fail(protocol, at, backend);
        else if (alone.has(at)) yield* readAlone(at, backend, own, signal, report);
        else yield* readTogether(at, backend, own, signal, report);
      }
      const ended = protocols.filter((protocol) => places.get(protocol) === order.length);
      if (ended.length === protocols.length && failed.size > 0) throw giveUp();
      for (const protocol of ended) report.lacking.add(protocol);
    },
    close() {
      for (const kept of readers) kept.reader?.close();
    },
  };
};
