import { expect, test } from "vitest";
import { createSocketEvents } from "../../src/collect/socket-events.ts";
import { createSocketFold } from "../../src/collect/socket-fold.ts";
import { defaults } from "../../src/config/defaults.ts";
import { createFlows } from "../../src/fold/flow-state.ts";
import { beginFlows, collectFlows, settleFlows } from "../../src/fold/flows.ts";
import { allSockets } from "../kit/all-sockets.ts";
import { foldFlows } from "../kit/flow-facts.ts";
import { drain } from "../kit/points.ts";
import { batchOf, type SocketRow } from "../kit/sockets.ts";

const flows = 30_000;
const row = (cookie: number): SocketRow => ({
  cookie,
  localPort: 1024 + (cookie % 60_000),
  peer: `10.0.${cookie % 250}.${cookie >> 8}`,
  info: { bytes_acked: cookie },
});

test.each([
  ["with room for all", 100_000],
  ["with a budget that ranks them", 1_000],
])("%s, no slice of settling or collecting handles more than 10,000 flows, groups or points", (_, maxGroups) => {
  const fold = createFlows({ ...defaults.sockets, groupBy: "socket", maxGroups });
  let handled = 0;
  for (let tick = 1; tick <= 6; tick++) {
    beginFlows(fold, tick * 1000);
    for (let from = 1; from <= flows; from += 1000)
      foldFlows(fold, batchOf(Array.from({ length: 1000 }, (__, index) => row(from + index))));
    for (const slices of [drain(settleFlows(fold)).slices, drain(collectFlows(fold, false)).slices]) {
      expect(Math.max(0, ...slices)).toBeLessThanOrEqual(10_000);
      handled += slices.reduce((sum, slice) => sum + slice, 0);
    }
  }
  // Each tick goes over the slots and the groups at least.
  expect(handled).toBeGreaterThan(6 * flows);
});

test("events are drained in slices, and no drain goes on for ever", async () => {
  const fold = createSocketFold({
    ...allSockets,
    config: defaults.sockets,
    ephemeral: [32_768, 60_999],
    owners: undefined,
  });
  const asked: number[] = [];
  const events = createSocketEvents(
    "on",
    () => ({
      // As many as are asked for, for as long as anybody asks.
      drain: (most) => asked.push(most) && most,
      room: 300,
      lost: () => 0,
      close: () => undefined,
    }),
    fold,
    () => undefined,
    () => undefined,
  );
  await events.drain();
  events.close();
  expect(Math.max(...asked)).toBeLessThanOrEqual(500);
  expect(asked.length).toBeGreaterThan(10);
  expect(asked.reduce((sum, most) => sum + most, 0)).toBeLessThanOrEqual(100_000);
});
