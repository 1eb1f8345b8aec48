import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { aiming, atLeast, atMost, type Figure, median, megabytes, milliseconds, only } from "../bars.ts";
import { peerProgram } from "../peers.ts";
import { type Export, flows, points } from "./load.ts";

const passes = 3;
/** What has been reached, with room for a busy machine; the aims are beside them. */
const bars = { delayMs: 60, memoryMb: 250, observables: 15, producer: 8 };
const goExports = 3;

const scriptOf = (name: string): string => new URL(`inside/${name}.ts`, import.meta.url).pathname;

const startSink = async () => {
  const sink = spawn(process.execPath, [scriptOf("sink")], { stdio: ["pipe", "pipe", "inherit"] });
  const [said] = (await once(sink.stdout, "data")) as [Buffer];
  const url = said.toString().trim();
  return {
    url,
    /** Bytes that have come since the last call. */
    taken: async (): Promise<number> =>
      Number(await (await fetch(new URL("/", url), { headers: { connection: "close" } })).text()),
    [Symbol.asyncDispose]: async () => {
      sink.stdin.end();
      if (sink.exitCode === null) await once(sink, "exit");
    },
  };
};

const run = (name: string, ...args: readonly string[]): Export =>
  JSON.parse(
    execFileSync(process.execPath, ["--max-old-space-size=6144", scriptOf(name), ...args], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    }),
  ) as Export;

const describe = (who: string, { cpu, delay, peak }: Export, bytes: number): string =>
  `${points} points by ${who}: ${milliseconds(cpu)} CPU an export (${((cpu * 1000) / points).toFixed(0)} ns a point), ` +
  `event loop held ${delay.toFixed(1)} ms, peak ${megabytes(peak)}, ${megabytes(bytes)} sent`;

/** The whole path of 600,000 points to a local receiver, ours and those of others. */
export const benchPaths = async (): Promise<Figure[]> => {
  await using sink = await startSink();
  const figures: Figure[] = [];
  const measure = async (name: string, exports: number, ...args: readonly string[]) => {
    await sink.taken();
    const result = run(name, sink.url, ...args);
    // One more goes before those that count.
    return { ...result, bytes: (await sink.taken()) / (exports + 1) };
  };
  const all: (Export & { readonly bytes: number })[] = [];
  for (let pass = 0; pass < passes; pass++) all.push(await measure("ours", 10, "none"));
  const middle = (key: keyof Export): number => median(all.map((each) => each[key]));
  const ours = { cpu: middle("cpu"), delay: Math.min(...all.map(({ delay }) => delay)), peak: middle("peak") };
  const text = describe("ours", ours, all[0]?.bytes ?? Number.NaN);
  figures.push(
    aiming(atMost(`${text}; the event loop`, ours.delay, bars.delayMs, "ms in the quietest pass"), "5 ms"),
    atMost("the memory of that", ours.peak / 2 ** 20, bars.memoryMb, "MB"),
  );
  for (const compression of ["gzip", "zstd"]) {
    const each = await measure("ours", 10, compression);
    figures.push(only(describe(`ours with ${compression}`, each, each.bytes)));
  }
  for (const source of ["observables", "producer"] as const) {
    const each = await measure("stock", 1, "none", source);
    const who = source === "observables" ? "the stock SDK's observables" : "our MetricProducer";
    const ratio = each.cpu / ours.cpu;
    const figure = atLeast(
      `${describe(`${who} and the stock exporter`, each, each.bytes)}, ${ratio.toFixed(1)} x ours`,
      ratio,
      bars[source],
      "x",
    );
    figures.push(source === "observables" ? aiming(figure, "30 x") : figure);
  }
  const go = JSON.parse(
    execFileSync(peerProgram("SOCKSCOPE_PEER_OTELGO"), [sink.url, String(flows), String(goExports)], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    }),
  ) as { readonly cpu: number; readonly peak: number };
  figures.push(
    only(
      `${points} points by the Go SDK and its exporter: ${milliseconds(go.cpu)} CPU an export ` +
        `(${((go.cpu * 1000) / points).toFixed(0)} ns a point), ${(go.cpu / ours.cpu).toFixed(1)} x ours, peak ${megabytes(go.peak * 1024)}`,
    ),
  );
  return figures;
};
