import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Figure, figuresOf, print } from "../bars.ts";
import { benchEvents } from "./events.ts";
import { benchMemory } from "./memory.ts";
import { benchOwners } from "./owners.ts";
import { buildPeer } from "./peer.ts";
import { benchPeers } from "./peers.ts";
import { benchScale } from "./scale.ts";
import { benchSelection } from "./selection.ts";

const parts: Readonly<Record<string, (peer: string) => Promise<Figure[]>>> = {
  scale: benchScale,
  memory: benchMemory,
  selection: benchSelection,
  events: benchEvents,
  owners: benchOwners,
  peers: benchPeers,
};

/** The sockets' side on established loopback sockets. Needs root (network namespaces) and gcc. False beyond a bar. */
export const benchSockets = async (): Promise<boolean> => {
  const folder = mkdtempSync(join(tmpdir(), "sockscope-bench-"));
  try {
    const peer = buildPeer(folder);
    let good = true;
    for (const [name, bench] of Object.entries(parts)) {
      if (!print(await figuresOf(name, () => bench(peer)))) good = false;
    }
    return good;
  } finally {
    rmSync(folder, { recursive: true });
  }
};
