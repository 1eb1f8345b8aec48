import { connect, type Socket } from "node:net";
import type { Outcome } from "../model/outcome.ts";
import type { Address, Family } from "../model/sources.ts";
import { codeOf, type Failure, failureOf, tellingMost } from "./errors.ts";
import type { Probe, Run } from "./run.ts";

/** RFC 8305 section 5: the delay between the starts of two attempts. */
const attemptDelayMs = 250;

type Attempt = Failure & { readonly address: string; readonly code: string };

/** RFC 8305 section 4: the families take turns, each in the order of getaddrinfo(3), whose first one begins. */
export const interleave = (addresses: readonly Address[]): Address[] => {
  const first = addresses.filter(({ family }) => family === addresses[0]?.family);
  const second = addresses.filter(({ family }) => family !== addresses[0]?.family);
  const turns = Array.from({ length: Math.max(first.length, second.length) }, (_, turn) => [first[turn], second[turn]]);
  return turns.flat().filter((address) => address !== undefined);
};

/**
 * Whether the kernel took the target's port as the local one, of a host that is this one: the SYN then meets itself
 * and is answered (RFC 9293 section 3.5, simultaneous open) though nobody listens.
 */
const metItself = (socket: Socket): boolean =>
  socket.localPort === socket.remotePort && socket.localAddress === socket.remoteAddress;

/**
 * Connects to the first address that accepts. Unlike node:net's autoSelectFamily, which gives an attempt up when it
 * starts the next, a pending one stays in the race, so that a peer 300 ms away is not taken for one that is down.
 */
const race = (run: Run, addresses: readonly Address[], port: number, failures: Attempt[]) =>
  run.within<Address | "failed">((settle) => {
    const sockets = new Set<Socket>();
    let started = 0;
    let timer: NodeJS.Timeout | undefined;

    const start = (): void => {
      clearTimeout(timer);
      const target = addresses[started];
      if (target === undefined) return;
      const { address } = target;
      started++;
      const socket = connect({ host: address, port, autoSelectFamily: false });
      sockets.add(socket);
      const fail = (code: string): void => {
        sockets.delete(socket.destroy());
        failures.push({ ...failureOf(code), address, code });
        if (started < addresses.length) start();
        else if (sockets.size === 0) settle("failed");
      };
      socket.on("error", (error) => fail(codeOf(error)));
      socket.on("connect", () => (metItself(socket) ? fail("ECONNREFUSED") : settle(target)));
      // A short timeout is shared out, so that the last address too gets its turn.
      const share = run.leftMs / (addresses.length - started + 1);
      timer = setTimeout(start, Math.min(attemptDelayMs, share));
    };

    start();
    // NB: an ordinary close with FIN, of which one TIME_WAIT stays here for a minute. A reset would leave none, but
    // services log it as an error and count it against the client.
    return () => {
      clearTimeout(timer);
      for (const socket of sockets) socket.destroy();
    };
  });

/** The outcome of a run without a connection: an address still pending at the deadline has failed of that. */
const withoutConnection = (run: Run, addresses: readonly Address[], failures: readonly Attempt[]): Outcome => {
  const failed = new Set(failures.map(({ address }) => address));
  const pending = addresses.filter(({ address }) => !failed.has(address));
  const telling = tellingMost([
    ...failures,
    ...pending.map(({ address }) => ({ ...failureOf("ETIMEDOUT"), address, code: "ETIMEDOUT" })),
  ]);
  if (telling === undefined) return run.down("_OTHER", "connect", "no address");
  run.address = telling.address;
  return run.failed(telling, "connect", telling.code);
};

/** Connects to the host's addresses of the family, racing them, and closes. Fails by connect(2) and getaddrinfo(3). */
export const probeTcp =
  (family: Family): Probe<"tcp" | "tcp4" | "tcp6"> =>
  async (target, run) => {
    const resolved = await run.resolve(target.host, family);
    if (resolved.kind !== "found") return resolved;
    const addresses = interleave(resolved.addresses);
    const failures: Attempt[] = [];
    const connected = run.begin("connect");
    const result = await race(run, addresses, target.port, failures);
    if (result === "cancelled") return run.cancelled();
    if (result === "deadline" || result === "failed") return withoutConnection(run, addresses, failures);
    connected();
    run.address = result.address;
    return run.up();
  };
