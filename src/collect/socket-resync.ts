import { SourceError } from "../model/errors.ts";

/** Between the end of one dump and the next resynchronising one, ... */
const leastRestMs = 1000;
/** ... and so many times as long as the last one took: where events are lost all the time, the host is busy. */
const restOfDump = 10;

export type SocketResync = {
  /** Events were lost: a dump is to be made as soon as it may. */
  readonly want: () => void;
  /** Before the dump of a tick, which tells more than one of these; ends the one that is under way. */
  readonly stop: () => Promise<void>;
  /** After it. */
  readonly resume: () => void;
};

/** When the dumps are made that follow a loss of events; `dump` ends soon after its signal aborts. `now`: monotonic ms. */
export const createSocketResync = (dump: (signal: AbortSignal) => Promise<void>, now: () => number): SocketResync => {
  let wanted = false;
  let stopped = true;
  let due = 0;
  let timer: NodeJS.Timeout | undefined;
  let running: { readonly abort: AbortController; readonly over: Promise<void> } | undefined;

  const run = async ({ signal }: AbortController): Promise<void> => {
    const started = now();
    try {
      await dump(signal);
    } catch (error) {
      // The next tick meets the same failure, and says it.
      if (!(error instanceof SourceError) && !signal.aborted) throw error;
    } finally {
      due = now() + Math.max(leastRestMs, restOfDump * (now() - started));
      running = undefined;
      schedule();
    }
  };

  const start = (): void => {
    timer = undefined;
    wanted = false;
    const abort = new AbortController();
    running = { abort, over: run(abort) };
  };

  const schedule = (): void => {
    if (!wanted || stopped || timer !== undefined || running !== undefined) return;
    timer = setTimeout(start, Math.max(0, due - now())).unref();
  };

  return {
    want() {
      wanted = true;
      schedule();
    },
    async stop() {
      stopped = true;
      wanted = false;
      clearTimeout(timer);
      timer = undefined;
      running?.abort.abort();
      await running?.over;
    },
    resume() {
      stopped = false;
      due = Math.max(due, now() + leastRestMs);
      schedule();
    },
  };
};
