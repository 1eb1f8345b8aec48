import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, test } from "vitest";
import { shareCollections } from "../../src/export/shared-collection.ts";

/** Collections that are numbered from 1 and end when they are told to, on a clock that a test turns. */
const numbered = (spacingMs: number) => {
  let time = 1000;
  const ends: (() => void)[] = [];
  const collect = shareCollections(
    () => {
      const { promise, resolve } = Promise.withResolvers<number>();
      const number = ends.push(() => resolve(number));
      return promise;
    },
    { spacingMs, now: () => time },
  );
  return {
    collect,
    pass: (ms: number): void => void (time += ms),
    /** Ends what runs, and begins another turn. */
    end: async (): Promise<void> => {
      ends.at(-1)?.();
      await nextTurn();
    },
  };
};

test("callback and producer of a reader get the same, also where the time is up between them", async () => {
  const { collect, pass, end } = numbered(100);
  const first = [collect(), collect()];
  await end();
  pass(99);
  const second = [collect(), (pass(1), collect())];
  await nextTurn();
  const third = [collect(), collect()];
  await end();
  expect(await Promise.all([...first, ...second, ...third])).toEqual([1, 1, 1, 1, 2, 2]);
});

test("readers that ask while a collection runs share it, however long it takes", async () => {
  const { collect, pass, end } = numbered(100);
  const first = collect();
  pass(500);
  await nextTurn();
  const second = collect();
  await end();
  const third = collect();
  await end();
  expect(await Promise.all([first, second, third])).toEqual([1, 1, 2]);
});

test("without spacing each turn has its own", async () => {
  const { collect, end } = numbered(0);
  const all: Promise<number>[] = [];
  for (let turn = 0; turn < 3; turn++) {
    all.push(collect(), collect());
    await end();
  }
  expect(await Promise.all(all)).toEqual([1, 1, 2, 2, 3, 3]);
});

test("one that fails fails for all, and the next is made", async () => {
  let count = 0;
  const collect = shareCollections(() => (++count === 1 ? Promise.reject(new Error("no")) : Promise.resolve(count)), {
    spacingMs: 0,
    now: () => 0,
  });
  await expect(Promise.all([collect(), collect()])).rejects.toThrow("no");
  expect(await collect()).toBe(2);
});
