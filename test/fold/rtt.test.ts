import { expect, test } from "vitest";
import { addRtt, collectRtt, createRttHistogram } from "../../src/fold/rtt.ts";

test("a sample goes into the bucket whose upper bound it does not exceed, and counts add up over the ticks", () => {
  const histogram = createRttHistogram([0.001, 0.01]);
  expect(collectRtt(histogram)).toBeUndefined();
  for (const seconds of [0.0005, 0.001, 0.002, 0.5]) addRtt(histogram, true, seconds, 1000);
  const first = collectRtt(histogram);
  addRtt(histogram, true, 0.01, 2000);
  addRtt(histogram, false, 0.02, 2000);
  const [ipv4, ipv6] = collectRtt(histogram)?.histograms ?? [];
  expect([...(first?.histograms[0]?.counts ?? [])]).toEqual([2, 1, 1]);
  expect([...(ipv4?.counts ?? [])]).toEqual([2, 2, 1]);
  expect(ipv4?.sums[0]).toBeCloseTo(0.5135, 12);
  expect([ipv4?.own.values, ipv4?.starts[0]]).toEqual([{ "network.type": "ipv4" }, 1000]);
  expect([ipv6?.own.values, ipv6?.starts[0], ...(ipv6?.counts ?? [])]).toEqual([
    { "network.type": "ipv6" },
    2000,
    0,
    0,
    1,
  ]);
});
