import type { Permits } from "./boot-clock.ts";
import { createDeadlines } from "./deadlines.ts";
import { startDial } from "./dial-job.ts";
import type { Libc } from "./libc.ts";
import { startPacket } from "./packet-job.ts";
import { bindReceiver } from "./packet-receive.ts";
import { bindSocketCalls, EPOLLIN, maxEvents, SocketError } from "./socket-calls.ts";
import type { Job, Order, Report, Workshop } from "./socket-job.ts";
import { bindEncodeAddress } from "./socket-name.ts";

export type SocketLoopOptions = {
  readonly libc: Libc;
  /** ms; the clock of the orders' deadlines. */
  readonly now: () => number;
  readonly permits: Permits;
  /** An eventfd(2), set when there are orders to take, or when it is time to stop. */
  readonly event: number;
  readonly stopped: () => boolean;
  /** Orders that are there; undefined when there are no more. */
  readonly takeOrders: () => readonly Order[] | undefined;
  readonly report: (reports: readonly Report[]) => void;
};

/** Reports of a message: posting them takes the time of a few connections, which wait for it. */
const reportsOfMessage = 16;
const maxWaitMs = 2 ** 31 - 1;
/** No job has it. */
const eventKey = 0;

const codeOf = (error: unknown): string => {
  if (error instanceof SocketError) return error.code;
  return error instanceof Error ? error.name : "unknown error";
};

/**
 * Does what it is ordered until it is stopped, blocking the thread in epoll_wait(2) while there is nothing to do.
 * Throws where the loop's own calls fail. Whatever way it ends, its sockets are closed.
 */
export const runSocketLoop = ({ libc, now, permits, event, stopped, takeOrders, report }: SocketLoopOptions): void => {
  const calls = bindSocketCalls(libc);
  const { eventBytes, eventData } = calls.layout;
  const events = new Uint8Array(maxEvents * eventBytes);
  const view = new DataView(events.buffer);
  const poller = calls.createPoller();
  const jobs = new Map<number, Job>();
  const deadlines = createDeadlines<Job>();
  const identifiers = new Set<number>();
  const reports: Report[] = [];
  let ordered = false;

  const close = (job: Job): void => {
    if (job.fd >= 0) calls.close(job.fd);
    job.fd = -1;
    jobs.delete(job.id);
    deadlines.remove(job);
    job.closed();
  };

  const end: Workshop["end"] = (job, how) => {
    if (how.kind === "connected" && how.fd !== undefined) {
      calls.unwatch(poller, job.fd);
      job.fd = -1;
    }
    close(job);
    reports.push({ id: job.id, ...how });
  };
  const fail: Workshop["fail"] = (job, code, at) =>
    end(job, { kind: "failed", phase: job.phase, startedAt: job.startedAt, at, code });

  const workshop: Workshop = {
    calls,
    encode: bindEncodeAddress(libc),
    receiver: bindReceiver(libc, calls),
    now,
    permits,
    watch: (job, mask) => calls.watch(poller, job.fd, mask, job.id),
    reply: (job, sentAt, reply) => void reports.push({ id: job.id, kind: "reply", sentAt, reply }),
    end,
    fail,
  };

  /** A job that fails in a way that nobody foresaw is no reason to end the others. */
  const attempt = (job: Job, work: () => void): void => {
    try {
      work();
    } catch (error) {
      if (jobs.has(job.id)) fail(job, codeOf(error), now());
    }
  };

  /** How many events there were. */
  const poll = (timeout: number): number => {
    const count = calls.wait(poller, events, timeout);
    const at = now();
    for (let index = 0; index < count; index++) {
      const start = index * eventBytes;
      const key = view.getFloat64(start + eventData, true);
      if (key === eventKey) ordered = true;
      const job = jobs.get(key);
      if (job !== undefined) attempt(job, () => job.ready(view.getUint32(start, true), at));
    }
    return count;
  };

  /** Looks between messages at what has happened, so that it keeps its time. */
  const flush = (): void => {
    while (reports.length > 0) {
      report(reports.splice(0, reportsOfMessage));
      poll(0);
    }
  };

  const start = (order: Exclude<Order, { do: "close" }>): void => {
    const nothing = (): void => undefined;
    const job: Job = {
      id: order.id,
      deadline: order.deadline,
      place: -1,
      fd: -1,
      startedAt: now(),
      phase: "connect",
      closed: nothing,
      ready: nothing,
      expired: nothing,
    };
    jobs.set(job.id, job);
    deadlines.add(job);
    attempt(job, () =>
      order.do === "dial" ? startDial(order, job, workshop) : startPacket(order, job, workshop, identifiers),
    );
  };

  const obey = (): void => {
    if (!ordered) return;
    // Before they are taken: of those that come later the event is set again.
    ordered = false;
    calls.clearEvent(event);
    for (let orders = takeOrders(); orders !== undefined && !stopped(); orders = takeOrders()) {
      for (const order of orders) {
        if (order.do === "close") {
          const job = jobs.get(order.id);
          if (job !== undefined) close(job);
          continue;
        }
        start(order);
        // Whoever was connected meanwhile does not wait for all of those that start.
        poll(0);
        if (reports.length >= reportsOfMessage) flush();
      }
    }
  };

  const expire = (): void => {
    const at = now();
    const due = (): Job | undefined => {
      const first = deadlines.first();
      return first !== undefined && first.deadline <= at ? first : undefined;
    };
    if (due() === undefined) return;
    // NB: whatever kept this thread, what came in time is not late.
    while (poll(0) === maxEvents);
    for (let job = due(); job !== undefined; job = due()) {
      const overdue = job;
      attempt(overdue, () => overdue.expired(at));
    }
  };

  const timeout = (): number => {
    const first = deadlines.first();
    return first === undefined ? -1 : Math.min(maxWaitMs, Math.max(0, Math.ceil(first.deadline - now())));
  };

  try {
    calls.watch(poller, event, EPOLLIN, eventKey);
    while (!stopped()) {
      poll(timeout());
      obey();
      expire();
      flush();
    }
  } finally {
    for (const job of jobs.values()) close(job);
    calls.close(poller);
    if (reports.length > 0) report(reports);
  }
};
