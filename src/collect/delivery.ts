import type { OwnAttributes } from "../metrics/catalogue.ts";
import type { Observation } from "../metrics/observation.ts";
import type { Part } from "./reading.ts";

type DropReason = OwnAttributes<"sockscope.agent.export.dropped">["sockscope.drop.reason"];

/** What a destination says of itself. */
export type DeliveryStats = {
  /** `host:port`, or more where several have that. */
  readonly host: string;
  readonly exporter: OwnAttributes<"otel.sdk.exporter.metric_data_point.inflight">;
  readonly queueBytes: number;
  readonly queuePoints: number;
  readonly sentBytes: number;
  readonly sentPoints: number;
  readonly retries: number;
  /** Points by reason. */
  readonly dropped: Readonly<Record<DropReason, number>>;
  /** Points of `dropped.refused` by `error.type`. */
  readonly refused: ReadonlyMap<string, number>;
};

/** Points that were given up, by `error.type`: why they were refused, or else the reason of the drop. */
const failedPoints = ({ dropped, refused }: DeliveryStats): readonly (readonly [string, number])[] => [
  ...Object.entries(dropped).filter(([reason, points]) => reason !== "refused" && points > 0),
  ...refused,
];

const observe = (stats: DeliveryStats): readonly Observation[] => {
  const { host, exporter, queueBytes, queuePoints, sentBytes, sentPoints, retries, dropped } = stats;
  const destination = { "sockscope.destination": host };
  return [
    { metric: "sockscope.agent.export.queue.usage", value: queueBytes, attributes: destination },
    { metric: "sockscope.agent.export.bytes", value: sentBytes, attributes: destination },
    { metric: "sockscope.agent.export.retries", value: retries, attributes: destination },
    { metric: "otel.sdk.exporter.metric_data_point.inflight", value: queuePoints, attributes: exporter },
    { metric: "otel.sdk.exporter.metric_data_point.exported", value: sentPoints, attributes: exporter },
    ...failedPoints(stats).map(([type, value]): Observation => ({
      metric: "otel.sdk.exporter.metric_data_point.exported",
      value,
      attributes: { ...exporter, "error.type": type },
    })),
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
