import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { after, everyMs, freePort, mib, numbered, portOf, useDelivery, values } from "../kit/otlp-delivery.ts";

const { destination, lines, receiver } = useDelivery();
const run = promisify(execFile);

describe("shutdown", () => {
  test("delivers what is queued", async () => {
    const to = await receiver();
    const from = destination(to.url);
    for (const value of [1, 2, 3]) void from.export(numbered(value));
    await from.shutdown(after(5000));
    expect(values(to)).toEqual([1, 2, 3]);
    expect(from.stats().queueBytes).toBe(0);
  });

  test("ends at the signal with a dead collector, and counts what it leaves", async () => {
    const from = destination(`http://127.0.0.1:${await freePort()}/v1/metrics`);
    for (const value of [1, 2, 3]) await from.export(numbered(value));
    const begin = performance.now();
    await from.shutdown(after(200));
    expect(performance.now() - begin).toBeLessThan(1000);
    expect(from.stats()).toMatchObject({ queueBytes: 0, sentPoints: 0, dropped: { expired: 3 } });
    expect(lines).toHaveLength(1);
    await from.export(numbered(4));
    expect(from.stats().dropped.expired).toBe(4);
  });

  test.each(["hang", "dribble"] as const)(
    "ends at the signal with a collector that answers by a %s",
    async (answer) => {
      const to = await receiver();
      to.always(answer);
      const from = destination(to.url);
      for (const value of [1, 2]) await from.export(numbered(value));
      const begin = performance.now();
      await from.shutdown(after(200));
      expect(performance.now() - begin).toBeLessThan(1000);
      expect(from.stats().dropped.expired).toBe(2);
      expect(lines).toEqual([]);
    },
  );

  test("ends with an aborted signal, twice, and with nothing to do", async () => {
    const from = destination("http://127.0.0.1:9/v1/metrics");
    await from.shutdown(AbortSignal.abort());
    await from.shutdown(AbortSignal.abort());
    expect(from.stats().queueBytes).toBe(0);
  });

  /** Exports to a URL in a process of its own and shuts down; returns what the process says at its end. */
  const runAndShutDown = async (url: string): Promise<string> => {
    const source = new URL("../../src/export/otlp-transport.ts", import.meta.url).href;
    const minute = 60_000;
    const config = {
      url,
      protocol: "http/protobuf",
      compression: "gzip",
      headers: {},
      timeoutMs: minute,
      retry: everyMs(minute),
      queueBytes: mib,
      newestFirst: false,
    };
    const script = `
      const { createOtlpDestination } = await import(${JSON.stringify(source)});
      const destination = createOtlpDestination(${JSON.stringify(config)}, { log: () => undefined, userAgent: "test" });
      const set = { values: {} };
      const column = { own: set, sets: [set], starts: Float64Array.of(0), values: Float64Array.of(1) };
      const descriptor = { name: "a", description: "", unit: "", kind: "gauge", value: "int" };
      const metrics = [{ descriptor, numbers: [column], histograms: [], ended: [] }];
      await destination.export({ time: 1, resource: {}, scope: { name: "", version: "" }, metrics });
      // The first flush cuts the backoff short, so that the second ends in one.
      await destination.flush(AbortSignal.timeout(200));
      await destination.shutdown(AbortSignal.timeout(200));
      const { sentPoints, dropped } = destination.stats();
      console.log(sentPoints, dropped.expired);`;
    const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script], { timeout: 15_000 });
    return stdout.trim();
  };

  test.each(["http", "https"])("leaves nothing that keeps the process where %s hangs", async (scheme) => {
    const server = createServer((socket) => socket.on("error", () => undefined).resume()).listen(0, "127.0.0.1");
    await once(server, "listening");
    expect(await runAndShutDown(`${scheme}://127.0.0.1:${portOf(server)}/v1/metrics`)).toBe("0 1");
    // Resolves only when every connection has ended.
    server.close();
    await once(server, "close");
  });

  test("leaves nothing that keeps the process in a backoff", async () => {
    expect(await runAndShutDown(`http://127.0.0.1:${await freePort()}/v1/metrics`)).toBe("0 1");
  });

  test("closes the idle connection of a destination that works", async () => {
    const server = createServer((socket) => {
      socket
        .on("error", () => undefined)
        .on("data", () => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const from = destination(`http://127.0.0.1:${portOf(server)}/v1/metrics`);
    await from.export(numbered(1));
    await from.shutdown(after(5000));
    expect(from.stats().sentPoints).toBe(1);
    server.close();
    await once(server, "close");
  });
});
