import { figuresOf, type Figure, print } from "../bars.ts";
import type { Network } from "../network.ts";
import { benchAccuracy } from "./accuracy.ts";
import { benchHoles } from "./holes.ts";
import { createProbeNetwork, port, script } from "./network.ts";
import { benchScale } from "./scale.ts";

const parts: Readonly<Record<string, (network: Network) => Promise<Figure[]>>> = {
  accuracy: benchAccuracy,
  holes: benchHoles,
  scale: benchScale,
};

/** The probes' side, against listeners on loopback. Needs root (network namespaces) and curl. False beyond a bar. */
export const benchProbes = async (): Promise<boolean> => {
  await using network = await createProbeNetwork();
  await using _ = await network.start(...script("listener", port));
  let good = true;
  for (const [name, bench] of Object.entries(parts)) {
    if (!print(await figuresOf(name, () => bench(network)))) good = false;
  }
  return good;
};
