import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pointsOf, RequestQueue } from "../../src/export/otlp-queue.ts";

const request = (bytes: number, points = 1) => ({ content: undefined, bytes, points });

const drain = (queue: RequestQueue): number[] => {
  const points: number[] = [];
  for (let next = queue.take(); next !== undefined; next = queue.take()) {
    points.push(next.points);
    queue.remove();
  }
  return points;
};

describe("RequestQueue", () => {
  test("first in, first out", () => {
    const queue = new RequestQueue(100);
    for (const points of [1, 2, 3]) expect(pointsOf(queue.push(request(10, points)))).toBe(0);
    expect([queue.length, queue.bytes]).toEqual([3, 30]);
    expect(drain(queue)).toEqual([1, 2, 3]);
    expect([queue.length, queue.bytes]).toEqual([0, 0]);
  });

  test("a full queue drops as many of the oldest as it takes, and says how many points", () => {
    const queue = new RequestQueue(30);
    for (const points of [1, 2, 4]) queue.push(request(10, points));
    expect(pointsOf(queue.push(request(15, 8)))).toBe(1 + 2);
    expect([queue.length, queue.bytes]).toEqual([2, 25]);
    expect(drain(queue)).toEqual([4, 8]);
  });

  test("the request in flight stays", () => {
    const queue = new RequestQueue(30);
    for (const points of [1, 2, 4]) queue.push(request(10, points));
    expect(queue.take()?.points).toBe(1);
    expect(pointsOf(queue.push(request(20, 8)))).toBe(2 + 4);
    queue.putBack();
    expect(drain(queue)).toEqual([1, 8]);
  });

  test("what is put back goes before newer requests, and can be dropped again", () => {
    const queue = new RequestQueue(30);
    for (const points of [1, 2]) queue.push(request(10, points));
    queue.take();
    queue.putBack();
    expect(queue.take()?.points).toBe(1);
    queue.putBack();
    expect(pointsOf(queue.push(request(20, 4)))).toBe(1);
    expect(drain(queue)).toEqual([2, 4]);
  });

  test("one at a time is in flight", () => {
    const queue = new RequestQueue(30);
    for (const points of [1, 2]) queue.push(request(10, points));
    expect(queue.take()?.points).toBe(1);
    expect(queue.take()).toBeUndefined();
  });

  test("a request that can have no room is dropped itself, the others stay", () => {
    const queue = new RequestQueue(30);
    queue.push(request(20, 1));
    expect(pointsOf(queue.push(request(31, 8)))).toBe(8);
    queue.take();
    expect(pointsOf(queue.push(request(11, 16)))).toBe(16);
    expect(pointsOf(queue.push(request(10, 2)))).toBe(0);
    queue.putBack();
    expect(drain(queue)).toEqual([1, 2]);
  });

  test("clear returns all points, of the one in flight too", () => {
    const queue = new RequestQueue(30);
    for (const points of [1, 2, 4]) queue.push(request(10, points));
    queue.take();
    expect(pointsOf(queue.clear())).toBe(7);
    expect([queue.length, queue.bytes]).toEqual([0, 0]);
  });

  test("newest first: a request that is put back has newer ones before it, and the oldest are dropped", () => {
    const queue = new RequestQueue(40, true);
    for (const points of [1, 2, 4]) queue.push(request(10, points));
    expect(queue.take()?.points).toBe(4);
    queue.push(request(10, 8));
    queue.putBack();
    expect(pointsOf(queue.push(request(10, 16)))).toBe(1);
    expect(drain(queue)).toEqual([16, 8, 4, 2]);
  });

  test("newest first: what is put back alone is what is taken", () => {
    const queue = new RequestQueue(40, true);
    queue.push(request(10, 1));
    queue.take();
    queue.putBack();
    expect(drain(queue)).toEqual([1]);
  });

  test("any use keeps the bound and loses no point uncounted", () => {
    const use = fc.oneof(
      fc.record({ push: fc.nat(40), points: fc.nat(9) }),
      fc.constantFrom("take" as const, "remove" as const, "putBack" as const),
    );
    fc.assert(
      fc.property(fc.array(use), fc.boolean(), (uses, newestFirst) => {
        const queue = new RequestQueue(50, newestFirst);
        let pushed = 0;
        let gone = 0;
        let inFlight = 0;
        for (const step of uses) {
          if (typeof step === "object") {
            pushed += step.points;
            gone += pointsOf(queue.push(request(step.push, step.points)));
          } else if (step === "take") inFlight = queue.take()?.points ?? inFlight;
          else {
            if (step === "remove") gone += inFlight;
            queue[step]();
            inFlight = 0;
          }
          expect(queue.bytes).toBeLessThanOrEqual(50);
        }
        expect(gone + pointsOf(queue.clear())).toBe(pushed);
      }),
    );
  });
});
