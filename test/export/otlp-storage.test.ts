import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { after, everyMs, freePort, mib, noise, numbered, useDelivery, values } from "../kit/otlp-delivery.ts";
import { lock, storageFolder } from "../kit/otlp-storing.ts";
import { until } from "../kit/until.ts";

const { destination, grpcReceiver, lines, receiver } = useDelivery();

/** Nothing listens at this port until a receiver is started there. */
const awayUrl = async () => {
  const port = await freePort();
  return { port, url: `http://127.0.0.1:${port}/v1/metrics` };
};

const open = (url: string, storage: string, config: Parameters<typeof destination>[1] = {}) =>
  destination(url, { storage, ...config }, undefined, { lock });

const sorted = (numbers: readonly (number | undefined)[]) => [...numbers].sort((a = 0, b = 0) => a - b);

/** Leaves these numbers in the folder, as an agent does whose destination is away. */
const leave = async (url: string, storage: string, numbers: readonly number[]): Promise<void> => {
  const from = open(url, storage, { retry: everyMs(60_000) });
  for (const value of numbers) await from.export(numbered(value));
  await from.shutdown(AbortSignal.abort());
};

describe("storage", () => {
  test("what is left waits on disk, and is sent first and in order by the next start", async () => {
    using folder = storageFolder();
    const { port, url } = await awayUrl();
    const first = open(url, folder.path, { retry: everyMs(60_000) });
    for (const value of [1, 2, 3]) await first.export(numbered(value));
    expect(folder.files()).toHaveLength(3);
    await first.shutdown(after(50));
    expect(first.stats().dropped).toMatchObject({ expired: 0, queue_full: 0 });
    expect(lines.at(-1)).toBe(`info 3 requests for the OTLP destination 127.0.0.1:${port} stay in ${folder.path}`);
    const to = await receiver(port);
    const second = open(url, folder.path);
    await second.export(numbered(4));
    await second.flush(after(5000));
    expect(values(to)).toEqual([1, 2, 3, 4]);
    expect(second.stats()).toMatchObject({ queueBytes: 0, sentPoints: 4 });
    await second.shutdown(after(1000));
    expect(folder.files()).toEqual([]);
    expect(lines.at(-1)).toBe(
      `info found in ${join(folder.path, readdirSync(folder.path)[0] ?? "")}: 3 requests, sent before newer ones`,
    );
  });

  test.each([{ status: 503, retryAfter: "60" }, { status: 503 }, "reset"] as const)(
    "a shutdown waits for no destination that takes nothing (%j)",
    async (answer) => {
      using folder = storageFolder();
      const to = await receiver();
      to.always(answer);
      const from = open(to.url, folder.path, { retry: everyMs(60_000) });
      for (const value of [1, 2]) await from.export(numbered(value));
      await until("the first attempt has failed", () => lines.length > 0);
      // The test would end before the signal does.
      await from.shutdown(after(60_000));
      expect(folder.files()).toHaveLength(2);
    },
  );

  test("what is left is sent without an export", async () => {
    using folder = storageFolder();
    const { port, url } = await awayUrl();
    await leave(url, folder.path, [1, 2]);
    const to = await receiver(port);
    open(url, folder.path);
    await to.until(({ length }) => length === 2);
    expect(values(to)).toEqual([1, 2]);
  });

  test("newest_first holds for what is left, too", async () => {
    using folder = storageFolder();
    const { port, url } = await awayUrl();
    await leave(url, folder.path, [1, 2, 3]);
    const to = await receiver(port);
    const from = open(url, folder.path, { newestFirst: true });
    await to.until(({ length }) => length === 3);
    expect(values(to)).toEqual([3, 2, 1]);
    await from.shutdown(after(1000));
  });

  test("each request goes with the compression that it was stored with", async () => {
    using folder = storageFolder();
    const { port, url } = await awayUrl();
    await leave(url, folder.path, [1]);
    const to = await receiver(port);
    const from = open(url, folder.path, { compression: "none" });
    await from.export(numbered(2));
    await from.flush(after(5000));
    expect(values(to)).toEqual([1, 2]);
    expect(to.requests.map(({ headers }) => headers["content-encoding"])).toEqual(["gzip", undefined]);
  });

  test("each request goes by gRPC as well as by HTTP, but for JSON, which gRPC does not carry", async () => {
    using folder = storageFolder();
    const port = await freePort();
    const url = `http://127.0.0.1:${port}/`;
    for (const [value, protocol] of (["http/protobuf", "http/json", "grpc"] as const).entries()) {
      const from = open(url, folder.path, { protocol, retry: everyMs(60_000) });
      await from.export(numbered(value));
      await from.shutdown(AbortSignal.abort());
    }
    lines.length = 0;
    const to = await grpcReceiver(port);
    const second = open(url, folder.path, { protocol: "grpc" });
    await second.export(numbered(3));
    await second.flush(after(5000));
    expect(values(to)).toEqual([0, 2, 3]);
    expect(second.stats()).toMatchObject({ queueBytes: 0, sentPoints: 3, dropped: { refused: 1 } });
    await second.shutdown(after(1000));
    expect(folder.files()).toEqual([]);
    expect(lines.slice(1)).toEqual([
      `warn the OTLP destination 127.0.0.1:${port} refuses requests (ERR_INVALID_FORMAT): their points are dropped; they were stored as JSON, which gRPC does not carry`,
    ]);
  });

  test("two destinations share a folder, other credentials go on with the same requests", async () => {
    using folder = storageFolder();
    const [one, other] = [await awayUrl(), await awayUrl()];
    await leave(one.url, folder.path, [1]);
    await leave(other.url, folder.path, [2]);
    expect(readdirSync(folder.path)).toHaveLength(2);
    expect(readdirSync(folder.path).join()).toMatch(
      new RegExp(`^127\\.0\\.0\\.1_(${one.port}|${other.port})-[0-9a-f]{16},`),
    );
    const to = await receiver(other.port);
    const from = open(`http://me:pw@127.0.0.1:${other.port}/v1/metrics`, folder.path);
    await from.export(numbered(3));
    await from.flush(after(5000));
    expect(values(to)).toEqual([2, 3]);
  });

  test("nobody else may read it", async () => {
    using folder = storageFolder();
    const { url } = await awayUrl();
    await leave(url, join(folder.path, "new/folder"), [1]);
    const modes = readdirSync(folder.path, { recursive: true, encoding: "utf8" }).map((name) =>
      (statSync(join(folder.path, name)).mode & 0o777).toString(8),
    );
    expect(modes.sort()).toEqual(["600", "600", "700", "700", "700"]);
  });

  test("a full queue drops the oldest from the disk, at a start with a smaller bound, too", async () => {
    using folder = storageFolder();
    const { port, url } = await awayUrl();
    const block = 4096;
    const config = { queueBytes: 3 * block, retry: everyMs(60_000) };
    const first = open(url, folder.path, config);
    for (const value of [1, 2, 3, 4]) await first.export(numbered(value));
    await first.shutdown(AbortSignal.abort());
    expect(first.stats().dropped).toMatchObject({ queue_full: 1, expired: 0 });
    expect(folder.files()).toHaveLength(3);
    const second = open(url, folder.path, { ...config, queueBytes: 2 * block });
    await until("the oldest is dropped", () => second.stats().dropped.queue_full === 1);
    expect(second.stats().queueBytes).toBe(2 * block);
    await second.shutdown(AbortSignal.abort());
    const to = await receiver(port);
    const third = open(url, folder.path, { queueBytes: mib });
    await to.until(({ length }) => length === 2);
    await third.flush(after(5000));
    expect(values(to)).toEqual([3, 4]);
  });

  test("a refused request leaves the disk", async () => {
    using folder = storageFolder();
    const to = await receiver();
    to.always({ status: 400 });
    const from = open(to.url, folder.path);
    await from.export(numbered(1));
    await from.flush(after(5000));
    await from.shutdown(after(1000));
    expect(from.stats().dropped).toMatchObject({ refused: 1 });
    expect(folder.files()).toEqual([]);
  });

  test("another destination of this process waits until the first has let go", async () => {
    using folder = storageFolder();
    const { port, url } = await awayUrl();
    const first = open(url, folder.path, { retry: everyMs(60_000) });
    await first.export(numbered(1));
    const closed = first.shutdown(after(200));
    const to = await receiver(port);
    const second = destination(url, { storage: folder.path }, undefined, { lock, earlier: closed });
    await second.export(numbered(2));
    await second.flush(after(5000));
    expect(sorted(values(to))).toEqual([1, 2]);
    expect(lines.join()).not.toContain("another agent");
  });
});

describe("damage", () => {
  test("a damaged request is dropped and counted, the others arrive", async () => {
    using folder = storageFolder();
    const { port, url } = await awayUrl();
    await leave(url, folder.path, [1, 2, 3, 4, 5]);
    const [, second = "", third = "", fourth = ""] = folder.files();
    truncateSync(second, statSync(second).size - 1);
    appendFileSync(third, "x");
    truncateSync(fourth, 0);
    const to = await receiver(port);
    const from = open(url, folder.path);
    await from.export(numbered(6));
    await from.flush(after(5000));
    expect(values(to)).toEqual([1, 5, 6]);
    expect(from.stats()).toMatchObject({ sentPoints: 3, queueBytes: 0, dropped: { damaged: 3 } });
    expect(lines.filter((line) => line.startsWith("warn a stored request"))).toEqual([
      `warn a stored request is dropped: ${second} (its checksum is wrong); more of them are only counted`,
    ]);
    await from.shutdown(after(1000));
    expect(folder.files()).toEqual([]);
  });

  test("whatever lies in the folder, the agent goes on and sends nothing that was not queued", async () => {
    const name = fc.oneof(
      fc.tuple(fc.nat(9_999), fc.nat(9)).map(([a, b]) => `${String(a).padStart(16, "0")}-${b}.otlp`),
      fc.constantFrom("0000000000000001-.otlp", "9".repeat(16) + "-1.otlp", "x.otlp", ".tmp"),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.tuple(name, fc.uint8Array({ maxLength: 60 }), fc.boolean()), { selector: ([n]) => n }),
        async (files) => {
          using folder = storageFolder();
          const { port, url } = await awayUrl();
          await leave(url, folder.path, [1]);
          const own = dirname(folder.files()[0] ?? "");
          for (const [file, content, isFolder] of files) {
            if (readdirSync(own).includes(file)) continue;
            if (isFolder) mkdirSync(join(own, file));
            else writeFileSync(join(own, file), content);
          }
          const to = await receiver(port);
          const from = open(url, folder.path);
          await from.export(numbered(2));
          await from.flush(after(5000));
          expect(sorted(values(to))).toEqual([1, 2]);
          await from.shutdown(after(1000));
          await to.close();
        },
      ),
      { numRuns: 15 },
    );
  });

  test("a request whose file is gone is counted", async () => {
    using folder = storageFolder();
    const { port, url } = await awayUrl();
    const from = open(url, folder.path, { retry: everyMs(30) });
    await from.export(numbered(1));
    for (const file of folder.files()) truncateSync(file, 3);
    await receiver(port);
    await from.flush(after(5000));
    expect(from.stats()).toMatchObject({ queueBytes: 0, dropped: { damaged: 1 } });
  });
});

describe("a disk that cannot be used", () => {
  const own = async (path: string): Promise<{ port: number; url: string; folder: string }> => {
    const { port, url } = await awayUrl();
    await leave(url, path, [1]);
    return { port, url, folder: join(path, readdirSync(path)[0] ?? "") };
  };

  test("two agents cannot share it: the second keeps its requests in memory until the first is gone", async () => {
    using folder = storageFolder();
    const { port, url, folder: shared } = await own(folder.path);
    const first = open(url, folder.path, { retry: everyMs(60_000) });
    await first.export(numbered(2));
    const second = open(url, folder.path, { retry: everyMs(60_000) });
    await second.export(numbered(3));
    await second.export(numbered(4));
    expect(folder.files()).toHaveLength(2);
    expect(lines.filter((line) => line.includes("stored"))).toEqual([
      `warn requests cannot be stored in ${shared} (another agent, or another destination with this URL, uses it): they wait in memory`,
    ]);
    await first.shutdown(AbortSignal.abort());
    await second.export(numbered(5));
    expect(lines.at(-2)).toBe(`info requests are stored in ${shared} again`);
    const to = await receiver(port);
    await second.flush(after(5000));
    expect(sorted(values(to))).toEqual([1, 2, 3, 4, 5]);
  });

  test("without locks nothing is stored", async () => {
    using folder = storageFolder();
    const to = await receiver();
    const from = destination(to.url, { storage: folder.path });
    await from.export(numbered(1));
    await from.flush(after(5000));
    expect(values(to)).toEqual([1]);
    expect(lines).toEqual([
      expect.stringContaining("(no file can be locked without the C library): they wait in memory"),
    ]);
    expect(readdirSync(folder.path)).toEqual([]);
  });

  test("what cannot be stored is counted at the end", async () => {
    const { url } = await awayUrl();
    const from = open(url, "/proc/sockscope", { retry: everyMs(60_000) });
    await from.export(noise(3));
    await from.shutdown(AbortSignal.abort());
    expect(from.stats().dropped.expired).toBe(3);
    expect(lines.filter((line) => line.includes("stored"))).toHaveLength(1);
  });

  /** A file system of 64 KiB; undefined where none can be mounted. */
  const mountSmall = (path: string): Disposable | undefined => {
    const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "none", path]);
    return status === 0 ? { [Symbol.dispose]: () => void spawnSync("umount", ["-l", path]) } : undefined;
  };

  test("what a full disk does not take waits in memory, what it holds is sent, and then it is used again", async (context) => {
    using folder = storageFolder();
    using mounted = mountSmall(folder.path);
    if (mounted === undefined) return context.skip("needs root");
    const { port, url } = await awayUrl();
    const from = open(url, folder.path, { retry: everyMs(60_000) });
    for (let value = 0; value < 30; value++) await from.export(numbered(value));
    expect(folder.files().length).toBeGreaterThan(3);
    expect(folder.files().length).toBeLessThan(20);
    const full = lines.filter((line) => line.includes("stored"));
    expect(full).toEqual([expect.stringContaining("(ENOSPC): they wait in memory; make room there, or lower")]);
    const to = await receiver(port);
    await from.flush(after(5000));
    expect(values(to)).toEqual(Array.from({ length: 30 }, (_, value) => value));
    await from.export(numbered(30));
    expect(lines.at(-1)).toContain("info requests are stored in");
    await from.shutdown(after(1000));
    return undefined;
  });

  /** Lets nobody change what is in a folder, root neither; undefined where that cannot be had. */
  const freeze = (path: string): Disposable | undefined => {
    if (process.getuid?.() !== 0) {
      chmodSync(path, 0o500);
      return { [Symbol.dispose]: () => chmodSync(path, 0o700) };
    }
    const { status } = spawnSync("chattr", ["+i", path]);
    return status === 0 ? { [Symbol.dispose]: () => void spawnSync("chattr", ["-i", path]) } : undefined;
  };

  test("what a disk holds that takes no more is sent, and newer requests wait in memory", async (context) => {
    using folder = storageFolder();
    const { port, url, folder: shared } = await own(folder.path);
    const from = open(url, folder.path, { retry: everyMs(60_000) });
    await from.export(numbered(2));
    using frozen = freeze(shared);
    if (frozen === undefined) return context.skip("needs chattr");
    await from.export(numbered(3));
    expect(lines.at(-1)).toMatch(
      /\((EPERM|EACCES)\): they wait in memory; let the user that sockscope runs as write there/,
    );
    const said = lines.length;
    const to = await receiver(port);
    await from.flush(after(5000));
    expect(values(to)).toEqual([1, 2, 3]);
    await from.shutdown(after(1000));
    expect(lines.slice(said)).toEqual([expect.stringContaining("is back: 3 requests waited")]);
    return undefined;
  });

  test("one that hangs holds up no delivery, and no shutdown", async () => {
    using folder = storageFolder();
    const to = await receiver();
    await leave(to.url, folder.path, []);
    const pipe = join(folder.path, readdirSync(folder.path)[0] ?? "", "lock");
    rmSync(pipe);
    // Opening a pipe that nobody reads waits.
    expect(spawnSync("mkfifo", [pipe]).status).toBe(0);
    const from = open(to.url, folder.path);
    await from.export(numbered(1), after(100));
    await from.export(numbered(2), after(100));
    await to.until(({ length }) => length === 2);
    await from.shutdown(after(1000));
    expect(values(to)).toEqual([1, 2]);
    closeSync(openSync(pipe, "r+"));
  });
});
