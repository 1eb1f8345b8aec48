import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { after, useDelivery, values } from "../kit/otlp-delivery.ts";
import type { Answer } from "../kit/otlp-receiver.ts";
import { lock, storageFolder } from "../kit/otlp-storing.ts";

const { destination, receiver } = useDelivery();

const script = new URL("../kit/otlp-storing-child.ts", import.meta.url).pathname;
/** More of them show more; each takes some 0.1 s. */
const rounds = Number(process.env["SOCKSCOPE_KILLS"] ?? 100);

/** A child that waits for its turn, so that the next one starts while this one works. */
const startChild = (url: string, folder: string, round: number) => {
  const args = [script, url, folder, String(round * 100_000)];
  // Most of a child's time is its start.
  const env = { ...process.env, NODE_COMPILE_CACHE: join(folder, "cache") };
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"], env });
  const output = child.stdout.setEncoding("utf8").toArray();
  return {
    /** Returns what counted as queued when it was killed so many ms after its first number. */
    run: async (ms: number): Promise<number[]> => {
      child.stdin.write("go");
      const ended = once(child, "close");
      await Promise.race([once(child.stdout, "readable"), ended]);
      await sleep(ms);
      child.kill("SIGKILL");
      await ended;
      return (await output).join("").split("\n").slice(0, -1).map(Number);
    },
  };
};

test("kill -9 at any moment loses nothing that counted as queued", async () => {
  using folder = storageFolder();
  const to = await receiver();
  const accepted: number[] = [];
  const answers: readonly Answer[] = [{ status: 200 }, { status: 503 }, "reset", "hang"];
  let next = startChild(to.url, folder.path, 0);
  for (let round = 1; round <= rounds; round++) {
    const child = next;
    next = startChild(to.url, folder.path, round);
    for (let count = 0; count < 20; count++) to.answer(answers[Math.floor(Math.random() * 3)] ?? "hang");
    to.always(answers[round % answers.length] ?? "hang");
    accepted.push(...(await child.run(Math.random() * 25)));
  }
  accepted.push(...(await next.run(0)));
  to.only({ status: 200 });
  const last = destination(to.url, { storage: folder.path }, undefined, { lock });
  await last.export({ time: 1, resource: {}, scope: { name: "", version: "" }, metrics: [] });
  await last.flush(after(20_000));
  const arrived = values(to);
  const missing = accepted.filter((value) => !new Set(arrived).has(value));
  expect(missing).toEqual([]);
  expect(accepted.length).toBeGreaterThan(rounds);
  expect(last.stats().queueBytes).toBe(0);
}, 300_000);
