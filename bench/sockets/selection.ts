import { atLeast, type Figure, milliseconds } from "../bars.ts";
import { createNamespace, selection } from "./namespace.ts";

const sockets = 20_000;
const bar = 8;

type Result = Readonly<Record<"all" | "selected" | "c" | "ratio", number>>;

/** A few of many sockets, selected in the kernel by port or network, against all of them. */
export const benchSelection = async (peer: string): Promise<Figure[]> => {
  await using namespace = await createNamespace(peer);
  await using _ = await namespace.hold(sockets, selection.sockets);
  return ["ports", "networks"].map((by) => {
    const { all, selected, c, ratio } = namespace.measure("selection", by, sockets, selection.sockets) as Result;
    return atLeast(
      `${selection.sockets} of ${sockets} sockets selected by ${by}: ${milliseconds(selected)} CPU a collection ` +
        `(the C program's ${milliseconds(c)}), ${ratio.toFixed(1)} x cheaper than all for ${milliseconds(all)}`,
      ratio,
      bar,
      "x",
    );
  });
};
