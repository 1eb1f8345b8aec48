import { createSocket } from "node:dgram";
import type { Phase } from "../model/outcome.ts";
import type { Address, Family } from "../model/sources.ts";
import type { Target } from "../model/target.ts";
import { codeOf, type Failure, failureOf, tellingMost } from "./errors.ts";
import { type Interruption, lastCall, type Probe, type Run } from "./run.ts";

type UdpTarget = Target<"udp" | "udp4" | "udp6">;
type Heard = "answer" | "silence" | { readonly phase: Phase; readonly code: string };

/**
 * Sends one empty datagram from a connected socket and listens. Only a connected socket is told of ICMP errors, and
 * of those only of the ones that RFC 1122 section 4.2.3.9 calls hard (udp(7)); the others stay silence.
 */
const exchange = (run: Run, { address, family }: Address, target: UdpTarget): Promise<Heard | Interruption> =>
  run.within<Heard>((settle) => {
    const socket = createSocket(family === 4 ? "udp4" : "udp6");
    let phase: Phase = "connect";
    let timer: NodeJS.Timeout | undefined;
    const fail = (error: Error): void => settle({ phase, code: codeOf(error) });
    // The kernel took the target's port as the local one: the datagram came back, and nobody listens.
    const metItself = (): boolean => {
      const [local, remote] = [socket.address(), socket.remoteAddress()];
      return local.port === remote.port && local.address === remote.address;
    };
    socket.on("error", fail);
    socket.on("message", () => settle("answer"));
    // Its errors come as events, since no callback takes them.
    socket.connect(target.port, address);
    socket.on("connect", () => {
      phase = "exchange";
      if (metItself()) return settle({ phase, code: "ECONNREFUSED" });
      socket.send("", (error) => error !== null && fail(error));
      timer = lastCall(() => settle("silence"), target.silenceMs);
    });
    return () => {
      clearTimeout(timer);
      socket.close();
    };
  });

/**
 * Sends one empty datagram to the host's first address of the family; to the next one where that is refused or cannot
 * be sent, so that `localhost` finds a service that listens on 127.0.0.1 alone. An answer is `up`, silence for
 * `silenceMs`, or until the deadline where that is sooner, is `unanswered`.
 */
export const probeUdp =
  (family: Family): Probe<"udp" | "udp4" | "udp6"> =>
  async (target, run) => {
    const resolved = await run.resolve(target.host, family);
    if (resolved.kind !== "found") return resolved;
    const failures: (Failure & { phase: Phase; code: string; address: string })[] = [];
    for (const address of resolved.addresses) {
      run.address = address.address;
      if (run.leftMs === 0) {
        failures.push({ ...failureOf("ETIMEDOUT"), phase: "connect", code: "ETIMEDOUT", address: address.address });
        break;
      }
      const exchanged = run.begin("exchange");
      // oxlint-disable-next-line no-await-in-loop -- one address after the other
      const heard = await exchange(run, address, target);
      if (heard === "cancelled") return run.cancelled();
      if (heard === "silence" || heard === "deadline") return run.unanswered();
      if (heard === "answer") {
        exchanged();
        return run.up();
      }
      failures.push({ ...failureOf(heard.code), ...heard, address: address.address });
    }
    const telling = tellingMost(failures);
    if (telling === undefined) return run.down("_OTHER", "exchange", "no address");
    run.address = telling.address;
    return run.failed(telling, telling.phase, telling.code);
  };
