import type { OwnAttributes } from "../metrics/catalogue.ts";
import type { Observation } from "../metrics/observation.ts";
import type { Part } from "./reading.ts";

type DropReason = OwnAttributes<"sockscope.agent.export.dropped">["sockscope.drop.reason"];

/** What a destination says of itself. */
export type DeliveryStats = {
  /** `host:port`, or more where several have that. */
  readonly host: string;
  readonly queueBytes: number;
  readonly sentBytes: number;
  /** Points by reason. */
  readonly dropped: Readonly<Record<DropReason, number>>;
};

const observe = ({ host, queueBytes, sentBytes, dropped }: DeliveryStats): readonly Observation[] => {
  const destination = { "sockscope.destination": host };
  return [
    { metric: "sockscope.agent.export.queue.usage", value: queueBytes, attributes: destination },
    { metric: "sockscope.agent.export.bytes", value: sentBytes, attributes: destination },
    ...(Object.entries(dropped) as [DropReason, number][]).map(([reason, value]): Observation => ({
      metric: "sockscope.agent.export.dropped",
      value,
      attributes: { ...destination, "sockscope.drop.reason": reason },
    })),
  ];
};

/** The agent's own metrics of its destinations. */
export const createDeliveryPart = (stats: () => readonly DeliveryStats[]): Part => ({
  collect: () => Promise.resolve({ columns: [], observations: stats().flatMap(observe) }),
  end: () => Promise.resolve([]),
});
