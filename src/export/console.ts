import { setImmediate as nextTurn } from "node:timers/promises";
import type { Snapshot } from "../model/columns.ts";
import type { ConsoleFormat } from "../model/config.ts";
import type { Log } from "../model/log.ts";
import { encodeJsonRequests } from "./otlp-json.ts";
import { renderPrometheus } from "./prometheus-text.ts";
import { tableSteps } from "./table.ts";

/** What is needed of process.stdout. */
export type Out = Pick<NodeJS.WritableStream, "write" | "on" | "off" | "once"> & {
  readonly columns?: number | undefined;
  readonly isTTY?: boolean | undefined;
};

export type ConsoleOptions = {
  readonly format: ConsoleFormat;
  readonly out: Out;
  /** Whether a terminal wants colours. */
  readonly color: boolean;
  readonly log: Log;
};

/** Every tick on stdout. */
export type Console = {
  /** Takes a tick, and does not wait for the reader. */
  readonly export: (snapshot: Snapshot) => void;
  /** Writes what it has taken, or gives up when the signal aborts. */
  readonly shutdown: (signal: AbortSignal) => Promise<void>;
};

/** A table of thousands of targets, every few seconds, is read by nobody. */
const mostTargets = 200;
/** Where the width of the terminal is not known. */
const usualWidth = 120;
const jsonBytes = 4 * 1_048_576;

/** The text of a tick in pieces; `undefined` where there is only a slice done. */
function* piecesOf(snapshot: Snapshot, { format, out, color }: ConsoleOptions): Generator<string | undefined, void> {
  switch (format) {
    case "table": {
      const options = { width: out.columns ?? usualWidth, color: color && out.isTTY === true, mostTargets };
      const table = yield* tableSteps(snapshot, options);
      yield `${new Date(snapshot.time).toISOString()}\n\n${table}\n`;
      return;
    }
    case "prometheus":
      yield* renderPrometheus(snapshot, "text");
      yield "\n";
      return;
    case "otlp-json":
      for (const request of encodeJsonRequests(snapshot, { maxBytes: jsonBytes }))
        yield (
          request && `${Buffer.from(request.body.buffer, request.body.byteOffset, request.body.length).toString()}\n`
        );
      return;
    default:
      format satisfies never;
  }
}

/** Prints every tick; one that the reader is not ready for is left out. A reader that goes away ends it, and nothing else. */
export const createConsole = (options: ConsoleOptions): Console => {
  const { out, log } = options;
  let working: Promise<void> | undefined;
  let ended: string | undefined;
  let isBehind = false;
  const gone = Promise.withResolvers<void>();

  const onError = (error: Error): void => {
    if (ended !== undefined) return;
    ended = "code" in error ? String(error.code) : error.message;
    log("info", `nothing more is printed: stdout is closed (${ended})`);
    gone.resolve();
  };
  out.on("error", onError);

  const drained = async (): Promise<void> => {
    const drain = Promise.withResolvers<void>();
    out.once("drain", drain.resolve);
    await Promise.race([drain.promise, gone.promise]);
    out.off("drain", drain.resolve);
  };

  const print = async (snapshot: Snapshot): Promise<void> => {
    for (const piece of piecesOf(snapshot, options)) {
      if (ended !== undefined) return;
      // oxlint-disable-next-line no-await-in-loop -- one piece after the other
      if (piece !== undefined && !out.write(piece)) await drained();
      // oxlint-disable-next-line no-await-in-loop -- the loop turns in between
      await nextTurn();
    }
  };

  return {
    export: (snapshot) => {
      if (ended !== undefined) return;
      if (working !== undefined) {
        if (!isBehind) log("warn", "whoever reads stdout is too slow: some ticks are not printed; said once");
        isBehind = true;
        return;
      }
      working = print(snapshot)
        .catch((error: unknown) => log("error", `a tick could not be printed: ${String(error)}`))
        .then(() => {
          working = undefined;
        });
    },
    shutdown: async (signal) => {
      const given = Promise.withResolvers<void>();
      if (signal.aborted) given.resolve();
      else signal.addEventListener("abort", () => given.resolve(), { once: true });
      await Promise.race([working, gone.promise, given.promise]);
      ended ??= "shut down";
      gone.resolve();
      out.off("error", onError);
    },
  };
};
