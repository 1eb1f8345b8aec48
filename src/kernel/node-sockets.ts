import { codeOf } from "../model/errors.ts";
import type { Permits } from "./boot-clock.ts";
import { createSocket } from "node:dgram";
import { connect, type Socket } from "node:net";
import type { Dial, Dialled, ProbeSockets, SendPacket, Sent, SocketAddress } from "../model/sources.ts";
import type { Source } from "../model/target.ts";

export type ProbeSocketsStats = {
  /** `node`: by Node's own sockets, whose times are those of the event loop. */
  readonly by: "thread" | "node";
  /** Jobs that run now. */
  readonly running: number;
};

export type OpenProbeSockets = ProbeSockets & {
  /** Starts what the first job would wait for, and waits for it. Never rejects: where that fails, the jobs say why. */
  ready(): Promise<void>;
  stats(): ProbeSocketsStats;
  /** Cancels what runs, and ends the thread. */
  close(): Promise<void>;
};

/** The bounds of `SendPacket`. */
const mostReplies = 64;
const mostBytes = 1_048_576;
const maxTimerMs = 2 ** 31 - 1;

/** Node's timers count whole milliseconds, and may be early by a part of one. */
const timer = (deadline: number, now: () => number, passed: (at: number) => void): NodeJS.Timeout =>
  setTimeout(() => passed(now()), Math.min(maxTimerMs, Math.max(0, Math.ceil(deadline - now()) + 1)));

/** Node can bind to an address, not to an interface. */
const canDo = (to: SocketAddress, type: string, source: Source): boolean =>
  source.interface === undefined && type === ("path" in to ? "stream" : type === "udp" ? "udp" : "stream");

const startConnecting = (to: SocketAddress, source: Source): Socket =>
  "path" in to
    ? connect({ path: to.path })
    : connect({
        host: to.address,
        port: to.port,
        autoSelectFamily: false,
        ...(source.address === undefined ? {} : { localAddress: source.address }),
      });

/** The kernel took the target's port as the local one: nobody listens. */
const metItself = (socket: Socket): boolean =>
  socket.localPort !== undefined &&
  socket.localPort === socket.remotePort &&
  socket.localAddress === socket.remoteAddress;

/**
 * TCP, UDP and unix stream sockets by node:net and node:dgram; whatever else is asked for fails with ENOTSUP. Times
 * are those of the event loop, and there is no RTT and no TTL.
 */
export const createNodeSockets = (now: () => number, permits: Permits): OpenProbeSockets => {
  const running = new Map<object, () => void>();
  let closed = false;

  /** Waits for `settle`, or for the signal; then undoes what `begin` began, and could not where it throws. */
  const within = <T>(
    signal: AbortSignal,
    failed: (code: string) => T,
    begin: (settle: (result: T) => void) => (result: T | { readonly kind: "cancelled" }) => void,
  ): Promise<T | { readonly kind: "cancelled" }> =>
    new Promise((resolve) => {
      if (closed || signal.aborted) return resolve({ kind: "cancelled" });
      const key = {};
      let undo: ((result: T | { readonly kind: "cancelled" }) => void) | undefined;
      let settled = false;
      const end = (result: T | { readonly kind: "cancelled" }): void => {
        if (settled) return;
        settled = true;
        running.delete(key);
        signal.removeEventListener("abort", cancel);
        undo?.(result);
        resolve(result);
      };
      const cancel = (): void => end({ kind: "cancelled" });
      signal.addEventListener("abort", cancel);
      running.set(key, cancel);
      try {
        undo = begin(end);
      } catch (error) {
        end(failed(codeOf(error)));
      }
    });

  const dial: Dial = (to, { type, source, deadline, keep, permit }, signal) => {
    const startedAt = now();
    const failed = (code: string): Dialled => ({ kind: "failed", startedAt, at: now(), code });
    return within<Dialled>(signal, failed, (settle) => {
      const nothing = (): void => undefined;
      const fail = (code: string): void => settle(failed(code));
      const isLate = startedAt >= deadline || !permits(permit);
      if (isLate || !canDo(to, type, source)) {
        queueMicrotask(() => (isLate ? settle({ kind: "late" }) : fail("ENOTSUP")));
        return nothing;
      }
      const socket = startConnecting(to, source);
      // At once, so that connecting does not start to read.
      socket.pause();
      const onError = (error: Error): void => fail(codeOf(error));
      socket.on("error", onError);
      socket.once("connect", () => {
        const at = now();
        if (metItself(socket)) return fail("ECONNREFUSED");
        return settle({ kind: "connected", startedAt, at, rtt: undefined, connection: keep ? socket : undefined });
      });
      const timeout = timer(deadline, now, (at) => settle({ kind: "deadline", startedAt, at }));
      return (result) => {
        clearTimeout(timeout);
        if (result.kind === "connected" && keep) socket.off("error", onError);
        else socket.destroy();
      };
    });
  };

  const sendPacket: SendPacket = (to, { type, payload, source, deadline, accept, permit }, signal) => {
    const startedAt = now();
    let sentAt: number | undefined;
    let others = 0;
    let bytes = 0;
    const failed = (code: string): Sent => {
      const phase = sentAt === undefined ? "connect" : "exchange";
      return { kind: "failed", phase, startedAt, at: now(), code };
    };
    return within<Sent>(signal, failed, (settle) => {
      const fail = (code: string): void => settle(failed(code));
      const isLate = startedAt >= deadline || !permits(permit);
      if (isLate || "path" in to || !canDo(to, type, source)) {
        queueMicrotask(() => (isLate ? settle({ kind: "late" }) : fail("ENOTSUP")));
        return () => undefined;
      }
      const socket = createSocket(to.family === 4 ? "udp4" : "udp6");
      socket.on("error", (error) => fail(codeOf(error)));
      socket.on("message", (message) => {
        const reply = { at: now(), bytes: message, ttl: undefined };
        if (sentAt === undefined) return;
        bytes += message.length;
        if (others === mostReplies || bytes > mostBytes) return fail("EMSGSIZE");
        if (!accept(reply)) return void others++;
        return settle({ kind: "answered", sentAt, reply });
      });
      socket.on("connect", () => {
        const [local, remote] = [socket.address(), socket.remoteAddress()];
        sentAt = now();
        if (!permits(permit)) return settle({ kind: "late" });
        if (local.port === remote.port && local.address === remote.address) return fail("ECONNREFUSED");
        return socket.send(payload, (error) => error !== null && fail(codeOf(error)));
      });
      if (source.address === undefined) socket.connect(to.port, to.address);
      else socket.bind({ address: source.address, exclusive: true }, () => socket.connect(to.port, to.address));
      const timeout = timer(deadline, now, (at) =>
        settle(
          sentAt === undefined
            ? { kind: "failed", phase: "connect", startedAt, at, code: "ETIMEDOUT" }
            : { kind: "silence", sentAt, at, others },
        ),
      );
      return () => {
        clearTimeout(timeout);
        socket.close();
      };
    });
  };

  return {
    dial,
    sendPacket,
    ready: async () => undefined,
    stats: () => ({ by: "node", running: running.size }),
    close: async () => {
      closed = true;
      for (const cancel of running.values()) cancel();
    },
  };
};
