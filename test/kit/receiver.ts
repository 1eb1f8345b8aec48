import { attributesKey, type MetricColumns } from "../../src/model/columns.ts";
import { endedOf, pointsOf } from "./points.ts";

const counters = /^sockscope\.flow\.(?:io|segments|retransmits|opened|closed)$/;

const fail = (what: string): never => {
  throw new Error(what);
};

/**
 * What a receiver of every export keeps: the last value of each series, which is known by its start, too. Throws where
 * an export breaks what every receiver relies on: a set stands once, a counter does not fall, a series that goes ends.
 */
export const createReceiver = () => {
  const last = new Map<string, number>();
  const live = new Map<string, number>();
  let most = 0;
  const of = (name: string, metric: string, attributes: string): boolean =>
    name.startsWith(`${metric} `) && name.includes(attributes);
  return {
    receive(metrics: readonly MetricColumns[]): void {
      const seen = new Set<string>();
      for (const { metric, attributes, start, value } of pointsOf(metrics)) {
        const name = `${metric} ${attributesKey(attributes)}`;
        if (seen.has(name)) fail(`${name} stands twice in one export`);
        seen.add(name);
        live.set(name, value);
        if (!counters.test(metric)) continue;
        if (value < (last.get(`${name} ${start}`) ?? 0)) fail(`${name} falls to ${value}`);
        last.set(`${name} ${start}`, value);
      }
      for (const { metric, attributes } of endedOf(metrics)) {
        const name = `${metric} ${attributesKey(attributes)}`;
        if (!live.delete(name)) fail(`${name} ends and was not there`);
        if (seen.has(name)) fail(`${name} ends and goes on`);
      }
      for (const name of live.keys()) if (!seen.has(name)) fail(`${name} goes without an end`);
      most = Math.max(most, [...seen].filter((name) => name.startsWith("sockscope.flow.count ")).length);
    },
    /** What all series of a counter have come to, ended ones too. */
    sum: (metric: string, attributes = ""): number =>
      [...last].reduce((sum, [name, value]) => sum + (of(name, metric, attributes) ? value : 0), 0),
    /** What a metric is now. */
    now: (metric: string): number =>
      [...live].reduce((sum, [name, value]) => sum + (of(name, metric, "") ? value : 0), 0),
    /** Groups with series at one time, at most. */
    most: (): number => most,
  };
};

/** For `sum`: one direction only. */
export const direction = (name: "transmit" | "receive"): string => `"network.io.direction","${name}"`;
