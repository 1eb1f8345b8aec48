import { setTimeout as sleep } from "node:timers/promises";

/** Asks every 50 ms until the answer is neither undefined nor false, and returns it; throws with `what` at the deadline. */
export const until = async <T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 15_000,
): Promise<T> => {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await sleep(50);
  }
};

/** The body of a page, or undefined as long as nobody answers with 200. */
export const fetchText = async (url: string): Promise<string | undefined> => {
  // A program that restarts leaves connections behind, and a kept one would fail the next request.
  const response = await fetch(url, { headers: { connection: "close" } }).catch(() => undefined);
  const text = await response?.text().catch(() => undefined);
  return response?.status === 200 ? text : undefined;
};
