import { type Figure, figuresOf, print } from "../bars.ts";
import { benchEncoder } from "./encoder.ts";
import { benchHeadline } from "./headline.ts";
import { benchPaths } from "./paths.ts";

const parts: Readonly<Record<string, () => Promise<Figure[]>>> = {
  encoder: benchEncoder,
  paths: benchPaths,
  headline: benchHeadline,
};

/** The delivery's side, to a receiver on loopback. The headline needs root (network namespaces) and gcc. False beyond a bar. */
export const benchExport = async (): Promise<boolean> => {
  let good = true;
  for (const [name, bench] of Object.entries(parts)) if (!print(await figuresOf(name, bench))) good = false;
  return good;
};
