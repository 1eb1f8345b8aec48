import type { Verdict } from "../model/outcome.ts";
import type { Address, Dialled } from "../model/sources.ts";
import type { Target } from "../model/target.ts";
import { familyOf, overAddresses } from "./addresses.ts";
import { converse, isConversation } from "./conversation.ts";
import { failureOf, tellingMost } from "./errors.ts";
import type { Probe, Run } from "./run.ts";

type TcpTarget = Target<"tcp" | "tcp4" | "tcp6">;

/** RFC 8305 section 5: the delay between the starts of two attempts. */
const attemptDelayMs = 250;

/** RFC 8305 section 4: the families take turns, each in the order of getaddrinfo(3), whose first one begins. */
export const interleave = (addresses: readonly Address[]): Address[] => {
  const first = addresses.filter(({ family }) => family === addresses[0]?.family);
  const second = addresses.filter(({ family }) => family !== addresses[0]?.family);
  const turns = Array.from({ length: Math.max(first.length, second.length) }, (_, turn) => [first[turn], second[turn]]);
  return turns.flat().filter((address) => address !== undefined);
};

/** A reason of its own spares the error that an abort without one makes. */
const calledOff = "another address has won";

type Connected = Extract<Dialled, { readonly kind: "connected" }>;
/** An attempt that ended otherwise than by being called off. */
type Attempt = {
  readonly address: Address;
  readonly dialled: Exclude<Dialled, { readonly kind: "cancelled" }>;
  /** How long after the first attempt it was begun, in ms. */
  readonly afterMs: number;
};

/**
 * Connects to the first address that accepts. A pending attempt stays in the race when the next one starts, so that a
 * peer 300 ms away is not taken for one that is down. All attempts that ended, the one that won last.
 */
const race = (run: Run, addresses: readonly Address[], { port, source }: TcpTarget, keep: boolean) =>
  new Promise<Attempt[]>((resolve) => {
    const { deadline, deps } = run;
    // Most targets have one address, and signals are dear.
    const losers = addresses.length > 1 ? new AbortController() : undefined;
    const signal = losers === undefined ? run.signal : AbortSignal.any([run.signal, losers.signal]);
    const ended: Attempt[] = [];
    let started = 0;
    let running = 0;
    let won = false;
    const begun = deps.now();
    let timer: NodeJS.Timeout | undefined;

    const finish = (): void => {
      clearTimeout(timer);
      resolve(ended);
      losers?.abort(calledOff);
    };

    const end = (address: Address, dialled: Dialled, afterMs: number): void => {
      running--;
      if (won) {
        if (dialled.kind === "connected") dialled.connection?.destroy();
        return;
      }
      if (dialled.kind !== "cancelled") ended.push({ address, dialled, afterMs });
      won = dialled.kind === "connected";
      if (won || run.signal.aborted) return finish();
      if (dialled.kind === "failed" && started < addresses.length) return start();
      if (running === 0 && (started === addresses.length || run.leftMs === 0)) finish();
    };

    const start = (): void => {
      clearTimeout(timer);
      const address = addresses[started];
      if (address === undefined) return;
      const afterMs = started === 0 ? 0 : deps.now() - begun;
      started++;
      running++;
      void deps.sockets
        .dial({ ...address, port }, { type: "stream", source, deadline, keep }, signal)
        .then((dialled) => end(address, dialled, afterMs));
      if (started === addresses.length) return;
      // A short timeout is shared out, so that the last address too gets its turn.
      const share = run.leftMs / (addresses.length - started + 1);
      timer = setTimeout(start, Math.min(attemptDelayMs, share));
    };

    if (addresses.length === 0) finish();
    else start();
  });

/** The verdict of a run without a connection. */
const withoutConnection = (run: Run, attempts: readonly Attempt[]): Verdict => {
  const failures = attempts.flatMap(({ address: { address }, dialled, afterMs }) => {
    if (dialled.kind !== "failed" && dialled.kind !== "deadline") return [];
    const code = dialled.kind === "failed" ? dialled.code : "ETIMEDOUT";
    return [{ ...failureOf(code), address, code, ms: afterMs + dialled.at - dialled.startedAt }];
  });
  const telling = tellingMost(failures);
  if (telling === undefined) return attempts.length > 0 ? run.late() : run.down("_OTHER", "connect", "no address");
  run.address = telling.address;
  run.lost(Math.max(...failures.map(({ ms }) => ms)));
  return run.failed(telling, "connect", telling.code);
};

/** Connects by connect(2) to one of the addresses, and goes on as the target says. */
const probeAddresses = async (target: TcpTarget, addresses: readonly Address[], run: Run): Promise<Verdict> => {
  const keep = isConversation(target);
  const attempts = await race(run, interleave(addresses), target, keep);
  if (run.signal.aborted) {
    for (const { dialled } of attempts) if (dialled.kind === "connected") dialled.connection?.destroy();
    return run.cancelled();
  }
  const winner = attempts.find(
    (attempt): attempt is Attempt & { dialled: Connected } => attempt.dialled.kind === "connected",
  );
  if (winner === undefined) return withoutConnection(run, attempts);
  const { address, dialled, afterMs } = winner;
  run.address = address.address;
  run.took("connect", afterMs + dialled.at - dialled.startedAt);
  if (dialled.rtt !== undefined) run.learn({ tcpRtt: dialled.rtt });
  return dialled.connection === undefined ? run.up() : converse(dialled.connection, target, target.host, run);
};

/** Connects to the host's addresses of the family, racing them. Fails by connect(2) and getaddrinfo(3). */
export const probeTcp: Probe<"tcp" | "tcp4" | "tcp6"> = (target, run) =>
  overAddresses(
    target,
    familyOf(target.type),
    run,
    (address, own) => probeAddresses(target, [address], own),
    (addresses) => probeAddresses(target, addresses, run),
  );
