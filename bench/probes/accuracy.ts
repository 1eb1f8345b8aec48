import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { atMost, type Figure, median, only } from "../bars.ts";
import type { Network } from "../network.ts";
import { peerProgram } from "../peers.ts";
import { port, script } from "./network.ts";
import type { Accuracy } from "./targets.ts";

const passes = 3;
/** Concurrency, and rounds of it. */
const loads = [
  [1, 500],
  [100, 30],
  [1000, 6],
] as const;

const us = (value: number): string => `${value.toFixed(0)} us`;

/** What the connect phase has beyond the kernel's RTT, beside blackbox_exporter's duration of the same probes. */
export const benchAccuracy = async (network: Network): Promise<Figure[]> => {
  const folder = mkdtempSync(join(tmpdir(), "sockscope-bench-"));
  const file = join(folder, "blackbox.yaml");
  writeFileSync(file, "modules: { tcp: { prober: tcp, timeout: 5s, tcp: { preferred_ip_protocol: ip4 } } }\n");
  const blackbox = network.spawn(
    peerProgram("SOCKSCOPE_PEER_BLACKBOX"),
    `--config.file=${file}`,
    "--web.listen-address=127.0.0.1:9115",
    "--log.level=error",
  );
  try {
    await setTimeout(1000);
    const pid = blackbox.pid;
    if (pid === undefined || blackbox.exitCode !== null) throw new Error("blackbox_exporter did not start");
    const figures: Figure[] = [];
    for (const [concurrency, rounds] of loads) {
      const all = Array.from({ length: passes }, () => {
        const ours = JSON.parse(network.run(...script("accuracy", port, concurrency, rounds))) as Accuracy;
        const theirs = JSON.parse(
          network.run(...script("blackbox", port, concurrency, rounds, ours.rtt, pid)),
        ) as Accuracy;
        return { ours, theirs };
      });
      const figure = (who: "ours" | "theirs", key: keyof Accuracy): number => median(all.map((pass) => pass[who][key]));
      const error = (who: "ours" | "theirs"): string => `p50 ${us(figure(who, "p50"))}, p99 ${us(figure(who, "p99"))}`;
      const text =
        `${concurrency} probes at a time: connect beyond the kernel's RTT (${us(figure("ours", "rtt"))}) ${error("ours")}; ` +
        `blackbox_exporter's duration ${error("theirs")}`;
      const ratio = median(all.map(({ ours, theirs }) => ours.p99 / theirs.p99));
      figures.push(concurrency === 1000 ? atMost(`${text}; p99 ${ratio.toFixed(2)} x`, ratio, 1, "x") : only(text));
      const cpu = median(all.map(({ ours, theirs }) => ours.cpu / theirs.cpu));
      figures.push(
        atMost(
          `CPU a probe: ${us(figure("ours", "cpu"))}, blackbox_exporter ${us(figure("theirs", "cpu"))}, ${cpu.toFixed(2)} x`,
          cpu,
          1,
          "x",
        ),
      );
    }
    return figures;
  } finally {
    if (blackbox.exitCode === null && blackbox.kill()) await once(blackbox, "exit");
    rmSync(folder, { recursive: true });
  }
};
