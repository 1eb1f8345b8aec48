import { pipeline, Readable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createGzip } from "node:zlib";
import type { Snapshot } from "../model/columns.ts";
import { renderPrometheus, type PrometheusFormat } from "./prometheus-text.ts";

/** A page as gzip (RFC 1952), from its beginning, for each reader who asks. Throws what rendering throws. */
export type SharedPage = { readonly read: () => AsyncGenerator<Buffer, void> };

/** Yields to the event loop before each chunk, so that neither a tick nor another reader waits for a whole page. */
async function* chunksOf(snapshot: Snapshot, format: PrometheusFormat): AsyncGenerator<string> {
  for (const chunk of renderPrometheus(snapshot, format)) {
    yield chunk;
    await nextTurn();
  }
}

/** Bytes of a part: fewer would be more turns for a big page, more would be memory that a small one does not need. */
const partBytes = 64 * 1024;

/** Renders as far as the fastest reader has read; the others find the parts that it had. */
const createSharedPage = (snapshot: Snapshot, format: PrometheusFormat): SharedPage => {
  const parts: Buffer[] = [];
  let ended = false;
  let failure: { readonly error: unknown } | undefined;
  let pulling: Promise<void> | undefined;
  // Node compresses on a thread of its pool. The fastest level: a page repeats itself so much that the others gain little.
  const gzip = createGzip({ level: 1, chunkSize: partBytes });
  // The callback is for what goes wrong, which the iterator throws.
  const compressed = pipeline(Readable.from(chunksOf(snapshot, format)), gzip, () => undefined)[Symbol.asyncIterator]();

  const pull = async (): Promise<void> => {
    try {
      const next: IteratorResult<Buffer, unknown> = await compressed.next();
      if (next.done === true) ended = true;
      else parts.push(next.value);
    } catch (error) {
      failure = { error };
    }
    pulling = undefined;
  };

  return {
    async *read() {
      for (let index = 0; ;) {
        const part = parts[index];
        if (part !== undefined) {
          index += 1;
          yield part;
        } else if (failure !== undefined) throw failure.error;
        else if (ended) return;
        // oxlint-disable-next-line no-await-in-loop -- one part after the other
        else await (pulling ??= pull());
      }
    },
  };
};

/**
 * The pages of snapshots, each rendered and compressed once for all of its readers, at whatever time they come: two
 * servers that scrape by the same interval rarely do so at the same moment. What is kept is compressed, a tenth of the
 * text or less, and goes with its snapshot, so that there is nothing to bound or to forget.
 */
export const createSharedPages = (): ((snapshot: Snapshot, format: PrometheusFormat) => SharedPage) => {
  const pages = new WeakMap<Snapshot, Map<PrometheusFormat, SharedPage>>();
  return (snapshot, format) => {
    let formats = pages.get(snapshot);
    if (formats === undefined) pages.set(snapshot, (formats = new Map()));
    let page = formats.get(format);
    if (page === undefined) formats.set(format, (page = createSharedPage(snapshot, format)));
    return page;
  };
};
