import { describe, expect, test } from "vitest";
import { configFile, startAgent } from "../kit/agent.ts";
import { closedPort } from "../kit/loopback.ts";
import { startOtlpReceiver } from "../kit/otlp-receiver.ts";
import { storageFolder } from "../kit/otlp-storing.ts";
import { until } from "../kit/until.ts";

describe.skipIf(process.platform !== "linux")("an agent with storage", () => {
  test(
    "loses no collection to a kill, a reload and a stop while its destination is away",
    { timeout: 60_000 },
    async () => {
      using folder = storageFolder();
      const port = await closedPort();
      const text = (token: string): string => `
collection: { interval: 200ms, timeout: 200ms }
export:
  otlp:
    endpoint: http://127.0.0.1:${port}
    headers: { x-token: ${token} }
    sending_queue: { storage: ${folder.path} }`;
      using file = configFile(text("one"));
      /** Waits for so many more requests on disk. */
      const stored = async (more: number): Promise<void> => {
        const wanted = folder.files().length + more;
        await until("more requests are stored", () => folder.files().length >= wanted);
      };
      const known = new Set<string>();
      const note = (): void => folder.files().forEach((name) => void known.add(name));

      await using first = startAgent(file.path);
      await stored(3);
      note();
      first.child.kill("SIGKILL");
      await first.exited;

      await using second = startAgent(file.path);
      await second.logged(/^found in .*: \d+ requests, sent before newer ones$/);
      await stored(2);
      file.write(text("two"));
      second.child.kill("SIGHUP");
      await second.logged(/^reloaded/);
      await second.logged(/ requests for the OTLP destination 127\.0\.0\.1:\d+ stay in /);
      await stored(2);
      note();
      expect(await second.stop()).toEqual({ code: 0, signal: null });
      expect(second.raw.join("\n")).not.toContain("cannot be stored");
      note();

      await using receiver = await startOtlpReceiver({ port });
      await using third = startAgent(file.path);
      await receiver.until((requests) => requests.length > known.size);
      const times = receiver.points().map(({ time }) => time);
      expect(times).toEqual(times.toSorted((a, b) => a - b));
      expect(new Set(times).size).toBeGreaterThan(known.size);
      expect(receiver.requests.every(({ headers }) => headers["x-token"] === "two")).toBe(true);
      await third.stop();
      expect(folder.files()).toEqual([]);
    },
  );
});
