import { expect, test } from "vitest";
import { after, noise, numbered, otlpConfigOf, useDelivery, values } from "../kit/otlp-delivery.ts";

const { destinations, lines, receiver } = useDelivery();

const never = AbortSignal.abort();

test("every destination gets every snapshot", async () => {
  const [one, other] = [await receiver(), await receiver()];
  const to = destinations(otlpConfigOf(one.url), otlpConfigOf(other.url, { compression: "none" }));
  for (const value of [1, 2, 3]) await to.export(numbered(value), after(5000));
  await to.shutdown(after(5000));
  expect(values(one)).toEqual([1, 2, 3]);
  expect(values(other)).toEqual([1, 2, 3]);
});

test("one that hangs with a full queue delays no other, and a tick no longer than its bound", async () => {
  const [stuck, sound] = [await receiver(), await receiver()];
  stuck.always("hang");
  const small = { compression: "none", queueBytes: 3000, timeoutMs: 60_000 } as const;
  const to = destinations(otlpConfigOf(stuck.url, small), otlpConfigOf(sound.url));
  await to.export(noise(20), never);
  for (let tick = 1; tick <= 5; tick++) {
    const bound = new AbortController();
    const consumed = to.export(noise(20), bound.signal);
    // The stuck one waits for room, which only the end of the tick ends.
    await sound.until((requests) => requests.length > tick);
    bound.abort();
    await consumed;
  }
  expect(sound.points()).toHaveLength(120);
  await expect.poll(() => to.stats()[1]).toMatchObject({ sentPoints: 120, dropped: { queue_full: 0 } });
  const [ofStuck] = to.stats();
  expect(stuck.requests).toHaveLength(1);
  expect(ofStuck?.dropped.queue_full).toBeGreaterThan(0);
  expect(ofStuck?.queueBytes).toBeLessThanOrEqual(3000);
});

test("one that is down is told of by itself", async () => {
  const [down, sound] = [await receiver(), await receiver()];
  down.always({ status: 503 });
  const to = destinations(otlpConfigOf(down.url), otlpConfigOf(sound.url));
  await to.export(numbered(1), after(5000));
  await down.until((requests) => requests.length > 1);
  await sound.until((requests) => requests.length === 1);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain(`127.0.0.1:${down.port} answers with status 503`);
  down.always({ status: 200 });
  await to.shutdown(after(5000));
  expect(values(down)).toEqual([1]);
});

test("a replacement keeps those that stay, with their queue, and ends those that go", async () => {
  const [stays, goes, comes] = [await receiver(), await receiver(), await receiver()];
  stays.always({ status: 503 });
  const to = destinations(otlpConfigOf(goes.url), otlpConfigOf(stays.url));
  await to.export(numbered(1), after(5000));
  await stays.until((requests) => requests.length > 0);
  to.replace([otlpConfigOf(stays.url), otlpConfigOf(comes.url)], after(5000));
  await to.export(numbered(2), after(5000));
  expect(to.stats().map(({ host }) => host)).toEqual([`127.0.0.1:${stays.port}`, `127.0.0.1:${comes.port}`]);
  stays.always({ status: 200 });
  await to.shutdown(after(5000));
  await goes.until((requests) => requests.length > 0);
  expect(values(stays)).toEqual([1, 2]);
  expect(values(goes)).toEqual([1]);
  expect(values(comes)).toEqual([2]);
});

test("a changed destination goes on with the deltas of the one before, a new one begins with what there is", async () => {
  const [changed, comes] = [await receiver(), await receiver()];
  const delta = (timeoutMs: number) => otlpConfigOf(changed.url, { temporality: "delta", timeoutMs });
  const to = destinations(delta(5000));
  await to.export(numbered(3), after(5000));
  await changed.until((requests) => requests.length > 0);
  to.replace([otlpConfigOf(comes.url, { temporality: "delta" }), delta(4000)], after(5000));
  await to.export(numbered(10), after(5000));
  await to.shutdown(after(5000));
  expect(values(changed)).toEqual([3, 7]);
  expect(values(comes)).toEqual([10]);
});

test("those of one host and port have names of their own, which tell nothing of path and headers", () => {
  const tenant = (name: string) => otlpConfigOf("http://h:4318/s3cr3t/v1/metrics", { headers: { "x-tenant": name } });
  const to = destinations(tenant("a"), otlpConfigOf("https://h/v1/metrics"), tenant("b"), tenant("c"));
  expect(to.stats().map(({ host }) => host)).toEqual(["h:4318", "h:443", "h:4318#2", "h:4318#3"]);
  to.replace([tenant("b"), tenant("d"), tenant("c")], never);
  expect(to.stats().map(({ host }) => host)).toEqual(["h:4318#2", "h:4318", "h:4318#3"]);
});
