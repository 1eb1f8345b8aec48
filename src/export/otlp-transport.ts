import { unescape } from "node:querystring";
import type { RecordValue } from "../metrics/observation.ts";
import type { OtlpConfig, OtlpProtocol } from "../model/config.ts";
import type { Log } from "../model/log.ts";
import { attemptRecorder, exporterAttributes } from "./exporter-metrics.ts";
import type { Connection, ConnectionParts } from "./otlp-connection.ts";
import { OtlpDestination } from "./otlp-destination.ts";
import { proxyHeaders } from "./otlp-dial.ts";
import { GrpcConnection } from "./otlp-grpc.ts";
import { HttpConnection } from "./otlp-http.ts";
import { DeliveryReport } from "./otlp-report.ts";
import type { Clocks } from "./otlp-sender.ts";
import type { FileLock } from "./otlp-storage.ts";

export type OtlpDependencies = Partial<Clocks> & {
  readonly log: Log;
  readonly userAgent: string;
  /** Where attempts are recorded. */
  readonly record?: RecordValue;
  /** Its name in the log and in the agent's own metrics; without one it is `host:port`. */
  readonly name?: string;
  /** The destination of the same receiver in whose place this one comes, so that increments are sent once. */
  readonly predecessor?: OtlpDestination | undefined;
  /** Bound of a request before compression. */
  readonly maxRequestBytes?: number;
  /** For `storage`. */
  readonly lock?: FileLock | undefined;
  /** Another destination of this process may hold the storage until it resolves. */
  readonly earlier?: Promise<unknown> | undefined;
};

const defaultMaxRequestBytes = 4 * 1024 * 1024;

const credentialsOf = ({ username, password }: URL): Record<string, string> => {
  if (username === "" && password === "") return {};
  const credentials = `${unescape(username)}:${unescape(password)}`;
  return { authorization: `Basic ${Buffer.from(credentials).toString("base64")}` };
};

const connections: Readonly<Record<OtlpProtocol, new (parts: ConnectionParts) => Connection>> = {
  "http/protobuf": HttpConnection,
  "http/json": HttpConnection,
  grpc: GrpcConnection,
};

/** `host:port` of a URL, which names a destination without what may be secret. */
export const hostOf = ({ hostname, port, protocol }: URL): string =>
  `${hostname}:${port === "" ? (protocol === "https:" ? 443 : 80) : port}`;

/** The configured headers go before those of the URL and the agent, but not before those that OTLP fixes. */
const headersOf = (url: URL, { headers }: OtlpConfig, userAgent: string): Record<string, string> => ({
  "user-agent": userAgent,
  ...credentialsOf(url),
  ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
});

/** A destination of OTLP. Opens no connection before the first export. Throws a TypeError where `config.url` is no URL. */
export const createOtlpDestination = (config: OtlpConfig, dependencies: OtlpDependencies): OtlpDestination => {
  const { log, userAgent, maxRequestBytes = defaultMaxRequestBytes } = dependencies;
  const { now = Date.now, monotonic = () => performance.now(), random = Math.random } = dependencies;
  const clocks = { now, monotonic, random };
  const url = new URL(config.url);
  const isTls = url.protocol === "https:";
  const { name: host = hostOf(url), predecessor } = dependencies;
  const headers = headersOf(url, config, userAgent);
  const { proxy } = config;
  const exporter = exporterAttributes(config, host);
  const secrets = [
    ...Object.values(config.headers),
    ...Object.values(credentialsOf(url)),
    ...(proxy === undefined ? [] : [...Object.values(proxyHeaders(proxy)), ...(proxy.credentials?.split(":") ?? [])]),
  ];
  return new OtlpDestination({
    config,
    host,
    exporter,
    attempted: attemptRecorder(dependencies.record ?? (() => undefined), exporter),
    connection: new connections[config.protocol]({ url, config, headers, userAgent, clocks }),
    report: new DeliveryReport(log, { host, isTls, isGrpc: config.protocol === "grpc" }, secrets),
    clocks,
    maxRequestBytes,
    log,
    lock: dependencies.lock,
    earlier: dependencies.earlier ?? Promise.resolve(),
    predecessor,
  });
};
