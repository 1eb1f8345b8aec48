import { atMost, type Figure, only } from "../bars.ts";
import { createNamespace } from "./namespace.ts";

const connections = 40_000;
const bytes = 100;

type Round = { readonly cpu: number; readonly missed: number; readonly ticks: number };
type Result = { readonly alone: Round; readonly dumping: Round; readonly lost: number };

/** Short connections at full speed, counted to the byte by their destroy events. */
export const benchEvents = async (peer: string): Promise<Figure[]> => {
  await using namespace = await createNamespace(peer);
  const { alone, dumping, lost } = namespace.measure("events", connections, bytes) as Result;
  const line = (how: string, { missed, ticks }: Round): string =>
    `${connections} short connections at full speed ${how} (${ticks} ticks): ${missed} bytes and flows miscounted, ${lost} events lost`;
  return [
    atMost(line("while events alone are read", alone), alone.missed, 0, "miscounted"),
    atMost(line("while dumps run", dumping), dumping.missed, 0, "miscounted"),
    only(
      `an event costs ${alone.cpu.toFixed(2)} us of CPU, and ${dumping.cpu.toFixed(2)} us with the share of the dumps`,
    ),
  ];
};
