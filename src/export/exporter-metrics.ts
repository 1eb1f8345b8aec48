import type { OwnAttributes } from "../metrics/catalogue.ts";
import type { RecordValue } from "../metrics/observation.ts";
import type { OtlpConfig, OtlpProtocol } from "../model/config.ts";
import { errorTypeOf, type Verdict } from "./otlp-retry.ts";

/** What a destination is called by the metrics of SDK components (https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/). */
export type ExporterAttributes = OwnAttributes<"otel.sdk.exporter.metric_data_point.inflight">;

const componentTypes: Readonly<Record<OtlpProtocol, string>> = {
  "http/protobuf": "otlp_http_metric_exporter",
  "http/json": "otlp_http_json_metric_exporter",
  grpc: "otlp_grpc_metric_exporter",
};

/** `name` is the destination's own, which stays over reloads and restarts as a counter would not. */
export const exporterAttributes = ({ url, protocol }: OtlpConfig, name: string): ExporterAttributes => {
  const { hostname, port, protocol: scheme } = new URL(url);
  const type = componentTypes[protocol];
  return {
    "otel.component.name": `${type}/${name}`,
    "otel.component.type": type,
    "server.address": hostname.replace(/^\[|\]$/g, ""),
    "server.port": port === "" ? (scheme === "https:" ? 443 : 80) : Number(port),
  };
};

/** Records how long attempts take and how they end. */
export const attemptRecorder =
  (record: RecordValue, exporter: ExporterAttributes) =>
  (seconds: number, verdict: Verdict): void => {
    const { status } = verdict;
    const error = errorTypeOf(verdict);
    record("otel.sdk.exporter.operation.duration", seconds, {
      ...exporter,
      ...(error === undefined ? {} : { "error.type": error }),
      ...(typeof status === "number" ? { "http.response.status_code": status } : {}),
      ...(typeof status === "string" ? { "rpc.response.status_code": status } : {}),
    });
  };
