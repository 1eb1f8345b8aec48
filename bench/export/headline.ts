import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atLeast, type Figure, milliseconds } from "../bars.ts";
import { createNetwork } from "../network.ts";
import { buildPeer } from "../sockets/peer.ts";

const sockets = 50_000;
/** ss takes at least as long. */
const bar = 1;

/** Of one tick and one run of `ss -tinO`, in us. */
type Result = { readonly points: number; readonly ours: number; readonly ss: number };

/** A tick of 50,000 sockets, each with series of its own, from the kernel to the receiver, beside ss that prints them. */
export const benchHeadline = async (): Promise<Figure[]> => {
  const folder = mkdtempSync(join(tmpdir(), "sockscope-bench-"));
  try {
    const peer = buildPeer(folder);
    await using network = await createNetwork();
    await using _ = await network.start(peer, "hold", String(sockets), "5");
    const script = new URL("inside/headline.ts", import.meta.url).pathname;
    const { points, ours, ss } = JSON.parse(network.run(process.execPath, script, peer, String(sockets))) as Result;
    return [
      atLeast(
        `${sockets} sockets read, folded by socket, encoded and sent as ${points} points: ${milliseconds(ours)} CPU; ` +
          `ss -tinO takes ${milliseconds(ss)}, ${(ss / ours).toFixed(2)} x`,
        ss / ours,
        bar,
        "x",
      ),
    ];
  } finally {
    rmSync(folder, { recursive: true });
  }
};
