import type { Path } from "../config/path.ts";
import { formatHostPort, parseHostPort } from "../config/host-port.ts";
import { isFault } from "../text/fault.ts";
import { listed, type Report, spanOf } from "./conversion.ts";
import { remark, type Value } from "./draft.ts";
import { cutsOf, sayCuts } from "./telegraf-filters.ts";
import type { Opentelemetry } from "./telegraf-schema.ts";
import { mapOfTexts, readSpan, refers, textOf } from "./telegraf-values.ts";

const defaultTimeoutMs = 5000;
const grpcPort = 4317;

/** Keys that say how Telegraf sends, which sockscope decides by itself or cannot. */
const idle = [
  "flush_interval",
  "flush_jitter",
  "metric_batch_size",
  "metric_buffer_limit",
  "metrics_schema",
  "encoding_type",
  "tls_key_pwd",
  "tls_min_version",
  "tls_cipher_suites",
  "tls_renegotiation_method",
  "http_proxy_url",
  "use_system_proxy",
  "startup_error_behavior",
  "log_level",
  "alias",
] as const;

const nonEmpty = (text: string | undefined): string | undefined => (text === "" ? undefined : text);

const tlsOf = (fields: Opentelemetry): Record<string, Value | undefined> => ({
  ca_file: nonEmpty(fields.tls_ca ?? fields.ssl_ca),
  cert_file: nonEmpty(fields.tls_cert ?? fields.ssl_cert),
  key_file: nonEmpty(fields.tls_key ?? fields.ssl_key),
  server_name_override: nonEmpty(fields.tls_server_name),
  insecure_skip_verify: fields.insecure_skip_verify === true ? "on" : undefined,
});

type Receiver = { readonly endpoint: Value; readonly protocol: "grpc" | undefined };

/** Telegraf speaks gRPC to host:port, and newer ones HTTP to a URL. */
const receiverOf = (fields: Opentelemetry, secure: boolean, path: Path, report: Report): Receiver => {
  const address = nonEmpty(fields.service_address) ?? `localhost:${grpcPort}`;
  if (/^https?:\/\//.test(address) || (refers(address) && address.includes("://")))
    return { endpoint: textOf(address.replace(/\/v1\/metrics\/?$/, "")), protocol: undefined };
  const scheme = secure ? "https" : "http";
  if (refers(address)) return { endpoint: textOf(`${scheme}://${address}`), protocol: "grpc" };
  const ends = parseHostPort(address.replace(/^[a-z]+:\/{2,3}/, ""), 1);
  if (isFault(ends) || ends.host === "")
    report(
      [...path, "service_address"],
      `${isFault(ends) ? ends.fault : "the host is missing"}: Telegraf would have sent nothing`,
    );
  return { endpoint: isFault(ends) ? "" : `${scheme}://${formatHostPort(ends)}`, protocol: "grpc" };
};

const compressionOf = ({ compression }: Opentelemetry, path: Path, report: Report): string | undefined => {
  if (compression === undefined || compression === "" || compression === "gzip") return undefined;
  if (compression !== "none" && compression !== "zstd")
    report([...path, "compression"], "must be gzip or none: Telegraf would have failed at each request");
  return compression;
};

/** A destination instead of [[outputs.opentelemetry]], and the attributes that it wants on the resource. */
export const destinationOf = (fields: Opentelemetry, path: Path, report: Report) => {
  const tls = tlsOf(fields);
  const { coralogix } = fields;
  const hasTls = Object.values(tls).some((held) => held !== undefined);
  const secure = hasTls || fields.tls_enable === true || coralogix !== undefined;
  const left = idle.filter((key) => fields[key] !== undefined);
  const headers = {
    ...fields.headers,
    ...(coralogix && {
      ApplicationName: coralogix["application"] ?? "",
      ApiName: coralogix["subsystem"] ?? "",
      Authorization: `Bearer ${coralogix["private_key"] ?? ""}`,
    }),
  };
  const value = remark(
    {
      ...receiverOf(fields, secure, path, report),
      tls: hasTls ? tls : undefined,
      compression: compressionOf(fields, path, report),
      headers: Object.keys(headers).length === 0 ? undefined : mapOfTexts(headers),
      timeout: spanOf(readSpan(fields.timeout, defaultTimeoutMs, [...path, "timeout"], report)),
    },
    left.length === 0 ? undefined : `No counterpart: ${listed(left)}.`,
    sayCuts(cutsOf(fields, "namepass", "namedrop", "tagpass", "tagdrop")),
  );
  return { value, attributes: fields.attributes ?? {} };
};
