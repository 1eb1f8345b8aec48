import { setImmediate } from "node:timers/promises";
import { foldEvent } from "../fold/flow-events.ts";
import { eventOutcomes } from "../fold/flow-state.ts";
import type { Observation } from "../metrics/observation.ts";
import type { EventMode } from "../model/config.ts";
import { SourceError } from "../model/errors.ts";
import type { Log } from "../model/log.ts";
import type { SocketBatch } from "../model/socket.ts";
import type { DestroyEvents, SubscribeDestroyEvents } from "../model/sources.ts";
import type { SocketFold } from "./socket-fold.ts";

/** ms between two drains while events come, and where the receive buffer of an agent without privileges holds 300. */
const shortestMs = 20;
/** While none come, into a buffer that has room for what can come meanwhile: 100 a ms. */
const longestMs = 160;
const roomAMs = 100;
/** Some 3 us each: a slice holds the loop for less than 2 ms. */
const eventsOfSlice = 500;
/** Of one drain, so that events that come as fast as they are read do not hold up a tick. */
const mostSlices = 200;

const withoutEvents = "connections that live between two collections are not counted";

export type SocketEvents = {
  /** Folds all events that are there. */
  drain(): Promise<void>;
  /** While a tick settles and collects, events stay where they are: they would change what has been counted already. */
  hold(held: boolean): void;
  observations(): Observation[];
  close(): void;
};

/**
 * Hears of the end of TCP sockets between the ticks, where that is wanted and to be had; says once where it is not.
 * `overflowed` is called when events were lost, after what was left of them has been folded.
 */
export const createSocketEvents = (
  mode: EventMode,
  subscribe: SubscribeDestroyEvents | undefined,
  fold: SocketFold,
  overflowed: () => void,
  log: Log,
): SocketEvents => {
  let source: DestroyEvents | undefined;
  let timer: NodeJS.Timeout | undefined;
  let pauseMs = shortestMs;
  let lost = 0;
  let held = false;
  let draining: Promise<void> | undefined;

  const close = (): void => {
    clearTimeout(timer);
    source?.close();
    source = undefined;
    for (const flows of fold.allFlows) flows.hasEvents = false;
  };

  const unavailable = (error: unknown): void => {
    if (!(error instanceof SourceError)) throw error;
    close();
    log(mode === "on" ? "warn" : "info", `destroy events are not to be had: ${error.message}; ${withoutEvents}`);
  };

  const foldEvents = (batch: SocketBatch): void => {
    const { flows, ssExporter, facts } = fold;
    for (let at = 0; at < batch.length; at++) {
      foldEvent(flows, batch, at, facts);
      // Another tool's series know no flow that no dump has shown.
      if (ssExporter?.flows.slotOfCookie.has(batch.cookie[at] as number) === true)
        foldEvent(ssExporter.flows, batch, at, facts);
    }
  };

  /** True while there may be more. */
  const drainSlice = (): boolean => {
    if (source === undefined || held) return false;
    const drained = source.drain(eventsOfSlice, foldEvents);
    const idleMs = Math.min(pauseMs * 2, longestMs, Math.max(shortestMs, source.room / roomAMs));
    pauseMs = drained > 0 ? shortestMs : idleMs;
    return drained === eventsOfSlice;
  };

  const noteLoss = (): void => {
    if (source === undefined) return;
    const before = lost;
    lost = source.lost();
    if (lost > before) overflowed();
  };

  const drainAll = async (): Promise<void> => {
    try {
      for (let slices = 0; slices < mostSlices && drainSlice(); slices++) await setImmediate();
      noteLoss();
    } catch (error) {
      unavailable(error);
    }
  };

  const drain = async (): Promise<void> => {
    draining ??= drainAll().finally(() => {
      draining = undefined;
    });
    await draining;
  };

  const wait = (): void => {
    if (source === undefined) return;
    timer = setTimeout(() => void drain().then(wait), pauseMs).unref();
  };

  if (mode !== "off" && subscribe !== undefined) {
    try {
      source = subscribe();
      for (const flows of fold.allFlows) flows.hasEvents = true;
      wait();
    } catch (error) {
      unavailable(error);
    }
  }

  return {
    drain,
    hold: (hold) => {
      held = hold;
    },
    observations() {
      if (mode === "off" || subscribe === undefined) return [];
      noteLoss();
      const { events, hasEvents } = fold.flows;
      return [
        ...eventOutcomes.map((outcome): Observation => ({
          metric: "sockscope.agent.events",
          value: events[outcome],
          attributes: { "sockscope.event.outcome": outcome },
        })),
        { metric: "sockscope.agent.events.lost", value: lost, attributes: {} },
        {
          metric: "sockscope.agent.capability",
          value: hasEvents ? 1 : 0,
          attributes: { "sockscope.agent.source": "events" },
        },
      ];
    },
    close,
  };
};
