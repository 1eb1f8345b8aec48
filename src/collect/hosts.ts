import type { Log } from "../model/log.ts";
import type { Resolve } from "../model/sources.ts";

export type HostNamesOptions = {
  readonly hosts: readonly string[];
  readonly resolve: Resolve;
  /** Takes the numeric addresses of a host, of both families, whenever they change. */
  readonly setHost: (host: string, addresses: readonly string[]) => void;
  /** Monotonic ms. */
  readonly now: () => number;
  readonly log: Log;
};

export type HostNames = {
  /**
   * Starts the lookups that are due and waits for none of them: a tick goes on with what is known by then. Once
   * `signal` has aborted, the tick is over and starts none.
   */
  readonly refresh: (signal: AbortSignal) => void;
  /** When the lookups that are under way have ended, each within 5 s. */
  readonly settled: () => Promise<void>;
  /** Gives up what is being looked up. */
  readonly close: () => void;
};

/** getaddrinfo(3) does not tell the TTL of an answer, so that all of them hold for the same time. */
const refreshMs = 60_000;
const retryMs = 10_000;
const timeoutMs = 5_000;

type Host = {
  readonly name: string;
  due: number;
  looking: boolean;
  failing: boolean;
  /** The addresses, in one text; undefined: it has not been resolved yet. */
  known: string | undefined;
};

/** Keeps the addresses of host names up to date. While a lookup fails, what was found last stands. */
export const createHostNames = ({ hosts, resolve, setHost, now, log }: HostNamesOptions): HostNames => {
  const closed = new AbortController();
  const states = hosts.map((name): Host => ({
    name,
    due: -Infinity,
    looking: false,
    failing: false,
    known: undefined,
  }));

  const found = (host: Host, addresses: readonly string[]): void => {
    if (host.failing) log("info", `the host ${host.name} of sockets.select resolves now`);
    host.failing = false;
    host.due = now() + refreshMs;
    // Name servers that balance loads change the order.
    const known = addresses.toSorted().join(" ");
    if (known !== host.known) setHost(host.name, addresses);
    host.known = known;
  };

  const failed = (host: Host, detail: string): void => {
    const meanwhile = host.known === undefined ? "it matches nothing" : "what it stood for last stays";
    if (!host.failing)
      log("warn", `the host ${host.name} of sockets.select does not resolve, until it does ${meanwhile}: ${detail}`);
    host.failing = true;
    host.due = now() + retryMs;
  };

  const look = async (host: Host): Promise<void> => {
    host.looking = true;
    const answer = await resolve(host.name, 0, timeoutMs, closed.signal);
    host.looking = false;
    if (closed.signal.aborted) return;
    if (answer.kind === "found")
      found(
        host,
        answer.addresses.map(({ address }) => address),
      );
    else failed(host, answer.detail);
  };

  const lookups = new Set<Promise<void>>();
  const start = (host: Host): void => {
    const lookup = look(host).finally(() => lookups.delete(lookup));
    lookups.add(lookup);
  };

  return {
    refresh(signal) {
      if (signal.aborted || closed.signal.aborted) return;
      const time = now();
      for (const host of states) if (!host.looking && host.due <= time) start(host);
    },
    settled: async () => {
      await Promise.all(lookups);
    },
    close: () => closed.abort(),
  };
};
