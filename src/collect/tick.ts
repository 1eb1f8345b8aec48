import type { Observation } from "../metrics/observation.ts";
import { attributesKey, type AttributeSet, type EndedColumn, type MetricColumns } from "../model/columns.ts";
import type { Log } from "../model/log.ts";
import type { Part, Reading } from "./reading.ts";

/** Everything that one tick has read. `time` is Unix ms. */
export type Tick = {
  readonly time: number;
  readonly columns: readonly MetricColumns[];
  readonly observations: readonly Observation[];
};

export type Ticker = {
  /** Reads all parts; never rejects, and ends within the timeout. */
  tick(): Promise<Tick>;
  /**
   * Puts a part in the place of the one of that name, or takes it away, when the running tick is over; the old part's
   * series end with the next tick.
   */
  replace(name: string, part: Part | undefined): Promise<void>;
};

export type TickerOptions = {
  readonly timeoutMs: number;
  /** Unix ms. */
  readonly clock: () => number;
  readonly log: Log;
};

/** Of the timeout: what a part may take to read, so that time is left to say that it could not. */
const patienceOfParts = 0.8;

const keyOf = (own: AttributeSet, set: AttributeSet): string => attributesKey({ ...own.values, ...set.values });

/** The ended series of retired parts, but for those that a part of now goes on with: no set stands twice in an export. */
const endedOf = (retired: MetricColumns, live: MetricColumns | undefined): EndedColumn[] => {
  const going = new Set<string>();
  for (const column of [...(live?.numbers ?? []), ...(live?.histograms ?? []), ...(live?.ended ?? [])]) {
    for (const set of column.sets) going.add(keyOf(column.own, set));
  }
  return retired.ended.flatMap((column) => {
    const at = column.sets.flatMap((set, index) => (going.has(keyOf(column.own, set)) ? [] : [index]));
    if (at.length === 0) return [];
    return [
      {
        own: column.own,
        sets: at.map((index) => column.sets[index] as AttributeSet),
        starts: Float64Array.from(at, (index) => column.starts[index] as number),
      },
    ];
  });
};

/** Adds what retired parts ended to what the parts of now have collected. */
const withEnded = (live: readonly MetricColumns[], retired: readonly MetricColumns[]): readonly MetricColumns[] => {
  const byName = new Map(live.map((metric) => [metric.descriptor.name, metric]));
  for (const metric of retired) {
    const now = byName.get(metric.descriptor.name);
    const ended = endedOf(metric, now);
    byName.set(metric.descriptor.name, {
      descriptor: metric.descriptor,
      numbers: now?.numbers ?? [],
      histograms: now?.histograms ?? [],
      ended: [...(now?.ended ?? []), ...ended],
    });
  }
  return [...byName.values()];
};

/** Collects the parts side by side. One that fails or is too late contributes nothing and takes nothing from the others. */
export const createTicker = (parts: Readonly<Record<string, Part>>, options: TickerOptions): Ticker => {
  const current = new Map(Object.entries(parts));
  const retired: Part[] = [];
  /** Readings under way that a tick could not wait for. */
  const late = new Map<string, Promise<Reading>>();

  const collect = async (name: string, part: Part, time: number): Promise<Reading> => {
    const deadline = AbortSignal.timeout(options.timeoutMs);
    // What was late is handed on by the next tick that it is ready for: the ends of its series must not be lost.
    const collecting = late.get(name) ?? part.collect(time, AbortSignal.timeout(options.timeoutMs * patienceOfParts));
    const tooLate = new Promise<undefined>((resolve) => {
      deadline.addEventListener("abort", () => resolve(undefined), { once: true });
    });
    try {
      const reading = await Promise.race([collecting, tooLate]);
      if (reading !== undefined) {
        late.delete(name);
        return reading;
      }
      if (!late.has(name)) options.log("warn", `${name}: not collected within ${options.timeoutMs} ms`);
      late.set(name, collecting);
    } catch (error) {
      late.delete(name);
      options.log(
        "error",
        `${name}: collection failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      );
    }
    return { columns: [], observations: [] };
  };

  let running: Promise<unknown> = Promise.resolve();

  const readAll = async (): Promise<Tick> => {
    const time = options.clock();
    const leaving = await Promise.all(retired.splice(0).map((part) => part.end()));
    const readings = await Promise.all([...current].map(([name, part]) => collect(name, part, time)));
    const columns = readings.flatMap((reading) => reading.columns);
    return {
      time,
      columns: leaving.length === 0 ? columns : withEnded(columns, leaving.flat()),
      observations: readings.flatMap((reading) => reading.observations),
    };
  };

  return {
    tick() {
      const tick = readAll();
      running = tick;
      return tick;
    },
    async replace(name, part) {
      await running;
      const old = current.get(name);
      if (old !== undefined) retired.push(old);
      late.delete(name);
      if (part === undefined) current.delete(name);
      else current.set(name, part);
    },
  };
};
