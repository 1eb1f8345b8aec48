import type { OwnAttributes } from "../metrics/catalogue.ts";
import type { Observation } from "../metrics/observation.ts";
import type { Part } from "./reading.ts";

type DropReason = OwnAttributes<"sockscope.agent.export.dropped">["sockscope.drop.reason"];

/** What a destination says of itself. */
export type DeliveryStats = {
  /** host:port */
  readonly host: string;
  readonly queueBytes: number;
  readonly sentBytes: number;
  /** Points by reason. */
  readonly dropped: Readonly<Record<DropReason, number>>;
};

/** The agent's own metrics of a destination. */
export const createDeliveryPart = (stats: () => DeliveryStats): Part => ({
  collect: () => {
    const { host, queueBytes, sentBytes, dropped } = stats();
    const destination = { "sockscope.destination": host };
    const observations: Observation[] = [
      { metric: "sockscope.agent.export.queue.usage", value: queueBytes, attributes: destination },
      { metric: "sockscope.agent.export.bytes", value: sentBytes, attributes: destination },
      ...(Object.entries(dropped) as [DropReason, number][]).map(([reason, value]): Observation => ({
        metric: "sockscope.agent.export.dropped",
        value,
        attributes: { ...destination, "sockscope.drop.reason": reason },
      })),
    ];
    return Promise.resolve({ columns: [], observations });
  },
  end: () => Promise.resolve([]),
});
