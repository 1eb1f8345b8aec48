import { atMost, type Figure, megabytes } from "../bars.ts";
import { createNamespace } from "./namespace.ts";

const sockets = 50_000;
const bars = { endpoint: 60, socket: 140 } as const;

type Resident = { readonly before: number; readonly after: number };
type Result = { readonly empty: Resident; readonly full: Resident; readonly peak: number };

/** What a process holds more with many sockets than it did itself without one, by grouping. */
export const benchMemory = async (peer: string): Promise<Figure[]> => {
  const figures: Figure[] = [];
  for (const [groupBy, bar] of Object.entries(bars)) {
    await using namespace = await createNamespace(peer);
    const { empty, full, peak } = (await namespace.measureAround("memory", [groupBy, sockets], () =>
      namespace.hold(sockets),
    )) as Result;
    const more = full.after - empty.after;
    figures.push(
      atMost(
        `${sockets} sockets by ${groupBy}: resident ${megabytes(more)} above ${megabytes(empty.after)} without ` +
          `(before the collection of garbage ${megabytes(full.before - empty.after)}, peak ${megabytes(peak - empty.after)})`,
        more / 2 ** 20,
        bar,
        "MB",
      ),
    );
  }
  return figures;
};
