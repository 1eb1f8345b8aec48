import { describe, expect, test } from "vitest";
import { RequestBuffers } from "../../src/export/otlp-buffers.ts";
import { encodeRequests } from "../../src/export/otlp-protobuf.ts";
import { encode } from "../kit/otlp-encoding.ts";
import { after, noise, useDelivery, values } from "../kit/otlp-delivery.ts";
import { until } from "../kit/until.ts";

const maxBytes = 20_000;
const points = 5000;

describe("RequestBuffers", () => {
  test("what was in a buffer before shows in no request", () => {
    const buffers = new RequestBuffers(maxBytes);
    const seen = new Set<ArrayBufferLike>();
    for (let tick = 0; tick < 3; tick++) {
      const bodies: Buffer[] = [];
      for (const request of encodeRequests(noise(points), { maxBytes, buffers })) {
        if (request === undefined) continue;
        bodies.push(Buffer.from(request.body));
        seen.add(request.body.buffer);
        request.release?.();
      }
      expect(bodies).toEqual(encode(noise(points), maxBytes).requests.map(({ body }) => Buffer.from(body)));
    }
    expect(seen.size).toBeLessThanOrEqual(2);
  });

  test("a buffer that is not given back is not used again", () => {
    const buffers = new RequestBuffers(maxBytes);
    const [first, ...others] = [...encodeRequests(noise(points), { maxBytes, buffers })].filter(
      (one) => one !== undefined,
    );
    expect(others.length).toBeGreaterThan(2);
    for (const { body } of others) expect(body.buffer).not.toBe(first?.body.buffer);
  });
});

describe("requests that are sent as they were encoded", () => {
  const { destination: destinationOf, receiver } = useDelivery();
  const expected = Array.from({ length: points }, (_, index) => (index * 2_654_435_761) % 2 ** 32);

  test("hold their own points, also when they were refused and sent again", async () => {
    const to = await receiver();
    to.answer({ status: 503 }, { status: 200 }, "reset", { status: 200 }, { status: 503 });
    const from = destinationOf(to.url, { compression: "none" }, maxBytes);
    for (let tick = 0; tick < 3; tick++) await from.export(noise(points));
    await from.flush(after(10_000));
    expect(values(to)).toEqual([...expected, ...expected, ...expected]);
    expect(from.stats().sentPoints).toBe(3 * points);
  });

  test("are made as the destination takes them, and no further ahead than two", async () => {
    const to = await receiver();
    to.answer("hang");
    const from = destinationOf(to.url, { compression: "none", timeoutMs: 60_000 }, maxBytes);
    const wait = new AbortController();
    const exported = from.export(noise(points), wait.signal);
    await until("two requests", () => from.stats().queueBytes > maxBytes);
    expect(from.stats().queueBytes).toBeLessThanOrEqual(2 * maxBytes);
    wait.abort();
    await exported;
    // What nobody waits for is in the queue, as far as that has room.
    expect(from.stats().queueBytes).toBeGreaterThan(4 * maxBytes);
  });
});
